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
    forecast(Curve { steps, values }, target, &[], Direction::Minimize, Families::All).unwrap()
}

#[test]
fn exact_laws_are_recovered() {
    let steps: Vec<f64> = (1..=20).map(|step| f64::from(step) * 50.0).collect();
    for (a, b, c) in [(0.5, 3.0, 0.5), (2.0, 10.0, 1.0), (-1.0, -4.0, 0.3), (1e-9, 1e-8, 1.7), (1e12, 1e13, 0.11)] {
        let law = |step: f64| a + b * step.powf(-c);
        let values: Vec<f64> = steps.iter().map(|step| law(*step)).collect();
        let ensemble = made(&steps, &values, 10_000.0);
        let power_law =
            forecast(Curve { steps: &steps, values: &values }, 10_000.0, &[], Direction::Minimize, Families::PowerLaw);
        let tolerance = 1e-3 * (values[0] - values[19]).abs();
        for made in [&ensemble, &power_law.unwrap()] {
            assert!(made.informative);
            assert!((made.mean() - law(10_000.0)).abs() < tolerance, "{a} {b} {c}: {}", made.mean());
            let width = made.quantile(0.95).unwrap() - made.quantile(0.05).unwrap();
            assert!(width < (values[0] - values[19]).abs(), "{a} {b} {c}: {width}");
        }
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
        assert!(covered >= 340, "{points} points, sd {sd}: {covered} of 400");
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
    let finished: Vec<f64> = [10.0, 7.0, 8.0, 6.0, 5.5, 5.0, 4.0, 3.0, 2.0, 1.0].to_vec();
    let references = [Curve { steps: &steps, values: &finished }; 3];
    let values: Vec<f64> = finished[..5].iter().map(|value| 10.0 + 2.0 * value).collect();
    let curve = Curve { steps: &steps[..5], values: &values };
    let with = |references| forecast(curve, 10.0, references, Direction::Minimize, Families::All).unwrap();
    assert_eq!(with(&references[..2]).mean(), made(curve.steps, curve.values, 10.0).mean());
    assert!((with(&references).mean() - 12.0).abs() < 1.0, "{}", with(&references).mean());
    let early = Curve { steps: &[5.0], values: &[15.0] };
    let early = forecast(early, 10.0, &references, Direction::Minimize, Families::All).unwrap();
    assert!(!early.informative && (early.mean() - 10.5).abs() < 0.5);
}

/// A power law from 2 to `end` over 40 steps.
fn falling(end: f64) -> Vec<f64> {
    let law = |at: f64| at.powf(-0.7);
    let share = |at: f64| (law(at) - law(40.0)) / (1.0 - law(40.0));
    (1..=40).map(|at| end + (2.0 - end) * share(f64::from(at))).collect()
}

#[test]
fn a_short_curve_may_go_on_as_few_of_the_finished_ones_did() {
    let steps = [1.0, 2.0, 3.0, 4.0];
    let mut finished: Vec<[f64; 4]> = (0..6).map(|number| [0.7, 0.7, 0.7, 0.68 + 0.01 * f64::from(number)]).collect();
    finished.extend([[0.7, 0.6, 0.5, 0.4], [0.7, 0.6, 0.5, 0.45]]);
    let references: Vec<Curve<'_>> = finished.iter().map(|values| Curve { steps: &steps, values }).collect();
    let begun = Curve { steps: &[1.0], values: &[0.7] };
    let made = forecast(begun, 4.0, &references, Direction::Minimize, Families::All).unwrap();
    assert!(!made.informative && (made.mean() - 0.7).abs() < 0.05, "{}", made.mean());
    assert!((0.03..0.4).contains(&made.beats(0.55).unwrap()), "{}", made.beats(0.55).unwrap());
}

#[test]
fn finished_curves_that_diverged_hardly_move_the_forecast() {
    let steps: Vec<f64> = (1..=40).map(f64::from).collect();
    let mut finished: Vec<Vec<f64>> = (0..10).map(|number| falling(0.5 + 0.05 * f64::from(number))).collect();
    let of = |finished: &[Vec<f64>]| {
        let references: Vec<Curve<'_>> = finished.iter().map(|values| Curve { steps: &steps, values }).collect();
        let values = falling(0.7);
        let seen = Curve { steps: &steps[..12], values: &values[..12] };
        forecast(seen, 40.0, &references, Direction::Minimize, Families::All).unwrap()
    };
    let before = of(&finished);
    for values in &mut finished[..2] {
        values[30..].fill(1e9);
    }
    assert!((of(&finished).mean() - before.mean()).abs() < 0.05, "{} {}", before.mean(), of(&finished).mean());
    assert!(of(&finished).beats(0.5).unwrap() < 0.1);
}

#[test]
fn a_bound_that_a_finished_curve_passed_is_none() {
    let steps: Vec<f64> = (1..=10).map(f64::from).collect();
    let rising: Vec<f64> = steps.iter().map(|step| 0.1 * step).collect();
    let passed: Vec<f64> = steps.iter().map(|step| 0.3 * step).collect();
    let seen = Curve { steps: &steps[..5], values: &rising[..5] };
    let beats = |values| {
        let references = [Curve { steps: &steps, values }; 3];
        forecast(seen, 10.0, &references, Direction::Maximize, Families::All).unwrap().beats(1.1).unwrap()
    };
    assert_eq!(beats(&rising), 0.0);
    assert!(beats(&passed) > 0.0);
}

#[test]
fn a_spike_or_a_warm_up_hardly_moves_the_forecast() {
    let mut noise = Noise(3);
    let steps: Vec<f64> = (1..=40).map(f64::from).collect();
    let values: Vec<f64> = steps.iter().map(|step| 1.0 + 2.0 * step.powf(-0.5) + 0.01 * noise.normal()).collect();
    let (plain, end) = (made(&steps, &values, 160.0), 1.0 + 2.0 * 160f64.powf(-0.5));
    assert!((plain.mean() - end).abs() < 0.05);
    for (at, value) in [(20, 1e6), (39, 50.0), (30, -40.0), (0, 1e300), (25, f64::INFINITY)] {
        let mut spoiled = values.clone();
        spoiled[at] = value;
        assert!((made(&steps, &spoiled, 160.0).mean() - plain.mean()).abs() < 0.15, "{at} {value}");
    }
    let mut warming = values.clone();
    warming[..4].copy_from_slice(&[2.0, 2.5, 4.0, 3.0]);
    assert!((made(&steps, &warming, 160.0).mean() - plain.mean()).abs() < 0.15);
}

#[test]
fn losses_stay_above_zero_and_accuracies_below_one() {
    let steps: Vec<f64> = (1..=8).map(f64::from).collect();
    let falling: Vec<f64> = steps.iter().map(|step| 0.9 - 0.1 * step).collect();
    let down = made(&steps, &falling, 100.0);
    assert!(down.mean() >= 0.0 && down.quantile(0.01).unwrap() >= 0.0 && down.beats(-0.1).unwrap() == 0.0);
    let rising: Vec<f64> = falling.iter().map(|value| 1.0 - value).collect();
    let up = forecast(Curve { steps: &steps, values: &rising }, 100.0, &[], Direction::Maximize, Families::All).unwrap();
    assert!(up.mean() <= 1.0 && up.quantile(0.99).unwrap() <= 1.0 && up.beats(1.1).unwrap() == 0.0);
}

#[test]
fn a_growing_curve_is_forecast_as_one_taken_at_once() {
    let mut noise = Noise(5);
    let mut growing = Growing::new(&[], Direction::Minimize, Families::All).unwrap();
    let (mut steps, mut values) = (Vec::new(), Vec::new());
    let mut furthest = 0.0f64;
    for at in 1..=3000 {
        let step = f64::from(at);
        steps.push(step);
        values.push(1.0 + 3.0 * step.powf(-0.4) + 0.02 * noise.normal());
        growing.push(step, values[values.len() - 1]).unwrap();
        let (grown, whole) = (growing.forecast(5000.0).unwrap(), made(&steps, &values, 5000.0));
        assert_eq!(grown.points, at as usize);
        if at <= 64 {
            assert_eq!((grown.mean(), grown.quantile(0.3)), (whole.mean(), whole.quantile(0.3)));
        } else {
            let half = (whole.quantile(0.95).unwrap() - whole.quantile(0.05).unwrap()) / 2.0;
            furthest = furthest.max((grown.mean() - whole.mean()).abs() / half);
        }
    }
    assert!(furthest < 0.5, "{furthest} of the half width of the interval");
    assert_eq!(growing.forecast(6000.0).unwrap().mean(), made(&steps, &values, 6000.0).mean());
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
            let target = (steps[steps.len() - 1] + ahead / end * step_size).min(f64::MAX);
            (steps, points.iter().map(|(_, value)| value * value_size).collect(), target)
        },
    )
}

proptest! {
    #[test]
    fn quantiles_rise_and_everything_is_finite(
        (steps, values, target) in curve(),
        others in prop::collection::vec(curve(), 3..6),
        mut ps in prop::collection::vec(1e-9..1.0f64, 2..6),
    ) {
        if !values.iter().any(|value| value.is_finite()) {
            return Ok(());
        }
        ps.retain(|p| *p < 1.0);
        ps.sort_by(f64::total_cmp);
        let curve = Curve { steps: &steps, values: &values };
        let finished: Vec<Curve<'_>> = others.iter().map(|(steps, values, _)| Curve { steps, values }).collect();
        for references in [&finished[..0], &finished] {
            let forecast = forecast(curve, target, references, Direction::Minimize, Families::All).unwrap();
            let quantiles: Vec<f64> = ps.iter().map(|p| forecast.quantile(*p).unwrap()).collect();
            prop_assert!(forecast.mean().is_finite() && quantiles.iter().all(|quantile| quantile.is_finite()));
            prop_assert!(quantiles.windows(2).all(|pair| pair[0] <= pair[1]));
            let chances = quantiles.into_iter().chain([0.0, f64::MAX, f64::INFINITY, f64::NEG_INFINITY]);
            for chance in chances.map(|value| forecast.beats(value).unwrap()) {
                prop_assert!((0.0..=1.0).contains(&chance));
            }
        }
    }

    #[test]
    fn directions_mirror_each_other((steps, values, target) in curve(), value in -1.0..1.0f64) {
        // Finite ones within -1 to 0 may be scores, which end at 1.
        if !values.iter().any(|value| value.is_finite() && (*value < -1.0 || *value > 0.0)) {
            return Ok(());
        }
        let mirrored: Vec<f64> = values.iter().map(|value| -value).collect();
        let down = made(&steps, &values, target);
        let up = forecast(Curve { steps: &steps, values: &mirrored }, target, &[], Direction::Maximize, Families::All).unwrap();
        prop_assert_eq!(down.mean(), -up.mean());
        prop_assert_eq!(down.quantile(0.5).unwrap(), -up.quantile(0.5).unwrap());
        prop_assert_eq!(down.beats(value).unwrap(), up.beats(-value).unwrap());
    }
}
