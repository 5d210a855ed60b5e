//! A curve that grows report by report.

use super::references::Finished;
use super::trace::Trace;
use super::{finished, forecast_of, reachable, Curve, Direction, Families, Forecast, ForecastError};

/// Takes one report at a time and forecasts at the cost of a bounded number of points, however many there were.
///
/// A forecast is what `forecast` says of all reports up to the last full bucket of the trace, or of all reports where fewer
/// than 64 were made or nothing was asked since: at most one 32nd of the reports is not looked at yet.
#[derive(Debug, Clone)]
pub struct Growing {
    trace: Trace,
    finished: Vec<Finished>,
    direction: Direction,
    families: Families,
    /// The last forecast, as long as no bucket became full since.
    made: Option<Forecast>,
}

impl Growing {
    /// Without reports; `references` are finished curves of the same metric.
    pub fn new(references: &[Curve<'_>], direction: Direction, families: Families) -> Result<Self, ForecastError> {
        Ok(Self { trace: Trace::new(), finished: finished(references)?, direction, families, made: None })
    }

    /// Takes a report; one that is not finite is left out.
    pub fn push(&mut self, step: f64, value: f64) -> Result<(), ForecastError> {
        if !step.is_finite() || !value.is_finite() {
            return Ok(());
        }
        let before = self.trace.last_step();
        if step < before {
            return Err(ForecastError::StepsDecrease { curve: "the curve".to_owned(), before, after: step });
        }
        if self.trace.push(step, value) {
            self.made = None;
        }
        Ok(())
    }

    /// Finite reports taken.
    pub fn reports(&self) -> usize {
        self.trace.reports()
    }

    /// Forecasts the metric at `target_step`.
    pub fn forecast(&mut self, target_step: f64) -> Result<Forecast, ForecastError> {
        let target_step = reachable(target_step, &self.trace)?;
        if let Some(made) = self.made.as_mut().filter(|made| made.target_step == target_step) {
            made.points = self.trace.reports();
            return Ok(made.clone());
        }
        let made = forecast_of(&self.trace, target_step, &self.finished, self.direction, self.families);
        self.made = Some(made.clone());
        Ok(made)
    }
}
