//! Values in units of the curve: lower is better, the last one is 0 and they span 1. No step of it overflows.

use super::student::UNBOUNDED;
use super::Direction;

/// Relative spread below which values or steps count as equal.
const MIN_SPREAD: f64 = 1e-12;
/// Values lie within the middle four fifths and so many of their spans around them, or are pulled there.
const REACH: f64 = 3.0;

#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    sign: f64,
    unit: f64,
    last: f64,
    span: f64,
    low: f64,
    high: f64,
    pub has_spread: bool,
    /// Scaled values that the metric is taken never to pass.
    pub bounds: (f64, f64),
}

impl Scale {
    /// Of at least one finite value. `others`: ranges of other curves of the metric.
    pub fn of(values: &[f64], direction: Direction, others: impl Iterator<Item = (f64, f64)>) -> Self {
        let sign = if direction == Direction::Minimize { 1.0 } else { -1.0 };
        let mut sorted: Vec<f64> = values.iter().map(|value| sign * value).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let (least, most) = (sorted[0], sorted[sorted.len() - 1]);
        let cut = (sorted.len() - 1) / 10;
        let (low, high) = (sorted[cut], sorted[sorted.len() - 1 - cut]);
        let reach = 2.0 * REACH * (high / 2.0 - low / 2.0);
        let (low, high) = ((low - reach).max(least), (high + reach).min(most));
        let unit = if low == 0.0 && high == 0.0 { 1.0 } else { low.abs().max(high.abs()) };
        let last = (sign * values[values.len() - 1]).clamp(low, high) / unit;
        let has_spread = high / unit - low / unit > MIN_SPREAD;
        let span = if has_spread { high / unit - low / unit } else { 1.0 };
        let mut made = Self { sign, unit, last, span, low, high, has_spread, bounds: UNBOUNDED };
        let (least, most) = others.fold((least, most), |(least, most), (from, to)| {
            let (from, to) = if sign < 0.0 { (-to, -from) } else { (from, to) };
            (least.min(from), most.max(to))
        });
        if least >= 0.0 {
            made.bounds.0 = made.scaled(0.0); // losses, errors, times keep their sign
        } else if most <= 0.0 {
            made.bounds.1 = made.scaled(0.0);
            if direction == Direction::Maximize && least >= -1.0 {
                made.bounds.0 = made.scaled(1.0); // accuracies and other scores up to 1
            }
        }
        made
    }

    /// Scaled, and pulled in where it lies far outside of most values.
    pub fn pulled(&self, value: f64) -> f64 {
        ((self.sign * value).clamp(self.low, self.high) / self.unit - self.last) / self.span
    }

    pub fn scaled(&self, value: f64) -> f64 {
        (self.sign * value / self.unit - self.last) / self.span
    }

    /// A difference of values, or a value of which only differences count.
    pub fn change(&self, change: f64) -> f64 {
        (self.sign * change / self.unit / self.span).clamp(-1e100, 1e100)
    }

    pub fn restored(&self, scaled: f64) -> f64 {
        (self.sign * ((scaled * self.span + self.last) * self.unit)).clamp(f64::MIN, f64::MAX)
    }

    /// Size of the last value, scaled.
    pub fn level(&self) -> f64 {
        self.last.abs() / self.span
    }

    /// Scale of a metric of which only its size is known.
    pub fn ignorance(&self) -> f64 {
        let size = if self.last == 0.0 { 1.0 } else { self.last.abs() };
        (size / self.span).max(1.0)
    }
}

/// Whether steps differ at all.
pub(super) fn apart(steps: &[f64]) -> bool {
    let largest = steps.iter().fold(0.0, |largest: f64, step| largest.max(step.abs()));
    steps.last().zip(steps.first()).is_some_and(|(last, first)| last / largest - first / largest > MIN_SPREAD)
}

/// How far each step is on the way to the target, above 0 and at most 1. Steps that are not positive are counted from the
/// first one on, which is taken to lie as far from the start as the steps lie apart.
pub(super) fn fractions(steps: &[f64], target: f64) -> Vec<f64> {
    let largest = steps.iter().fold(target.abs(), |largest, step| largest.max(step.abs()));
    let unit = if largest > 0.0 { largest } else { 1.0 };
    let (first, last, target) = (steps[0] / unit, steps[steps.len() - 1] / unit, target / unit);
    let gap = (last - first) / steps.len().saturating_sub(1).max(1) as f64;
    let shift = match (first > 0.0, gap > 0.0) {
        (true, _) => 0.0,
        (false, true) => gap - first,
        (false, false) => 1.0 - first,
    };
    steps.iter().map(|step| ((step / unit + shift) / (target + shift)).clamp(1e-12, 1.0)).collect()
}
