//! Encoded text within a text, decoded once and within a budget.
//!
//! Nothing is looked for that the census has not seen signs of. What comes out must read as text; a random
//! blob is given up after three samples of it. The caller decodes again what was decoded, [`DEPTH`] deep.

mod escapes;
mod joins;
mod runs;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use super::cut;
use super::normalise::Census;

/// How often decoded text is worth decoding again.
pub(crate) const DEPTH: usize = 2;
/// Most bytes of encoded text that are decoded in one scan.
const INPUT: usize = 64 * 1024;
/// Most bytes of decoded text in one scan.
const OUTPUT: usize = 64 * 1024;
/// Most pieces of encoded text in one scan.
const SEGMENTS: usize = 16;
/// Fewer characters of decoded text say nothing.
const SHORTEST: usize = 6;
/// Fewer escapes of a kind are ordinary writing.
const ESCAPES: usize = 3;

/// A piece of text that was encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// What it says.
    pub text: String,
    /// The encoding, such as `base64`.
    pub via: &'static str,
    /// First byte of the encoded piece.
    pub start: usize,
    /// Byte after its last.
    pub end: usize,
}

/// What is left to be spent on decoding in one scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Budget {
    input: usize,
    output: usize,
    segments: usize,
    /// Something was left encoded.
    pub exhausted: bool,
}

impl Default for Budget {
    fn default() -> Self {
        Self { input: INPUT, output: OUTPUT, segments: SEGMENTS, exhausted: false }
    }
}

impl Budget {
    /// Is nothing left, though there is more to look at?
    fn is_spent(&mut self) -> bool {
        self.exhausted |= self.segments == 0 || self.output == 0 || self.input == 0;
        self.exhausted
    }

    /// How much of a piece of `length` bytes may be read; zero if nothing is left.
    fn take(&mut self, length: usize) -> usize {
        if self.is_spent() {
            return 0;
        }
        let taken = length.min(self.input);
        self.exhausted |= taken < length;
        self.input -= taken;
        self.segments -= 1;
        taken
    }

    /// Cut `text` to what may still be given out.
    fn give(&mut self, mut text: String) -> String {
        if text.len() > self.output {
            self.exhausted = true;
            text.truncate(cut::floor(&text, self.output));
        }
        self.output -= text.len();
        text
    }
}

/// The text with each `\\n`, `\\r` and `\\t` that stands written out turned into the blank that it means, so that words
/// beside it are words. No byte moves.
pub(crate) fn written_out(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let is_blank = |at: usize| {
        matches!(bytes.get(at + 1), Some(b'n' | b'r' | b't')) && bytes.get(at.wrapping_sub(1)) != Some(&b'\\')
    };
    let mut found = memchr::memchr_iter(b'\\', bytes).filter(|at| is_blank(*at)).peekable();
    if found.peek().is_none() {
        return Cow::Borrowed(text);
    }
    let (mut read, mut rest) = (String::with_capacity(text.len()), 0);
    for at in found {
        read.push_str(&text[rest..at]);
        read.push_str(if bytes.get(at + 1) == Some(&b't') { "  " } else { " \n" });
        rest = at + 2;
    }
    read.push_str(&text[rest..]);
    Cow::Owned(read)
}

/// Decode what is encoded in `text`, whose census says where to look. The original text is to be given, not
/// the normalised one: base64 tells capitals from small letters.
pub(crate) fn decode(text: &str, census: &Census, budget: &mut Budget) -> Vec<Decoded> {
    let mut found = Vec::new();
    // A single escape beside a run may be glued to it: `text%3DSGVs`.
    let fewest = if census.longest_base64 > 0 { 1 } else { ESCAPES };
    if census.percent >= fewest {
        escapes::percent(text, fewest, budget, &mut found);
    }
    if census.entities >= ESCAPES {
        escapes::entities(text, budget, &mut found);
    }
    if census.escapes >= ESCAPES {
        escapes::backslashes(text, budget, &mut found);
    }
    if census.joins > 0 {
        joins::strings(text, budget, &mut found);
    }
    if census.octets >= ESCAPES {
        runs::octets(text, budget, &mut found);
    }
    if census.pairs >= ESCAPES || census.hex_prefixes >= ESCAPES {
        runs::pairs(text, budget, &mut found);
    }
    if census.longest_base64 > 0 {
        runs::alphabets(text, budget, &mut found);
    }
    found
}

/// Bytes that may be text: as it is, or two bytes to a letter as Windows writes it.
fn readable(bytes: &[u8]) -> String {
    let zeroes = bytes.iter().skip(1).step_by(2).filter(|byte| **byte == 0).count();
    if zeroes * 5 >= bytes.len() * 2 {
        let units: Vec<u16> =
            bytes.chunks_exact(2).filter_map(|two| two.try_into().ok()).map(u16::from_le_bytes).collect();
        return String::from_utf16_lossy(&units);
    }
    String::from_utf8_lossy(bytes).into_owned()
}

/// Can this character be seen in a text?
fn printable(letter: char) -> bool {
    letter != char::REPLACEMENT_CHARACTER && (!letter.is_control() || letter.is_whitespace())
}

/// At least 85 % of the characters can be seen, and most of those are letters, digits or blanks.
fn is_text(text: &str) -> bool {
    let (mut all, mut seen, mut plain) = (0_usize, 0_usize, 0_usize);
    for letter in text.chars() {
        all += 1;
        seen += usize::from(printable(letter));
        plain += usize::from(letter.is_alphanumeric() || letter == ' ');
    }
    all >= SHORTEST && seen * 100 >= all * 85 && plain * 100 >= all * 60
}
