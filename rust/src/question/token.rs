//! One word of a text.

use std::borrow::Cow;

use super::words::Words;

/// First word of a sentence.
pub(super) const STARTS: u8 = 1;
/// A comma, a colon or a dash stands before it.
pub(super) const AFTER_COMMA: u8 = 2;
/// Written with a capital letter.
pub(super) const CAPITAL: u8 = 4;
/// Stands between quotation marks.
pub(super) const QUOTED: u8 = 8;
/// "Your" where nobody says "I", so that it means anybody's.
pub(super) const ANYBODY: u8 = 16;
/// More than its first letter is a capital.
pub(super) const SHOUTED: u8 = 32;

/// A word, a number or a sign that carries meaning.
#[derive(Debug, Clone)]
pub(super) struct Token<'a> {
    /// In small letters.
    pub text: Cow<'a, str>,
    /// Its number among the words of the rules.
    pub number: u32,
    pub flags: u8,
}

impl<'a> Token<'a> {
    pub(super) fn new(text: Cow<'a, str>, flags: u8, words: &Words) -> Self {
        let number = words.number(&text);
        Self { text, number, flags }
    }

    /// A word of the rules.
    pub(super) fn known(number: u32, flags: u8, words: &'a Words) -> Self {
        Self { text: Cow::Borrowed(words.text(number)), number, flags }
    }

    pub(super) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(super) fn is_number(&self) -> bool {
        self.text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_digit() || byte == b'-' && self.text.len() > 1)
    }
}

/// Where the sentences of a text lie.
pub(super) fn sentences(tokens: &[Token<'_>]) -> Vec<std::ops::Range<usize>> {
    let mut starts: Vec<usize> = (0..tokens.len()).filter(|&at| at == 0 || tokens[at].has(STARTS)).collect();
    starts.push(tokens.len());
    starts.windows(2).map(|pair| pair[0]..pair[1]).collect()
}
