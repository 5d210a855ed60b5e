//! Processor time of a call: wall time would measure what else the machine does.

use std::hint::black_box;
use std::time::Duration;

use rustix::time::{clock_gettime, ClockId};

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(100);

/// Prints a row `name<TAB>nanoseconds`: the least mean of a call over rounds of a tenth of a second.
pub fn measure<T>(name: &str, mut call: impl FnMut() -> T) {
    let mut calls = 1;
    let mut round = |calls: u32| {
        let start = now();
        for _ in 0..calls {
            black_box(call());
        }
        now() - start
    };
    while round(calls) < ROUND / 2 {
        calls *= 2;
    }
    let least = (0..ROUNDS).map(|_| round(calls)).min().unwrap_or_default();
    println!("{name}\t{:.1}", least.as_nanos() as f64 / f64::from(calls));
}

fn now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
