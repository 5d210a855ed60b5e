//! The families of curves, each a grid of basis functions f so that a curve is a + b f(way); a and b follow in closed form.
//!
//! Exponents and rates go in factors of two (power laws: of the square root of two), so that squares and roots replace powers.
//! The Morgan-Mercer-Flodin curve is the logistic curve in the logarithm of the step, hence one family here. Bases whose scale
//! lies far beyond what was seen so far are left out: there they are straight lines, and the data cannot tell them apart.

use super::lanes::Lanes;
use super::trace::ROOM;

/// A grid of exponents of power laws, from 1/8 to 4.
const POWER_OCTAVES: i32 = 6;
const SHIFTS: [f64; 4] = [0.02, 0.06, 0.2, 0.6];
const MIDDLES: [f64; 6] = [0.015, 0.04, 0.1, 0.25, 0.6, 1.2];
/// How far beyond the last point, relative to it, the scale of a shift or rate, and the middle of a logistic curve may lie.
const REACH: f64 = 3.0;
const MIDDLE_REACH: f64 = 1.5;

/// Which curve a basis belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// way^-b
    Power,
    /// (way + d)^-b
    Shifted,
    /// exp(-k way)
    Exponential,
    /// 1 / (1 + (way / m)^s)
    Logistic,
    /// -way
    Linear,
}

impl Family {
    /// What one basis of the family weighs before the data are looked at.
    pub fn prior(self) -> f64 {
        match self {
            Self::Power => 0.73,
            Self::Shifted | Self::Exponential => 0.5,
            Self::Logistic => 0.25,
            Self::Linear => 0.1,
        }
    }
}

/// Points on the way to the target, above 0 and at most 1, and its logarithm relative to the last one.
pub(super) struct Way {
    pub count: usize,
    pub at: Lanes,
    pub logs: Lanes,
    pub last: f64,
}

impl Way {
    pub fn new(fractions: &[f64]) -> Self {
        let last = fractions[fractions.len() - 1];
        let (mut at, mut logs) = ([1.0; ROOM], [0.0; ROOM]);
        for (to, fraction) in fractions.iter().enumerate() {
            at[to] = *fraction;
            logs[to] = (fraction / last).ln();
        }
        Self { count: fractions.len(), at, logs, last }
    }

    /// A basis, from a function of a point; and its value at the target.
    fn basis(&self, f: impl Fn(f64) -> f64) -> (Lanes, f64) {
        let mut basis = [0.0; ROOM];
        for (to, at) in basis[..self.count].iter_mut().zip(&self.at) {
            *to = f(*at);
        }
        (basis, f(1.0))
    }

    /// way^-exponent, 1 at the last point.
    pub fn power(&self, exponent: f64) -> (Lanes, f64) {
        let mut basis = [0.0; ROOM];
        for (to, log) in basis[..self.count].iter_mut().zip(&self.logs) {
            *to = (-exponent * log).exp();
        }
        (basis, self.last.powf(exponent))
    }
}

/// Visits the power laws without shift: exponent, basis, and its value at the target.
pub(super) fn powers(way: &Way, mut visit: impl FnMut(f64, &Lanes, f64)) {
    for lowest in [0.125, 0.125 * std::f64::consts::SQRT_2] {
        let (mut basis, mut ahead) = way.power(lowest);
        let octaves = if lowest > 0.125 { POWER_OCTAVES - 1 } else { POWER_OCTAVES };
        for octave in 0..octaves {
            visit(lowest * f64::from(1 << octave), &basis, ahead);
            squared(&mut basis, &mut ahead);
        }
    }
}

/// Visits all other families: basis, and its value at the target.
pub(super) fn others(way: &Way, mut visit: impl FnMut(Family, &Lanes, f64)) {
    for shift in SHIFTS.into_iter().filter(|shift| *shift <= REACH * way.last) {
        let (mut basis, mut ahead) = way.basis(|at| (1.0 / (at + shift)).sqrt().sqrt());
        for _ in 0..4 {
            visit(Family::Shifted, &basis, ahead);
            squared(&mut basis, &mut ahead);
        }
    }
    let (mut basis, mut ahead) = way.basis(|at| (-at).exp());
    for octave in 0..7 {
        if f64::from(1 << octave) * REACH * way.last >= 1.0 {
            visit(Family::Exponential, &basis, ahead);
        }
        squared(&mut basis, &mut ahead);
    }
    for middle in MIDDLES.into_iter().filter(|middle| *middle <= MIDDLE_REACH * way.last) {
        let ratio = |at: f64, octaves: usize| (0..octaves).fold(at / middle, |power, _| power * power);
        for octaves in 0..3 {
            let (basis, ahead) = way.basis(|at| 1.0 / (1.0 + ratio(at, octaves)));
            visit(Family::Logistic, &basis, ahead);
        }
    }
    let (basis, ahead) = way.basis(|at| -at);
    visit(Family::Linear, &basis, ahead);
}

fn squared(basis: &mut Lanes, ahead: &mut f64) {
    basis.iter_mut().for_each(|value| *value *= *value);
    *ahead *= *ahead;
}
