//! How wide the forecast must be: a table learned from recorded curves, by the script `benchmarks/calibrate_forecast.py`.
//!
//! The logarithm of the distribution's scale to either side, relative to the spread of the curve's values, is linear in a little
//! evidence, so that one in twenty finals lies beyond the 90 % interval on that side. Tried and left out, because they did not hold for kinds of curves that
//! were kept from the fit: the size of the residuals, noise, number of points, progress so far.

use super::families::Way;
use super::lanes::Sample;

/// Numbers that tell how wrong a forecast may be.
pub(super) const EVIDENCE: usize = 4;

/// Coefficients without and with finished curves, as `evidence` orders them.
const ALONE: [f64; EVIDENCE] = [-0.190, 0.489, 0.264, 0.400];
const INFORMED: [f64; EVIDENCE] = [-0.336, 0.746, 0.194, 0.163];

/// 1, then logarithms: of the spread of the predictions to one side and of the last value's size, each relative to the spread of the
/// values, and of the share of the way that is left.
pub(super) fn evidence(way: &Way, sample: &Sample, spread: f64, level: f64) -> [f64; EVIDENCE] {
    let unit = sample.variance.sqrt();
    let spread = (spread / unit).hypot(0.02).min(1e3);
    let level = (level / unit).hypot(0.1).min(1e3);
    [1.0, spread.ln(), level.ln(), (1.0 - way.last).max(0.02).ln()]
}

/// The scale of the forecast to one side, in the values' unit.
pub(super) fn scale(evidence: &[f64; EVIDENCE], sample: &Sample, informed: bool) -> f64 {
    let table = if informed { &INFORMED } else { &ALONE };
    let log: f64 = evidence.iter().zip(table).map(|(seen, weight)| seen * weight).sum();
    (sample.variance.sqrt() * log.exp()).max(1e-12)
}
