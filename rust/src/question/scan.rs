//! Cuts a text into words, and refuses what its shape alone forbids.

use std::borrow::Cow;

use super::Unfit;
use super::shape;
use super::token::{AFTER_COMMA, CAPITAL, QUOTED, SHOUTED, STARTS, Token};
use super::words::Words;

/// A quoted passage longer than this is a text to work on, not a question.
const MAX_QUOTED_WORDS: usize = 20;

/// Signs that mean something beside words.
const SIGNS: &str = "%$£€¥₹+=<>*^#@°&~|√∞≤≥≠±×÷∑∫π";

/// Where the cutter is.
struct Cutter<'t, 'w> {
    text: &'t str,
    words: &'w Words,
    tokens: Vec<Token<'t>>,
    next: u8,
    /// Words since the quotation mark that is open.
    quoted: Option<usize>,
}

/// Cut `text`, which is in small letters; `original` has the capitals, at the same places.
pub(super) fn cut<'t>(text: &'t str, original: &str, words: &'t Words) -> Result<Vec<Token<'t>>, Unfit> {
    let mut cutter =
        Cutter { text, words, tokens: Vec::with_capacity(text.len() / 4 + 4), next: STARTS, quoted: None };
    let mut at = 0;
    while let Some(char) = text[at..].chars().next() {
        let end = if char.is_alphanumeric() {
            let end = word_end(text, at);
            cutter.word(at, end, original)?;
            end
        } else {
            cutter.sign(char, at);
            at + char.len_utf8()
        };
        at = end;
    }
    Ok(cutter.tokens)
}

/// Where the word that begins at `at` ends: letters, digits, and the signs that may stand inside one.
fn word_end(text: &str, at: usize) -> usize {
    let mut end = at;
    let mut chars = text[at..].char_indices().peekable();
    while let Some((offset, char)) = chars.next() {
        let next = chars.peek().map(|&(_, next)| next);
        let inside = match char {
            '\'' | '_' => next.is_some_and(char::is_alphanumeric),
            '.' | ':' | ',' | '/' => {
                let before = text[..at + offset].chars().next_back();
                let digits = before.is_some_and(|char| char.is_ascii_digit())
                    && next.is_some_and(|char| char.is_ascii_digit());
                digits || char == '.' && next.is_some_and(char::is_alphabetic)
            }
            // C++, C#
            '+' | '#' => {
                let head = &text[at..at + offset];
                matches!(head, "c" | "c+" | "f" | "a" | "b" | "o") && !next.is_some_and(char::is_alphanumeric)
            }
            _ => char.is_alphanumeric() || is_mark(char),
        };
        if !inside {
            break;
        }
        end = at + offset + char.len_utf8();
    }
    end
}

/// Combining accents belong to the letter before.
const fn is_mark(char: char) -> bool {
    matches!(char, '\u{300}'..='\u{36f}')
}

impl<'t> Cutter<'t, '_> {
    fn push(&mut self, text: Cow<'t, str>, flags: u8) {
        let quoted = if self.quoted.is_some() { QUOTED } else { 0 };
        self.tokens.push(Token::new(text, flags | self.next | quoted, self.words));
        self.next = 0;
    }

    fn word(&mut self, start: usize, end: usize, original: &str) -> Result<(), Unfit> {
        let (word, written) = (&self.text[start..end], &original[start..end]);
        if shape::is_link_like(word) {
            return Err(Unfit::Link);
        }
        if let Some(count) = &mut self.quoted {
            *count += 1;
            if *count > MAX_QUOTED_WORDS {
                return Err(Unfit::Quote);
            }
        }
        let mut flags = 0;
        if written.starts_with(|char: char| char.is_uppercase()) {
            flags |= CAPITAL;
            if written.chars().count() > 1 && !written.chars().any(char::is_lowercase) {
                flags |= SHOUTED;
            }
        }
        if let Some(owner) = word.strip_suffix("'s").filter(|owner| !takes_is(owner)) {
            if owner.len() > 1 && owner.bytes().all(|byte| byte.is_ascii_digit()) {
                // The 1980's are no single year.
                self.push(Cow::Owned(format!("{owner}s")), flags);
            } else {
                self.push(Cow::Borrowed(owner), flags);
                self.push(Cow::Borrowed("'s"), 0);
            }
        } else if word.bytes().next().is_some_and(|byte| byte.is_ascii_digit()) {
            self.number(word, flags);
        } else if word.len() > 3 && word.as_bytes()[1] == b'.' && word.split('.').all(|part| part.len() == 1)
        {
            self.push(Cow::Owned(word.replace('.', "")), flags | SHOUTED);
        } else {
            self.push(Cow::Borrowed(word), flags);
        }
        Ok(())
    }

    /// "1,000", "5kg", "9am", "10k", "2nd".
    fn number(&mut self, word: &'t str, flags: u8) {
        let digits = word.len()
            - word.trim_start_matches(|char: char| char.is_ascii_digit() || ".,:/".contains(char)).len();
        let (figure, unit) = word.split_at(digits);
        let figure = plain_figure(figure);
        let negative = self.take_minus();
        let figure = if negative { Cow::Owned(format!("-{figure}")) } else { figure };
        match unit {
            "" => self.push(figure, flags),
            "k" => self.push(Cow::Owned(format!("{figure}000")), flags),
            "st" | "nd" | "rd" | "th" | "s" => self.push(Cow::Borrowed(word), flags),
            _ if self.words.number(unit) != 0 => {
                self.push(figure, flags);
                self.push(Cow::Borrowed(unit), 0);
            }
            _ => self.push(Cow::Borrowed(word), flags),
        }
    }

    /// A minus sign was pushed for this number alone.
    fn take_minus(&mut self) -> bool {
        let minus =
            if self.tokens.last().is_some_and(|token| token.text == "-") { self.tokens.pop() } else { None };
        if let Some(token) = &minus {
            self.next |= token.flags & !QUOTED;
        }
        minus.is_some()
    }

    fn sign(&mut self, char: char, at: usize) {
        let after = self.text[at + char.len_utf8()..].chars().next();
        let before = self.text[..at].chars().next_back();
        match char {
            '.' | '?' | '!' | '\n' | '…' => {
                if char == '!' && before.is_some_and(|char| char.is_ascii_digit()) && after.is_some() {
                    self.push(Cow::Borrowed("!"), 0);
                }
                self.next |= STARTS;
            }
            ',' | ';' | ':' | '–' | '—' | '(' | ')' => self.next |= AFTER_COMMA,
            '"' | '`' if before == Some(char) => {}
            '"' | '`' => self.quoted = if self.quoted.is_some() { None } else { Some(0) },
            '\'' => self.single_quote(before, after),
            '-' => self.hyphen(before, after),
            '&' => self.push(Cow::Borrowed("and"), 0),
            '*' | '#' | '~' | '|' if !stands_alone(before, after) => {}
            _ if SIGNS.contains(char)
                || (!char.is_ascii() && !char.is_whitespace() && !is_punctuation(char)) =>
            {
                let end = at + char.len_utf8();
                self.push(Cow::Borrowed(&self.text[at..end]), 0);
            }
            _ => {}
        }
    }

    fn single_quote(&mut self, before: Option<char>, after: Option<char>) {
        let opens =
            before.is_none_or(|char| !char.is_alphanumeric()) && after.is_some_and(char::is_alphanumeric);
        if self.quoted.is_some() {
            self.quoted = None;
        } else if opens {
            self.quoted = Some(0);
        }
    }

    /// A minus before a number, or between two.
    fn hyphen(&mut self, before: Option<char>, after: Option<char>) {
        let number_follows = after.is_some_and(|char| char.is_ascii_digit());
        if number_follows && before.is_none_or(|char| !char.is_alphanumeric()) {
            self.push(Cow::Borrowed("-"), 0);
        } else if before.is_some_and(char::is_whitespace) && after.is_some_and(char::is_whitespace) {
            if self.tokens.last().is_some_and(Token::is_number) {
                self.push(Cow::Borrowed("minus"), 0);
            } else {
                self.next |= AFTER_COMMA;
            }
        }
    }
}

/// Thousands separators out: "1,000" is 1000.
fn plain_figure(figure: &str) -> Cow<'_, str> {
    let figure = figure.trim_end_matches(['.', ',', ':', '/']);
    if figure.contains(',') { Cow::Owned(figure.replace(',', "")) } else { Cow::Borrowed(figure) }
}

/// "what's" is "what is", but "Ana's" is hers.
fn takes_is(owner: &str) -> bool {
    matches!(
        owner,
        "what"
            | "who"
            | "where"
            | "when"
            | "how"
            | "why"
            | "it"
            | "that"
            | "there"
            | "here"
            | "he"
            | "she"
            | "let"
            | "which"
    )
}

/// Between blanks, as a sign of arithmetic does.
fn stands_alone(before: Option<char>, after: Option<char>) -> bool {
    let side = |char: Option<char>| char.is_some_and(|char| char.is_whitespace() || char.is_ascii_digit());
    side(before) && side(after)
}

const fn is_punctuation(char: char) -> bool {
    matches!(char, '\u{2000}'..='\u{206f}' | '\u{3000}'..='\u{303f}' | '\u{fe00}'..='\u{fe0f}')
        || matches!(char, '¡' | '¿' | '«' | '»' | '·' | '\u{a0}' | '\u{ad}')
}
