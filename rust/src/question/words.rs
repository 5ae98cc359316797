//! Words as small numbers, so that rules compare numbers instead of letters.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// The number of a word that no rule names.
pub(super) const UNKNOWN: u32 = 0;

/// FNV-1a: quick for short words. The keys are our own rules, so nobody can crowd the table.
#[derive(Clone, Copy)]
pub(super) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A map with words for keys.
pub(super) type WordMap<K, V> = HashMap<K, V, BuildHasherDefault<Fnv>>;

/// Every word that a rule names.
#[derive(Default)]
pub(super) struct Words {
    numbers: WordMap<Box<str>, u32>,
    texts: Vec<Box<str>>,
}

impl Words {
    /// The number of a word, given now if it has none.
    pub(super) fn learn(&mut self, word: &str) -> u32 {
        if let Some(&number) = self.numbers.get(word) {
            return number;
        }
        self.texts.push(word.into());
        let number = u32::try_from(self.texts.len()).unwrap_or(UNKNOWN);
        self.numbers.insert(word.into(), number);
        number
    }

    pub(super) fn number(&self, word: &str) -> u32 {
        self.numbers.get(word).copied().unwrap_or(UNKNOWN)
    }

    /// The word of a number; empty for [`UNKNOWN`].
    pub(super) fn text(&self, number: u32) -> &str {
        (number as usize).checked_sub(1).and_then(|at| self.texts.get(at)).map_or("", |text| text)
    }

    /// The largest number given.
    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }
}

/// 40 bits that stand for a word in stored features.
pub(super) fn hash_of(word: &str) -> u64 {
    let mut hasher = Fnv::default();
    hasher.write(word.as_bytes());
    // FNV alone leaves the high bits of short words alike (the mixing step of MurmurHash3, public domain).
    let mut hash = hasher.finish();
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (hash ^ (hash >> 33)) >> 24
}
