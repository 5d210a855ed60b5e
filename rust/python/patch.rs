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
    py.detach(|| patch::apply(&files, &patch)).map_err(|refusal| refused(py, &refusal))
}

#[pyfunction]
#[pyo3(signature = (before, after, path = "file"))]
fn diff(py: Python<'_>, before: &str, after: &str, path: &str) -> String {
    py.detach(|| patch::diff(before, after, path))
}

#[pyfunction]
fn reintroduced(py: Python<'_>, patch: &Bound<'_, PyAny>, history: Vec<Bound<'_, PyAny>>) -> PyResult<Vec<(String, usize)>> {
    let patch: String = encodable(py, patch.extract(), "the patch")?;
    let history = history.iter().map(|earlier| encodable(py, earlier.extract(), "an earlier patch"));
    let history: Vec<String> = history.collect::<PyResult<_>>()?;
    let lines = py.detach(|| patch::reintroduced(&patch, &history)).map_err(|refusal| refused(py, &refusal))?;
    Ok(lines.into_iter().map(|line| (line.line, line.removed_by)).collect())
}

fn refused(py: Python<'_>, refusal: &patch::Refusal) -> PyErr {
    let (hunk, line, similarity) = refusal.place();
    error(py, "PatchError", (refusal.to_string(), refusal.code(), hunk, line, similarity))
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
    module.add_function(wrap_pyfunction!(diff, module)?)?;
    module.add_function(wrap_pyfunction!(reintroduced, module)?)
}
