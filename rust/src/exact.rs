//! The exact cache: a sharded map from key to stored reply, bounded in bytes, least recently used out first.
//!
//! It owns the index of the semantic level, which only points to answers: a row is there exactly as long as its answer
//! is, since both are changed under the lock of the answer's shard.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use lru::LruCache;
use parking_lot::Mutex;

use crate::digest::Key;
use crate::json::{Tree, Value};
use crate::near::NearIndex;
use crate::semantic::Probe;

const SHARDS: usize = 16;

/// What an entry costs beside its bytes: list node, table slot, reference counts, allocator headers. Measured as
/// 235 on Linux over 50,000 entries; the rest covers a table that has just doubled.
const OVERHEAD_BYTES: usize = 320;

/// One stored answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReply {
    /// The answer's bytes, as given.
    pub body: Box<[u8]>,
    /// Who answered, as `provider/model`.
    pub deployment: Box<str>,
    /// Whose answer it is.
    pub account: Box<str>,
    /// The answer came from a simulated provider.
    pub simulated: bool,
    /// Tokens of the prompt as they were billed.
    pub prompt_tokens: u64,
    /// Tokens of the answer as they were billed.
    pub completion_tokens: u64,
    /// Unix time in seconds; the entry's age counts from here.
    pub stored_at_s: u64,
}

impl StoredReply {
    fn cost_bytes(&self) -> usize {
        self.body.len() + self.deployment.len() + self.account.len() + OVERHEAD_BYTES
    }
}

/// Gives the Unix time in seconds.
pub type Clock = Box<dyn Fn() -> u64 + Send + Sync>;

/// Which answers to drop: those of an account that were stored by a time, and match everything else that is given.
#[derive(Clone, Copy)]
pub struct Purge<'a> {
    /// Whose answers.
    pub account: &'a str,
    /// Unix time in seconds; an answer of that very second goes too.
    pub before_s: u64,
    /// Only those of one scope.
    pub scope: Option<&'a Key>,
    /// Only this one.
    pub key: Option<&'a Key>,
    /// Only those whose text has this in it, in capitals or not.
    pub pattern: Option<&'a str>,
}

/// The map. All methods take `&self` and lock one shard of 16 for a few hundred nanoseconds.
pub struct ExactCache {
    /// The index of the semantic level.
    pub near: NearIndex,
    shards: [Mutex<Shard>; SHARDS],
    shard_bytes: usize,
    ttl_s: u64,
    clock: Clock,
}

struct Shard {
    entries: LruCache<Key, Entry>,
    used_bytes: usize,
}

struct Entry {
    reply: Arc<StoredReply>,
    cost_bytes: usize,
    scope: Option<Key>,
}

impl ExactCache {
    /// A cache of at most `cache_bytes`, whose entries live `ttl_s` seconds by the system's clock.
    #[must_use]
    pub fn new(cache_bytes: usize, ttl_s: u64) -> Self {
        Self::with_clock(cache_bytes, ttl_s, Box::new(unix_time_s))
    }

    /// The same with another clock.
    #[must_use]
    pub fn with_clock(cache_bytes: usize, ttl_s: u64, clock: Clock) -> Self {
        let shard = |_| Mutex::new(Shard { entries: LruCache::unbounded(), used_bytes: 0 });
        let shards = std::array::from_fn(shard);
        Self { near: NearIndex::new(), shards, shard_bytes: cache_bytes / SHARDS, ttl_s, clock }
    }

    /// The current Unix time in seconds, by this cache's clock.
    #[must_use]
    pub fn now_s(&self) -> u64 {
        (self.clock)()
    }

    /// Look up an answer; one that is too old is removed.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Arc<StoredReply>> {
        let mut shard = self.shard(key).lock();
        let reply = Arc::clone(&shard.entries.get(key)?.reply);
        if self.is_expired(reply.stored_at_s) {
            shard.remove(key, &self.near);
            return None;
        }
        Some(reply)
    }

    /// Store an answer, in place of an older one under the same key, to be found by `probe` too. False if it is too
    /// old or too large.
    pub fn store(&self, key: Key, reply: StoredReply, probe: Option<Probe>) -> bool {
        let scope = probe.as_ref().map(|probe| probe.scope);
        let row = probe.map(|probe| probe.into_row(key, reply.stored_at_s.saturating_add(self.ttl_s)));
        let cost_bytes = reply.cost_bytes() + row.as_ref().map_or(0, NearIndex::row_bytes);
        if cost_bytes > self.shard_bytes || self.is_expired(reply.stored_at_s) {
            return false;
        }
        let mut shard = self.shard(&key).lock();
        shard.remove(&key, &self.near);
        shard.used_bytes += cost_bytes;
        shard.entries.push(key, Entry { reply: Arc::new(reply), cost_bytes, scope });
        if let (Some(scope), Some(row)) = (scope, row) {
            self.near.insert(&scope, row);
        }
        while shard.used_bytes > self.shard_bytes {
            let Some((oldest, _)) = shard.entries.peek_lru() else { break };
            let oldest = *oldest;
            shard.remove(&oldest, &self.near);
        }
        true
    }

    /// Remove an answer; false if there was none.
    pub fn forget(&self, key: &Key) -> bool {
        self.shard(key).lock().remove(key, &self.near)
    }

    /// Remove all answers that a purge names; return how many. Looks at every entry, one shard after the other.
    pub fn purge(&self, purge: &Purge<'_>) -> usize {
        let pattern = purge.pattern.map(str::to_lowercase);
        let named = |key: &Key, entry: &Entry| {
            entry.reply.stored_at_s <= purge.before_s
                && *entry.reply.account == *purge.account
                && purge.key.is_none_or(|only| only == key)
                && purge.scope.is_none_or(|only| entry.scope.as_ref() == Some(only))
                && pattern.as_ref().is_none_or(|pattern| says(&entry.reply.body, pattern))
        };
        let purge_shard = |shard: &Mutex<Shard>| {
            let mut shard = shard.lock();
            let keys: Vec<_> =
                shard.entries.iter().filter(|(key, it)| named(key, it)).map(|(key, _)| *key).collect();
            keys.iter().filter(|key| shard.remove(key, &self.near)).count()
        };
        self.shards.iter().map(purge_shard).sum()
    }

    /// Keep the second embedder's vector of an answer; false if the answer is not here, or has no row.
    pub fn attach(&self, key: &Key, decider: u64, vector: Box<[i8]>) -> bool {
        let scope = self.shard(key).lock().entries.peek(key).and_then(|entry| entry.scope);
        scope.is_some_and(|scope| self.near.attach(&scope, key, decider, vector))
    }

    /// Answers held, expired ones that nobody asked for included.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().entries.len()).sum()
    }

    /// Bytes held, overhead and rows of the index included.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().used_bytes).sum()
    }

    fn shard(&self, key: &Key) -> &Mutex<Shard> {
        &self.shards[key[0] as usize % SHARDS]
    }

    fn is_expired(&self, stored_at_s: u64) -> bool {
        self.now_s() >= stored_at_s.saturating_add(self.ttl_s)
    }
}

impl Shard {
    fn remove(&mut self, key: &Key, near: &NearIndex) -> bool {
        let Some(entry) = self.entries.pop(key) else { return false };
        self.used_bytes -= entry.cost_bytes;
        if let Some(scope) = entry.scope {
            near.remove(&scope, key);
        }
        true
    }
}

/// Has the text of a stored answer `pattern`, which is in small letters, in it?
fn says(body: &[u8], pattern: &str) -> bool {
    let Ok((tree, text)) = Tree::parse(body) else { return false };
    let choices = tree.root(text).get("choices");
    choices.into_iter().flat_map(Value::items).any(|choice| {
        let content = choice.get("message").and_then(|message| message.get("content")?.text());
        content.is_some_and(|content| content.to_lowercase().contains(pattern))
    })
}

fn unix_time_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
