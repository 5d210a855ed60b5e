//! Bindings of `pool`.

use std::collections::BTreeMap;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::{error, pairs};
use crate::pool;

/// Resources granted to a request: amounts by name, and concrete device indices where the name has devices.
#[pyclass(frozen, module = "autoresearch_rl._core")]
struct Grant(pool::Grant);

#[pymethods]
impl Grant {
    #[getter]
    fn key(&self) -> i64 {
        self.0.key
    }

    #[getter]
    fn amounts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let amounts = PyDict::new(py);
        for part in &self.0.parts {
            amounts.set_item(&*part.name, pool::as_float(part.amount))?;
        }
        Ok(amounts)
    }

    #[getter]
    fn devices<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let devices = PyDict::new(py);
        for part in &self.0.parts {
            if let Some(indices) = &part.devices {
                devices.set_item(&*part.name, PyTuple::new(py, indices)?)?;
            }
        }
        Ok(devices)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("Grant(key={}, amounts={}, devices={})", self.0.key, self.amounts(py)?.repr()?, self.devices(py)?.repr()?))
    }
}

/// Named fractional resources as a deterministic, non-blocking state machine: FIFO with backfill that cannot delay the head.
#[pyclass(module = "autoresearch_rl._core")]
struct Pool(pool::Pool);

#[pymethods]
impl Pool {
    #[new]
    #[pyo3(signature = (capacity, devices = None))]
    fn new(py: Python<'_>, capacity: &Bound<'_, PyAny>, devices: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let devices = devices.map_or_else(|| Ok(Vec::new()), pairs)?;
        pool::Pool::new(&pairs(capacity)?, &devices).map(Self).map_err(|failure| raised(py, &failure))
    }

    fn submit(&mut self, py: Python<'_>, key: i64, request: &Bound<'_, PyAny>) -> PyResult<Vec<Grant>> {
        granted(py, self.0.submit(key, &pairs(request)?))
    }

    fn withdraw(&mut self, py: Python<'_>, key: i64) -> PyResult<Vec<Grant>> {
        granted(py, self.0.withdraw(key))
    }

    #[pyo3(signature = (key, names = None))]
    fn release(&mut self, py: Python<'_>, key: i64, names: Option<Vec<String>>) -> PyResult<Vec<Grant>> {
        granted(py, self.0.release(key, names.as_deref()))
    }

    #[getter]
    fn waiting(&self) -> Vec<i64> {
        self.0.waiting()
    }

    #[getter]
    fn holding(&self) -> Vec<i64> {
        self.0.holding()
    }

    #[getter]
    fn free(&self) -> BTreeMap<String, f64> {
        self.0.free().into_iter().map(|(name, amount)| (name, pool::as_float(amount))).collect()
    }
}

fn granted(py: Python<'_>, result: Result<Vec<pool::Grant>, pool::PoolError>) -> PyResult<Vec<Grant>> {
    let grants = result.map_err(|failure| raised(py, &failure))?;
    Ok(grants.into_iter().map(Grant).collect())
}

fn raised(py: Python<'_>, failure: &pool::PoolError) -> PyErr {
    error(py, "PoolError", (failure.to_string(),))
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Grant>()?;
    module.add_class::<Pool>()
}
