//! Known words, found by themselves, by their letters, or with one letter missing.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Shortest word that a misspelt one is taken for, in letters: shorter ones are too close to each other.
const REPAIRED: usize = 5;
/// Longest word that is repaired, in letters.
const LONGEST: usize = 24;

/// Words that other spellings are read as.
#[derive(Debug, Default)]
pub(crate) struct Vocabulary {
    words: Vec<Box<str>>,
    exact: Index,
    /// By the sum over the letters, in whatever order they come.
    letters: Index,
    /// By what is left if one inner letter is taken out.
    dropped: Index,
    /// Which words there are at all, and which a misspelt one may be taken for.
    known: Ends,
    meant: Ends,
}

/// By first and last letter, the lengths of the words that have them: most words that are none are told by this alone.
#[derive(Debug)]
struct Ends(Box<[u32]>);

impl Default for Ends {
    fn default() -> Self {
        Self(vec![0; 26 * 26].into())
    }
}

impl Ends {
    fn place(first: Option<u8>, last: Option<u8>) -> Option<usize> {
        let letter =
            |byte: Option<u8>| byte.filter(u8::is_ascii_lowercase).map(|byte| usize::from(byte - b'a'));
        Some(letter(first)? * 26 + letter(last)?)
    }

    fn add(&mut self, word: &[u8]) {
        let place = Self::place(word.first().copied(), word.last().copied());
        if let Some(lengths) = place.and_then(|place| self.0.get_mut(place)) {
            *lengths |= 1 << word.len().min(31);
        }
    }

    /// May there be a word with these ends and one of these lengths (a bit each)?
    fn have(&self, first: Option<u8>, last: Option<u8>, lengths: u32) -> bool {
        Self::place(first, last).and_then(|place| self.0.get(place)).is_some_and(|known| known & lengths != 0)
    }
}

/// Places in `words` by a hash that is well mixed already. Of words with the same key the first stays.
type Index = HashMap<u64, usize, BuildHasherDefault<Mixed>>;

/// Passes a hash through.
#[derive(Debug, Default)]
pub(crate) struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash(bytes);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

impl Vocabulary {
    /// Know these words, in small letters; only `triggers` are what a misspelt word may be taken for. Where two are spelt
    /// alike, the first is meant.
    pub(crate) fn new<'a>(
        triggers: impl Iterator<Item = &'a str>,
        common: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mut new = Self::default();
        let words = triggers.map(|word| (word, true)).chain(common.map(|word| (word, false)));
        for (word, trigger) in words.filter(|(word, _)| !word.is_empty()) {
            let at = new.words.len();
            let bytes = word.as_bytes();
            new.exact.entry(hash(bytes)).or_insert(at);
            new.known.add(bytes);
            if trigger
                && (REPAIRED..=LONGEST).contains(&bytes.len())
                && bytes.iter().all(u8::is_ascii_lowercase)
            {
                new.meant.add(bytes);
                new.letters.entry(letters(bytes)).or_insert(at);
                for missing in 1..bytes.len() - 1 {
                    new.dropped.entry(hash_iter(without(bytes, missing))).or_insert(at);
                }
            }
            new.words.push(word.into());
        }
        new
    }

    /// Is `word` one of them?
    pub(crate) fn knows(&self, word: &[u8]) -> bool {
        self.knows_iter(word.iter().copied())
    }

    /// Is the word of these letters one of them?
    pub(super) fn knows_iter(
        &self,
        letters: impl DoubleEndedIterator<Item = u8> + ExactSizeIterator + Clone,
    ) -> bool {
        let (first, last) = (letters.clone().next(), letters.clone().next_back());
        let is_word = Ends::place(first, last).is_some();
        if is_word && !self.known.have(first, last, 1 << letters.len().min(31)) {
            return false;
        }
        let word = self.exact.get(&hash_iter(letters.clone())).and_then(|at| self.words.get(*at));
        word.is_some_and(|word| word.bytes().eq(letters))
    }

    /// Are there words of about its length with its ends, one end perhaps swapped with its neighbour?
    fn may_be_misspelt(&self, word: &[u8]) -> bool {
        let lengths = 0b111 << (word.len().min(30) - 1);
        let [first, second, .., before, last] = *word else { return false };
        [(first, last), (second, last), (first, before)]
            .into_iter()
            .any(|(first, last)| self.meant.have(Some(first), Some(last), lengths))
    }

    /// The known word that `word`, which is none, was meant to be: its inner letters are in another order,
    /// two neighbours are swapped, one inner letter is missing, or one is doubled.
    pub(crate) fn repair(&self, word: &[u8]) -> Option<&str> {
        if word.len() + 1 < REPAIRED || word.len() > LONGEST + 1 || !self.may_be_misspelt(word) {
            return None;
        }
        let meant =
            |index: &Index, key: u64| index.get(&key).and_then(|at| self.words.get(*at)).map(AsRef::as_ref);
        meant(&self.letters, letters(word))
            .filter(|meant: &&str| is_reordered(word, meant.as_bytes()))
            .or_else(|| {
                meant(&self.dropped, hash(word)).filter(|meant| {
                    let meant = meant.as_bytes();
                    (1..meant.len().saturating_sub(1)).any(|at| without(meant, at).eq(word.iter().copied()))
                })
            })
            .or_else(|| {
                let doubled = word.windows(2).position(|two| matches!(two, [one, other] if one == other))?;
                let key = hash_iter(without(word, doubled));
                let meant = meant(&self.exact, key).filter(|meant| meant.len() >= REPAIRED)?;
                meant.bytes().eq(without(word, doubled)).then_some(meant)
            })
    }
}

/// The hash of a word of one more letter: FNV-1a, whose steps make every prefix of a text cheap to look up.
pub(super) const fn grow(hash: u64, letter: u8) -> u64 {
    (hash ^ letter as u64).wrapping_mul(0x0000_0100_0000_01b3)
}

/// The hash of no letters.
pub(super) const EMPTY: u64 = 0xcbf2_9ce4_8422_2325;

fn hash(word: &[u8]) -> u64 {
    hash_iter(word.iter().copied())
}

fn hash_iter(letters: impl Iterator<Item = u8>) -> u64 {
    finish(letters.fold(EMPTY, grow))
}

/// FNV leaves the high bits, which the table reads, poorly mixed.
const fn finish(hash: u64) -> u64 {
    hash ^ hash.rotate_left(29).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Vocabulary {
    /// Is there a word with this unfinished hash? Rarely wrong, which a guess at where words end can bear.
    pub(super) fn knows_hash(&self, unfinished: u64) -> bool {
        self.exact.contains_key(&finish(unfinished))
    }
}

fn letters(word: &[u8]) -> u64 {
    word.iter().fold(0, |sum: u64, letter| sum.wrapping_add(hash(&[*letter])))
}

fn without(word: &[u8], missing: usize) -> impl Iterator<Item = u8> + '_ {
    word.iter().enumerate().filter(move |(at, _)| *at != missing).map(|(_, letter)| *letter)
}

/// Has `word` the letters of `meant` between the same ends, or with one pair of neighbours swapped?
fn is_reordered(word: &[u8], meant: &[u8]) -> bool {
    if word.len() != meant.len() {
        return false;
    }
    if word.first() == meant.first() && word.last() == meant.last() {
        let sorted = |word: &[u8]| {
            let mut letters = word.to_vec();
            letters.sort_unstable();
            letters
        };
        return sorted(word) == sorted(meant);
    }
    let mut differ = (0..word.len()).filter(|at| word.get(*at) != meant.get(*at));
    match (differ.next(), differ.next(), differ.next()) {
        (Some(left), Some(right), None) => {
            right == left + 1 && word.get(left) == meant.get(right) && word.get(right) == meant.get(left)
        }
        _ => false,
    }
}
