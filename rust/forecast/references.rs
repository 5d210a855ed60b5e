//! Finished curves as one more family: their shape, scaled and shifted onto the curve so far, shows how it may go on.

use super::ends::{median, quarters};
use super::ensemble::Votes;
use super::families::Way;
use super::lanes::Sample;
use super::scale::{fractions, Scale};
use super::student::Student;
use super::trace::ROOM;

/// Finished curves below which nothing is said.
pub(super) const MIN_CURVES: usize = 3;
/// Points of the curve that a finished curve must reach back to.
const MIN_POINTS: usize = 4;
/// What one finished curve weighs before the data are looked at, relative to all families together.
const PRIOR: f64 = 0.25;
/// The slope is drawn towards 1, as if a tenth more points had said so, and lies in this range.
const TOWARDS_ONE: f64 = 0.1;
const SLOPES: (f64, f64) = (0.0, 5.0);

/// Scales from the median change to the furthest one, at most.
const FURTHEST: f64 = 4.0;
/// Least scale of changes, relative to the size of the last value.
const NARROWEST: f64 = 0.01;

/// The end of a curve of many reports is the mean of the last twentieth of them: alone, the last one is mostly noise.
const TAIL: usize = 20;

/// A finished curve: fractions of its own steps, above 0 and at most 1, values, and where it ended.
#[derive(Debug, Clone)]
pub(super) struct Finished {
    way: Vec<f64>,
    values: Vec<f64>,
    end: f64,
    /// The least and the most of its values.
    pub range: (f64, f64),
}

impl Finished {
    /// Of at least one finite report.
    pub fn new(steps: &[f64], values: Vec<f64>) -> Option<Self> {
        let last_step = *steps.last()?;
        let tail = (values.len() / TAIL).max(1);
        let end: f64 = values[values.len() - tail..].iter().map(|value| value / tail as f64).sum();
        let range = values.iter().fold((end, end), |(least, most), value| (least.min(*value), most.max(*value)));
        Some(Self { way: fractions(steps, last_step), values, end, range })
    }

    /// Change from `fraction` of the way to the end, if it has points on both sides.
    pub fn change(&self, fraction: f64) -> Option<f64> {
        let first = *self.way.first()?;
        (fraction >= first).then(|| self.end - self.at(fraction))
    }

    /// The value at a fraction, on a straight line between points.
    fn at(&self, fraction: f64) -> f64 {
        let after = self.way.partition_point(|at| *at < fraction).min(self.way.len() - 1);
        let before = after.saturating_sub(1);
        let gap = self.way[after] - self.way[before];
        let share = if gap > 0.0 { ((fraction - self.way[before]) / gap).clamp(0.0, 1.0) } else { 1.0 };
        self.values[before] * (1.0 - share) + self.values[after] * share
    }

    /// Counts the prediction of this shape, if it reaches back far enough.
    fn vote(&self, way: &Way, sample: &Sample, scale: &Scale, votes: &mut Votes<'_>, prior: f64) -> bool {
        let skipped = way.at[..way.count].iter().take_while(|at| **at < self.way[0]).count();
        if way.count - skipped < MIN_POINTS {
            return false;
        }
        let mut shape = [0.0; ROOM];
        let kept = way.count - skipped;
        for (to, at) in shape[..kept].iter_mut().zip(&way.at[skipped..way.count]) {
            *to = scale.change(self.at(*at));
        }
        let part =
            Sample::new(&sample.weights[skipped..way.count], &sample.values[skipped..way.count], (sample.floor, sample.ceiling));
        let middle = part.sum(|at| part.weights[at] * shape[at]);
        let spread = part.sum(|at| part.weights[at] * (shape[at] - middle).powi(2));
        let shared = part.sum(|at| part.weights[at] * (shape[at] - middle) * part.values[at]);
        let mean = part.sum(|at| part.weights[at] * part.values[at]);
        let slope = if spread > 0.0 { (shared + TOWARDS_ONE * spread) / (spread + TOWARDS_ONE * spread) } else { 1.0 };
        let slope = slope.clamp(SLOPES.0, SLOPES.1);
        votes.count(prior, &part.judged(&shape, mean - slope * middle, slope), scale.change(self.end));
        true
    }
}

/// Counts all finished curves that reach back far enough; returns how many did.
pub(super) fn count(finished: &[Finished], way: &Way, sample: &Sample, scale: &Scale, votes: &mut Votes<'_>) -> usize {
    let prior = PRIOR * votes.priors();
    finished.iter().filter(|curve| curve.vote(way, sample, scale, votes, prior)).count()
}

/// Where they ended, scaled.
pub(super) fn ends(finished: &[Finished], scale: &Scale) -> Vec<f64> {
    finished.iter().map(|curve| scale.scaled(curve.end).clamp(-1e100, 1e100)).collect()
}

/// Where curves went on from `fraction` of the way, counted from the last value; None if fewer than three say it.
pub(super) fn changes(finished: &[Finished], fraction: f64, scale: &Scale) -> Option<Vec<f64>> {
    let changes: Vec<f64> =
        finished.iter().filter_map(|curve| curve.change(fraction)).map(|change| scale.change(change)).collect();
    (changes.len() >= MIN_CURVES).then_some(changes)
}

/// Median of the changes, and scales that reach a good part of the way to the furthest.
pub(super) fn typical(changes: &mut [f64], scale: &Scale) -> Student {
    changes.sort_unstable_by(f64::total_cmp);
    let (count, location) = (changes.len(), median(changes));
    let quarters = quarters(changes);
    let furthest = [location - changes[0], changes[count - 1] - location];
    let scales = [0, 1].map(|side| quarters[side].max(furthest[side] / FURTHEST).max(NARROWEST * scale.ignorance()));
    Student::new(location, scales, scale.bounds)
}
