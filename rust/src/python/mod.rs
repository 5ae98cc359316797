//! The module `neuralrouting._core`: glue only.

mod classify;
mod engine;
mod errors;
mod inspection;
mod limits;
mod metrics;
mod predict;
mod question;
mod reply;
mod shield;

use pyo3::prelude::*;

/// The native core of NeuralRouting.
#[pymodule]
mod _core {
    use pyo3::prelude::*;
    use pyo3::types::PyBytes;

    #[pymodule_export]
    use super::classify::{Classification, classify};
    #[pymodule_export]
    use super::engine::Engine;
    #[pymodule_export]
    use super::errors::RejectedBody;
    #[pymodule_export]
    use super::inspection::Inspection;
    #[pymodule_export]
    use super::limits::{Limits, Permit, Refusal};
    #[pymodule_export]
    use super::metrics::{Metrics, Series};
    #[pymodule_export]
    use super::predict::{Predictor, route_features};
    #[pymodule_export]
    use super::question::{Comparison, compare_questions};
    #[pymodule_export]
    use super::reply::CachedReply;
    #[pymodule_export]
    use super::shield::{Hit, RejectedRules, Shield, Verdict};

    /// Estimate how many tokens a text has; within a few percent of o200k for English prose.
    #[pyfunction]
    fn estimate_tokens(text: &str) -> usize {
        crate::estimate_tokens(text)
    }

    /// Read a chunk that carries nothing but text: its JSON without `usage` and padding, and the text.
    #[pyfunction]
    fn plain_chunk<'py>(py: Python<'py>, data: &[u8]) -> Option<(Bound<'py, PyBytes>, String)> {
        crate::plain_chunk(data).map(|plain| (PyBytes::new(py, &plain.body), plain.text))
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("ROUTE_BLOCKS", crate::predict::starts())?;
        module.add("ROUTE_DIMENSIONS", crate::predict::DIMENSIONS)?;
        module.add("ROUTE_VERSION", PyBytes::new(module.py(), &crate::predict::version()))?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
