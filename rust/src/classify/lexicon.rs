//! Which classes a word or phrase belongs to: one look into a table for each word.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::words::{self, Word};

/// The lists; see the head of the file for their form.
const TASK_WORDS: &str = include_str!("lexicon.txt");
const RISK_WORDS: &str = include_str!("risk.txt");
/// Each class is one bit.
pub(super) const MAX_CLASSES: usize = 128;
/// Longest phrase, in words.
const MAX_PHRASE: usize = 4;
/// Endings have two to eight letters and count in words of seven or more.
const MIN_WORD_WITH_ENDING: usize = 7;
const ENDINGS: std::ops::RangeInclusive<usize> = 3..=8;

/// A set of classes.
pub(super) type Classes = u128;

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    classes: Classes,
    /// Bit n: a phrase of n words ends with this word.
    phrases: u8,
}

/// The compiled lists.
pub(super) struct Lexicon {
    names: Vec<&'static str>,
    /// (check bits of the hash, index into `entries` from 1); a power of two, at most half full.
    slots: Vec<(u32, u16)>,
    entries: Vec<Entry>,
    endings: BTreeMap<u64, Classes>,
}

impl Lexicon {
    /// Compile the lists of the crate.
    pub(super) fn new() -> Self {
        let mut draft = Draft::default();
        for line in TASK_WORDS.lines().chain(RISK_WORDS.lines()).map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                Some(name) => draft.names.push(name),
                None => line.split_whitespace().for_each(|item| draft.add(item)),
            }
        }
        draft.compile()
    }

    /// SHA-256 of the lists: weights fit one version of them.
    pub(super) fn fingerprint() -> [u8; 32] {
        use sha2::{Digest, Sha256};
        Sha256::new().chain_update(TASK_WORDS).chain_update(RISK_WORDS).finalize().into()
    }

    /// The classes, in the order of the lists.
    pub(super) fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// The set of the classes whose name satisfies `belongs`.
    pub(super) fn classes_where(&self, belongs: impl Fn(&str) -> bool) -> Classes {
        self.names
            .iter()
            .enumerate()
            .filter(|(_, name)| belongs(name))
            .fold(0, |set, (bit, _)| set | 1 << bit)
    }

    /// Classes of a word alone, and of the phrases that it ends. `before` holds the hashes of the words before it,
    /// nearest first, 0 where there is none.
    pub(super) fn look_up(
        &self,
        text: &str,
        word: Word,
        before: [u64; MAX_PHRASE - 1],
    ) -> (Classes, Classes) {
        let Some(entry) = self.entry(word.hash) else { return (self.of_ending(text, word), 0) };
        let mut in_phrase = 0;
        if entry.phrases != 0 {
            let mut phrase = word.hash;
            for (nth, earlier) in before.into_iter().enumerate() {
                phrase = words::join(phrase, earlier);
                if entry.phrases & (1 << (nth + 2)) != 0 {
                    in_phrase |= self.entry(phrase).map_or(0, |entry| entry.classes);
                }
            }
        }
        (entry.classes, in_phrase)
    }

    fn entry(&self, hash: u64) -> Option<Entry> {
        let mask = self.slots.len() - 1;
        let spread = words::spread(hash);
        let check = (spread >> 32) as u32;
        let mut at = spread as usize & mask;
        loop {
            let &(found, index) = self.slots.get(at)?;
            if index == 0 {
                return None;
            }
            if found == check {
                return self.entries.get(usize::from(index) - 1).copied();
            }
            at = (at + 1) & mask;
        }
    }

    fn of_ending(&self, text: &str, word: Word) -> Classes {
        let letters = text.as_bytes().get(word.start..word.end).unwrap_or_default();
        if letters.len() < MIN_WORD_WITH_ENDING || !letters.is_ascii() {
            return 0;
        }
        let mut classes = 0;
        for length in ENDINGS {
            let ending = letters.len().checked_sub(length).and_then(|from| letters.get(from..));
            let hash = words::hash_of(ending.unwrap_or_default());
            classes |= self.endings.get(&hash).copied().unwrap_or(0);
        }
        classes
    }
}

#[derive(Default)]
struct Draft {
    names: Vec<&'static str>,
    entries: BTreeMap<u64, Entry>,
    endings: BTreeMap<u64, Classes>,
}

impl Draft {
    fn add(&mut self, item: &str) {
        let class = 1 << (self.names.len().clamp(1, MAX_CLASSES) - 1);
        if let Some(ending) = item.strip_prefix('-') {
            *self.endings.entry(words::hash_of(ending.as_bytes())).or_default() |= class;
        } else if let Some(stem) = item.strip_suffix('+').filter(|stem| !stem.ends_with('+')) {
            for form in inflections(stem) {
                self.add_phrase(&form, class);
            }
        } else {
            self.add_phrase(item, class);
        }
    }

    fn add_phrase(&mut self, item: &str, class: Classes) {
        let phrase = item.replace('_', " ");
        let hashes: Vec<u64> = words::words(&phrase).map(|word| word.hash).take(MAX_PHRASE).collect();
        let Some((&last, before)) = hashes.split_last() else { return };
        let whole = before.iter().rev().fold(last, |hash, &earlier| words::join(hash, earlier));
        self.entries.entry(whole).or_default().classes |= class;
        if !before.is_empty() {
            self.entries.entry(last).or_default().phrases |= 1 << hashes.len();
        }
    }

    fn compile(self) -> Lexicon {
        let size = (self.entries.len() * 2).next_power_of_two();
        let mut slots = vec![(0_u32, 0_u16); size];
        let mut entries = Vec::with_capacity(self.entries.len());
        for (hash, entry) in self.entries {
            let spread = words::spread(hash);
            let mut at = spread as usize & (size - 1);
            while slots[at].1 != 0 {
                at = (at + 1) & (size - 1);
            }
            entries.push(entry);
            slots[at] = ((spread >> 32) as u32, u16::try_from(entries.len()).unwrap_or(0));
        }
        Lexicon { names: self.names, slots, entries, endings: self.endings }
    }
}

/// The regular forms of an English word: craft, crafts, crafted, crafting.
fn inflections(stem: &str) -> Vec<String> {
    let mut forms = vec![stem.to_owned()];
    if let Some(root) = stem.strip_suffix('e') {
        forms.extend(["es", "ed", "ing"].map(|ending| format!("{root}{ending}")));
    } else if let Some(root) = stem.strip_suffix('y').filter(|root| !root.ends_with(['a', 'e', 'o', 'u'])) {
        forms.extend(["ies", "ied", "ying"].map(|ending| format!("{root}{ending}")));
    } else if stem.ends_with(['s', 'x', 'z']) || stem.ends_with("sh") || stem.ends_with("ch") {
        forms.extend(["es", "ed", "ing"].map(|ending| format!("{stem}{ending}")));
    } else {
        forms.extend(["s", "ed", "ing"].map(|ending| format!("{stem}{ending}")));
    }
    forms
}
