//! Weighted least squares of values on one basis function, over points padded to four lanes.

use super::trace::ROOM;

/// One number for each point, zero beyond the last one.
pub(super) type Lanes = [f64; ROOM];

/// Spread of a basis function, relative to its size, below which it says nothing.
const FLAT: f64 = 1e-20;

/// Points to fit: weights that sum to 1, and values.
pub(super) struct Sample {
    pub count: usize,
    pub weights: Lanes,
    pub values: Lanes,
    /// Asymptotes lie between them.
    pub floor: f64,
    pub ceiling: f64,
    mean: f64,
    pub variance: f64,
}

/// The line through values over a basis function.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub intercept: f64,
    pub slope: f64,
    /// Weighted mean of the squared residuals.
    pub residual: f64,
    /// Weighted autocorrelation of neighbouring residuals.
    pub memory: f64,
    pub last_residual: f64,
}

impl Sample {
    /// Weights are positive and as many as values, at most `ROOM`.
    pub fn new(weights: &[f64], values: &[f64], (floor, ceiling): (f64, f64)) -> Self {
        let (mut padded_weights, mut padded_values) = ([0.0; ROOM], [0.0; ROOM]);
        let total: f64 = weights.iter().sum();
        for (at, (weight, value)) in weights.iter().zip(values).enumerate() {
            padded_weights[at] = weight / total;
            padded_values[at] = *value;
        }
        let count = values.len();
        let (weights, values) = (padded_weights, padded_values);
        let mut made = Self { count, weights, values, floor, ceiling, mean: 0.0, variance: 0.0 };
        made.settle();
        made
    }

    /// Recomputes what follows from the values.
    pub fn settle(&mut self) {
        self.mean = self.sum(|at| self.weights[at] * self.values[at]);
        self.variance = self.sum(|at| self.weights[at] * (self.values[at] - self.mean).powi(2));
    }

    pub fn last_value(&self) -> f64 {
        self.values[self.count - 1]
    }

    /// Sum over the points, in four lanes.
    pub fn sum(&self, term: impl Fn(usize) -> f64) -> f64 {
        let mut lanes = [0.0; 4];
        for at in (0..self.count.next_multiple_of(4)).step_by(4) {
            for (lane, total) in lanes.iter_mut().enumerate() {
                *total += term(at + lane);
            }
        }
        lanes.iter().sum()
    }

    /// Least squares with a free intercept between floor and ceiling; None if the basis is flat.
    pub fn line(&self, basis: &Lanes) -> Option<Line> {
        let middle = self.sum(|at| self.weights[at] * basis[at]);
        let spread = self.sum(|at| self.weights[at] * (basis[at] - middle) * (basis[at] - middle));
        if spread.is_nan() || spread <= FLAT * middle * middle {
            return None;
        }
        let shared = self.sum(|at| self.weights[at] * (basis[at] - middle) * self.values[at]);
        let slope = shared / spread;
        let intercept = self.mean - slope * middle;
        let bound = intercept.clamp(self.floor, self.ceiling);
        if bound == intercept {
            return Some(self.judged(basis, intercept, slope));
        }
        let (square, through) = (spread + middle * middle, shared + middle * self.mean - bound * middle);
        Some(self.judged(basis, bound, through / square))
    }

    /// A line of which the coefficients are known.
    pub fn judged(&self, basis: &Lanes, intercept: f64, slope: f64) -> Line {
        let mut residuals = [0.0; ROOM + 4]; // one place later, so that a residual and the one before it are read together
        for at in 0..self.count.next_multiple_of(4) {
            residuals[at + 1] = self.values[at] - intercept - slope * basis[at];
        }
        let residual = self.sum(|at| self.weights[at] * residuals[at + 1] * residuals[at + 1]);
        let along = self.sum(|at| self.weights[at] * residuals[at + 1] * residuals[at]);
        let memory = if residual > 0.0 { along / residual } else { 0.0 };
        Line { intercept, slope, residual, memory, last_residual: residuals[self.count] }
    }
}
