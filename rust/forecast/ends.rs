//! Where finished curves ended, as what is known of an end before its curve is looked at.
//!
//! A forecast that falls where no finished curve ended is more likely wrong than the curve without equal: of many curves the one
//! that is forecast best is best by its error too. So the distribution of the forecast is taken as a likelihood, and multiplied by
//! a density of ends (Bayes' rule). That is a sum of heavy-tailed densities, one for each finished curve, as wide as its neighbours
//! lie apart, so that few ends, equal ones and ones that diverged need no cases of their own; few of them count for less.
//! The product is kept as shares of the likelihood's own bins of equal probability: probabilities and quantiles pass through it.

use super::student::Student;

const BINS: usize = 128;
/// Width of an end's density: this share of the mean gap to its neighbours, and at least these shares of the middle half of all
/// ends and of the forecast's own scale.
const WIDTH: f64 = 0.5;
const LEAST: (f64, f64) = (0.02, 0.003);
/// Of the outermost bins, which have no end, the density is that between their inner edge and this share of their probability.
const OUTERMOST: f64 = 0.25;
/// The density counts with the power n / (n + FEW) for n ends.
const FEW: f64 = 4.0;

/// The probability up to each edge of the bins.
#[derive(Debug, Clone)]
pub(super) struct Tilt([f64; BINS + 1]);

impl Tilt {
    /// Of a forecast, by the scaled ends of two finished curves or more.
    pub fn of(forecast: &Student, mut ends: Vec<f64>) -> Self {
        ends.sort_unstable_by(f64::total_cmp);
        let least = (LEAST.0 * middle_half(&ends)).max(LEAST.1 * forecast.scale);
        let widths: Vec<f64> = (0..ends.len())
            .map(|at| {
                let (before, after) = (at.saturating_sub(1), (at + 1).min(ends.len() - 1));
                (WIDTH * (ends[after] - ends[before]) / (after - before) as f64).max(least)
            })
            .collect();
        let power = ends.len() as f64 / (ends.len() as f64 + FEW);
        let edges: [f64; BINS + 1] =
            std::array::from_fn(|edge| forecast.quantile((edge as f64).clamp(OUTERMOST, BINS as f64 - OUTERMOST) / BINS as f64));
        let mut below = [0.0; BINS + 1];
        for (end, width) in ends.iter().zip(&widths) {
            for (sum, edge) in below.iter_mut().zip(&edges) {
                *sum += (edge - end) / (width + (edge - end).abs()); // h / (h + |d|)^2 at distance d, integrated
            }
        }
        let mut upto = [0.0; BINS + 1];
        for bin in 0..BINS {
            let density = (below[bin + 1] - below[bin]) / (edges[bin + 1] - edges[bin]);
            upto[bin + 1] = upto[bin] + density.max(f64::MIN_POSITIVE).powf(power);
        }
        let all = upto[BINS];
        Self(upto.map(|sum| sum / all))
    }

    /// The probability of what the forecast alone gives the probability `p`.
    pub fn tilted(&self, p: f64) -> f64 {
        let bin = ((p * BINS as f64) as usize).min(BINS - 1);
        self.0[bin] + (p * BINS as f64 - bin as f64) * (self.0[bin + 1] - self.0[bin])
    }

    /// The inverse: what the forecast alone would say of a value that has probability `p`.
    pub fn level(&self, p: f64) -> f64 {
        let bin = self.0[1..BINS].partition_point(|upto| *upto < p);
        let share = ((p - self.0[bin]) / (self.0[bin + 1] - self.0[bin])).clamp(0.0, 1.0);
        ((bin as f64 + share) / BINS as f64).clamp(f64::MIN_POSITIVE, 1.0 - f64::EPSILON)
    }
}

/// Distance of the quartiles of sorted numbers, roughly.
pub(super) fn middle_half(sorted: &[f64]) -> f64 {
    let cut = (sorted.len() - 1) / 4;
    sorted[sorted.len() - 1 - cut] - sorted[cut]
}
