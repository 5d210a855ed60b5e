//! Random values for properties: as many as PROPTEST_CASES says, and on for FUZZ_S seconds where that is set.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Panics with the smallest value found for which the property does.
pub(crate) fn holds<S: Strategy>(values: S, property: impl Fn(S::Value)) {
    let seconds = std::env::var("FUZZ_S").map_or(0.0, |text| text.parse().expect("FUZZ_S is a number of seconds"));
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    loop {
        let config = Config { failure_persistence: None, ..Config::default() };
        let checked = TestRunner::new(config).run(&values, |value| {
            property(value);
            Ok(())
        });
        if let Err(failure) = checked {
            panic!("{failure}");
        }
        if Instant::now() >= end {
            return;
        }
    }
}
