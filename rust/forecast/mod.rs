//! Learning curves: the predictive distribution of a metric at a later step, from the reports so far.
//!
//! A curve is kept in bounded memory (`trace`), scaled (`scale`), and fitted by several `families` (least squares in `lanes`),
//! which together, and with the shapes of finished curves (`references`), say where it ends (`ensemble`). How far off that may
//! be is learned (`calibration`); the distribution is Student's (`student`). `growing` takes one report at a time, `batch` many
//! curves. Any finite input gives finite numbers; results are clamped to what a float can hold.

mod batch;
mod calibration;
mod ends;
mod ensemble;
mod error;
mod families;
mod growing;
mod lanes;
mod references;
mod scale;
mod student;
mod trace;

pub use batch::forecasts;
pub use ensemble::Families;
pub use error::ForecastError;
pub use growing::Growing;

use ends::Tilt;
use references::Finished;
use scale::{apart, fractions, Scale};
use student::{Student, UNBOUNDED};
use trace::Trace;

/// Reports below which a curve says nothing: three parameters and a residual.
const MIN_POINTS: usize = 4;

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

impl std::str::FromStr for Families {
    type Err = ForecastError;

    fn from_str(name: &str) -> Result<Self, ForecastError> {
        match name {
            "all" => Ok(Self::All),
            "power_law" => Ok(Self::PowerLaw),
            _ => Err(ForecastError::BadFamilies { families: name.to_owned() }),
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
    /// What the width was derived from: a unit, the median before it is drawn to where finished curves ended, and what
    /// `calibration` takes as evidence for the width below (in the sense of better) and above. Empty where the curve says nothing yet.
    pub evidence: Vec<f64>,
    direction: Direction,
    scale: Scale,
    student: Student,
    tilt: Option<Tilt>,
}

impl Forecast {
    /// Expected value.
    pub fn mean(&self) -> f64 {
        let alone = self.student.location;
        let middle = self.tilt.as_ref().map_or(alone, |_| alone / 2.0 + self.at(0.5) / 2.0);
        self.scale.restored(middle.clamp(self.at(0.05), self.at(0.95)))
    }

    /// The value below which the metric ends with probability `p`.
    pub fn quantile(&self, p: f64) -> Result<f64, ForecastError> {
        if !(p > 0.0 && p < 1.0) {
            return Err(ForecastError::BadProbability { p });
        }
        let p = if self.direction == Direction::Minimize { p } else { 1.0 - p };
        Ok(self.scale.restored(self.at(p)))
    }

    /// Probability that the metric ends better than `value`.
    pub fn beats(&self, value: f64) -> Result<f64, ForecastError> {
        if value.is_nan() {
            return Err(ForecastError::BadValue { value });
        }
        let alone = self.student.below(self.scale.scaled(value));
        Ok(self.tilt.as_ref().map_or(alone, |tilt| tilt.tilted(alone)))
    }

    fn at(&self, p: f64) -> f64 {
        self.student.quantile(self.tilt.as_ref().map_or(p, |tilt| tilt.level(p)))
    }
}

/// Forecasts `curve` at `target_step`; `references` are finished curves of the same metric.
pub fn forecast(
    curve: Curve<'_>,
    target_step: f64,
    references: &[Curve<'_>],
    direction: Direction,
    families: Families,
) -> Result<Forecast, ForecastError> {
    let trace = curve.traced(|| "the curve".to_owned())?;
    let target_step = reachable(target_step, &trace)?;
    let finished = finished(references)?;
    Ok(forecast_of(&trace, target_step, &finished, direction, families))
}

/// The target, if it is one.
fn reachable(target: f64, trace: &Trace) -> Result<f64, ForecastError> {
    if !target.is_finite() {
        return Err(ForecastError::BadTarget { target });
    }
    match trace.last_step() {
        last if trace.reports() > 0 && target < last => Err(ForecastError::TargetPassed { target, last }),
        _ if trace.reports() == 0 => Err(ForecastError::NoPoints),
        _ => Ok(target),
    }
}

fn finished(references: &[Curve<'_>]) -> Result<Vec<Finished>, ForecastError> {
    let mut made = Vec::with_capacity(references.len());
    for (number, reference) in references.iter().enumerate() {
        let (steps, values) = reference.finite(|| format!("reference curve {number}"))?;
        made.extend(Finished::new(&steps, values));
    }
    if made.len() < references::MIN_CURVES {
        made.clear();
    }
    Ok(made)
}

fn forecast_of(trace: &Trace, target_step: f64, finished: &[Finished], direction: Direction, families: Families) -> Forecast {
    let scale = Scale::of(trace.values(), direction, finished.iter().map(|curve| curve.range));
    let fractions = fractions(trace.steps(), target_step);
    let fit = if scale.has_spread && apart(trace.steps()) && trace.reports() >= MIN_POINTS {
        fitted(trace, &scale, &fractions, finished, families)
    } else {
        None
    };
    let mut ends = references::ends(finished, &scale);
    let changes = || references::changes(finished, fractions[fractions.len() - 1], &scale);
    let (student, evidence, tilt) = if let Some((student, evidence)) = fit {
        let tilt = (!ends.is_empty()).then(|| Tilt::of(&student, None, &mut ends));
        (student, evidence, tilt)
    } else if let Some(mut changes) = changes() {
        let student = references::typical(&mut changes, &scale);
        (student, Vec::new(), Some(Tilt::of(&student, Some(&mut changes), &mut ends)))
    } else {
        (Student::new(0.0, [scale.ignorance(); 2], UNBOUNDED), Vec::new(), None)
    };
    let informative = !evidence.is_empty();
    Forecast { target_step, points: trace.reports(), informative, evidence, direction, scale, student, tilt }
}

/// The distribution of scaled values, and the evidence for its width; None if the steps are too close to tell anything.
fn fitted(
    trace: &Trace,
    scale: &Scale,
    fractions: &[f64],
    finished: &[Finished],
    families: Families,
) -> Option<(Student, Vec<f64>)> {
    let way = families::Way::new(fractions);
    let mut values: Vec<f64> = trace.values().iter().map(|value| scale.pulled(*value)).collect();
    ensemble::steady(&mut values);
    let mut weights: Vec<f64> = fractions.iter().map(|at| (at / way.last) * (at / way.last)).collect();
    *weights.last_mut()? *= trace.last_share();
    let mut sample = lanes::Sample::new(&weights, &values, scale.bounds);
    ensemble::clean(&way, &mut sample)?;
    let mut votes = ensemble::votes(&way, &sample, families)?;
    let informed = references::count(finished, &way, &sample, scale, &mut votes) >= references::MIN_CURVES;
    let verdict = votes.verdict();
    let evidence = verdict.spread.map(|spread| calibration::evidence(&way, &sample, spread, scale.level()));
    let scales = evidence.map(|evidence| calibration::scale(&evidence, &sample, informed));
    let student = Student::new(verdict.mean, scales, scale.bounds);
    let unit = (scale.restored(sample.variance.sqrt()) - scale.restored(0.0)).abs();
    let location = scale.restored(student.location);
    Some((student, [unit, location].into_iter().chain(evidence.into_iter().flatten()).collect()))
}

impl Curve<'_> {
    /// Calls with each finite point, in order. The name is for messages.
    fn each(&self, name: impl Fn() -> String, mut visit: impl FnMut(f64, f64)) -> Result<(), ForecastError> {
        let (steps, values) = (self.steps.len(), self.values.len());
        if steps != values {
            return Err(ForecastError::UnequalLengths { curve: name(), steps, values });
        }
        let mut before = f64::NEG_INFINITY;
        for (step, value) in self.steps.iter().zip(self.values).filter(|(step, value)| step.is_finite() && value.is_finite()) {
            if *step < before {
                return Err(ForecastError::StepsDecrease { curve: name(), before, after: *step });
            }
            before = *step;
            visit(*step, *value);
        }
        Ok(())
    }

    fn finite(&self, name: impl Fn() -> String) -> Result<(Vec<f64>, Vec<f64>), ForecastError> {
        let mut points = (Vec::with_capacity(self.steps.len()), Vec::with_capacity(self.steps.len()));
        self.each(name, |step, value| {
            points.0.push(step);
            points.1.push(value);
        })?;
        Ok(points)
    }

    fn traced(&self, name: impl Fn() -> String) -> Result<Trace, ForecastError> {
        let mut trace = Trace::new();
        self.each(name, |step, value| {
            trace.push(step, value);
        })?;
        Ok(trace)
    }
}

#[cfg(test)]
mod tests;
