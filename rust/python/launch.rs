//! Bindings of `launch`.

use std::os::fd::{FromRawFd, OwnedFd};

use pyo3::prelude::*;

use crate::launch::serve;

/// Serves the launcher protocol on a connected socket until it closes, then kills all it started.
#[pyfunction]
fn run_launcher(py: Python<'_>, descriptor: i32) -> PyResult<()> {
    if descriptor < 0 {
        let message = format!("{descriptor} is no descriptor; the launcher is started by the target `command` only");
        return Err(super::error(py, "LaunchError", (message,)));
    }
    // SAFETY: the caller gives the descriptor away; the launcher's process has opened it for this.
    let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
    py.detach(|| serve(socket)).map_err(|error| super::error(py, "LaunchError", (format!("the launcher cannot serve: {error}"),)))
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(run_launcher, module)?)
}
