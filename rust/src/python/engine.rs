//! The classes Python sees: frozen, with getters that read what the core found.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::classify::Classification;
use super::shield::{Shield, Verdict};
use crate::request::RoutingMode;
use crate::{ExactCache, Hints, Key, StoredReply, Upstream};

/// Bodies up to this size take less time than another thread needs to get the interpreter's lock and give it back.
pub(super) const KEEP_LOCK_BYTES: usize = 16 * 1024;

/// One stored answer, as it was given to `Engine.store`.
#[pyclass(frozen, module = "neuralrouting._core")]
pub(super) struct CachedReply(Arc<StoredReply>);

#[pymethods]
impl CachedReply {
    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.body)
    }

    #[getter]
    fn deployment(&self) -> &str {
        &self.0.deployment
    }

    #[getter]
    fn simulated(&self) -> bool {
        self.0.simulated
    }

    #[getter]
    fn prompt_tokens(&self) -> u64 {
        self.0.prompt_tokens
    }

    #[getter]
    fn completion_tokens(&self) -> u64 {
        self.0.completion_tokens
    }

    #[getter]
    fn stored_at_s(&self) -> u64 {
        self.0.stored_at_s
    }
}

/// What one pass over one request body found out. Read-only.
#[pyclass(frozen, module = "neuralrouting._core")]
pub(super) struct Inspection {
    body: Py<PyBytes>,
    found: crate::Inspection,
}

impl Inspection {
    /// The body as text; it was checked to be UTF-8 when it was inspected.
    fn text<'py>(&'py self, py: Python<'py>) -> PyResult<&'py str> {
        std::str::from_utf8(self.body.as_bytes(py)).map_err(|error| PyValueError::new_err(error.to_string()))
    }
}

#[pymethods]
impl Inspection {
    #[getter]
    fn key<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.found.key)
    }

    #[getter]
    fn model(&self) -> Option<&str> {
        self.found.request.model.as_deref()
    }

    #[getter]
    fn routing_mode(&self) -> Option<&'static str> {
        self.found.request.routing_mode.map(RoutingMode::as_str)
    }

    #[getter]
    fn stream(&self) -> bool {
        self.found.request.stream
    }

    #[getter]
    fn include_usage(&self) -> bool {
        self.found.request.include_usage
    }

    #[getter]
    fn user(&self) -> Option<&str> {
        self.found.request.user.as_deref()
    }

    #[getter]
    fn session_id(&self) -> Option<&str> {
        self.found.request.session_id.as_deref()
    }

    #[getter]
    fn feature(&self) -> Option<&str> {
        self.found.request.feature.as_deref()
    }

    #[getter]
    fn n(&self) -> i64 {
        self.found.request.n.unwrap_or(1)
    }

    #[getter]
    fn prompt_tokens(&self) -> usize {
        self.found.request.prompt_tokens
    }

    #[getter]
    fn max_output_tokens(&self) -> Option<i64> {
        self.found.request.max_output_tokens()
    }

    #[getter]
    fn message_count(&self) -> usize {
        self.found.request.message_count
    }

    #[getter]
    fn has_tools(&self) -> bool {
        self.found.request.has_tools
    }

    #[getter]
    fn has_images(&self) -> bool {
        self.found.request.has_images
    }

    #[getter]
    fn has_audio(&self) -> bool {
        self.found.request.has_audio
    }

    #[getter]
    fn json_mode(&self) -> &'static str {
        self.found.request.json_mode.as_str()
    }

    #[getter]
    fn logprobs(&self) -> bool {
        self.found.request.logprobs
    }

    #[getter]
    fn last_user_text<'py>(&'py self, py: Python<'py>) -> PyResult<std::borrow::Cow<'py, str>> {
        Ok(self.found.last_user_text(self.text(py)?))
    }

    #[getter]
    fn body(&self, py: Python<'_>) -> Py<PyBytes> {
        self.body.clone_ref(py)
    }

    #[getter]
    fn hit(&self) -> Option<CachedReply> {
        self.found.hit.clone().map(CachedReply)
    }

    /// What the shield found; None when it was off.
    #[getter]
    fn verdict(&self) -> Option<Verdict> {
        self.found.verdict.clone().map(Verdict::new)
    }

    /// Task type, complexity and stakes; None when an earlier answer was found.
    #[getter]
    fn classification(&self) -> Option<Classification> {
        self.found.classification.clone().map(Classification::new)
    }

    /// SHA-256 over every member of the request, in whatever order they came.
    fn fingerprint<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.found.fingerprint(self.text(py)?)))
    }

    /// The body for a provider: the client's bytes with the provider's model name and without our own members.
    #[pyo3(
        signature = (model, *, stream, rename=Vec::new(), drop=Vec::new(), max_output_tokens=None),
        text_signature = "($self, /, model, *, stream, rename=(), drop=(), max_output_tokens=None)"
    )]
    #[expect(clippy::needless_pass_by_value, reason = "extracted from Python sequences")]
    fn upstream_body<'py>(
        &self,
        py: Python<'py>,
        model: &str,
        stream: bool,
        rename: Vec<(String, String)>,
        drop: Vec<String>,
        max_output_tokens: Option<u64>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let rename: Vec<_> = rename.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
        let drop: Vec<_> = drop.iter().map(String::as_str).collect();
        let upstream = Upstream { model, stream, rename: &rename, drop: &drop, max_output_tokens };
        Ok(PyBytes::new(py, &self.found.upstream_body(self.text(py)?, &upstream)))
    }
}

/// The native core of one worker: request parser and exact cache.
#[pyclass(frozen, module = "neuralrouting._core")]
pub(super) struct Engine(crate::Engine);

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (*, cache_bytes=268_435_456, cache_ttl_s=604_800))]
    fn new(cache_bytes: usize, cache_ttl_s: u64) -> Self {
        Self(crate::Engine::new(ExactCache::new(cache_bytes, cache_ttl_s)))
    }

    /// Parse a body, compute its key for a tenant and look it up. Raises `RejectedBody`.
    #[pyo3(signature = (body, tenant, *, model=None, routing_mode=None, read_cache=true, shield=None))]
    #[expect(clippy::too_many_arguments, reason = "they are keyword arguments in Python")]
    fn inspect(
        &self,
        py: Python<'_>,
        body: Bound<'_, PyBytes>,
        tenant: &str,
        model: Option<&str>,
        routing_mode: Option<&str>,
        read_cache: bool,
        shield: Option<&Bound<'_, Shield>>,
    ) -> PyResult<Inspection> {
        let shield = shield.map(|shield| &shield.get().0);
        let hints = Hints { shield, model, routing_mode, read_cache };
        let bytes = body.as_bytes();
        let found = if bytes.len() > KEEP_LOCK_BYTES {
            py.detach(|| self.0.inspect(bytes, tenant, hints))?
        } else {
            self.0.inspect(bytes, tenant, hints)?
        };
        Ok(Inspection { body: body.unbind(), found })
    }

    /// Store an answer; false if it is too large or already too old.
    #[pyo3(signature = (key, body, *, deployment, simulated=false, prompt_tokens=0, completion_tokens=0, stored_at_s=None))]
    #[expect(clippy::too_many_arguments, reason = "they are keyword arguments in Python")]
    fn store(
        &self,
        key: &[u8],
        body: &[u8],
        deployment: &str,
        simulated: bool,
        prompt_tokens: u64,
        completion_tokens: u64,
        stored_at_s: Option<u64>,
    ) -> PyResult<bool> {
        let reply = StoredReply {
            body: body.into(),
            deployment: deployment.into(),
            simulated,
            prompt_tokens,
            completion_tokens,
            stored_at_s: stored_at_s.unwrap_or_else(|| self.0.cache.now_s()),
        };
        Ok(self.0.cache.store(read_key(key)?, reply))
    }

    /// Remove an answer; false if there was none.
    fn forget(&self, key: &[u8]) -> PyResult<bool> {
        Ok(self.0.cache.forget(&read_key(key)?))
    }

    #[getter]
    fn cache_entries(&self) -> usize {
        self.0.cache.entries()
    }

    #[getter]
    fn cache_used_bytes(&self) -> usize {
        self.0.cache.used_bytes()
    }
}

fn read_key(key: &[u8]) -> PyResult<Key> {
    Key::try_from(key)
        .map_err(|_| PyValueError::new_err(format!("a key has 32 bytes, this one has {}", key.len())))
}
