//! Bindings of `seal`.

use std::path::PathBuf;

use pyo3::prelude::*;

use crate::seal;

/// A file that was copied and hashed in one pass.
#[pyclass(frozen, module = "autoresearch_rl._core")]
struct Sealed(seal::Sealed);

#[pymethods]
impl Sealed {
    #[getter]
    fn name(&self) -> &str {
        &self.0.name
    }

    #[getter]
    fn bytes(&self) -> u64 {
        self.0.bytes
    }

    #[getter]
    fn sha256(&self) -> &str {
        &self.0.sha256
    }

    fn __repr__(&self) -> String {
        let seal::Sealed { name, bytes, sha256 } = &self.0;
        format!("Sealed(name={name:?}, bytes={bytes}, sha256={sha256:?})")
    }
}

/// Copies one regular file, checking and hashing it.
#[pyfunction]
fn seal_file(
    py: Python<'_>,
    source: PathBuf,
    name: String,
    destination: PathBuf,
    format: String,
    max_bytes: u64,
) -> PyResult<Sealed> {
    py.detach(|| seal::seal_file(&source, &name, &destination, &format, max_bytes)).map(Sealed).map_err(|error| raised(py, error))
}

/// Copies all regular files below a folder.
#[pyfunction]
fn seal_tree(py: Python<'_>, source: PathBuf, destination: PathBuf, max_bytes: u64, max_files: u64) -> PyResult<Vec<Sealed>> {
    let sealed = py.detach(|| seal::seal_tree(&source, &destination, max_bytes, max_files));
    match sealed {
        Ok(found) => Ok(found.into_iter().map(Sealed).collect()),
        Err(error) => Err(raised(py, error)),
    }
}

/// SHA-256 of a regular file in hex.
#[pyfunction]
fn hash_file(py: Python<'_>, path: PathBuf) -> PyResult<String> {
    py.detach(|| seal::hash_file(&path)).map_err(|error| raised(py, error))
}

/// SHA-256 over all regular files below a folder.
#[pyfunction]
fn hash_tree(py: Python<'_>, path: PathBuf) -> PyResult<String> {
    py.detach(|| seal::hash_tree(&path)).map_err(|error| raised(py, error))
}

fn raised(py: Python<'_>, error: seal::SealError) -> PyErr {
    super::error(py, "SealError", (error.to_string(), error.code(), error.name().to_owned()))
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Sealed>()?;
    module.add_function(wrap_pyfunction!(seal_file, module)?)?;
    module.add_function(wrap_pyfunction!(seal_tree, module)?)?;
    module.add_function(wrap_pyfunction!(hash_file, module)?)?;
    module.add_function(wrap_pyfunction!(hash_tree, module)?)
}
