//! A text as the matcher reads it: small letters, plain forms, nothing invisible, single blanks.
//!
//! The census says where plain ASCII ends, which is copied as it is; the rest is read character by character.
//! Accents fall away (`é` is `e`, `ё` is `е`, and so `й` is `и`): words to look for must pass through
//! [`normalise`], too. Letters that only look Latin become Latin in words that are Latin otherwise, and in
//! words of nothing but such letters if the words around them are Latin; Russian and Greek stay as they are.

mod census;
mod glyphs;
mod hidden;
mod markup;
mod offsets;
#[cfg(test)]
mod tests;

pub(crate) use census::Census;

use census::Stops;
use glyphs::{Unseen, blank, latin, line_break, plain, simple, unseen};
use hidden::Hidden;
use offsets::Offsets;
use unicode_normalization::char::{compose, is_combining_mark};

/// Longest word that is read as one, in characters; what follows counts as another word.
const WORD: usize = 256;
/// How far back or ahead a neighbouring word is looked for, in characters.
const NEIGHBOUR: usize = 64;

/// A text as the matcher reads it.
pub(crate) struct Normal {
    /// The text to match.
    pub text: String,
    /// What invisible characters spell out, as it was hidden: not normalised.
    pub hidden: String,
    /// What the text is made of.
    pub census: Census,
    offsets: Offsets,
}

impl Normal {
    /// Where the byte at `at` in [`Self::text`] comes from in the original, as a byte offset. A boundary
    /// between characters comes from such a boundary.
    pub fn origin(&self, at: usize) -> usize {
        self.offsets.origin(at)
    }
}

/// Read `text` the way the matcher does.
pub(crate) fn normalise(text: &str) -> Normal {
    let (mut census, stops) = Census::of(text);
    let mut reader =
        Reader { source: text, text: String::with_capacity(text.len()), stops, ..Reader::default() };
    reader.all();
    if !text.is_ascii() {
        census.words_of(&Census::of(&reader.text).0);
    }
    census.zero_width = reader.zero_width;
    census.combining = reader.combining;
    census.invisible = reader.invisible;
    Normal { text: reader.text, hidden: reader.hidden.finish(), census, offsets: reader.offsets }
}

/// A character of the word being read: as it is, as Latin if it looks so, and where it came from.
#[derive(Clone, Copy)]
struct Item {
    plain: char,
    latin: Option<char>,
    origin: usize,
}

/// What script a word is written in, as far as lookalikes are concerned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Script {
    Latin,
    Other,
    Unknown,
}

#[derive(Default)]
struct Reader<'a> {
    source: &'a str,
    stops: Stops,
    /// How much of `source` is read.
    at: usize,
    text: String,
    offsets: Offsets,
    hidden: Hidden,
    word: Vec<Item>,
    /// A letter of the word looks like no Latin one.
    foreign: bool,
    /// The next place where a comment ends, once it was looked for.
    comment_end: Option<usize>,
    /// The script of the next telling word, valid up to a place in `source`.
    ahead: Option<(usize, Script)>,
    zero_width: usize,
    combining: usize,
    invisible: usize,
}

impl Reader<'_> {
    fn all(&mut self) {
        while self.at < self.source.len() {
            self.copy();
            match self.rest().chars().next() {
                Some(letter) if blank(letter) => self.blanks(),
                Some('*' | '_' | '~' | '`') => self.emphasis(),
                Some('<') => self.comment(),
                Some(_) => self.read_word(),
                None => {}
            }
        }
        self.text.make_ascii_lowercase();
        let trimmed = self.text.trim_end().len();
        if trimmed == self.text.len() {
            self.offsets.mark(trimmed, self.source.len());
        }
        self.text.truncate(trimmed);
    }

    fn rest(&self) -> &str {
        self.source.get(self.at..).unwrap_or_default()
    }

    /// Copy what is plain ASCII.
    fn copy(&mut self) {
        if self.after_blank() && self.rest().starts_with([' ', '\n']) {
            return;
        }
        let end = self.stops.next(self.at).unwrap_or(self.source.len());
        let Some(plain) = self.source.get(self.at..end).filter(|plain| !plain.is_empty()) else { return };
        self.offsets.mark(self.text.len(), self.at);
        self.text.push_str(plain);
        self.at = end;
    }

    /// Would a blank be the first character, or one after another?
    fn after_blank(&self) -> bool {
        matches!(self.text.as_bytes().last(), None | Some(b' ' | b'\n'))
    }

    fn push(&mut self, letter: char, origin: usize) {
        if blank(letter) {
            return self.push_blank(line_break(letter), origin);
        }
        self.offsets.mark(self.text.len(), origin);
        self.text.push(letter);
    }

    fn push_blank(&mut self, breaks: bool, origin: usize) {
        if self.text.is_empty() {
            return;
        }
        if self.after_blank() {
            if !breaks {
                return;
            }
            self.text.pop();
            self.text.push('\n');
            return;
        }
        self.offsets.mark(self.text.len(), origin);
        self.text.push(if breaks { '\n' } else { ' ' });
    }

    fn blanks(&mut self) {
        let start = self.at;
        let mut breaks = false;
        while let Some(letter) = self.rest().chars().next() {
            if blank(letter) {
                breaks |= line_break(letter);
                self.at += letter.len_utf8();
            } else if !self.skip_unseen(letter) {
                break;
            }
        }
        self.push_blank(breaks, start);
    }

    /// Take out a character without a glyph, and the run of its like if that may spell something.
    fn skip_unseen(&mut self, letter: char) -> bool {
        let Some(kind) = unseen(letter) else { return false };
        let spelled = self.hidden.run(self.source, self.at);
        for letter in spelled.chars() {
            match unseen(letter) {
                Some(Unseen::ZeroWidth) => self.zero_width += 1,
                _ => self.invisible += 1,
            }
        }
        if spelled.is_empty() {
            match kind {
                Unseen::ZeroWidth => self.zero_width += 1,
                Unseen::Control => self.invisible += 1,
            }
        }
        self.at += spelled.len().max(letter.len_utf8());
        true
    }

    /// Read one word that is not plain ASCII, or one character of any other kind.
    fn read_word(&mut self) {
        let before = self.at;
        self.back_to_word_start();
        self.foreign = false;
        while let Some(letter) = self.rest().chars().next() {
            if self.skip_unseen(letter) {
                continue;
            }
            if self.word.len() >= WORD || !self.read_letter(letter) {
                break;
            }
        }
        self.write_word();
        let Some(letter) = self.rest().chars().next().filter(|_| self.at == before) else { return };
        let mut combining = 0;
        plain(letter, &mut combining, |part, _| self.push(part, before));
        self.combining += combining;
        self.at += letter.len_utf8();
    }

    /// Take back the letters in ASCII that the word starts with: they decide what the others are.
    fn back_to_word_start(&mut self) {
        let copied = self.text.get(self.offsets.copied_from()..).unwrap_or_default().as_bytes();
        let letters =
            copied.iter().rev().take(WORD / 2).take_while(|byte| byte.is_ascii_alphanumeric()).count();
        // Only if the letters come from right before: something may have been taken out in between.
        let start = self.text.len() - letters;
        if self.offsets.origin(start) + letters == self.at {
            self.text.truncate(start);
            self.at -= letters;
        }
    }

    /// Add `letter` to the word, or say that it does not belong there.
    fn read_letter(&mut self, letter: char) -> bool {
        let origin = self.at;
        if letter.is_ascii() {
            if !letter.is_ascii_alphanumeric() {
                return false;
            }
            let small = letter.to_ascii_lowercase();
            self.word.push(Item { plain: small, latin: Some(small), origin });
            self.at += 1;
            return true;
        }
        if let Some(small) = simple(letter) {
            let latin = if self.foreign { None } else { latin(letter) };
            self.foreign |= latin.is_none();
            self.word.push(Item { plain: small, latin, origin });
            self.at += letter.len_utf8();
            return true;
        }
        let (length, mut combining, mut belongs) = (self.word.len(), 0, true);
        plain(letter, &mut combining, |part, from| {
            let mark = is_combining_mark(part);
            belongs &= mark || part.is_alphanumeric();
            let joined = self.word.last().and_then(|last| compose(last.plain, part));
            if let Some((last, joined)) = self.word.last_mut().zip(joined) {
                last.plain = joined;
                return;
            }
            let latin = if part.is_ascii() {
                Some(part)
            } else if self.foreign {
                None
            } else {
                latin(from)
            };
            self.foreign |= latin.is_none();
            self.word.push(Item { plain: part, latin, origin });
        });
        if !belongs {
            self.word.truncate(length);
            self.foreign = self.word.iter().any(|item| item.latin.is_none());
            return false;
        }
        self.combining += combining;
        self.at += letter.len_utf8();
        true
    }

    fn write_word(&mut self) {
        let has_ascii = self.word.iter().any(|item| item.plain.is_ascii_alphabetic());
        let becomes_latin = !self.foreign && (has_ascii || self.stands_among_latin());
        let mut word = std::mem::take(&mut self.word);
        for item in word.drain(..) {
            let letter = item.latin.filter(|_| becomes_latin).unwrap_or(item.plain);
            self.push(letter, item.origin);
        }
        self.word = word;
    }

    /// Are the nearest telling words Latin? One of the two may be missing.
    fn stands_among_latin(&mut self) -> bool {
        let nearest = self.text.chars().rev().take(NEIGHBOUR).find(|letter| letter.is_alphabetic());
        let before = nearest.map_or(Script::Unknown, script);
        if before == Script::Other {
            return false;
        }
        let after = match self.ahead {
            Some((until, script)) if self.at < until => script,
            _ => self.look_ahead(),
        };
        after != Script::Other && (before, after) != (Script::Unknown, Script::Unknown)
    }

    fn look_ahead(&mut self) -> Script {
        let mut until = self.at;
        let mut found = Script::Unknown;
        for letter in self.rest().chars().take(NEIGHBOUR) {
            found = script(letter);
            if found != Script::Unknown {
                break;
            }
            until += letter.len_utf8();
        }
        self.ahead = Some((until, found));
        found
    }
}

/// What one letter tells about its word. Letters that look Latin tell nothing.
fn script(letter: char) -> Script {
    let mut first = None;
    plain(letter, &mut 0, |part, from| {
        first.get_or_insert((part, from));
    });
    match first {
        Some((part, _)) if part.is_ascii_alphabetic() => Script::Latin,
        Some((part, from)) if part.is_alphabetic() && latin(from).is_none() => Script::Other,
        _ => Script::Unknown,
    }
}
