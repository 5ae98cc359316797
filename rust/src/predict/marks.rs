//! Marks of a text as a question: its numbers, its options, its code and its formulas.

use crate::classify::ends;

/// Room for marks in a row.
pub(super) const MARKS: usize = 136;
/// Kinds of material a question is made of: options, code, formulas, numbers in prose, plain prose.
pub(super) const MATERIALS: usize = 5;
/// Bytes read at each end of a text, as many as the classifier scans.
const READ_AT_EACH_END: usize = 8 * 1024;
/// Cuts of the ramps for a count.
const FEW: [f32; 6] = [0.5, 1.5, 2.5, 4.5, 8.5, 16.5];
/// Cuts of the ramps for a length, log2.
const LONG: [f32; 6] = [3.0, 4.5, 5.5, 6.5, 7.5, 9.0];

/// What is counted.
#[derive(Debug, Default)]
struct Counts {
    bytes: f32,
    lines: f32,
    words: f32,
    numbers: f32,
    big: f32,
    decimals: f32,
    percents: f32,
    money: f32,
    fractions: f32,
    digits: f32,
    options: f32,
    option_bytes: f32,
    longest_option: f32,
    shortest_option: f32,
    numeric_options: f32,
    stem_bytes: f32,
    stem_questions: f32,
    blanks: f32,
    capitals: f32,
    indented: f32,
    deepest: f32,
    calls: f32,
    loops: f32,
    branches: f32,
    assigns: f32,
    quotes: f32,
    brackets: f32,
    commands: f32,
    dollars: f32,
    powers: f32,
    fracs: f32,
    roots: f32,
    drawings: f32,
    operators: f32,
    quantities: f32,
    terms: f32,
}

/// The material of a text, below [`MATERIALS`], and its marks, at most [`MARKS`].
pub(super) fn of(text: &str, math_terms: u16) -> (usize, Vec<f32>) {
    let mut counts = Counts { terms: f32::from(math_terms), ..Counts::default() };
    for part in ends(text.trim(), READ_AT_EACH_END) {
        counts.numbers_of(part.as_bytes());
        for line in part.lines() {
            counts.line(line);
        }
    }
    (counts.material(), counts.marks())
}

impl Counts {
    fn numbers_of(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while at < bytes.len() {
            if !bytes[at].is_ascii_digit() {
                at += 1;
                continue;
            }
            let start = at;
            let mut is_decimal = false;
            while at < bytes.len() {
                let inner =
                    matches!(bytes[at], b'.' | b',') && bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
                is_decimal |= inner && bytes[at] == b'.';
                if !bytes[at].is_ascii_digit() && !inner {
                    break;
                }
                at += 1;
            }
            let before = start.checked_sub(1).and_then(|before| bytes.get(before));
            self.numbers += 1.0;
            self.digits += (at - start) as f32;
            self.big += one(at - start > 3);
            self.decimals += one(is_decimal);
            self.percents += one(bytes.get(at) == Some(&b'%'));
            self.money += one(before == Some(&b'$'));
            self.fractions +=
                one(bytes.get(at) == Some(&b'/') && bytes.get(at + 1).is_some_and(u8::is_ascii_digit));
        }
    }

    fn line(&mut self, line: &str) {
        let bytes = line.as_bytes();
        let indent = bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        self.lines += 1.0;
        self.bytes += bytes.len() as f32;
        self.indented += one(indent > 0);
        self.deepest = self.deepest.max(indent.min(40) as f32 / 4.0);
        let (questions, has_blank) = self.signs(bytes);
        if let Some(option) = option_of(line) {
            self.option(option);
        } else if self.options == 0.0 {
            self.stem_bytes += bytes.len() as f32;
            self.stem_questions += questions;
            self.blanks += one(has_blank);
        }
        self.words(line);
    }

    fn option(&mut self, option: &str) {
        let length = option.len() as f32;
        let digits = option.bytes().filter(u8::is_ascii_digit).count();
        let letters = option.bytes().filter(u8::is_ascii_alphabetic).count();
        self.shortest_option = if self.options == 0.0 { length } else { self.shortest_option.min(length) };
        self.longest_option = self.longest_option.max(length);
        self.options += 1.0;
        self.option_bytes += length;
        self.numeric_options += one(digits > 0 && letters <= digits + 3);
    }

    fn words(&mut self, line: &str) {
        for word in line.as_bytes().split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
            self.words += 1.0;
            let start = word.iter().position(u8::is_ascii_alphanumeric).unwrap_or(word.len());
            let end = word.iter().rposition(u8::is_ascii_alphanumeric).map_or(start, |last| last + 1);
            let bare = &word[start..end];
            let loud = bare.len() > 2 && bare.iter().all(u8::is_ascii_uppercase);
            self.capitals += one(loud);
            match bare {
                b"for" | b"while" => self.loops += 1.0,
                b"if" | b"elif" | b"else" | b"return" | b"break" | b"continue" => self.branches += 1.0,
                b"each" | b"every" | b"per" | b"times" | b"half" | b"twice" | b"more" | b"less" | b"than"
                | b"remaining" | b"rest" | b"total" | b"left" | b"double" | b"third" | b"quarter" => {
                    self.quantities += 1.0;
                }
                _ => {}
            }
        }
    }

    /// Counts signs; gives the question marks, and whether there is a blank to fill in.
    fn signs(&mut self, bytes: &[u8]) -> (f32, bool) {
        let (mut questions, mut has_blank, mut before) = (0.0, false, b'\n');
        for (at, &byte) in bytes.iter().enumerate() {
            let previous = std::mem::replace(&mut before, byte);
            // Most bytes are letters; a sum of floats for each would wait for the one before.
            if byte.is_ascii_alphanumeric() || byte == b' ' || !byte.is_ascii() {
                continue;
            }
            match byte {
                b'\'' | b'"' => self.quotes += 1.0,
                b'(' => {
                    self.brackets += 1.0;
                    self.calls += one(previous.is_ascii_alphanumeric() || previous == b'_');
                }
                b'[' | b'{' => self.brackets += 1.0,
                b'=' => self.assigns += one(previous == b' '),
                b'$' => self.dollars += 1.0,
                b'^' => self.powers += 1.0,
                b'+' | b'*' | b'<' | b'>' => self.operators += 1.0,
                b'\\' => self.command(bytes.get(at + 1..).unwrap_or_default()),
                b'?' => questions += 1.0,
                b'_' => has_blank |= previous == b'_',
                _ => {}
            }
        }
        self.drawings += one(bytes.starts_with(b"[asy]"));
        (questions, has_blank)
    }

    fn command(&mut self, name: &[u8]) {
        self.commands += 1.0;
        self.fracs += one(name.starts_with(b"frac") || name.starts_with(b"dfrac"));
        self.roots += one(name.starts_with(b"sqrt"));
    }

    /// Marks mean different things in each: more numbers make a sum harder, and a formula no easier.
    fn material(&self) -> usize {
        let dollars = self.dollars - self.money;
        let is_code = self.indented > 0.0 && self.calls >= 2.0 && dollars < 2.0;
        let is_formula = self.commands > 0.0 || dollars >= 2.0 || self.terms > 0.0;
        let holds = [self.options >= 2.0, is_code, is_formula, self.numbers > 0.0];
        holds.iter().position(|holds| *holds).unwrap_or(MATERIALS - 1)
    }

    fn marks(&self) -> Vec<f32> {
        let mut marks = Vec::with_capacity(MARKS);
        let share = |part: f32, of: f32| part / of.max(1.0);
        let few = [
            self.numbers,
            self.big,
            self.decimals,
            self.percents,
            self.money,
            self.fractions,
            self.calls,
            self.loops,
            self.branches,
            self.assigns,
            self.commands,
            self.fracs,
            self.dollars,
            self.powers,
            self.quantities,
        ];
        for count in few {
            ramps(&mut marks, count, &FEW);
        }
        let mean_option = share(self.option_bytes, self.options);
        let long = [self.bytes, self.stem_bytes, mean_option, self.longest_option];
        for length in long {
            ramps(&mut marks, (length + 1.0).log2(), &LONG);
        }
        marks.extend([
            one(self.options >= 2.0),
            one((3.5..4.5).contains(&self.options)),
            one(self.options > 4.0),
            share(self.numeric_options, self.options),
            share(self.longest_option - self.shortest_option, mean_option).min(2.0) / 2.0,
            one(self.stem_questions > 0.0),
            one(self.blanks > 0.0),
            (self.capitals / 4.0).min(1.0),
            self.deepest / 10.0,
            share(self.indented, self.lines),
            (share(self.quotes, self.words) * 2.0).min(1.0),
            (share(self.brackets, self.words) * 2.0).min(1.0),
            (share(self.operators, self.words) * 2.0).min(1.0),
            one(self.drawings > 0.0),
            one(self.roots > 0.0),
            share(self.digits, self.bytes),
            share(self.numbers, self.words),
            share(self.quantities, self.words) * 4.0,
            (self.lines / 40.0).min(1.0),
            (self.terms / 4.0).min(1.0),
        ]);
        marks.truncate(MARKS);
        marks
    }
}

/// The text of a line that begins with one of the first ten letters and a stop, as options of a question do.
fn option_of(line: &str) -> Option<&str> {
    let bytes = line.as_bytes();
    let is_option = bytes.first().is_some_and(|letter| matches!(letter, b'A'..=b'J' | b'a'..=b'j'))
        && matches!(bytes.get(1), Some(b'.' | b')'))
        && bytes.get(2) == Some(&b' ');
    is_option.then(|| line.get(3..)).flatten()
}

/// A count as pieces of a line with a bend at each cut, each from 0 to 1.
fn ramps(marks: &mut Vec<f32>, value: f32, cuts: &[f32; 6]) {
    for (nth, &cut) in cuts.iter().enumerate() {
        let low = if nth == 0 { 0.0 } else { cuts[nth - 1] };
        marks.push(((value - low) / (cut - low)).clamp(0.0, 1.0));
    }
}

fn one(holds: bool) -> f32 {
    f32::from(u8::from(holds))
}
