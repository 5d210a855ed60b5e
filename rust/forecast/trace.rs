//! A curve of any length in bounded memory: buckets of equally many reports, two of which become one when all are full.
//!
//! Up to `ROOM` reports nothing is lost; beyond that a bucket holds the means of at most 1/32 of all reports, so that the cost
//! of a fit does not depend on the length of the curve, and one that grows report by report is the same as one taken at once.

/// Buckets kept; a multiple of four, because sums run over four lanes.
pub(super) const ROOM: usize = 64;
/// Latest raw values a report is compared with once buckets hold several, and how many of their spreads it may lie outside.
const RECENT: usize = 8;
const OUTSIDE: f64 = 8.0;

/// Means of the reports of each bucket, in order.
#[derive(Debug, Clone)]
pub(super) struct Trace {
    steps: [f64; ROOM],
    values: [f64; ROOM],
    /// Reports a full bucket holds.
    width: usize,
    /// Full buckets, and reports in the one being filled.
    full: usize,
    open: usize,
    recent: [f64; RECENT],
    reports: usize,
    last_step: f64,
}

impl Trace {
    pub fn new() -> Self {
        Self {
            steps: [0.0; ROOM],
            values: [0.0; ROOM],
            width: 1,
            full: 0,
            open: 0,
            recent: [0.0; RECENT],
            reports: 0,
            last_step: f64::NEG_INFINITY,
        }
    }

    /// Takes a finite report whose step is not before the last one; true if a bucket became full.
    pub fn push(&mut self, step: f64, value: f64) -> bool {
        let taken = if self.width == 1 { value } else { self.clipped(value) };
        self.recent[self.reports % RECENT] = value;
        self.reports += 1;
        self.last_step = step;
        if self.full == ROOM {
            self.halve();
        }
        let (at, share) = (self.full, 1.0 / (self.open + 1) as f64);
        let kept = 1.0 - share; // means that cannot overflow
        self.steps[at] = if self.open == 0 { step } else { self.steps[at] * kept + step * share };
        self.values[at] = if self.open == 0 { taken } else { self.values[at] * kept + taken * share };
        self.open += 1;
        let closes = self.open == self.width;
        if closes {
            self.full += 1;
            self.open = 0;
        }
        closes
    }

    pub fn reports(&self) -> usize {
        self.reports
    }

    pub fn last_step(&self) -> f64 {
        self.last_step
    }

    pub fn steps(&self) -> &[f64] {
        &self.steps[..self.buckets()]
    }

    pub fn values(&self) -> &[f64] {
        &self.values[..self.buckets()]
    }

    /// Share of a full bucket that the last one holds.
    pub fn last_share(&self) -> f64 {
        if self.open == 0 {
            1.0
        } else {
            self.open as f64 / self.width as f64
        }
    }

    fn buckets(&self) -> usize {
        self.full + usize::from(self.open > 0)
    }

    fn halve(&mut self) {
        for at in 0..ROOM / 2 {
            self.steps[at] = self.steps[2 * at] / 2.0 + self.steps[2 * at + 1] / 2.0;
            self.values[at] = self.values[2 * at] / 2.0 + self.values[2 * at + 1] / 2.0;
        }
        self.width *= 2;
        self.full = ROOM / 2;
    }

    /// Within a few spreads of the latest values: one spike must not shift the mean of its bucket, half of them may.
    fn clipped(&self, value: f64) -> f64 {
        let mut sorted = self.recent;
        sorted.sort_unstable_by(f64::total_cmp);
        let middle = sorted[RECENT / 2];
        let spread = (sorted[RECENT * 3 / 4] / 2.0 - sorted[RECENT / 4] / 2.0).max(1e-3 * middle.abs());
        let reach = 2.0 * OUTSIDE * spread;
        value.clamp((middle - reach).max(f64::MIN), (middle + reach).min(f64::MAX))
    }
}
