//! Core of autoresearch-rl: resource pool, learning-curve forecasts, patches, sealing and the trial launcher.
//!
//! Each concept has its own module and knows nothing of Python; `python` alone names pyo3.

mod python;
