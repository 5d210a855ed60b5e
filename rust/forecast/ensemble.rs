//! The families fitted to one curve, and what they say together.
//!
//! A basis weighs its family's prior times a power of its misfit, the share of the variance that it leaves unexplained. A full
//! likelihood would trust the best fit too much: what a curve leaves of a family is not noise but the family being wrong, and
//! the same at every point. Late points weigh more (by the square of the way), because the end is what is asked for. A residual
//! that persists from point to point is carried on to the target, one that looks like noise is not.

use super::families::{others, powers, Family, Way};
use super::lanes::{Lanes, Line, Sample};
use super::trace::ROOM;

/// Misfits well below it count as equal, until a fit is as good as exact.
const SOFT: f64 = 1e-2;
const EXACT: f64 = 1e-5;
const ROUNDING: f64 = 1e-14;
/// Residuals of the best power law are clipped to so many of their typical sizes before anything else is fitted.
const CLIP: f64 = 3.0 * 1.4826;
/// Values before the last one that it is compared with, and how far outside it may lie besides, in values that span about 1.
const STEADY: usize = 4;
const STEADY_REACH: f64 = 0.1;
/// Gauss-Newton steps from the best exponent of the grid, and the relative gain below which they end.
const STEPS: usize = 8;
const GAIN: f64 = 1e-2;
const EXPONENTS: (f64, f64) = (0.02, 8.0);
/// How many times the middle half of the predictions one may lie outside of it.
const FAR: f64 = 1.0;
/// Prior weight of the last level as it is, which leaves all of the variance unexplained.
const LEVEL: f64 = 0.1;

/// Which families are fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Families {
    /// All of them.
    All,
    /// The power law without shift alone.
    PowerLaw,
}

/// A prediction of one basis and what it weighs.
#[derive(Clone, Copy)]
struct Vote {
    weight: f64,
    prediction: f64,
}

/// Predictions of all bases.
pub(super) struct Votes<'a> {
    sample: &'a Sample,
    all: Vec<Vote>,
    priors: f64,
}

/// What they amount to, in the values' unit.
pub(super) struct Verdict {
    pub mean: f64,
    /// Their standard deviation, by those below and by those above.
    pub spread: [f64; 2],
}

impl<'a> Votes<'a> {
    fn new(sample: &'a Sample) -> Self {
        Self { sample, all: Vec::with_capacity(ROOM), priors: 0.0 }
    }

    /// Counts the line of a basis that is `ahead` at the target.
    pub fn count(&mut self, prior: f64, line: &Line, ahead: f64) {
        let misfit = line.residual / self.sample.variance;
        let carried = (2.0 * line.memory).clamp(0.0, 1.0) * line.last_residual;
        let prediction = (line.intercept + line.slope * ahead + carried).clamp(self.sample.floor, self.sample.ceiling);
        if prediction.is_finite() && misfit.is_finite() {
            self.priors += prior;
            self.all.push(Vote { weight: prior * trust(misfit), prediction });
        }
    }

    /// Sum of the prior weights counted so far.
    pub fn priors(&self) -> f64 {
        self.priors
    }

    /// For the mean, predictions far outside of the middle half of all, as of a finished curve that diverged, are pulled in.
    pub fn verdict(&mut self) -> Verdict {
        let total: f64 = self.all.iter().map(|vote| vote.weight).sum();
        self.all.sort_unstable_by(|one, other| one.prediction.total_cmp(&other.prediction));
        let (low, high) = (self.quantile(0.25 * total), self.quantile(0.75 * total));
        let (least, most) = (low - FAR * (high - low), high + FAR * (high - low));
        let shared = |of: &dyn Fn(f64) -> f64| self.all.iter().map(|vote| vote.weight / total * of(vote.prediction)).sum::<f64>();
        let mean = shared(&|prediction| prediction.clamp(least, most));
        let spread = |sign: f64| (2.0 * shared(&|prediction| (sign * (prediction - mean)).max(0.0).powi(2))).sqrt();
        Verdict { mean, spread: [spread(-1.0), spread(1.0)] }
    }

    /// The first prediction in order up to which there is so much weight.
    fn quantile(&self, weight: f64) -> f64 {
        let mut upto = 0.0;
        let reached = |vote: &&Vote| {
            upto += vote.weight;
            upto >= weight
        };
        self.all.iter().find(reached).or(self.all.last()).map_or(0.0, |vote| vote.prediction)
    }
}

/// Pulls the last value to where those just before it lie, and some way around: it weighs most, and may be a spike. A second
/// report there shows that it is none.
pub(super) fn steady(values: &mut [f64]) {
    let Some((last, before)) = values.split_last_mut().filter(|(_, before)| before.len() >= STEADY) else { return };
    let before = &before[before.len() - STEADY..];
    let low = before.iter().copied().fold(f64::INFINITY, f64::min);
    let high = before.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let reach = 3.0 * (high - low) + STEADY_REACH;
    *last = last.clamp(low - reach, high + reach);
}

/// Pulls outliers of the values towards the best power law; None if the way is too short to tell anything.
pub(super) fn clean(way: &Way, sample: &mut Sample) -> Option<()> {
    let (exponent, line) = refined(way, sample, best_exponent(way, sample)?)?;
    clip(way, sample, exponent, &line);
    (sample.variance > 0.0).then_some(())
}

/// Fits the families; None if the way is too short to tell anything.
pub(super) fn votes<'a>(way: &Way, sample: &'a Sample, families: Families) -> Option<Votes<'a>> {
    let mut votes = Votes::new(sample);
    let mut best: Option<(f64, f64)> = None;
    let prior = Family::Power.prior();
    powers(way, |exponent, basis, ahead| {
        if let Some(line) = sample.line(basis) {
            votes.count(prior, &line, ahead);
            if best.is_none_or(|(_, least)| line.residual < least) {
                best = Some((exponent, line.residual));
            }
        }
    });
    let (exponent, line) = refined(way, sample, best?.0)?;
    votes.count(prior, &line, way.power(exponent).1);
    if families == Families::All {
        let level =
            Line { intercept: sample.last_value(), slope: 0.0, residual: sample.variance, memory: 0.0, last_residual: 0.0 };
        votes.count(LEVEL, &level, 0.0);
        others(way, |family, basis, ahead| {
            if let Some(line) = sample.line(basis) {
                votes.count(family.prior(), &line, ahead);
            }
        });
    }
    Some(votes)
}

fn trust(misfit: f64) -> f64 {
    (EXACT / (misfit + ROUNDING)).max(1.0) / ((misfit + SOFT) * (misfit + SOFT))
}

fn best_exponent(way: &Way, sample: &Sample) -> Option<f64> {
    let mut best: Option<(f64, f64)> = None;
    powers(way, |exponent, basis, _| {
        let residual = sample.line(basis).map_or(f64::INFINITY, |line| line.residual);
        if residual < best.map_or(f64::INFINITY, |(_, least)| least) {
            best = Some((exponent, residual));
        }
    });
    best.map(|(exponent, _)| exponent)
}

/// Pulls values that lie far off the power law with this exponent towards it.
fn clip(way: &Way, sample: &mut Sample, exponent: f64, line: &Line) {
    let (basis, _) = way.power(exponent);
    let fitted = |at: usize| line.intercept + line.slope * basis[at];
    let mut sizes = [0.0; ROOM];
    for (at, size) in sizes[..sample.count].iter_mut().enumerate() {
        *size = (sample.values[at] - fitted(at)).abs();
    }
    let sizes = &mut sizes[..sample.count];
    let middle = sizes.len() / 2;
    let limit = CLIP * *sizes.select_nth_unstable_by(middle, f64::total_cmp).1 + ROUNDING;
    for at in 0..sample.count {
        let there = fitted(at);
        sample.values[at] = sample.values[at].clamp(there - limit, there + limit);
    }
    sample.settle();
}

/// Gauss-Newton on the logarithm of the exponent, the line projected out (variable projection; Golub and Pereyra, 1973).
fn refined(way: &Way, sample: &Sample, start: f64) -> Option<(f64, Line)> {
    let mut exponent = start;
    let mut basis = way.power(exponent).0;
    let mut line = sample.line(&basis)?;
    for _ in 0..STEPS {
        let step = newton(way, sample, &basis, &line, exponent);
        let there = (exponent * step.clamp(-0.5, 0.5).exp()).clamp(EXPONENTS.0, EXPONENTS.1);
        let next = way.power(there).0;
        let Some(better) = sample.line(&next).filter(|next| next.residual < line.residual) else { break };
        let gain = 1.0 - better.residual / line.residual;
        (exponent, basis, line) = (there, next, better);
        if gain < GAIN {
            break;
        }
    }
    Some((exponent, line))
}

fn newton(way: &Way, sample: &Sample, basis: &Lanes, line: &Line, exponent: f64) -> f64 {
    let weights = &sample.weights;
    let mut change = [0.0; ROOM]; // of the fit, by the exponent's logarithm
    for at in 0..sample.count {
        change[at] = -line.slope * exponent * way.logs[at] * basis[at];
    }
    let residual = |at: usize| sample.values[at] - line.intercept - line.slope * basis[at];
    let along = sample.sum(|at| weights[at] * change[at] * residual(at));
    let (middle, mean) = (sample.sum(|at| weights[at] * basis[at]), sample.sum(|at| weights[at] * change[at]));
    let spread = sample.sum(|at| weights[at] * (basis[at] - middle).powi(2));
    let shared = sample.sum(|at| weights[at] * (basis[at] - middle) * change[at]);
    let curvature = sample.sum(|at| weights[at] * (change[at] - mean).powi(2)) - shared * shared / spread;
    if curvature > 0.0 {
        along / curvature
    } else {
        0.0
    }
}
