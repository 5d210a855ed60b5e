//! Learning curves: the predictive distribution of a metric at a later step, from the reports so far.
//!
//! `power_law` fits the curve itself, `references` tells how finished curves went on from the same fraction of the way, and
//! `mixture` is the distribution that both are parts of. Steps and values are scaled first, so that any finite input gives
//! finite numbers; results are clamped to what a float can hold.

mod mixture;
mod power_law;
mod references;

use thiserror::Error;

use mixture::{Component, Mixture};

/// Reports below which a curve says nothing: three parameters and a residual.
const MIN_POINTS: usize = 4;
/// Relative spread below which values or steps count as equal.
const MIN_SPREAD: f64 = 1e-12;

/// Why there is no forecast.
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs)] // the messages say it
pub enum ForecastError {
    #[error("{curve} has {steps} steps and {values} values; give one value for each step")]
    UnequalLengths { curve: String, steps: usize, values: usize },
    #[error("{curve} goes back from step {before} to step {after}; give its points in the order of their steps")]
    StepsDecrease { curve: String, before: f64, after: f64 },
    #[error("the curve has no point with a finite step and value; forecast when a value was reported")]
    NoPoints,
    #[error("target_step={target} is not a finite number; give the step at which training ends")]
    BadTarget { target: f64 },
    #[error("target_step={target} lies before the last step {last}; give the step at which training ends")]
    TargetPassed { target: f64, last: f64 },
    #[error("direction={direction:?} is unknown; give minimize or maximize")]
    BadDirection { direction: String },
    #[error("p={p} is not a probability between 0 and 1, both excluded")]
    BadProbability { p: f64 },
    #[error("value={value} cannot be compared with; give a number")]
    BadValue { value: f64 },
}

/// Which values of a metric are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Lower is better.
    Minimize,
    /// Higher is better.
    Maximize,
}

impl std::str::FromStr for Direction {
    type Err = ForecastError;

    fn from_str(name: &str) -> Result<Self, ForecastError> {
        match name {
            "minimize" => Ok(Self::Minimize),
            "maximize" => Ok(Self::Maximize),
            _ => Err(ForecastError::BadDirection { direction: name.to_owned() }),
        }
    }
}

/// Reports of a trial: steps that do not decrease, and as many values.
#[derive(Debug, Clone, Copy)]
pub struct Curve<'a> {
    /// In any unit.
    pub steps: &'a [f64],
    /// Points that are not finite are left out.
    pub values: &'a [f64],
}

/// The predictive distribution of the metric at `target_step`.
#[derive(Debug, Clone)]
pub struct Forecast {
    /// Step that is forecast.
    pub target_step: f64,
    /// Finite points used.
    pub points: usize,
    /// False where the curve says nothing yet.
    pub informative: bool,
    direction: Direction,
    scale: Scale,
    mixture: Mixture,
}

impl Forecast {
    /// Expected value.
    pub fn mean(&self) -> f64 {
        self.scale.restored(self.mixture.mean())
    }

    /// The value below which the metric ends with probability `p`.
    pub fn quantile(&self, p: f64) -> Result<f64, ForecastError> {
        if p > 0.0 && p < 1.0 {
            Ok(self.scale.restored(self.mixture.quantile(p)))
        } else {
            Err(ForecastError::BadProbability { p })
        }
    }

    /// Probability that the metric ends better than `value`.
    pub fn beats(&self, value: f64) -> Result<f64, ForecastError> {
        if value.is_nan() {
            return Err(ForecastError::BadValue { value });
        }
        let value = self.scale.scaled(value);
        Ok(match self.direction {
            Direction::Minimize => self.mixture.below(value),
            Direction::Maximize => self.mixture.above(value),
        })
    }
}

/// Forecasts `curve` at `target_step`; `references` are finished curves of the same metric.
pub fn forecast(
    curve: Curve<'_>,
    target_step: f64,
    references: &[Curve<'_>],
    direction: Direction,
) -> Result<Forecast, ForecastError> {
    let (steps, values) = curve.finite(|| "the curve".to_owned())?;
    if !target_step.is_finite() {
        return Err(ForecastError::BadTarget { target: target_step });
    }
    let (Some(&last), Some(scale)) = (steps.last(), Scale::of(&values)) else { return Err(ForecastError::NoPoints) };
    if target_step < last {
        return Err(ForecastError::TargetPassed { target: target_step, last });
    }
    let scaled: Vec<f64> = values.iter().map(|value| scale.scaled(*value)).collect();
    let way = fractions(&steps, target_step);
    let mut changes = Vec::new();
    for (number, reference) in references.iter().enumerate() {
        let (steps, values) = reference.finite(|| format!("reference curve {number}"))?;
        changes.extend(references::change(&steps, &values, last / target_step).map(|change| scale.scaled_change(change)));
    }
    let fitted = if scale.has_spread && has_spread(&steps) && values.len() >= MIN_POINTS {
        power_law::components(&way, &scaled)
    } else {
        Vec::new()
    };
    let informative = !fitted.is_empty();
    let mixture = match (informative, references::component(&changes)) {
        (true, None) => Mixture::new(fitted),
        (true, Some((trust, component))) => Mixture::joined(fitted, trust, component),
        (false, Some((_, component))) => Mixture::new(vec![component]),
        (false, None) => Mixture::new(vec![Component { weight: 1.0, mean: 0.0, sd: scale.ignorance() }]),
    };
    Ok(Forecast { target_step, points: values.len(), informative, direction, scale, mixture })
}

impl Curve<'_> {
    /// Its finite points. The name is for messages.
    fn finite(&self, name: impl Fn() -> String) -> Result<(Vec<f64>, Vec<f64>), ForecastError> {
        let (steps, values) = (self.steps.len(), self.values.len());
        if steps != values {
            return Err(ForecastError::UnequalLengths { curve: name(), steps, values });
        }
        let points = self.steps.iter().zip(self.values).filter(|(step, value)| step.is_finite() && value.is_finite());
        let (steps, values): (Vec<f64>, Vec<f64>) = points.map(|(step, value)| (*step, *value)).unzip();
        match steps.windows(2).find(|pair| pair[1] < pair[0]) {
            Some(pair) => Err(ForecastError::StepsDecrease { curve: name(), before: pair[0], after: pair[1] }),
            None => Ok((steps, values)),
        }
    }
}

/// Maps values so that the last one is 0 and they span 1. No step of it overflows.
#[derive(Debug, Clone, Copy)]
struct Scale {
    unit: f64,
    last: f64,
    span: f64,
    has_spread: bool,
}

impl Scale {
    fn of(values: &[f64]) -> Option<Self> {
        let largest = values.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
        let unit = if largest > 0.0 { largest } else { 1.0 };
        let last = values.last()? / unit;
        let low = values.iter().copied().fold(f64::INFINITY, f64::min) / unit;
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max) / unit;
        let has_spread = high - low > MIN_SPREAD;
        Some(Self { unit, last, span: if has_spread { high - low } else { 1.0 }, has_spread })
    }

    fn scaled(&self, value: f64) -> f64 {
        (value / self.unit - self.last) / self.span
    }

    fn scaled_change(&self, change: f64) -> f64 {
        (change / self.unit / self.span).clamp(-1e100, 1e100)
    }

    fn restored(&self, scaled: f64) -> f64 {
        ((scaled * self.span + self.last) * self.unit).clamp(f64::MIN, f64::MAX)
    }

    /// Standard deviation, in scaled values, of a metric of which only its size is known.
    fn ignorance(&self) -> f64 {
        let size = if self.last == 0.0 { 1.0 } else { self.last.abs() };
        (size / self.span).max(1.0)
    }
}

fn has_spread(steps: &[f64]) -> bool {
    let largest = steps.iter().fold(0.0, |largest: f64, step| largest.max(step.abs()));
    steps.last().zip(steps.first()).is_some_and(|(last, first)| last / largest - first / largest > MIN_SPREAD)
}

/// How far each step is on the way to the target, above 0 and at most 1. Steps that are not positive are counted from the
/// first one on, which is taken to lie as far from the start as the steps lie apart.
fn fractions(steps: &[f64], target: f64) -> Vec<f64> {
    let largest = steps.iter().fold(target.abs(), |largest, step| largest.max(step.abs()));
    let unit = if largest > 0.0 { largest } else { 1.0 };
    let (first, last, target) = (steps[0] / unit, steps[steps.len() - 1] / unit, target / unit);
    let apart = (last - first) / steps.len().saturating_sub(1).max(1) as f64;
    let shift = match (first > 0.0, apart > 0.0) {
        (true, _) => 0.0,
        (false, true) => apart - first,
        (false, false) => 1.0 - first,
    };
    steps.iter().map(|step| ((step / unit + shift) / (target + shift)).clamp(1e-12, 1.0)).collect()
}

#[cfg(test)]
mod tests;
