//! What the algorithms see of shared memory: words that are read and changed by compare-and-swap, nothing else.

use std::sync::atomic::{AtomicU64, Ordering};

/// Words that several processes change at once, in one order that all of them see (`SeqCst`). Reading costs the same
/// as under weaker orders on x86-64, and the proofs need no more than "one step after the other".
pub(super) trait Words {
    /// The word at `at`.
    fn load(&self, at: usize) -> u64;

    /// Put `new` where `old` stands; false when something else stands there.
    fn replace(&self, at: usize, old: u64, new: u64) -> bool;
}

impl Words for [AtomicU64] {
    fn load(&self, at: usize) -> u64 {
        self[at].load(Ordering::SeqCst)
    }

    fn replace(&self, at: usize, old: u64, new: u64) -> bool {
        self[at].compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}
