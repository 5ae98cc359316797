//! The metrics as Python sees them: series that are counted in, and their text.

use std::path::Path;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::PyBytes;

use crate::metrics::{self, Across, Family, Format, Kind, MetricError};

impl From<MetricError> for PyErr {
    fn from(error: MetricError) -> Self {
        match error {
            MetricError::Map(error) => error.into(),
            MetricError::Wrong(what) => PyValueError::new_err(what),
        }
    }
}

/// Name, help, kind, labels, what makes up one unit, bounds.
type Given = (String, String, String, Vec<String>, u64, Vec<u64>);

fn family((name, help, kind, labels, per, bounds): Given) -> PyResult<Family> {
    let kind = match kind.as_str() {
        "counter" => Kind::Counter,
        "histogram" => Kind::Histogram(bounds.into()),
        "sum" => Kind::Gauge(Across::Sum),
        "most" => Kind::Gauge(Across::Most),
        "least" => Kind::Gauge(Across::Least),
        _ => return Err(PyValueError::new_err(format!("{name}: there is no kind {kind:?}"))),
    };
    Ok(Family { name, help, labels, kind, per })
}

/// Where one series is counted.
#[pyclass(frozen, module = "neuralrouting._core")]
pub(super) struct Series(metrics::Series);

#[pymethods]
impl Series {
    fn add(&self, n: u64) {
        self.0.add(n);
    }

    fn observe(&self, value: u64) {
        self.0.observe(value);
    }

    fn set(&self, value: i64) {
        self.0.set(value);
    }
}

/// The metrics of one worker, shared with all workers that name the same directory.
#[pyclass(frozen, module = "neuralrouting._core")]
pub(super) struct Metrics(metrics::Metrics);

#[pymethods]
impl Metrics {
    /// Make or find the shared file. Raises `OSError`, `ValueError`.
    #[new]
    fn new(directory: &str, families: Vec<Given>) -> PyResult<Self> {
        let families = families.into_iter().map(family).collect::<PyResult<_>>()?;
        Ok(Self(metrics::Metrics::open(Path::new(directory), families)?))
    }

    /// Find, or begin, a series. Raises `ValueError`.
    #[expect(clippy::needless_pass_by_value, reason = "extracted from Python sequences")]
    fn series(&self, family: usize, values: Vec<PyBackedStr>) -> PyResult<Series> {
        let values: Vec<&str> = values.iter().map(|value| &**value).collect();
        Ok(Series(self.0.series(family, &values)?))
    }

    /// How often a series was not kept.
    #[getter]
    fn turned_away(&self) -> u64 {
        self.0.turned_away()
    }

    /// Write all series.
    #[pyo3(signature = (*, openmetrics=false))]
    fn render<'py>(&self, py: Python<'py>, openmetrics: bool) -> Bound<'py, PyBytes> {
        let format = if openmetrics { Format::OpenMetrics } else { Format::Prometheus };
        let text = py.detach(|| self.0.render(format));
        PyBytes::new(py, text.as_bytes())
    }
}
