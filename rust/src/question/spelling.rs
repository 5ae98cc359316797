//! Mends words with one wrong letter.

use super::lemma;
use super::pack::Pack;
use super::token::{CAPITAL, QUOTED, STARTS, Token};

/// Shorter words have too many neighbours.
const MIN_LETTERS: usize = 5;
const MAX_LETTERS: usize = 20;
/// Words mended in one text; each costs hundreds of look-ups.
const MAX_MENDED: usize = 3;
/// A word that is not among so many of the most frequent is no likely meaning of a misspelling.
const COMMON: u32 = 16_000;
/// With a letter more, less or other than the right word, rather than two changed places, ...
const COMMON_STRICT: u32 = 12_000;
const MIN_LETTERS_STRICT: usize = 7;
/// The best reading must be so many times as frequent as the second best.
const CLEARLY: u32 = 4;

/// Mend the words of a text that nobody knows.
pub(super) fn mend(tokens: &mut [Token<'_>], pack: &Pack, known: &impl Fn(&str) -> Option<u32>) {
    let mut tried = 0;
    for token in tokens {
        let name = token.has(CAPITAL) && !token.has(STARTS);
        if token.number != 0 || name || token.has(QUOTED) || tried == MAX_MENDED || !mendable(&token.text) {
            continue;
        }
        if is_known(&token.text, pack, known) {
            continue;
        }
        tried += 1;
        if let Some(word) = best(&token.text, known) {
            token.number = pack.words.number(&word);
            token.text = word.into();
        }
    }
}

fn mendable(word: &str) -> bool {
    (MIN_LETTERS..=MAX_LETTERS).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// Itself, or with an ending that makes other forms of a word.
fn is_known(word: &str, pack: &Pack, known: &impl Fn(&str) -> Option<u32>) -> bool {
    let stem = |stem: &str| known(stem).is_some() || pack.words.number(stem) != 0;
    stem(word) || lemma::stems(word).any(|candidate| candidate.len() >= 3 && stem(&candidate))
}

/// The one clearly best word a letter away.
fn best(word: &str, known: &impl Fn(&str) -> Option<u32>) -> Option<String> {
    swapped(word, known).or_else(|| if word.len() < MIN_LETTERS_STRICT { None } else { changed(word, known) })
}

/// Candidates so far: the best and the rank of the second.
#[derive(Default)]
struct Race {
    best: Option<(u32, String)>,
    second: Option<u32>,
}

impl Race {
    fn enter(&mut self, rank: u32, word: &[u8]) {
        let Ok(word) = std::str::from_utf8(word) else { return };
        match &self.best {
            Some((_, best)) if best == word => {}
            Some((first, _)) if *first <= rank => {
                self.second = Some(self.second.map_or(rank, |second| second.min(rank)));
            }
            _ => {
                self.second = self.best.take().map(|(rank, _)| rank).or(self.second);
                self.best = Some((rank, word.to_owned()));
            }
        }
    }

    fn winner(self, common: u32) -> Option<String> {
        let (rank, word) = self.best?;
        let clear = self.second.is_none_or(|second| second / CLEARLY >= rank);
        (clear && rank <= common).then_some(word)
    }
}

/// Two neighbours changed places: the slip that is hardly ever another word.
fn swapped(word: &str, known: &impl Fn(&str) -> Option<u32>) -> Option<String> {
    let mut race = Race::default();
    let mut letters = word.as_bytes().to_vec();
    for at in 1..letters.len() - 1 {
        letters.swap(at, at + 1);
        race_entry(&mut race, &letters, known);
        letters.swap(at, at + 1);
    }
    race.winner(COMMON)
}

fn race_entry(race: &mut Race, letters: &[u8], known: &impl Fn(&str) -> Option<u32>) {
    if let Some(rank) = std::str::from_utf8(letters).ok().and_then(known) {
        race.enter(rank, letters);
    }
}

/// A letter more, less, or another one; the first stays.
fn changed(word: &str, known: &impl Fn(&str) -> Option<u32>) -> Option<String> {
    let mut race = Race::default();
    let letters = word.as_bytes();
    let mut other = Vec::with_capacity(letters.len() + 1);
    for at in 1..=letters.len() {
        for letter in b'a'..=b'z' {
            other.clear();
            other.extend_from_slice(&letters[..at]);
            other.push(letter);
            other.extend_from_slice(&letters[at..]);
            race_entry(&mut race, &other, known);
            if at < letters.len() {
                other.remove(at + 1);
                race_entry(&mut race, &other, known);
            }
        }
        if at < letters.len() {
            other.clear();
            other.extend_from_slice(&letters[..at]);
            other.extend_from_slice(&letters[at + 1..]);
            race_entry(&mut race, &other, known);
        }
    }
    race.winner(COMMON_STRICT)
}
