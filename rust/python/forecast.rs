//! Bindings of `forecast`.

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;

use super::error;
use crate::forecast;

type Points = (Vec<f64>, Vec<f64>);

/// Predictive distribution of a metric at `target_step`.
#[pyclass(frozen, module = "autoresearch_rl._core")]
struct Forecast(forecast::Forecast);

#[pymethods]
impl Forecast {
    #[getter]
    fn mean(&self) -> f64 {
        self.0.mean()
    }

    #[getter]
    fn lo90(&self, py: Python<'_>) -> PyResult<f64> {
        self.quantile(py, 0.05)
    }

    #[getter]
    fn hi90(&self, py: Python<'_>) -> PyResult<f64> {
        self.quantile(py, 0.95)
    }

    #[getter]
    fn target_step(&self) -> f64 {
        self.0.target_step
    }

    #[getter]
    fn points(&self) -> usize {
        self.0.points
    }

    #[getter]
    fn informative(&self) -> bool {
        self.0.informative
    }

    fn quantile(&self, py: Python<'_>, p: f64) -> PyResult<f64> {
        self.0.quantile(p).map_err(|failure| raised(py, &failure))
    }

    fn beats(&self, py: Python<'_>, value: f64) -> PyResult<f64> {
        self.0.beats(value).map_err(|failure| raised(py, &failure))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (low, high) = (self.lo90(py)?, self.hi90(py)?);
        Ok(format!("Forecast(mean={}, lo90={low}, hi90={high}, informative={})", self.mean(), self.0.informative))
    }
}

#[pyfunction(name = "forecast")]
#[pyo3(signature = (steps, values, target_step, *, reference_curves = Vec::new(), direction = "minimize"))]
fn forecast_curve(
    py: Python<'_>,
    steps: PyReadonlyArray1<'_, f64>,
    values: PyReadonlyArray1<'_, f64>,
    target_step: f64,
    reference_curves: Vec<(PyReadonlyArray1<'_, f64>, PyReadonlyArray1<'_, f64>)>,
    direction: &str,
) -> PyResult<Forecast> {
    let owned: Points = (copied(&steps), copied(&values));
    let references: Vec<Points> = reference_curves.iter().map(|(steps, values)| (copied(steps), copied(values))).collect();
    let made = py.detach(|| {
        let references: Vec<_> = references.iter().map(curve).collect();
        forecast::forecast(curve(&owned), target_step, &references, direction.parse()?)
    });
    made.map(Forecast).map_err(|failure| raised(py, &failure))
}

fn copied(array: &PyReadonlyArray1<'_, f64>) -> Vec<f64> {
    array.as_array().to_vec()
}

fn curve((steps, values): &Points) -> forecast::Curve<'_> {
    forecast::Curve { steps, values }
}

fn raised(py: Python<'_>, failure: &forecast::ForecastError) -> PyErr {
    error(py, "ForecastError", (failure.to_string(),))
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Forecast>()?;
    module.add_function(wrap_pyfunction!(forecast_curve, module)?)
}
