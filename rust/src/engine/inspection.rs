//! What is read of a request only where it is asked for: texts, its conversation, the body for a provider.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use super::Inspection;
use crate::classify::{Classification, Classifier};
use crate::digest::{self, Key};
use crate::request;
use crate::upstream::Upstream;

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

    /// Are there candidates that the second embedder must decide on?
    #[must_use]
    pub fn undecided(&self) -> bool {
        !self.nominees.is_empty()
    }

    /// What this request and those that go on from it have in common. None where nothing comes from a user.
    ///
    /// `body` is what was inspected.
    #[must_use]
    pub fn opening(&self, body: &str) -> Option<Key> {
        digest::conversation_of(self.tree.root(body), &self.tenant)
    }

    /// Its opening where it goes on from an earlier one: there is more than one turn of a user or an assistant.
    #[must_use]
    pub fn conversation(&self, body: &str) -> Option<Key> {
        if self.request.turn_count > 1 { self.opening(body) } else { None }
    }

    /// Task type, complexity and stakes, also where an earlier answer was found. `body` is what was inspected.
    #[must_use]
    pub fn classified(&self, body: &str) -> Classification {
        let found = self.classification.clone();
        found.unwrap_or_else(|| Classifier::shared().classify_request(self.tree.root(body)))
    }
}
