//! The index of the semantic cache: which stored answers may fit a question that was put in other words.
//!
//! It only points at answers, by the keys under which the exact cache holds them; a row is here as long as its
//! answer is there. Each scope (a tenant, and everything of a request but the last user text) has rows of its own,
//! and no search ever looks into two.

mod arena;
mod rows;
mod sign;
mod simd;
#[cfg(test)]
mod tests;
mod thresholds;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;

use crate::digest::Key;
use crate::embed::Embedding;
use crate::question::Features;
use arena::Arena;
use rows::Decided;
use thresholds::Thresholds;

/// Candidates that a search gives, at most. The first that passes the verifier is served; more than four add next
/// to no hits (measured: 0.1 to 0.3 points from the first to the best of eight).
pub const NEAREST: usize = 4;

const SHARDS: usize = 16;

/// What a row costs beside the bytes of its features. Its numbers and keys take 388; measured, all included, 433 to 461
/// in one large scope, the more right after a table has doubled.
const ROW_BYTES: usize = 470;

/// What a scope costs beside its rows. Measured with one row each over 10,000 scopes: 887 bytes a row.
const SCOPE_BYTES: usize = 420;

/// What a second vector costs beside its numbers.
const VECTOR_BYTES: usize = 48;

/// What is kept of a stored answer.
#[derive(Debug, Clone)]
pub struct Row {
    /// The key of the answer in the exact cache.
    pub key: Key,
    /// The hash of the canonical text of its question.
    pub canonical: Key,
    /// Where its question lies; all zero: it is found by its canonical text only.
    pub embedding: Embedding,
    /// What the verifier compares; without them it is found by its canonical text only.
    pub features: Option<Features>,
    /// Unix time in seconds from which on it is not found any more.
    pub expires_s: u64,
}

/// A stored answer whose question lies near.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The key of the answer in the exact cache.
    pub key: Key,
    /// The cosine of both embeddings.
    pub similarity: f32,
    /// What the verifier compares.
    pub features: Arc<Features>,
}

type Scope = Arc<RwLock<Arena>>;

/// The index. All methods take `&self`: searches in one scope run side by side, and a change keeps only that scope
/// waiting, for microseconds.
///
/// A thread that holds a scope may ask for a shard, never the other way round.
pub struct NearIndex {
    shards: [RwLock<HashMap<Key, Scope>>; SHARDS],
    thresholds: Thresholds,
    rows: AtomicUsize,
    bytes: AtomicUsize,
}

impl Default for NearIndex {
    fn default() -> Self {
        Self::new()
    }
}

impl NearIndex {
    /// An index without rows.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| RwLock::default()),
            thresholds: Thresholds::default(),
            rows: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
        }
    }

    /// Add a row, in place of one with the same key, whose second vector goes with it.
    pub fn insert(&self, scope: &Key, row: Row) {
        let bytes = Self::row_bytes(&row);
        loop {
            let opened = self.open(scope);
            let mut arena = opened.write();
            if arena.closed {
                continue;
            }
            if let Some(replaced) = arena.remove(&row.key) {
                self.bytes.fetch_sub(replaced, Ordering::Relaxed);
                self.rows.fetch_sub(1, Ordering::Relaxed);
            }
            if arena.insert(row) {
                self.bytes.fetch_add(bytes, Ordering::Relaxed);
                self.rows.fetch_add(1, Ordering::Relaxed);
            }
            return;
        }
    }

    /// Take a row out; false if there is none. A scope goes with its last row.
    pub fn remove(&self, scope: &Key, key: &Key) -> bool {
        let Some(found) = self.scope(scope) else { return false };
        let mut arena = found.write();
        let Some(bytes) = arena.remove(key) else { return false };
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.rows.fetch_sub(1, Ordering::Relaxed);
        if arena.is_empty() {
            // Dropped before it is let go: who waited for it finds it closed and its place in the shard free.
            arena.closed = true;
            let mut shard = self.shard(scope).write();
            shard.remove(scope);
            if shard.capacity() > 4 * shard.len() {
                let kept = 2 * shard.len();
                shard.shrink_to(kept);
            }
        }
        true
    }

    /// The key of the answer to the same canonical text. Of several, the one that lives longest answers for all; when
    /// it is removed the others are not found this way any more.
    #[must_use]
    pub fn canonical(&self, scope: &Key, canonical: &Key, now_s: u64) -> Option<Key> {
        self.scope(scope)?.read().canonical(canonical, now_s)
    }

    /// The answers nearest to a question, best first: at most [`NEAREST`], none that has expired or has no features,
    /// each with a cosine of at least `floor`.
    ///
    /// Sign codes sort most rows out before their cosine is computed; the lower the floor, the fewer.
    #[must_use]
    pub fn nearest(&self, scope: &Key, query: &Embedding, floor: f32, now_s: u64) -> Vec<Candidate> {
        self.scope(scope).map(|scope| scope.read().nearest(query, floor, now_s)).unwrap_or_default()
    }

    /// The least cosine of a hit in a scope, where [`Self::tighten`] has left one.
    #[must_use]
    pub fn threshold(&self, scope: &Key) -> Option<f32> {
        self.thresholds.get(scope)
    }

    /// A hit at this cosine was wrong: from now on the scope asks for more than that, or for 1. Outlives the scope's rows, for
    /// the last tens of thousands of scopes.
    pub fn tighten(&self, scope: &Key, similarity: f32) {
        self.thresholds.raise(scope, similarity);
    }

    /// Give a row the vector of a second embedder, in place of one it had; false if there is no such row. `decider`
    /// is a hash of that embedder's id.
    pub fn attach(&self, scope: &Key, key: &Key, decider: u64, vector: Box<[i8]>) -> bool {
        let bytes = vector_bytes(vector.len());
        let Some(found) = self.scope(scope) else { return false };
        let mut arena = found.write();
        let Some(before) = arena.attach(key, Decided { decider, vector }) else { return false };
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bytes.fetch_sub(before, Ordering::Relaxed);
        true
    }

    /// The vector that a second embedder gave a row.
    #[must_use]
    pub fn decided(&self, scope: &Key, key: &Key, decider: u64) -> Option<Box<[i8]>> {
        self.scope(scope)?.read().decided(key, decider)
    }

    /// Rows held, expired ones included.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.load(Ordering::Relaxed)
    }

    /// Scopes that have rows.
    #[must_use]
    pub fn scopes(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    /// Bytes held: rows, second vectors, scopes.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed) + self.scopes() * SCOPE_BYTES
    }

    /// What a row will cost, in bytes, without the 420 of a scope that it is the first of.
    #[must_use]
    pub fn row_bytes(row: &Row) -> usize {
        row_bytes(row.features.as_ref())
    }

    fn shard(&self, scope: &Key) -> &RwLock<HashMap<Key, Scope>> {
        &self.shards[scope[0] as usize % SHARDS]
    }

    fn scope(&self, scope: &Key) -> Option<Scope> {
        self.shard(scope).read().get(scope).map(Arc::clone)
    }

    /// The scope, made if there is none.
    fn open(&self, scope: &Key) -> Scope {
        self.scope(scope).unwrap_or_else(|| Arc::clone(self.shard(scope).write().entry(*scope).or_default()))
    }
}

fn row_bytes(features: Option<&Features>) -> usize {
    ROW_BYTES + features.map_or(0, |features| features.as_bytes().len())
}

const fn vector_bytes(numbers: usize) -> usize {
    VECTOR_BYTES + numbers
}
