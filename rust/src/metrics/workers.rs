//! Whose gauges count: each living worker has a place, and each gauge a word for every place.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use crate::mapped::Process;

use super::table::Table;

/// Places, and so workers with gauges: as many as may share the rate limits.
pub(super) const WORDS: usize = 64;

/// Take this process's place, a free one, or that of a dead worker, whose gauges are wiped; none where all live.
pub(super) fn take_place(table: &Table<'_>, me: Process, gauges: &[&str]) -> Option<usize> {
    let workers = table.workers();
    for (place, worker) in workers.iter().enumerate() {
        let holder = worker.load(Acquire);
        if holder == me.0 {
            return Some(place);
        }
        if (holder == 0 || !Process(holder).is_alive())
            && worker.compare_exchange(holder, me.0, AcqRel, Acquire).is_ok()
        {
            wipe(table, place, gauges);
            return Some(place);
        }
    }
    None
}

/// The places of those who live.
pub(super) fn living(table: &Table<'_>) -> Vec<usize> {
    let workers = table.workers().iter().map(|worker| worker.load(Acquire)).enumerate();
    workers
        .filter(|(_, worker)| *worker != 0 && Process(*worker).is_alive())
        .map(|(place, _)| place)
        .collect()
}

/// A gauge's word: zero says nothing.
pub(super) fn word_of(value: i64) -> u64 {
    (u64::from_ne_bytes(value.to_ne_bytes()) << 1) | 1
}

/// The value of a gauge's word, if it says any.
pub(super) fn value_of(word: u64) -> Option<i64> {
    (word & 1 == 1).then(|| i64::from_ne_bytes(word.to_ne_bytes()) >> 1)
}

fn wipe(table: &Table<'_>, place: usize, gauges: &[&str]) {
    for entry in table.entries() {
        if gauges.contains(&super::text::family_of(&table.text(entry))) {
            table.values(entry, WORDS)[place].store(0, Relaxed);
        }
    }
}
