//! Where finished curves ended, as what is known of an end before its curve is looked at.
//!
//! A forecast that falls where no finished curve ended is more likely wrong than the curve without equal: of many curves the one
//! that is forecast best is best by its error too. So the distribution of the forecast is taken as a likelihood, and multiplied by
//! a density of ends (Bayes' rule). Few ends count for less. The product is kept as shares of bins between quantiles of the
//! forecast: probabilities and quantiles pass through it.

use super::student::Student;

const BINS: usize = 128;
/// The outermost bins, which have no end, begin and end at this share of a bin's probability.
const OUTERMOST: f64 = 0.25;
/// The density of ends counts with the power n / (n + FEW) for n ends.
const FEW: f64 = 4.0;
/// Widths in a density of points are at least these shares of the middle half of them and of the forecast's scale.
const LEAST: (f64, f64) = (0.02, 0.003);
/// Widths of ends, and of where curves that went on as finished ones would end, in mean gaps to their neighbours.
const WIDTHS: (f64, f64) = (0.5, 1.0);

/// The probability up to each edge of the bins.
#[derive(Debug, Clone)]
pub(super) struct Tilt([f64; BINS + 1]);

impl Tilt {
    /// Of a forecast, by the scaled ends of two finished curves or more. With `guesses`, also two or more, these and not the
    /// forecast are the likelihood, and its quantiles just the edges of the bins.
    pub fn of(forecast: &Student, guesses: Option<&mut [f64]>, ends: &mut [f64]) -> Self {
        let edges: Edges =
            std::array::from_fn(|edge| forecast.quantile((edge as f64).clamp(OUTERMOST, BINS as f64 - OUTERMOST) / BINS as f64));
        let scale = forecast.scales[0]; // of the better side: to the other one curves diverge
        let likelihood = guesses.map(|guesses| shares(guesses, WIDTHS.1, scale, &edges));
        let power = ends.len() as f64 / (ends.len() as f64 + FEW);
        let ends = shares(ends, WIDTHS.0, scale, &edges);
        let mut upto = [0.0; BINS + 1];
        for bin in 0..BINS {
            let density = (ends[bin + 1] - ends[bin]) / (edges[bin + 1] - edges[bin]);
            let likely = likelihood.as_ref().map_or(1.0, |upto| upto[bin + 1] - upto[bin]);
            upto[bin + 1] = upto[bin] + (likely * density.max(f64::MIN_POSITIVE).powf(power)).max(f64::MIN_POSITIVE);
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

type Edges = [f64; BINS + 1];

/// What lies below each edge, but for a factor and a constant, if each point stands for the density h / (h + |d|)^2 at distance d.
/// It is as wide as its neighbours lie apart, and heavy-tailed: few points, equal ones and ones far off need no cases of their own.
fn shares(points: &mut [f64], width: f64, scale: f64, edges: &Edges) -> Edges {
    points.sort_unstable_by(f64::total_cmp);
    let quarters = quarters(points);
    let least = (LEAST.0 * quarters[0].min(quarters[1])).max(LEAST.1 * scale);
    let mut below = [0.0; BINS + 1];
    for (at, point) in points.iter().enumerate() {
        let (before, after) = (at.saturating_sub(1), (at + 1).min(points.len() - 1));
        let width = (width * (points[after] - points[before]) / (after - before) as f64).max(least);
        for (sum, edge) in below.iter_mut().zip(edges) {
            *sum += (edge - point) / (width + (edge - point).abs());
        }
    }
    below
}

pub(super) fn median(sorted: &[f64]) -> f64 {
    sorted[(sorted.len() - 1) / 2] / 2.0 + sorted[sorted.len() / 2] / 2.0
}

/// Distances of the quartiles of sorted numbers from the median, roughly.
pub(super) fn quarters(sorted: &[f64]) -> [f64; 2] {
    let (cut, middle) = ((sorted.len() - 1) / 4, median(sorted));
    [middle - sorted[cut], sorted[sorted.len() - 1 - cut] - middle]
}

#[cfg(test)]
mod tests {
    use super::super::student::UNBOUNDED;
    use super::*;

    fn ends() -> Vec<f64> {
        (0..8).map(|number| f64::from(number) / 10.0).collect()
    }

    #[test]
    fn a_forecast_is_drawn_to_the_ends_and_fewer_draw_less() {
        let forecast = Student::new(-0.5, [0.5; 2], UNBOUNDED);
        let median = |count: usize| forecast.quantile(Tilt::of(&forecast, None, &mut ends()[..count]).level(0.5));
        assert!(-0.5 < median(3) && median(3) < median(8) && median(8) < 0.35, "{} {}", median(3), median(8));
        let best = Tilt::of(&forecast, None, &mut ends()).tilted(forecast.below(0.0));
        assert!(0.1 < best && best < 0.7 * forecast.below(0.0), "{best}");
    }

    #[test]
    fn a_forecast_that_is_sure_stays_where_it_is() {
        let forecast = Student::new(-0.5, [0.001; 2], UNBOUNDED);
        let tilt = Tilt::of(&forecast, None, &mut ends());
        for p in [0.05, 0.5, 0.95] {
            assert!((tilt.tilted(p) - p).abs() < 0.01, "{p} {}", tilt.tilted(p));
        }
    }

    #[test]
    fn levels_are_the_inverse_and_any_points_make_shares() {
        let forecast = Student::new(0.1, [0.2, 3.0], (-1.0, f64::INFINITY));
        for mut ends in [ends(), vec![0.1; 5], vec![1e100, -1e100], vec![0.0, 0.0, 1e16]] {
            let tilt = Tilt::of(&forecast, Some(&mut ends.clone()), &mut ends);
            for p in [1e-6, 0.01, 0.3, 0.5, 0.8, 0.999] {
                assert!((tilt.tilted(tilt.level(p)) - p).abs() < 1e-9, "{p} {ends:?}");
            }
            assert!((tilt.tilted(0.0), tilt.tilted(1.0)) == (0.0, 1.0));
        }
    }
}
