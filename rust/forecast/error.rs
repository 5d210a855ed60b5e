//! Why there is no forecast, in sentences that name the value and the remedy.

use thiserror::Error;

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
    #[error("families={families:?} is unknown; give all or power_law")]
    BadFamilies { families: String },
    #[error("offsets must rise from 0 to the {points} points, one more than the {targets} targets; offset {number} is {offset}")]
    BadOffsets { points: usize, targets: usize, number: usize, offset: i64 },
    #[error("there are {offsets} offsets for {targets} targets; give one more offset than targets")]
    UnequalBatch { offsets: usize, targets: usize },
    #[error("curve {number} of the batch: {failure}")]
    InBatch { number: usize, failure: Box<ForecastError> },
    #[error("p={p} is not a probability between 0 and 1, both excluded")]
    BadProbability { p: f64 },
    #[error("value={value} cannot be compared with; give a number")]
    BadValue { value: f64 },
}
