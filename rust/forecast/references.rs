//! How finished curves went on from the fraction of the way at which this one is.

use super::mixture::Component;
use super::power_law::widening;

/// Finished curves below which nothing is said.
const MIN_CURVES: usize = 3;
/// Number of curves at which they weigh as much as the curve's own fit.
const EVEN: f64 = 6.0;

/// Change of the value from `fraction` of a finished curve's steps to its end, if it has points on both sides.
pub(super) fn change(steps: &[f64], values: &[f64], fraction: f64) -> Option<f64> {
    let (end, last) = (*steps.last()?, *values.last()?);
    let at = fraction * end;
    if !(0.0..=1.0).contains(&fraction) || at < steps[0] {
        return None;
    }
    let after = steps.iter().position(|step| *step >= at)?;
    let before = after.saturating_sub(1);
    let gap = steps[after] - steps[before];
    let share = if gap > 0.0 { (at - steps[before]) / gap } else { 1.0 };
    let there = values[before] * (1.0 - share) + values[after] * share;
    Some(last - there).filter(|change| change.is_finite())
}

/// The prediction from scaled changes, counted from the last value on, and its share of the mixture.
pub(super) fn component(changes: &[f64]) -> Option<(f64, Component)> {
    if changes.len() < MIN_CURVES {
        return None;
    }
    let count = changes.len() as f64;
    let mean = changes.iter().sum::<f64>() / count;
    let variance = changes.iter().map(|change| (change - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let sd = (variance * (1.0 + 1.0 / count) * widening(count - 1.0)).sqrt().max(1e-9);
    Some((count / (count + EVEN), Component { weight: 1.0, mean, sd }))
}
