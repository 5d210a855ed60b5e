//! Bindings of `patch`.

use pyo3::exceptions::PyUnicodeEncodeError;
use pyo3::prelude::*;
use std::collections::BTreeMap;

use super::{error, pairs};
use crate::patch;

#[pyfunction]
fn apply_patch(py: Python<'_>, files: &Bound<'_, PyAny>, patch: &Bound<'_, PyAny>) -> PyResult<BTreeMap<String, String>> {
    let files = encodable(py, pairs(files), "a file")?.into_iter().collect();
    let patch: String = encodable(py, patch.extract(), "the patch")?;
    py.detach(|| patch::apply(&files, &patch)).map_err(|refusal| {
        let (hunk, line, similarity) = refusal.place();
        error(py, "PatchError", (refusal.to_string(), refusal.code(), hunk, line, similarity))
    })
}

#[pyfunction]
#[pyo3(signature = (before, after, path = "file"))]
fn diff(py: Python<'_>, before: &str, after: &str, path: &str) -> String {
    py.detach(|| patch::diff(before, after, path))
}

/// Half a surrogate pair is a Python string but no text: a refusal, not an encoding error.
fn encodable<T>(py: Python<'_>, extracted: PyResult<T>, what: &str) -> PyResult<T> {
    extracted.map_err(|failure| {
        if !failure.is_instance_of::<PyUnicodeEncodeError>(py) {
            return failure;
        }
        let message = format!("{what} has half a surrogate pair, which is no character; write the whole character");
        error(py, "PatchError", (message, "forbidden_character"))
    })
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(apply_patch, module)?)?;
    module.add_function(wrap_pyfunction!(diff, module)?)
}
