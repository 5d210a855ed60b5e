//! Tests of `forecast`: known laws are recovered, intervals cover, and any finite curve gives finite numbers.

use super::*;
use proptest::prelude::*;

/// Uniform numbers from 0 to 1 (a linear congruential generator), and normal ones as sums of twelve.
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

fn made(steps: &[f64], values: &[f64], target: f64) -> Forecast {
    forecast(Curve { steps, values }, target, &[], Direction::Minimize).unwrap()
}

#[test]
fn exact_laws_are_recovered() {
    let steps: Vec<f64> = (1..=20).map(|step| f64::from(step) * 50.0).collect();
    for (a, b, c) in [(0.5, 3.0, 0.5), (2.0, 10.0, 1.0), (-1.0, -4.0, 0.3), (1e-9, 1e-8, 1.7), (1e12, 1e13, 0.11)] {
        let law = |step: f64| a + b * step.powf(-c);
        let values: Vec<f64> = steps.iter().map(|step| law(*step)).collect();
        let forecast = made(&steps, &values, 10_000.0);
        let tolerance = 1e-3 * (values[0] - values[19]).abs();
        assert!(forecast.informative);
        assert!((forecast.mean() - law(10_000.0)).abs() < tolerance, "{a} {b} {c}: {}", forecast.mean());
        assert!(forecast.quantile(0.95).unwrap() - forecast.quantile(0.05).unwrap() < 4.0 * tolerance, "{a} {b} {c}");
    }
}

#[test]
fn intervals_cover_about_nine_in_ten() {
    let mut noise = Noise(7);
    for (points, sd) in [(5, 0.01), (8, 0.01), (20, 0.02), (20, 0.1), (80, 0.05), (80, 0.001)] {
        let mut covered = 0;
        for _ in 0..400 {
            let (a, b, c) = (noise.uniform(), 0.5 + 2.0 * noise.uniform(), 0.2 + 1.3 * noise.uniform());
            let mut at = |step: f64| a + b * step.powf(-c) + sd * noise.normal();
            let steps: Vec<f64> = (1..=points).map(f64::from).collect();
            let values: Vec<f64> = steps.iter().map(|step| at(*step)).collect();
            let target = f64::from(points) * 4.0;
            let (end, forecast) = (at(target), made(&steps, &values, target));
            covered += u32::from((forecast.quantile(0.05).unwrap()..=forecast.quantile(0.95).unwrap()).contains(&end));
        }
        println!("{points} points, sd {sd}: {covered} of 400");
        assert!((320..=396).contains(&covered), "{points} points, sd {sd}: {covered} of 400");
    }
}

#[test]
fn what_says_nothing_is_not_informative() {
    for (steps, values) in [
        (vec![1.0], vec![3.0]),
        (vec![1.0, 2.0, 3.0], vec![3.0, 2.0, 1.5]),
        (vec![1.0, 2.0, 3.0, 4.0, 5.0], vec![3.0, f64::NAN, 2.0, f64::INFINITY, 1.0]),
        (vec![1.0, 2.0, 3.0, 4.0, 5.0], vec![3.0; 5]),
        (vec![2.0; 5], vec![3.0, 2.0, 1.0, 2.0, 3.0]),
    ] {
        let forecast = made(&steps, &values, 10.0);
        let last = values.iter().rfind(|value| value.is_finite()).unwrap();
        assert!(!forecast.informative && forecast.mean() == *last);
        assert!(forecast.quantile(0.95).unwrap() - forecast.quantile(0.05).unwrap() > last.abs());
    }
}

#[test]
fn references_say_how_curves_go_on() {
    let steps: Vec<f64> = (1..=10).map(f64::from).collect();
    let finished: Vec<f64> = steps.iter().map(|step| if *step <= 5.0 { 10.0 - step } else { 1.0 }).collect();
    let references = [Curve { steps: &steps, values: &finished }; 3];
    let curve = Curve { steps: &steps[..5], values: &[19.0, 18.0, 17.0, 16.0, 15.0] };
    let alone = forecast(curve, 10.0, &references[..2], Direction::Minimize).unwrap();
    let informed = forecast(curve, 10.0, &references, Direction::Minimize).unwrap();
    assert!(alone.beats(11.5).unwrap() < 0.3 && alone.beats(10.999).unwrap() <= alone.beats(11.5).unwrap());
    assert!(informed.beats(11.5).unwrap() - informed.beats(10.5).unwrap() > 0.3);
    let early = forecast(Curve { steps: &[5.0], values: &[15.0] }, 10.0, &references, Direction::Minimize).unwrap();
    assert!(!early.informative && (early.mean() - 11.0).abs() < 1e-6);
}

fn curve() -> impl Strategy<Value = (Vec<f64>, Vec<f64>, f64)> {
    let size = prop_oneof![Just(1.0), Just(1e300), Just(1e-300), Just(f64::MAX), Just(5e-324)];
    let point = (prop_oneof![Just(0.0), 0.0..1.0f64], prop_oneof![Just(0.5), -1.0..1.0f64, Just(f64::NAN)]);
    (prop::collection::vec(point, 1..30), size.clone(), size, -1.0..0.5f64, 0.0..2.0f64).prop_map(
        |(points, step_size, value_size, start, ahead)| {
            let mut at = start;
            let end = points.len() as f64 * 3.0;
            let steps = points.iter().map(|(gap, _)| {
                at += gap;
                at / end * step_size
            });
            let steps: Vec<f64> = steps.collect();
            let target = steps[steps.len() - 1] + ahead / end * step_size;
            (steps, points.iter().map(|(_, value)| value * value_size).collect(), target)
        },
    )
}

proptest! {
    #[test]
    fn quantiles_rise_and_everything_is_finite((steps, values, target) in curve(), mut ps in prop::collection::vec(1e-9..1.0f64, 2..6)) {
        prop_assume!(values.iter().any(|value| value.is_finite()));
        let forecast = made(&steps, &values, target);
        ps.retain(|p| *p < 1.0);
        ps.sort_by(f64::total_cmp);
        let quantiles: Vec<f64> = ps.iter().map(|p| forecast.quantile(*p).unwrap()).collect();
        prop_assert!(forecast.mean().is_finite() && quantiles.iter().all(|quantile| quantile.is_finite()));
        prop_assert!(quantiles.windows(2).all(|pair| pair[0] <= pair[1]));
        for value in quantiles.into_iter().chain([0.0, f64::MAX, f64::INFINITY, f64::NEG_INFINITY]) {
            prop_assert!((0.0..=1.0).contains(&forecast.beats(value).unwrap()));
        }
    }

    #[test]
    fn directions_mirror_each_other((steps, values, target) in curve(), value in -1.0..1.0f64) {
        prop_assume!(values.iter().any(|value| value.is_finite()));
        let mirrored: Vec<f64> = values.iter().map(|value| -value).collect();
        let down = made(&steps, &values, target);
        let up = forecast(Curve { steps: &steps, values: &mirrored }, target, &[], Direction::Maximize).unwrap();
        prop_assert_eq!(down.mean(), -up.mean());
        prop_assert_eq!(down.beats(value).unwrap(), up.beats(-value).unwrap());
    }
}
