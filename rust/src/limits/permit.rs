//! What a request that was let in holds, and what one that was not is told.

use std::sync::Arc;

use parking_lot::Mutex;

use super::Core;
use super::buckets::MAX_TOKENS;
use super::log::Room as Requests;
use super::subject::Subject;

const MS_NS: u64 = 1_000_000;

/// Which limit refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Requests in a minute.
    Requests,
    /// Tokens in a minute.
    Tokens,
    /// Requests at the same time.
    Parallel,
}

impl Limit {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::Parallel => "parallel",
        }
    }
}

/// How much room a limit leaves: what the headers of an answer tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// The limit.
    pub limit: u64,
    /// What is left of it.
    pub remaining: u64,
    /// Until one more is free; zero when one is.
    pub reset_ms: u64,
}

impl From<Requests> for Room {
    fn from(room: Requests) -> Self {
        Self { limit: room.limit, remaining: room.remaining, reset_ms: whole_ms(room.reset_ns) }
    }
}

/// A refusal. Nothing was consumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Whose limit it is.
    pub subject: Box<str>,
    /// Which limit.
    pub limit: Limit,
    /// How much the limit allows.
    pub allowed: u64,
    /// When to come back; none when it would be in vain at any time.
    pub retry_after_ms: Option<u64>,
    /// Room for requests of the tightest subject.
    pub requests: Option<Room>,
    /// Room for tokens of the tightest subject.
    pub tokens: Option<Room>,
}

/// A request that was let in. It gives its places back when it leaves or is dropped.
pub struct Permit {
    core: Arc<Core>,
    /// Room for requests of the tightest subject, this request counted.
    pub requests: Option<Room>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    places: Vec<(Arc<Subject>, usize)>,
    tokens: Vec<Reserved>,
    room: Option<Room>,
}

/// Tokens that were reserved for one subject.
pub(super) struct Reserved {
    pub(super) subject: Arc<Subject>,
    pub(super) second: u64,
    pub(super) tokens: u64,
}

impl Permit {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core, requests: None, held: Mutex::default() }
    }

    /// Room for tokens of the tightest subject, those of this request counted; none before tokens were taken.
    #[must_use]
    pub fn tokens(&self) -> Option<Room> {
        self.held.lock().room
    }

    /// Give the places back, and correct the reserved tokens to those that were used; without a figure they stay as
    /// they were reserved. Only the first time.
    pub fn leave(&self, used: Option<u64>) {
        let Held { places, mut tokens, .. } = std::mem::take(&mut *self.held.lock());
        for (subject, cell) in places {
            if let Ok(places) = subject.places(&self.core.folder, self.core.me) {
                places.leave(cell);
            }
        }
        // A subject may have reserved more than once, when a request was tried again: what was used counts once.
        let Some(used) = used else { return };
        while let Some(first) = tokens.first().map(|it| Arc::clone(&it.subject)) {
            let (same, others) = tokens.into_iter().partition(|it| Arc::ptr_eq(&it.subject, &first));
            self.settle(&first, same, used);
            tokens = others;
        }
    }

    fn settle(&self, subject: &Subject, reserved: Vec<Reserved>, used: u64) {
        let Ok(buckets) = subject.buckets(&self.core.folder) else { return };
        let mut left = used;
        for Reserved { second, tokens, .. } in reserved {
            let kept = tokens.min(left);
            left -= kept;
            if kept < tokens {
                buckets.give_back(tokens - kept, second);
            }
        }
        if left > 0 {
            buckets.add(left.min(MAX_TOKENS), &self.core.clock);
        }
    }

    pub(super) fn hold_place(&self, subject: Arc<Subject>, cell: usize) {
        self.held.lock().places.push((subject, cell));
    }

    pub(super) fn hold_tokens(&self, reserved: Vec<Reserved>, room: Option<Room>) {
        let mut held = self.held.lock();
        held.tokens.extend(reserved);
        held.room = room;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.leave(None);
    }
}

/// Nanoseconds as milliseconds, never too few: who comes back then finds room.
pub(super) const fn whole_ms(ns: u64) -> u64 {
    ns.div_ceil(MS_NS)
}
