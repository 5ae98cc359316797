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
        for character in text.chars() {
            if character.is_ascii_alphanumeric() {
                self.push(character.to_ascii_lowercase());
                continue;
            }
            match self.table.class(character) {
                DROP => {}
                SPACE => self.end(&mut give),
                PUNCTUATION if character.is_ascii() => self.alone(character, &mut give),
                IDEOGRAPH => {
                    self.end(&mut give);
                    self.decompose(character, &mut give);
                    self.end(&mut give);
                }
                _ => self.decompose(character, &mut give),
            }
        }
        self.end(&mut give);
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
