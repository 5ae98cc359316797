//! The engine, as Python sees it.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::inspection::Inspection;
use super::predict::Predictor;
use super::reply::{CachedReply, read_key, signed};
use super::shield::Shield;
use crate::{Embedder, ExactCache, Hints, Probe, Purge, Semantic, StoredReply, Verifier};

/// Bodies up to this size take less time than another thread needs to get the interpreter's lock and give it back.
pub(super) const KEEP_LOCK_BYTES: usize = 16 * 1024;

/// The native core of one worker: request parser and cache.
#[pyclass(frozen, module = "neuralrouting._core")]
pub(super) struct Engine(crate::Engine);

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (
        *, cache_bytes=268_435_456, cache_ttl_s=604_800, similarity_threshold=0.92, verifier="strict", decides=false,
        per_user=false
    ))]
    fn new(
        cache_bytes: usize,
        cache_ttl_s: u64,
        similarity_threshold: f32,
        verifier: &str,
        decides: bool,
        per_user: bool,
    ) -> PyResult<Self> {
        let verifier = Verifier::read(verifier)
            .ok_or_else(|| PyValueError::new_err(format!("no verifier is called {verifier:?}")))?;
        let semantic = Semantic { threshold: similarity_threshold, verifier, decides, per_user };
        Ok(Self(crate::Engine::new(ExactCache::new(cache_bytes, cache_ttl_s), semantic)))
    }

    /// Parse a body, compute its key for a tenant and look for an answer. Raises `RejectedBody`.
    #[pyo3(signature = (
        body, tenant, *, model=None, routing_mode=None, read_cache=true, shield=None, semantic=false, threshold=0.0,
        user=None, predictor=None
    ))]
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
        semantic: bool,
        threshold: f32,
        user: Option<&str>,
        predictor: Option<&Bound<'_, Predictor>>,
    ) -> PyResult<Inspection> {
        let predictor = predictor.map(|predictor| &predictor.get().0);
        let shield = shield.map(|shield| &shield.get().0);
        let hints = Hints { shield, model, routing_mode, read_cache, semantic, threshold, user, predictor };
        let bytes = body.as_bytes();
        let found = if bytes.len() > KEEP_LOCK_BYTES {
            py.detach(|| self.0.inspect(bytes, tenant, hints))?
        } else {
            self.0.inspect(bytes, tenant, hints)?
        };
        Ok(Inspection { body: body.unbind(), found })
    }

    /// Look for an answer once more, after others were stored.
    fn look_again(&self, inspection: &Inspection) -> Option<CachedReply> {
        self.0.look_again(&inspection.found).map(CachedReply)
    }

    /// Let the second embedder decide: `vector` holds signed bytes, of which only the direction counts.
    fn decide(&self, inspection: &Inspection, decider: &str, vector: &[u8]) -> Option<CachedReply> {
        self.0.decide(&inspection.found, decider, &signed(vector)).map(CachedReply)
    }

    /// Store an answer; false if it is too large or already too old.
    ///
    /// It is found by other questions where `scope`, `probe` and `embedder` are those of an Inspection of this version.
    #[pyo3(signature = (
        key, body, *, deployment, account="", simulated=false, prompt_tokens=0, completion_tokens=0, stored_at_s=None,
        scope=None, probe=None, embedder=None
    ))]
    #[expect(clippy::too_many_arguments, reason = "they are keyword arguments in Python")]
    fn store(
        &self,
        key: &[u8],
        body: &[u8],
        deployment: &str,
        account: &str,
        simulated: bool,
        prompt_tokens: u64,
        completion_tokens: u64,
        stored_at_s: Option<u64>,
        scope: Option<&[u8]>,
        probe: Option<&[u8]>,
        embedder: Option<&str>,
    ) -> PyResult<bool> {
        let reply = StoredReply {
            body: body.into(),
            deployment: deployment.into(),
            account: account.into(),
            simulated,
            prompt_tokens,
            completion_tokens,
            stored_at_s: stored_at_s.unwrap_or_else(|| self.0.cache.now_s()),
        };
        let comparable = embedder == Some(Embedder::shared().id());
        let probe = match (scope, probe) {
            (Some(scope), Some(probe)) if comparable => Probe::from_bytes(read_key(scope)?, probe),
            _ => None,
        };
        Ok(self.0.cache.store(read_key(key)?, reply, probe))
    }

    /// Keep the second embedder's vector (signed bytes) of a stored answer's question; false if it is not here.
    fn attach(&self, key: &[u8], decider: &str, vector: &[u8]) -> PyResult<bool> {
        Ok(self.0.attach(&read_key(key)?, decider, &signed(vector)))
    }

    /// Remove an answer; false if there was none.
    fn forget(&self, key: &[u8]) -> PyResult<bool> {
        Ok(self.0.cache.forget(&read_key(key)?))
    }

    /// Remove an account's answers stored by a time (Unix seconds) that match all that is given; say how many.
    #[pyo3(signature = (*, account, before_s, scope=None, key=None, pattern=None))]
    fn purge(
        &self,
        py: Python<'_>,
        account: &str,
        before_s: u64,
        scope: Option<&[u8]>,
        key: Option<&[u8]>,
        pattern: Option<&str>,
    ) -> PyResult<usize> {
        let scope = scope.map(read_key).transpose()?;
        let key = key.map(read_key).transpose()?;
        let purge = Purge { account, before_s, scope: scope.as_ref(), key: key.as_ref(), pattern };
        Ok(py.detach(|| self.0.cache.purge(&purge)))
    }

    /// Drop an answer that was wrong for a question alike; its scope asks for more likeness from now on.
    fn retire(&self, scope: &[u8], key: &[u8], similarity: f32) -> PyResult<bool> {
        Ok(self.0.retire(&read_key(scope)?, &read_key(key)?, similarity))
    }

    /// Which table of words the built-in embedder has.
    #[getter]
    #[expect(clippy::unused_self, reason = "all engines have one table")]
    fn embedder(&self) -> &'static str {
        Embedder::shared().id()
    }

    #[getter]
    fn cache_entries(&self) -> usize {
        self.0.cache.entries()
    }

    #[getter]
    fn cache_used_bytes(&self) -> usize {
        self.0.cache.used_bytes()
    }

    /// Answers that can be found by other questions.
    #[getter]
    fn near_entries(&self) -> usize {
        self.0.cache.near.rows()
    }
}
