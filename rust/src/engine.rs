//! The engine owns the parts; `inspect` is one pass over one request.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use crate::classify::{Classification, Classifier};
use crate::digest::{self, Key};
use crate::error::Rejection;
use crate::exact::{ExactCache, StoredReply};
use crate::json::Tree;
use crate::request::{self, Request, RoutingMode};
use crate::shield::{Shield, Verdict};
use crate::upstream::Upstream;

/// What the request's headers ask for, beside its body.
#[derive(Clone, Copy)]
pub struct Hints<'a> {
    /// The rules to scan with; none scans nothing.
    pub shield: Option<&'a Shield>,
    /// Replaces the body's `model`.
    pub model: Option<&'a str>,
    /// Replaces the body's `routing_mode`.
    pub routing_mode: Option<&'a str>,
    /// May an earlier answer be given again?
    pub read_cache: bool,
}

/// What one pass found out. It does not hold the body: who asks for text hands it in again.
pub struct Inspection {
    /// Key of the exact cache.
    pub key: Key,
    /// The typed body; model and routing mode are the effective ones.
    pub request: Request,
    /// An earlier answer to the same question.
    pub hit: Option<Arc<StoredReply>>,
    /// What the shield found; none when it was off.
    pub verdict: Option<Verdict>,
    /// Task type, complexity and stakes; none when an earlier answer was found, which needs no route.
    pub classification: Option<Classification>,
    tree: Tree,
}

impl Inspection {
    /// The text of the last user message, its text parts joined by line breaks. `body` is what was inspected.
    #[must_use]
    pub fn last_user_text<'a>(&'a self, body: &'a str) -> Cow<'a, str> {
        request::last_user_text(self.tree.root(body))
    }

    /// SHA-256 over every member of the request, whatever their order. `body` is what was inspected.
    #[must_use]
    pub fn fingerprint(&self, body: &str) -> Key {
        digest::fingerprint_of(self.tree.root(body))
    }

    /// The body for a provider. `body` is what was inspected.
    #[must_use]
    pub fn upstream_body(&self, body: &str, upstream: &Upstream<'_>) -> Vec<u8> {
        upstream.splice(self.tree.root(body))
    }
}

/// The native core of one worker: request parser, exact cache and classifier.
pub struct Engine {
    /// The exact cache.
    pub cache: ExactCache,
    classifier: &'static Classifier,
}

impl Engine {
    /// An engine round a cache.
    #[must_use]
    pub fn new(cache: ExactCache) -> Self {
        Self { cache, classifier: Classifier::shared() }
    }

    /// Parse a body, compute its key for `tenant` and look it up.
    ///
    /// # Errors
    /// A [`Rejection`] with status 400 for bad JSON and 422 for a bad field or hint.
    pub fn inspect(&self, body: &[u8], tenant: &str, hints: Hints<'_>) -> Result<Inspection, Rejection> {
        let (tree, text) = Tree::parse(body)?;
        let mut request = Request::read(tree.root(text))?;
        apply(hints, &mut request)?;
        let mode = request.routing_mode.map(RoutingMode::as_str);
        let key = digest::key_of(tree.root(text), tenant, request.model.as_deref(), mode);
        let hit = if hints.read_cache { self.cache.get(&key) } else { None };
        let verdict = hints.shield.map(|shield| shield.scan_request(tree.root(text)));
        let classification = hit.is_none().then(|| self.classifier.classify_request(tree.root(text)));
        Ok(Inspection { key, request, hit, verdict, classification, tree })
    }
}

fn apply(hints: Hints<'_>, request: &mut Request) -> Result<(), Rejection> {
    if let Some(name) = hints.model {
        request::check_model(name, "X-Force-Model")?;
        request.model = Some(name.to_owned());
    }
    if let Some(name) = hints.routing_mode {
        request.routing_mode = Some(RoutingMode::read(name, "X-Routing-Mode")?);
    }
    Ok(())
}
