//! Many curves at once.

use super::{finished, forecast_of, reachable, Curve, Direction, Families, Forecast, ForecastError};

/// Forecasts many curves laid end to end: curve i has the points from `offsets[i]` to `offsets[i + 1]`.
pub fn forecasts(
    offsets: &[i64],
    points: Curve<'_>,
    target_steps: &[f64],
    references: &[Curve<'_>],
    direction: Direction,
    families: Families,
) -> Result<Vec<Forecast>, ForecastError> {
    let (steps, values) = (points.steps.len(), points.values.len());
    if steps != values {
        return Err(ForecastError::UnequalLengths { curve: "the batch".to_owned(), steps, values });
    }
    if offsets.len() != target_steps.len() + 1 {
        return Err(ForecastError::UnequalBatch { offsets: offsets.len(), targets: target_steps.len() });
    }
    let mut before = 0;
    for (number, offset) in offsets.iter().enumerate() {
        let first_fits = number > 0 || *offset == 0;
        let last_fits = number + 1 < offsets.len() || *offset == steps as i64;
        if !(first_fits && last_fits && (before..=steps as i64).contains(offset)) {
            return Err(ForecastError::BadOffsets { points: steps, targets: target_steps.len(), number, offset: *offset });
        }
        before = *offset;
    }
    let finished = finished(references)?;
    let mut made = Vec::with_capacity(target_steps.len());
    for (number, (bounds, target_step)) in offsets.windows(2).zip(target_steps).enumerate() {
        let range = bounds[0] as usize..bounds[1] as usize;
        let curve = Curve { steps: &points.steps[range.clone()], values: &points.values[range] };
        let in_batch = |failure: ForecastError| ForecastError::InBatch { number, failure: Box::new(failure) };
        let trace = curve.traced(|| "it".to_owned()).map_err(in_batch)?;
        let target_step = reachable(*target_step, &trace).map_err(in_batch)?;
        made.push(forecast_of(&trace, target_step, &finished, direction, families));
    }
    Ok(made)
}
