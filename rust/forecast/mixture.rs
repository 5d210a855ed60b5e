//! A mixture of normal distributions.

use std::f64::consts::SQRT_2;

/// Parts whose weight is below this share of the largest are left out.
const NEGLIGIBLE: f64 = 1e-5;
/// Halvings of the bracket of a quantile: always as many, so that a greater probability never gives a smaller quantile.
const HALVINGS: usize = 64;

/// A normal distribution and its weight in the mixture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Component {
    pub weight: f64,
    pub mean: f64,
    pub sd: f64,
}

/// Weighted normal distributions, at least one; the weights sum to 1.
#[derive(Debug, Clone)]
pub(super) struct Mixture(Vec<Component>);

impl Mixture {
    /// Of components with any positive weights.
    pub fn new(mut components: Vec<Component>) -> Self {
        let largest = components.iter().map(|part| part.weight).fold(0.0, f64::max);
        components.retain(|part| part.weight >= largest * NEGLIGIBLE);
        let total: f64 = components.iter().map(|part| part.weight).sum();
        components.iter_mut().for_each(|part| part.weight /= total);
        Self(components)
    }

    /// Of components that weigh 1 - `share` together, and one that weighs `share`.
    pub fn joined(components: Vec<Component>, share: f64, other: Component) -> Self {
        let mut parts = Self::new(components).0;
        parts.iter_mut().for_each(|part| part.weight *= 1.0 - share);
        parts.push(Component { weight: share, ..other });
        Self(parts)
    }

    pub fn mean(&self) -> f64 {
        self.0.iter().map(|part| part.weight * part.mean).sum()
    }

    /// Probability of less than `value`.
    pub fn below(&self, value: f64) -> f64 {
        self.0.iter().map(|part| part.weight * tail((part.mean - value) / part.sd)).sum::<f64>().min(1.0)
    }

    /// Probability of more than `value`.
    pub fn above(&self, value: f64) -> f64 {
        self.0.iter().map(|part| part.weight * tail((value - part.mean) / part.sd)).sum::<f64>().min(1.0)
    }

    /// The value below which lies probability `p`, 0 < p < 1.
    pub fn quantile(&self, p: f64) -> f64 {
        let mut low = self.0.iter().map(|part| part.mean - 40.0 * part.sd).fold(f64::INFINITY, f64::min);
        let mut high = self.0.iter().map(|part| part.mean + 40.0 * part.sd).fold(f64::NEG_INFINITY, f64::max);
        for _ in 0..HALVINGS {
            let middle = low + (high - low) / 2.0;
            if self.below(middle) < p {
                low = middle;
            } else {
                high = middle;
            }
        }
        low + (high - low) / 2.0
    }
}

/// Probability that a standard normal variable exceeds `z`.
fn tail(z: f64) -> f64 {
    0.5 * libm::erfc(z / SQRT_2)
}
