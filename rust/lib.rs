//! Core of autoresearch-rl: resource pool, learning-curve forecasts, patches, sealing and the trial launcher.
//!
//! Each concept has its own module and knows nothing of Python; `python` alone names pyo3.
#![deny(missing_docs)]

pub mod forecast;
pub mod launch;
pub mod patch;
pub mod pool;
pub mod seal;

#[cfg(test)]
mod checking;
#[cfg(feature = "python")]
mod python;
