//! Predictions as Python sees them: heads and rows as bytes.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::PyBytes;

use crate::predict::{self, BadHead, PUBLIC};

impl From<BadHead> for PyErr {
    fn from(bad: BadHead) -> Self {
        PyValueError::new_err(bad.to_string())
    }
}

/// The heads of one account, and the prompts whose answers by a cheaper model were poor.
#[pyclass(frozen, module = "neuralrouting._core")]
pub(super) struct Predictor(pub(super) crate::Predictor);

#[pymethods]
impl Predictor {
    /// Read heads and embeddings. Raises `ValueError`.
    #[new]
    #[pyo3(
        signature = (heads, escalated=&[][..]),
        text_signature = "(heads, escalated=b'')"
    )]
    #[expect(clippy::needless_pass_by_value, reason = "extracted from Python arguments")]
    fn new(py: Python<'_>, heads: Vec<(PyBackedStr, PyBackedBytes)>, escalated: &[u8]) -> PyResult<Self> {
        let read = || {
            let heads: Vec<(&str, &[u8])> = heads.iter().map(|(name, head)| (&**name, &**head)).collect();
            crate::Predictor::new(&heads, escalated)
        };
        Ok(Self(py.detach(read)?))
    }

    /// The names of all heads, as `Inspection.predicted` has them.
    #[getter]
    fn names(&self) -> Vec<&str> {
        PUBLIC.into_iter().chain(self.0.names()).collect()
    }
}

/// A sparse matrix: row starts, indices, values.
type Matrix<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>, Bound<'py, PyBytes>);

/// Turn texts into rows: row starts (int64), indices (uint32), values (float32).
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "extracted from a Python sequence")]
pub(super) fn route_features(py: Python<'_>, texts: Vec<PyBackedStr>) -> Matrix<'_> {
    let (starts, indices, values) = py.detach(|| {
        let (mut starts, mut indices, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let mut count: i64 = 0;
        starts.extend_from_slice(&count.to_ne_bytes());
        for text in &texts {
            for &(index, value) in predict::row(text).pairs() {
                indices.extend_from_slice(&index.to_ne_bytes());
                values.extend_from_slice(&value.to_ne_bytes());
                count += 1;
            }
            starts.extend_from_slice(&count.to_ne_bytes());
        }
        (starts, indices, values)
    });
    (PyBytes::new(py, &starts), PyBytes::new(py, &indices), PyBytes::new(py, &values))
}
