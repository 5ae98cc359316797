//! Cuts a text into words and hashes them, in small letters, without copying anything.

#[cfg(test)]
mod tests;

/// FNV-1a, 64 bits: one multiplication a letter.
const SEED: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;
/// All numbers are one word to the n-grams: their digits say nothing about the task.
pub(super) const NUMBER: u64 = 0x6e75_6d62_6572_0001;

/// One word, or one character of a script that is written without spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    /// Hash of the small letters.
    pub(super) hash: u64,
    /// First byte.
    pub(super) start: usize,
    /// Byte after the last.
    pub(super) end: usize,
    /// Does it consist of ASCII digits?
    pub(super) is_number: bool,
}

/// Join the hashes of two neighbours; order matters.
pub(super) const fn join(first: u64, second: u64) -> u64 {
    (first.rotate_left(23) ^ second).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Spread a hash over all bits, so that any of them can be an index.
pub(super) const fn spread(hash: u64) -> u64 {
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ (mixed >> 32)
}

/// Hash of ASCII letters.
pub(super) fn hash_of(letters: &[u8]) -> u64 {
    letters.iter().fold(SEED, |hash, letter| step(hash, u64::from(letter.to_ascii_lowercase())))
}

const fn step(hash: u64, letter: u64) -> u64 {
    (hash ^ letter).wrapping_mul(PRIME)
}

/// The word that starts at `at`; none if no word starts there.
pub(super) fn word_at(text: &str, at: usize) -> Option<Word> {
    let bytes = text.as_bytes();
    let mut word = Word { hash: SEED, start: at, end: at, is_number: true };
    while let Some(&byte) = bytes.get(word.end) {
        let width = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => word.take(byte),
            b'\'' if word.end > at && is_letter_at(bytes, word.end + 1) => word.take(b'\''),
            b'+' if word.end == at + 1 && bytes.get(word.end + 1) == Some(&b'+') => word.take(b'+'),
            b'+' if word.end == at + 2 && bytes.get(word.end - 1) == Some(&b'+') => word.take(b'+'),
            b'#' if word.end == at + 1 => word.take(b'#'),
            0x80.. => match word.take_other(text) {
                Step::Over(width) => width,
                Step::Alone => return Some(word),
                Step::End => break,
            },
            _ => break,
        };
        word.end += width;
    }
    (word.end > at).then_some(word)
}

enum Step {
    Over(usize),
    Alone,
    End,
}

impl Word {
    fn take(&mut self, byte: u8) -> usize {
        self.hash = step(self.hash, u64::from(byte.to_ascii_lowercase()));
        self.is_number &= byte.is_ascii_digit();
        1
    }

    /// A character beyond ASCII: a letter continues the word, an ideograph is a word of its own.
    fn take_other(&mut self, text: &str) -> Step {
        let Some(letter) = text.get(self.end..).and_then(|rest| rest.chars().next()) else {
            return Step::End;
        };
        let width = letter.len_utf8();
        if letter == '\u{2019}' && self.end > self.start && is_letter_at(text.as_bytes(), self.end + width) {
            self.hash = step(self.hash, u64::from(b'\''));
            return Step::Over(width);
        }
        if !letter.is_alphanumeric() {
            return Step::End;
        }
        let is_ideograph =
            matches!(letter, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}');
        if is_ideograph && self.end > self.start {
            return Step::End;
        }
        self.is_number = false;
        for small in letter.to_lowercase() {
            self.hash = step(self.hash, u64::from(u32::from(small)));
        }
        if is_ideograph {
            self.end += width;
            return Step::Alone;
        }
        Step::Over(width)
    }
}

fn is_letter_at(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_some_and(u8::is_ascii_alphabetic)
}

/// All words of a text, for lists and tests; the scan walks by itself.
pub(super) fn words(text: &str) -> impl Iterator<Item = Word> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < text.len() {
            if let Some(word) = word_at(text, at) {
                at = word.end;
                return Some(word);
            }
            at += text.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
        }
        None
    })
}
