//! Student's t with four degrees of freedom, whose distribution function and quantiles have closed forms.
//!
//! Shaw, W. T. (2006): Sampling Student's T distribution - use of the inverse cumulative distribution function.

/// Bounds that bound nothing.
pub(super) const UNBOUNDED: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);

/// A location and a positive scale; what lies outside of the bounds is moved onto them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Student {
    pub location: f64,
    pub scale: f64,
    pub bounds: (f64, f64),
}

impl Student {
    /// The value below which lies probability `p`, 0 < p < 1.
    pub fn quantile(&self, p: f64) -> f64 {
        let root = (4.0 * p * (1.0 - p)).sqrt();
        let ratio = ((root.acos() / 3.0).cos() / root - 1.0).max(0.0);
        (self.location + self.scale * (2.0 * ratio.sqrt()).copysign(p - 0.5)).clamp(self.bounds.0, self.bounds.1)
    }

    /// Probability of less than `value`.
    pub fn below(&self, value: f64) -> f64 {
        if value <= self.bounds.0 || value > self.bounds.1 {
            return f64::from(u8::from(value > self.bounds.1));
        }
        let z = (value - self.location) / self.scale;
        // The tail directly, because the usual form cancels there: with c = z / sqrt(4 + z^2) it is (1 - |c|)^2 (2 + |c|) / 4.
        let away = z.abs();
        let root = (4.0 + away * away).sqrt();
        let short = if away > 1e8 { 2.0 / away / away } else { 4.0 / (root * (root + away)) };
        let tail = short * short * (3.0 - short) / 4.0;
        if z < 0.0 {
            tail
        } else {
            1.0 - tail
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        let made = Student { location: 0.0, scale: 1.0, bounds: UNBOUNDED };
        for (p, known) in [(0.5, 0.0), (0.9, 1.533_206), (0.95, 2.131_847), (0.975, 2.776_445), (0.995, 4.604_095)] {
            assert!((made.quantile(p) - known).abs() < 1e-6 && (made.quantile(1.0 - p) + known).abs() < 1e-6);
            assert!((made.below(known) - p).abs() < 1e-6);
        }
        assert_eq!((made.below(f64::INFINITY), made.below(f64::NEG_INFINITY)), (1.0, 0.0));
        let floored = Student { bounds: (-1.0, 9.0), ..made };
        assert_eq!((floored.quantile(0.01), floored.below(-1.0), floored.below(9.5)), (-1.0, 0.0, 1.0));
    }
}
