//! Bindings of `forecast`.

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::error;
use crate::forecast::{self, Curve};

type Array<'py> = PyReadonlyArray1<'py, f64>;
type Points<'py> = (Array<'py>, Array<'py>);

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

    #[getter]
    fn evidence<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.0.evidence)
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

/// A curve that grows report by report.
#[pyclass(module = "autoresearch_rl._core")]
struct GrowingCurve(forecast::Growing);

#[pymethods]
impl GrowingCurve {
    #[new]
    #[pyo3(signature = (*, reference_curves = Vec::new(), direction = "minimize", families = "all"))]
    fn new(py: Python<'_>, reference_curves: Vec<Points<'_>>, direction: &str, families: &str) -> PyResult<Self> {
        let references = Slices::of_all(&reference_curves);
        let made = py.detach(|| forecast::Growing::new(&curves(&references), direction.parse()?, families.parse()?));
        made.map(Self).map_err(|failure| raised(py, &failure))
    }

    fn push(&mut self, py: Python<'_>, step: f64, value: f64) -> PyResult<()> {
        self.0.push(step, value).map_err(|failure| raised(py, &failure))
    }

    fn forecast(&mut self, py: Python<'_>, target_step: f64) -> PyResult<Forecast> {
        self.0.forecast(target_step).map(Forecast).map_err(|failure| raised(py, &failure))
    }

    fn __len__(&self) -> usize {
        self.0.reports()
    }
}

#[pyfunction(name = "forecast")]
#[pyo3(signature = (steps, values, target_step, *, reference_curves = Vec::new(), direction = "minimize", families = "all"))]
fn forecast_curve(
    py: Python<'_>,
    steps: Array<'_>,
    values: Array<'_>,
    target_step: f64,
    reference_curves: Vec<Points<'_>>,
    direction: &str,
    families: &str,
) -> PyResult<Forecast> {
    let (points, references) = (Slices::of(&steps, &values), Slices::of_all(&reference_curves));
    let made = py
        .detach(|| forecast::forecast(points.curve(), target_step, &curves(&references), direction.parse()?, families.parse()?));
    made.map(Forecast).map_err(|failure| raised(py, &failure))
}

#[pyfunction(name = "forecasts")]
#[pyo3(signature = (offsets, steps, values, target_steps, *, reference_curves = Vec::new(), direction = "minimize", families = "all"))]
#[allow(clippy::too_many_arguments)] // Python's keywords
fn forecast_curves(
    py: Python<'_>,
    offsets: PyReadonlyArray1<'_, i64>,
    steps: Array<'_>,
    values: Array<'_>,
    target_steps: Array<'_>,
    reference_curves: Vec<Points<'_>>,
    direction: &str,
    families: &str,
) -> PyResult<Vec<Forecast>> {
    let (points, references) = (Slices::of(&steps, &values), Slices::of_all(&reference_curves));
    let offsets: Vec<i64> = offsets.as_array().to_vec();
    let targets: Vec<f64> = target_steps.as_array().to_vec();
    let made = py.detach(|| {
        forecast::forecasts(&offsets, points.curve(), &targets, &curves(&references), direction.parse()?, families.parse()?)
    });
    made.map(|all| all.into_iter().map(Forecast).collect()).map_err(|failure| raised(py, &failure))
}

/// Steps and values: borrowed from numpy where they lie in one piece, copied where they are strided.
struct Slices<'a> {
    steps: std::borrow::Cow<'a, [f64]>,
    values: std::borrow::Cow<'a, [f64]>,
}

impl<'a> Slices<'a> {
    fn of(steps: &'a Array<'_>, values: &'a Array<'_>) -> Self {
        Self { steps: slice(steps), values: slice(values) }
    }

    fn of_all(points: &'a [Points<'_>]) -> Vec<Self> {
        points.iter().map(|(steps, values)| Self::of(steps, values)).collect()
    }

    fn curve(&self) -> Curve<'_> {
        Curve { steps: &self.steps, values: &self.values }
    }
}

fn curves<'a>(slices: &'a [Slices<'a>]) -> Vec<Curve<'a>> {
    slices.iter().map(Slices::curve).collect()
}

fn slice<'a>(array: &'a Array<'_>) -> std::borrow::Cow<'a, [f64]> {
    match array.as_slice() {
        Ok(slice) => slice.into(),
        Err(_) => array.as_array().to_vec().into(),
    }
}

fn raised(py: Python<'_>, failure: &forecast::ForecastError) -> PyErr {
    error(py, "ForecastError", (failure.to_string(),))
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Forecast>()?;
    module.add_class::<GrowingCurve>()?;
    module.add_function(wrap_pyfunction!(forecast_curve, module)?)?;
    module.add_function(wrap_pyfunction!(forecast_curves, module)?)
}
