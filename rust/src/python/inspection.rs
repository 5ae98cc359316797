//! What one pass found out, as Python sees it: frozen, with getters that read it.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::classify::Classification;
use super::reply::CachedReply;
use super::shield::Verdict;
use crate::request::RoutingMode;
use crate::{Miss, Upstream};

/// What one pass over one request body found out. Read-only.
#[pyclass(frozen, module = "neuralrouting._core")]
pub(super) struct Inspection {
    pub(super) body: Py<PyBytes>,
    pub(super) found: crate::Inspection,
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
    fn cascade(&self) -> Option<bool> {
        self.found.request.cascade
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

    /// What must be equal in other requests that its answer may be given to; None: its answer is for itself alone.
    #[getter]
    fn scope<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.found.probe.as_ref().map(|probe| PyBytes::new(py, &probe.scope))
    }

    /// What other questions are compared with, as `Engine.store` takes it back.
    #[getter]
    fn probe<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.found.probe.as_ref().map(|probe| PyBytes::new(py, &probe.to_bytes()))
    }

    /// Why no answer to another question was given; None when one was, or nobody looked.
    #[getter]
    fn miss_reason(&self) -> Option<&'static str> {
        self.found.miss.map(Miss::as_str)
    }

    /// Nanoseconds for reading, shield, cache, classification and prediction.
    #[getter]
    fn spent_ns(&self) -> (u64, u64, u64, u64, u64) {
        let spent = self.found.spent;
        (spent.read_ns, spent.shield_ns, spent.cache_ns, spent.classify_ns, spent.predict_ns)
    }

    /// Whether candidates wait for the second embedder to decide on them.
    #[getter]
    fn undecided(&self) -> bool {
        self.found.undecided()
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

    /// Task type, complexity and stakes, also where an earlier answer was found; read anew there.
    fn classified(&self, py: Python<'_>) -> PyResult<Classification> {
        Ok(Classification::new(self.found.classified(self.text(py)?)))
    }

    /// (head, predicted difference to the reference), the shipped heads first; empty when an answer was found.
    #[getter]
    fn predicted(&self) -> Vec<(String, f64)> {
        self.found.prediction.as_ref().map(|found| found.differences.clone()).unwrap_or_default()
    }

    /// The greatest cosine to a prompt that went wrong; -1 where there is none.
    #[getter]
    fn escalated(&self) -> f32 {
        self.found.prediction.as_ref().map_or(-1.0, |found| found.escalated)
    }

    /// The last user turn as 256 signed bytes; empty when an earlier answer was found.
    #[getter]
    fn embedding<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let found = self.found.prediction.as_ref().map(|found| found.embedding.as_bytes());
        PyBytes::new(py, found.as_ref().map_or(&[], |bytes| bytes))
    }

    /// SHA-256 over every member of the request, in whatever order they came.
    fn fingerprint<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.found.fingerprint(self.text(py)?)))
    }

    /// What this request and those that go on from it have in common; None where nothing comes from a user.
    #[getter]
    fn opening<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        Ok(self.found.opening(self.text(py)?).map(|key| PyBytes::new(py, &key)))
    }

    /// Its opening where it goes on from an earlier request; None where it is the first of its conversation.
    #[getter]
    fn conversation<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        Ok(self.found.conversation(self.text(py)?).map(|key| PyBytes::new(py, &key)))
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
