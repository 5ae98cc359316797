//! A stored answer, and the bytes that Python names it by.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::{CacheHit, Key};

/// One stored answer, as it was given to `Engine.store`, and how it was found.
#[pyclass(frozen, module = "neuralrouting._core")]
pub(super) struct CachedReply(pub(super) CacheHit);

#[pymethods]
impl CachedReply {
    /// Under which key it is stored.
    #[getter]
    fn key<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.key)
    }

    /// How it was found: exact, canonical or semantic.
    #[getter]
    fn kind(&self) -> &'static str {
        self.0.level.as_str()
    }

    /// The cosine of both questions; 1 unless the kind is semantic.
    #[getter]
    fn similarity(&self) -> f32 {
        self.0.similarity
    }

    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.reply.body)
    }

    #[getter]
    fn deployment(&self) -> &str {
        &self.0.reply.deployment
    }

    #[getter]
    fn simulated(&self) -> bool {
        self.0.reply.simulated
    }

    #[getter]
    fn prompt_tokens(&self) -> u64 {
        self.0.reply.prompt_tokens
    }

    #[getter]
    fn completion_tokens(&self) -> u64 {
        self.0.reply.completion_tokens
    }

    #[getter]
    fn stored_at_s(&self) -> u64 {
        self.0.reply.stored_at_s
    }
}

pub(super) fn read_key(key: &[u8]) -> PyResult<Key> {
    Key::try_from(key)
        .map_err(|_| PyValueError::new_err(format!("a key has 32 bytes, this one has {}", key.len())))
}

/// Bytes as the signed numbers they stand for.
pub(super) fn signed(bytes: &[u8]) -> Vec<i8> {
    bytes.iter().map(|byte| i8::from_ne_bytes([*byte])).collect()
}
