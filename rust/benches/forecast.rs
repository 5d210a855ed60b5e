//! Forecasts of noisy power laws, at once and one report at a time.

use _core::forecast::{forecast, Curve, Direction, Families, Growing};

use crate::clock;

pub fn measure() {
    for count in [20, 100, 1_000] {
        let (steps, values) = curve(count);
        for (name, families) in [("all families", Families::All), ("power law", Families::PowerLaw)] {
            clock::measure(&format!("forecast: {count} points, {name}"), || {
                forecast(Curve { steps: &steps, values: &values }, 4.0 * count as f64, &[], Direction::Minimize, families)
            });
        }
    }
    let (mut growing, mut step) = (Growing::new(&[], Direction::Minimize, Families::All).expect("the keywords are sound"), 0.0);
    clock::measure("forecast: one more report, and the forecast after it", || {
        step += 1.0;
        growing.push(step, value(step)).expect("steps do not decrease");
        growing.forecast(1e9)
    });
}

fn curve(count: usize) -> (Vec<f64>, Vec<f64>) {
    (1..=count).map(|step| (step as f64, value(step as f64))).unzip()
}

/// A power law with made-up noise.
fn value(step: f64) -> f64 {
    0.5 + 2.0 * step.powf(-0.6) + 0.01 * (step * 12.9898).sin()
}
