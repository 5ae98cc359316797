//! The exact cache: a sharded map from key to stored reply, bounded in bytes, least recently used out first.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use lru::LruCache;
use parking_lot::Mutex;

use crate::digest::Key;

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
        self.body.len() + self.deployment.len() + OVERHEAD_BYTES
    }
}

/// Gives the Unix time in seconds.
pub type Clock = Box<dyn Fn() -> u64 + Send + Sync>;

/// The map. All methods take `&self` and lock one shard of 16 for a few hundred nanoseconds.
pub struct ExactCache {
    shards: [Mutex<Shard>; SHARDS],
    shard_bytes: usize,
    ttl_s: u64,
    clock: Clock,
}

struct Shard {
    entries: LruCache<Key, Arc<StoredReply>>,
    used_bytes: usize,
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
        Self { shards: std::array::from_fn(shard), shard_bytes: cache_bytes / SHARDS, ttl_s, clock }
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
        let reply = shard.entries.get(key)?;
        if self.is_expired(reply.stored_at_s) {
            shard.remove(key);
            return None;
        }
        Some(Arc::clone(reply))
    }

    /// Store an answer, in place of an older one under the same key. False if it is too old or too large.
    pub fn store(&self, key: Key, reply: StoredReply) -> bool {
        let cost_bytes = reply.cost_bytes();
        if cost_bytes > self.shard_bytes || self.is_expired(reply.stored_at_s) {
            return false;
        }
        let mut shard = self.shard(&key).lock();
        shard.remove(&key);
        shard.used_bytes += cost_bytes;
        shard.entries.push(key, Arc::new(reply));
        while shard.used_bytes > self.shard_bytes {
            let Some((_, oldest)) = shard.entries.pop_lru() else { break };
            shard.used_bytes -= oldest.cost_bytes();
        }
        true
    }

    /// Remove an answer; false if there was none.
    pub fn forget(&self, key: &Key) -> bool {
        self.shard(key).lock().remove(key)
    }

    /// Answers held, expired ones that nobody asked for included.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().entries.len()).sum()
    }

    /// Bytes held, overhead included.
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
    fn remove(&mut self, key: &Key) -> bool {
        let Some(reply) = self.entries.pop(key) else { return false };
        self.used_bytes -= reply.cost_bytes();
        true
    }
}

fn unix_time_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
