//! Cuts a text into words as BERT does: small letters without accents; punctuation and ideographs alone.

use unicode_normalization::char::decompose_canonical;

use super::table::Table;

/// Control characters and accents vanish.
const DROP: u8 = 1;
const SPACE: u8 = 2;
const PUNCTUATION: u8 = 3;
const IDEOGRAPH: u8 = 4;
/// BERT gives up on a word of more characters.
const MAX_CHARACTERS: usize = 100;

/// Collects the letters of one word at a time.
pub(super) struct Words<'table> {
    table: &'table Table,
    word: String,
    characters: usize,
}

impl<'table> Words<'table> {
    /// Nothing collected yet.
    pub(super) fn new(table: &'table Table) -> Self {
        Self { table, word: String::with_capacity(64), characters: 0 }
    }

    /// Give every word, except those that are too long.
    pub(super) fn each(mut self, text: &str, mut give: impl FnMut(&str)) {
        let mut rest = text;
        loop {
            if let Some((word, after)) = self.whole(rest) {
                if word.len() <= MAX_CHARACTERS {
                    give(word);
                }
                rest = after;
            }
            let mut characters = rest.chars();
            let Some(character) = characters.next() else { break };
            rest = characters.as_str();
            self.character(character, &mut give);
        }
        self.end(&mut give);
    }

    /// A word that is written as the vocabulary writes it, and the rest of the text; most are, and need no copy.
    fn whole<'text>(&self, text: &'text str) -> Option<(&'text str, &'text str)> {
        let is_plain = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9');
        let length = text.bytes().position(|byte| !is_plain(&byte)).unwrap_or(text.len());
        let ends_it =
            |byte: u8| byte.is_ascii() && matches!(self.table.class(byte.into()), SPACE | PUNCTUATION);
        let is_whole = self.characters == 0 && text.as_bytes().get(length).copied().is_none_or(ends_it);
        if length > 0 && is_whole { text.split_at_checked(length) } else { None }
    }

    fn character(&mut self, character: char, give: &mut impl FnMut(&str)) {
        if character.is_ascii_alphanumeric() {
            self.push(character.to_ascii_lowercase());
            return;
        }
        match self.table.class(character) {
            DROP => {}
            SPACE => self.end(give),
            PUNCTUATION if character.is_ascii() => self.alone(character, give),
            IDEOGRAPH => {
                self.end(give);
                self.decompose(character, give);
                self.end(give);
            }
            _ => self.decompose(character, give),
        }
    }

    /// A letter with an accent is a letter and an accent, which vanishes.
    fn decompose(&mut self, character: char, give: &mut impl FnMut(&str)) {
        decompose_canonical(character, |part| match self.table.class(part) {
            DROP => {}
            PUNCTUATION => self.alone(part, give),
            _ => part.to_lowercase().for_each(|small| self.push(small)),
        });
    }

    fn alone(&mut self, character: char, give: &mut impl FnMut(&str)) {
        self.end(give);
        self.push(character);
        self.end(give);
    }

    fn push(&mut self, character: char) {
        if self.characters < MAX_CHARACTERS {
            self.word.push(character);
        }
        self.characters += 1;
    }

    fn end(&mut self, give: &mut impl FnMut(&str)) {
        if (1..=MAX_CHARACTERS).contains(&self.characters) {
            give(&self.word);
        }
        self.word.clear();
        self.characters = 0;
    }
}
