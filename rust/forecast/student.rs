//! Student's t with two degrees of freedom, whose distribution function and quantiles have closed forms.
//!
//! Its quartiles and its 90 % interval stand to each other about as those of forecast errors do: most are small, some are large.
//!
//! Shaw, W. T. (2006): Sampling Student's T distribution - use of the inverse cumulative distribution function.

/// Bounds that bound nothing.
pub(super) const UNBOUNDED: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);

/// A location and positive scales to either side of it, cut off at bounds: what lies outside of them is left out, and the rest makes
/// up the whole. Without bounds half lies to either side, so the density jumps at the location where the scales differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Student {
    pub location: f64,
    /// Below and above.
    pub scales: [f64; 2],
    bounds: (f64, f64),
    /// What is below the bounds without them.
    cut: (f64, f64),
}

impl Student {
    /// The location lies within the bounds, or is moved there.
    pub fn new(location: f64, scales: [f64; 2], bounds: (f64, f64)) -> Self {
        let location = location.clamp(bounds.0, bounds.1);
        let cut = (below((bounds.0 - location) / scales[0]), below((bounds.1 - location) / scales[1]));
        Self { location, scales, bounds, cut }
    }

    /// The value below which lies probability `p`, 0 < p < 1.
    pub fn quantile(&self, p: f64) -> f64 {
        let p = self.cut.0 + p * (self.cut.1 - self.cut.0);
        let z = (2.0 * p - 1.0) / (2.0 * p * (1.0 - p)).sqrt();
        (self.location + self.scales[usize::from(z > 0.0)] * z).clamp(self.bounds.0, self.bounds.1)
    }

    /// Probability of less than `value`.
    pub fn below(&self, value: f64) -> f64 {
        let away = value - self.location;
        let inside = below(away / self.scales[usize::from(away > 0.0)]) - self.cut.0;
        (inside / (self.cut.1 - self.cut.0)).clamp(0.0, 1.0)
    }
}

/// The distribution function, with location 0 and scale 1.
fn below(z: f64) -> f64 {
    let (away, root) = (z.abs(), z.hypot(std::f64::consts::SQRT_2));
    let tail = 1.0 / (root * (root + away)); // not 1 minus what is below, which cancels
    if z < 0.0 {
        tail
    } else {
        1.0 - tail
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        let made = Student::new(0.0, [1.0; 2], UNBOUNDED);
        for (p, known) in [(0.5, 0.0), (0.9, 1.885_618), (0.95, 2.919_986), (0.975, 4.302_653), (0.995, 9.924_843)] {
            assert!((made.quantile(p) - known).abs() < 1e-6 && (made.quantile(1.0 - p) + known).abs() < 1e-6);
            assert!((made.below(known) - p).abs() < 1e-6);
        }
        assert_eq!((made.below(f64::INFINITY), made.below(f64::NEG_INFINITY)), (1.0, 0.0));
        let cut = Student::new(0.0, [1.0, 3.0], (-1.0, 9.0));
        assert_eq!((cut.below(-1.0), cut.below(-2.0), cut.below(9.5)), (0.0, 0.0, 1.0));
        for p in [1e-9, 0.01, 0.3, 0.99] {
            assert!(cut.quantile(p) >= -1.0 && (cut.below(cut.quantile(p)) - p).abs() < 1e-9);
        }
    }
}
