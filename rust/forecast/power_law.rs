//! The power law y = a + b * t^(-c): for a given c, a and b by linear least squares in closed form; c by its likelihood.
//!
//! Each c weighs as much as its profile likelihood; its prediction is normal with the variance of the residuals and of a
//! and b. Where the likelihood is wider than the spacing of the grid the grid is the mixture, else points around its peak,
//! which Gauss-Newton steps on the residuals with a and b projected out find (variable projection).

use super::mixture::Component;

/// The exponents looked at, with equal ratios.
const EXPONENTS: (f64, f64) = (0.05, 5.0);
const GRID: usize = 13;
/// Gauss-Newton steps from the best exponent of the grid; exact curves need about six.
const STEPS: usize = 10;
/// Half the number of points around the best exponent, and their distance in standard deviations.
const LOCAL: (i32, f64) = (5, 0.6);
/// Variance of rounding, in values that span 1: keeps exact curves from dividing by zero.
const ROUNDING: f64 = 1e-20;

/// A fit for one exponent: the squared residuals, the prediction and its leverage, and where a better exponent may lie.
#[derive(Clone, Copy)]
struct Fit {
    log_exponent: f64,
    residuals: f64,
    at_target: f64,
    leverage: f64,
    /// Change of the exponent's logarithm that would be best if the residuals depended on it linearly.
    step: f64,
    /// Standard deviation of the exponent's logarithm.
    width: f64,
}

/// Predictions at the target, from fractions of the way to it and values that span 1; at least four points.
///
/// Empty if the fractions are too close to tell exponents apart.
pub(super) fn components(way: &[f64], values: &[f64]) -> Vec<Component> {
    let curve = Logs::new(way, values);
    let (low, high) = (EXPONENTS.0.ln(), EXPONENTS.1.ln());
    let spacing = (high - low) / (GRID - 1) as f64;
    let grid: Vec<Fit> = (0..GRID).filter_map(|at| curve.fit(low + spacing * at as f64)).collect();
    let Some(mut best) = grid.iter().copied().min_by(|one, other| one.residuals.total_cmp(&other.residuals)) else {
        return Vec::new();
    };
    for _ in 0..STEPS {
        let there = (best.log_exponent + best.step.clamp(-spacing, spacing)).clamp(low, high);
        match curve.fit(there).filter(|fit| fit.residuals < best.residuals) {
            Some(better) => best = better,
            None => break,
        }
    }
    if best.width >= spacing {
        return curve.weighted(&grid);
    }
    let around = (-LOCAL.0..=LOCAL.0).filter(|at| *at != 0).map(|at| best.log_exponent + f64::from(at) * LOCAL.1 * best.width);
    let mut fits: Vec<Fit> = around.filter(|at| (low..=high).contains(at)).filter_map(|at| curve.fit(at)).collect();
    fits.push(best);
    curve.weighted(&fits)
}

/// A curve with the logarithms of its steps.
struct Logs<'a> {
    logs: Vec<f64>,
    first: f64,
    values: &'a [f64],
    mean: f64,
}

impl<'a> Logs<'a> {
    fn new(way: &[f64], values: &'a [f64]) -> Self {
        let logs: Vec<f64> = way.iter().map(|fraction| fraction.ln()).collect();
        let first = logs.iter().copied().fold(0.0, f64::min);
        Self { logs, first, values, mean: values.iter().sum::<f64>() / values.len() as f64 }
    }

    fn count(&self) -> f64 {
        self.values.len() as f64
    }

    /// Least squares on t^(-c), scaled so that it is 1 at the first step.
    fn fit(&self, log_exponent: f64) -> Option<Fit> {
        let (exponent, count) = (log_exponent.exp(), self.count());
        let powers: Vec<f64> = self.logs.iter().map(|log| (exponent * (self.first - log)).exp()).collect();
        let mean = powers.iter().sum::<f64>() / count;
        let (mut square, mut product) = (0.0, 0.0);
        for (power, value) in powers.iter().zip(self.values) {
            square += (power - mean) * (power - mean);
            product += (power - mean) * (value - self.mean);
        }
        if square < 1e-26 {
            return None;
        }
        let slope = product / square;
        let (mut residuals, mut along, mut sum, mut shared, mut gradient) = (ROUNDING * count, 0.0, 0.0, 0.0, 0.0);
        for ((power, value), log) in powers.iter().zip(self.values).zip(&self.logs) {
            let residual = value - self.mean - slope * (power - mean);
            let change = slope * exponent * (self.first - log) * power; // of the fit, by the exponent's logarithm
            residuals += residual * residual;
            along += change * residual;
            sum += change;
            shared += change * (power - mean);
            gradient += change * change;
        }
        let curvature = gradient - sum * sum / count - shared * shared / square;
        let (step, width) = if curvature > 0.0 {
            (along / curvature, (residuals / (count - 2.0) / curvature).sqrt())
        } else {
            (0.0, f64::INFINITY)
        };
        let ahead = (exponent * self.first).exp() - mean;
        let (at_target, leverage) = (self.mean + slope * ahead, 1.0 / count + ahead * ahead / square);
        Some(Fit { log_exponent, residuals, at_target, leverage, step, width })
    }

    fn weighted(&self, fits: &[Fit]) -> Vec<Component> {
        let freedom = self.count() - 3.0;
        let least = fits.iter().map(|fit| fit.residuals).fold(f64::INFINITY, f64::min);
        let component = |fit: &Fit| Component {
            weight: (fit.residuals / least).powf((2.0 - self.count()) / 2.0),
            mean: fit.at_target,
            sd: (fit.residuals / freedom * (1.0 + fit.leverage) * widening(freedom)).sqrt(),
        };
        fits.iter().map(component).collect()
    }
}

/// Factor on the variance that gives a normal distribution about the 90 % interval of Student's t.
pub(super) fn widening(freedom: f64) -> f64 {
    1.0 + 2.3 / (freedom - 0.8)
}
