use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::{ExactCache, Key, OVERHEAD_BYTES, SHARDS, StoredReply};

const NOW_S: u64 = 1_800_000_000;

fn reply(body: &[u8], stored_at_s: u64) -> StoredReply {
    let deployment = "a/b".into();
    StoredReply {
        body: body.into(),
        deployment,
        account: "".into(),
        simulated: false,
        prompt_tokens: 1,
        completion_tokens: 2,
        stored_at_s,
    }
}

/// A cache and the clock it goes by.
fn cache(bytes: usize, ttl_s: u64) -> (ExactCache, Arc<AtomicU64>) {
    let clock = Arc::new(AtomicU64::new(NOW_S));
    let hand = Arc::clone(&clock);
    (ExactCache::with_clock(bytes, ttl_s, Box::new(move || hand.load(Ordering::Relaxed))), clock)
}

fn key(nth: u8) -> Key {
    // All in one shard.
    let mut key = [0; 32];
    key[31] = nth;
    key
}

#[test]
fn an_answer_comes_back_as_it_was_stored() {
    let (cache, _) = cache(1 << 20, 60);
    assert!(cache.store(key(1), reply(b"hello", NOW_S), None));
    assert_eq!(*cache.get(&key(1)).unwrap(), reply(b"hello", NOW_S));
    assert!(cache.get(&key(2)).is_none());
    assert_eq!((cache.entries(), cache.used_bytes()), (1, 5 + 3 + OVERHEAD_BYTES));
}

#[test]
fn an_expired_answer_is_gone_and_its_bytes_with_it() {
    let (cache, clock) = cache(1 << 20, 60);
    cache.store(key(1), reply(b"x", NOW_S), None);
    clock.store(NOW_S + 59, Ordering::Relaxed);
    assert!(cache.get(&key(1)).is_some());
    clock.store(NOW_S + 60, Ordering::Relaxed);
    assert!(cache.get(&key(1)).is_none());
    assert_eq!((cache.entries(), cache.used_bytes()), (0, 0));
}

#[test]
fn after_a_warm_start_age_counts_from_the_first_storing() {
    let (cache, clock) = cache(1 << 20, 60);
    assert!(!cache.store(key(1), reply(b"x", NOW_S - 60), None));
    assert!(cache.store(key(1), reply(b"x", NOW_S - 50), None));
    clock.store(NOW_S + 10, Ordering::Relaxed);
    assert!(cache.get(&key(1)).is_none());
}

#[test]
fn an_answer_larger_than_a_shard_is_refused_and_the_others_stay() {
    let (cache, _) = cache(SHARDS * 1000, 60);
    assert!(cache.store(key(1), reply(b"x", NOW_S), None));
    assert!(!cache.store(key(2), reply(&[0; 1000], NOW_S), None));
    assert!(cache.get(&key(1)).is_some());
}

#[test]
fn without_room_or_time_nothing_is_stored() {
    assert!(!cache(0, 60).0.store(key(1), reply(b"", NOW_S), None));
    assert!(!cache(1 << 20, 0).0.store(key(1), reply(b"", NOW_S), None));
}

#[test]
fn replacing_an_answer_counts_its_bytes_once() {
    let (cache, _) = cache(1 << 20, 60);
    cache.store(key(1), reply(&[0; 100], NOW_S), None);
    cache.store(key(1), reply(&[0; 7], NOW_S), None);
    assert_eq!((cache.entries(), cache.used_bytes()), (1, 7 + 3 + OVERHEAD_BYTES));
    assert!(cache.forget(&key(1)));
    assert!(!cache.forget(&key(1)));
    assert_eq!((cache.entries(), cache.used_bytes()), (0, 0));
}

#[test]
fn keys_spread_over_all_shards() {
    let (cache, _) = cache(SHARDS * (OVERHEAD_BYTES + 10), 60);
    for nth in 0..=255 {
        let mut key = [0; 32];
        key[0] = nth;
        cache.store(key, reply(b"x", NOW_S), None);
    }
    assert_eq!(cache.entries(), SHARDS);
}

/// A shard as a plain list, least recently used first.
#[derive(Default)]
struct Naive {
    entries: VecDeque<(Key, usize, u64)>,
}

impl Naive {
    const BYTES: usize = 4000;

    fn take(&mut self, key: Key) -> Option<(Key, usize, u64)> {
        let at = self.entries.iter().position(|entry| entry.0 == key)?;
        self.entries.remove(at)
    }

    fn get(&mut self, key: Key, now_s: u64, ttl_s: u64) -> bool {
        let Some(entry) = self.take(key).filter(|entry| now_s < entry.2 + ttl_s) else { return false };
        self.entries.push_back(entry);
        true
    }

    fn store(&mut self, key: Key, cost: usize, now_s: u64) -> bool {
        if cost > Self::BYTES {
            return false;
        }
        self.take(key);
        self.entries.push_back((key, cost, now_s));
        while self.used() > Self::BYTES {
            self.entries.pop_front();
        }
        true
    }

    fn used(&self) -> usize {
        self.entries.iter().map(|entry| entry.1).sum()
    }
}

proptest! {
    #[test]
    fn it_behaves_like_a_plain_list(steps in prop::collection::vec((0..4_u8, 0..12_u8, 0..5000_usize), 1..120)) {
        let (cache, clock) = cache(Naive::BYTES * SHARDS, 20);
        let mut naive = Naive::default();
        for (step, nth, size) in steps {
            let now_s = clock.load(Ordering::Relaxed);
            match step {
                0 => {
                    let body = vec![0; if size < 4800 { size / 5 } else { size }];
                    let cost = body.len() + 3 + OVERHEAD_BYTES;
                    prop_assert_eq!(cache.store(key(nth), reply(&body, now_s), None), naive.store(key(nth), cost, now_s));
                }
                1 => prop_assert_eq!(cache.get(&key(nth)).is_some(), naive.get(key(nth), now_s, 20)),
                2 => prop_assert_eq!(cache.forget(&key(nth)), naive.take(key(nth)).is_some()),
                _ => clock.store(now_s + u64::from(nth), Ordering::Relaxed),
            }
            prop_assert_eq!(cache.entries(), naive.entries.len());
            prop_assert_eq!(cache.used_bytes(), naive.used());
            prop_assert!(cache.used_bytes() <= Naive::BYTES);
        }
    }
}

fn said(text: &str, account: &str, stored_at_s: u64) -> StoredReply {
    let body = serde_json::json!({"choices": [{"message": {"content": text}}]}).to_string();
    StoredReply { account: account.into(), ..reply(body.as_bytes(), stored_at_s) }
}

#[test]
fn a_purge_drops_what_it_names_and_nothing_else() {
    let purge = |account, before_s, key: Option<&Key>, pattern| {
        let (cache, _) = cache(1 << 20, 60);
        cache.store(key_of(1), said("Refunds take \"14\" days", "acme", NOW_S - 2), None);
        cache.store(key_of(2), said("Größe 43\nis in stock", "acme", NOW_S), None);
        cache.store(key_of(3), said("Refunds are paid", "other", NOW_S - 2), None);
        let dropped = cache.purge(&super::Purge { account, before_s, scope: None, key, pattern });
        let left: Vec<_> = (1..4).filter(|nth| cache.get(&key_of(*nth)).is_some()).collect();
        assert_eq!(dropped, 3 - left.len());
        left
    };
    assert_eq!(purge("acme", NOW_S, None, None), [3]);
    assert_eq!(purge("acme", NOW_S - 1, None, None), [2, 3]);
    assert_eq!(purge("acme", NOW_S, Some(&key_of(2)), None), [1, 3]);
    assert_eq!(purge("acme", NOW_S, Some(&key_of(3)), None), [1, 2, 3]);
    assert_eq!(purge("acme", NOW_S, None, Some("TAKE \"14\"")), [2, 3]);
    assert_eq!(purge("acme", NOW_S, None, Some("größe 43\nIS")), [1, 3]);
    assert_eq!(purge("acme", NOW_S, None, Some("choices")), [1, 2, 3]);
    assert_eq!(purge("nobody", NOW_S, None, None), [1, 2, 3]);
}

fn key_of(nth: u8) -> Key {
    // One in each shard.
    [nth; 32]
}
