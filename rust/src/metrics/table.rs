//! Series by their text, in the words of the file: an open hash table whose slots name entries in an arena.
//!
//! An entry is written whole before a slot names it, and never changes its place. Who dies in between leaves words
//! that nobody uses; of two who begin the same series at once, one does.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::{MAX_SERIES, workers};

/// Where the arena's first free word is told; the two words before are the file's own.
const FREE: usize = 2;
/// How many series there are.
const SERIES: usize = 3;
/// How often one was turned away.
const AWAY: usize = 4;
/// The workers with gauges.
const WORKERS: usize = 8;
const SLOTS: usize = WORKERS + workers::WORDS;
/// At most half of them are ever taken, and a few more for what comes beyond.
const SLOT_COUNT: usize = 8192;
const ARENA: usize = SLOTS + SLOT_COUNT;
/// 2 MiB: room for 4,096 series of 60 words, and a histogram of 16 buckets with 200 bytes of labels has 45.
const ARENA_WORDS: usize = 256 * 1024;
/// Kept for the series that take what comes beyond.
const RESERVE: usize = 16 * 1024;

/// Words of the file.
pub(super) const WORDS: usize = ARENA + ARENA_WORDS;

/// Bytes of the longest text of a series.
const MAX_TEXT: usize = 1024;

/// Which room an entry may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// Up to the bound on series and the reserve.
    Usual,
    /// The reserve too.
    Last,
}

/// An entry: where its text is, and where its values begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    at: usize,
    text_bytes: usize,
    pub(super) values: usize,
}

pub(super) struct Table<'a> {
    words: &'a [AtomicU64],
}

/// Fill the words of a new file.
pub(super) fn lay_out(words: &mut [u64]) {
    words[FREE] = ARENA as u64;
}

impl<'a> Table<'a> {
    pub(super) fn new(words: &'a [AtomicU64]) -> Self {
        Self { words }
    }

    /// One word for each worker.
    pub(super) fn workers(&self) -> &'a [AtomicU64] {
        &self.words[WORKERS..SLOTS]
    }

    /// These words of an entry's values.
    pub(super) fn values(&self, entry: Entry, count: usize) -> &'a [AtomicU64] {
        &self.words[entry.values..entry.values + count]
    }

    pub(super) fn turned_away(&self) {
        self.words[AWAY].fetch_add(1, Relaxed);
    }

    pub(super) fn times_turned_away(&self) -> u64 {
        self.words[AWAY].load(Relaxed)
    }

    /// All entries, in no order.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> {
        self.words[SLOTS..ARENA].iter().filter_map(|slot| self.entry(slot.load(Acquire)))
    }

    /// The text of an entry.
    pub(super) fn text(&self, entry: Entry) -> String {
        String::from_utf8_lossy(&self.bytes(entry)).into_owned()
    }

    /// The first word of the values of a series, begun with zeros if there is none; none where there is no room.
    pub(super) fn find(&self, text: &str, values: usize, room: Room) -> Option<usize> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let mut begun = None;
        let first = index(hash(text.as_bytes()) % SLOT_COUNT as u64);
        for step in 0..SLOT_COUNT {
            let slot = &self.words[SLOTS + (first + step) % SLOT_COUNT];
            let mut named = slot.load(Acquire);
            if named == 0 {
                let mine = match begun {
                    Some(mine) => mine,
                    None => *begun.insert(self.begin(text, values, room)?),
                };
                match slot.compare_exchange(0, mine, AcqRel, Acquire) {
                    Ok(_) => {
                        self.words[SERIES].fetch_add(1, Relaxed);
                        named = mine;
                    }
                    Err(theirs) => named = theirs,
                }
            }
            let entry = self.entry(named)?;
            if self.bytes(entry) == text.as_bytes() {
                return Some(entry.values);
            }
        }
        None
    }

    /// Write an entry that no slot names yet.
    fn begin(&self, text: &str, values: usize, room: Room) -> Option<u64> {
        if room == Room::Usual && self.words[SERIES].load(Relaxed) >= MAX_SERIES {
            return None;
        }
        let end = if room == Room::Usual { WORDS - RESERVE } else { WORDS };
        let size = 1 + text.len().div_ceil(8) + values;
        let taken = self.words[FREE]
            .fetch_update(Relaxed, Relaxed, |free| (index(free) + size <= end).then(|| free + size as u64));
        let at = taken.ok()?;
        for (word, bytes) in self.words[index(at) + 1..].iter().zip(text.as_bytes().chunks(8)) {
            let mut packed = [0; 8];
            packed[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(packed), Relaxed);
        }
        self.words[index(at)].store(text.len() as u64, Release);
        Some(at)
    }

    fn entry(&self, named: u64) -> Option<Entry> {
        let at = index(named);
        if at == 0 {
            return None;
        }
        let text_bytes = index(self.words[at].load(Relaxed));
        Some(Entry { at, text_bytes, values: at + 1 + text_bytes.div_ceil(8) })
    }

    fn bytes(&self, entry: Entry) -> Vec<u8> {
        let words = &self.words[entry.at + 1..entry.values];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.load(Relaxed).to_le_bytes()).collect();
        bytes.truncate(entry.text_bytes);
        bytes
    }
}

/// FNV-1a, 64 bits: the same in every process.
fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[expect(clippy::cast_possible_truncation, reason = "indices of a file of 2 MiB")]
fn index(word: u64) -> usize {
    word as usize
}
