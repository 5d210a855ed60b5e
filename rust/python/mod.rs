//! Python bindings: extract arguments, detach from the interpreter, compute, convert. Nothing else names pyo3.

mod forecast;
mod launch;
mod patch;
mod pool;
mod seal;

use pyo3::prelude::*;
use pyo3::types::{PyMapping, PyTuple};

/// The exception `autoresearch_rl.errors.NAME(*arguments)`.
fn error<'py, A>(py: Python<'py>, name: &str, arguments: A) -> PyErr
where
    A: IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>, Error = PyErr>,
{
    let made = py
        .import("autoresearch_rl.errors")
        .and_then(|errors| errors.getattr(name))
        .and_then(|class| class.call1(arguments.into_pyobject(py)?));
    match made {
        Ok(exception) => PyErr::from_value(exception),
        Err(failure) => failure,
    }
}

/// The items of any mapping, in its order.
fn pairs<V>(mapping: &Bound<'_, PyAny>) -> PyResult<Vec<(String, V)>>
where
    V: for<'a, 'py> FromPyObject<'a, 'py>,
{
    let items = mapping.cast::<PyMapping>()?.items()?;
    items.iter().map(|item| item.extract()).collect()
}

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    forecast::register(module)?;
    launch::register(module)?;
    patch::register(module)?;
    pool::register(module)?;
    seal::register(module)
}
