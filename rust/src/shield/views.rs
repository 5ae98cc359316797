//! Other readings of a text, each made only if something cheap speaks for it.
//!
//! Every word is looked up once; words that are unknown, but known when turned around or shifted by thirteen
//! letters, call for the reading in question. Long texts are read at both ends.

mod spacing;
mod spelling;
#[cfg(test)]
mod tests;
mod vocabulary;

pub(crate) use vocabulary::Vocabulary;

use super::cut;
use super::normalise::Normal;

/// The most common words of English, and of talk to and about assistants, one a line.
pub(crate) const COMMON_WORDS: &str = include_str!("common_words.txt");
/// Bytes that are read at the start and at the end.
const WINDOW: usize = 16 * 1024;
/// Longest text that is read otherwise as a whole, in bytes.
pub(crate) const WHOLE: usize = 2 * WINDOW;
/// Longest text whose words are read in reverse order, in bytes.
const REVERSED_ORDER: usize = 2048;
/// Fewest digits and symbols in words that call for a reading as leet.
const LEET: usize = 2;
/// Fewest pairs of lone letters that call for joining.
const SPACED: usize = 3;
/// Longest run of letters that is a plain word, in letters.
const PLAIN_RUN: usize = 20;
/// Fewest words that must be known when turned around or shifted: of many words, and of a few.
const TURNED: (usize, usize) = (3, 2);

/// Bytes kept on each side of a word that is read otherwise, and what stands for what is left out between them.
const NEAR: usize = 200;
const BREAK: &str = " .\n. ";

/// Another reading of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    /// The text as read.
    pub text: String,
    /// How it was read: `leet`, `spaced`, `nospace`, `typos`, `rot13`, `reversed`, `mirrored`, `word-order`.
    pub via: &'static str,
}

/// The readings that something speaks for.
pub(crate) fn views(normal: &Normal, vocabulary: &Vocabulary) -> Vec<View> {
    let mut found = Vec::new();
    for window in windows(&normal.text) {
        if let Some(text) = normal.text.get(window.0..window.1) {
            readings(normal, window, text, vocabulary, &mut found);
        }
    }
    found
}

/// The whole text, or its first and last part.
fn windows(text: &str) -> Vec<(usize, usize)> {
    if text.len() <= WHOLE {
        return vec![(0, text.len())];
    }
    vec![(0, cut::ceil(text, WINDOW)), (cut::ceil(text, text.len() - WINDOW), text.len())]
}

fn readings(
    normal: &Normal,
    window: (usize, usize),
    text: &str,
    vocabulary: &Vocabulary,
    found: &mut Vec<View>,
) {
    let mut add = |via: &'static str, reading: Option<String>| {
        found.extend(reading.map(|text| View { text, via }));
    };
    let census = &normal.census;
    let tally = Tally::of(text, vocabulary);
    if census.leet >= LEET {
        let leet = spelling::leet(text, census.leet * 3 >= census.words, vocabulary);
        // Digits and missing blanks often come together.
        let parted = leet.as_ref().filter(|_| tally.longest >= PLAIN_RUN);
        add("nospace", parted.and_then(|leet| spacing::parted(leet, vocabulary)));
        add("leet", leet);
    }
    if census.spaced >= SPACED {
        add("spaced", spacing::joined(normal, window, vocabulary));
    }
    if tally.longest >= PLAIN_RUN {
        add("nospace", spacing::parted(text, vocabulary));
    }
    if tally.repairable {
        add("typos", spelling::repaired(text, vocabulary));
    }
    if tally.calls_for(tally.shifted) {
        add("rot13", Some(text.chars().map(shift).collect()));
    }
    if tally.calls_for(tally.turned) {
        add("reversed", Some(text.chars().rev().collect()));
        let turn = |word: &str| Some(word.chars().rev().collect());
        add("mirrored", rewrite(text, char::is_alphanumeric, turn));
    }
}

/// The words of a short text in reverse order. Nothing cheap tells such a text, so the caller says when it is worth it.
pub(crate) fn reversed_order(text: &str) -> Option<View> {
    let words: Vec<&str> = text.split_whitespace().rev().collect();
    (text.len() <= REVERSED_ORDER && words.len() >= 4)
        .then(|| View { text: words.join(" "), via: "word-order" })
}

/// How many words are known as they stand, and how many otherwise.
#[derive(Debug, Default)]
struct Tally {
    words: usize,
    known: usize,
    shifted: usize,
    turned: usize,
    longest: usize,
    repairable: bool,
}

impl Tally {
    fn of(text: &str, vocabulary: &Vocabulary) -> Self {
        let mut tally = Self::default();
        let words = text.as_bytes().split(|byte| !byte.is_ascii_alphabetic()).filter(|word| !word.is_empty());
        for word in words {
            tally.words += 1;
            if vocabulary.knows(word) {
                tally.known += 1;
                continue;
            }
            tally.longest = tally.longest.max(word.len());
            if word.len() < 3 || word.len() > PLAIN_RUN {
                continue;
            }
            let shifted =
                word.iter().map(|byte| if matches!(byte, b'a'..=b'm') { byte + 13 } else { byte - 13 });
            tally.shifted += usize::from(vocabulary.knows_iter(shifted));
            tally.turned += usize::from(vocabulary.knows_iter(word.iter().rev().copied()));
            tally.repairable = tally.repairable || vocabulary.repair(word).is_some();
        }
        tally
    }

    const fn calls_for(&self, otherwise: usize) -> bool {
        otherwise >= TURNED.0 || otherwise >= TURNED.1 && otherwise * 2 >= self.words
    }
}

/// The letter thirteen places on.
fn shift(letter: char) -> char {
    match letter {
        'a'..='m' => char::from_u32(u32::from(letter) + 13).unwrap_or(letter),
        'n'..='z' => char::from_u32(u32::from(letter) - 13).unwrap_or(letter),
        _ => letter,
    }
}

/// `text` with other words where `change` gives one, and what stands near them; nothing if it never does.
fn rewrite(
    text: &str,
    belongs: impl Fn(char) -> bool,
    mut change: impl FnMut(&str) -> Option<String>,
) -> Option<String> {
    let (mut rewritten, mut kept, mut at) = (String::new(), 0, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let start = at + rest.find(&belongs).unwrap_or(rest.len());
        let word = text.get(start..).unwrap_or_default();
        let word = word.get(..word.find(|letter| !belongs(letter)).unwrap_or(word.len())).unwrap_or_default();
        at = start + word.len();
        if let Some(changed) = Some(word).filter(|word| !word.is_empty()).and_then(&mut change) {
            between(text, kept, start, &mut rewritten);
            rewritten.push_str(&changed);
            kept = at;
        }
    }
    if kept == 0 {
        return None;
    }
    rewritten.push_str(text.get(kept..cut::floor(text, kept + NEAR)).unwrap_or_default());
    Some(rewritten)
}

/// Append what stands between two changes; of a long stretch only its ends, since what lies far from a change reads as
/// it did before.
fn between(text: &str, from: usize, to: usize, rewritten: &mut String) {
    let (head, tail) = (cut::floor(text, from + NEAR), cut::ceil(text, to.saturating_sub(NEAR)));
    if tail <= head {
        rewritten.push_str(text.get(from..to).unwrap_or_default());
        return;
    }
    if from > 0 {
        rewritten.push_str(text.get(from..head).unwrap_or_default());
    }
    rewritten.push_str(BREAK);
    rewritten.push_str(text.get(tail..to).unwrap_or_default());
}
