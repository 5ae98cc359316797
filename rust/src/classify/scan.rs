//! One pass over a text: which word classes stand where, which word n-grams occur, what shape it has.

#[cfg(test)]
mod tests;

use super::lexicon::{Classes, Lexicon, MAX_CLASSES};
use super::shape::{self, Shape};
use super::words::{self, NUMBER, Word};

/// Longer texts are read at both ends, where requests stand; the middle is only counted.
const READ_AT_EACH_END: usize = 8 * 1024;
/// Buckets of the hashed n-grams.
pub(crate) const BUCKETS: usize = 1 << 15;
/// Words at the beginning and at the end that have zones of their own.
const HEAD: usize = 20;
const TAIL: usize = 20;
/// Words after a leading verb among which its object is sought.
const REACH: u32 = 14;
/// Sentences at the beginning whose verb and object are paired; the last sentence is paired as well.
const PAIRED_SENTENCES: u32 = 3;
/// Words whose n-grams are marked as opening the text.
const OPENING: u32 = 5;
/// Classes that can lead a sentence; they come first in the lists.
pub(super) const LEADS: usize = 48;

/// Where in the text a class was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zone {
    /// What leads the first sentence, politeness skipped.
    FirstLead,
    /// What leads the last sentence.
    LastLead,
    /// What leads any sentence.
    AnyLead,
    /// The first twenty words.
    Head,
    /// The last twenty words.
    Tail,
    /// The very first word.
    Opening,
    /// The first word of a sentence that ends with a question mark.
    Question,
}

/// Number of zones.
pub(super) const ZONES: usize = 7;

/// What one pass found.
pub(super) struct Scan {
    pub(super) zones: [Classes; ZONES],
    pub(super) counts: [u16; MAX_CLASSES],
    /// For each leading class, what stood after it.
    pub(super) pairs: [Classes; LEADS],
    /// Distinct buckets, in the order of the text.
    pub(super) ngrams: Vec<u16>,
    pub(super) shape: Shape,
}

/// What the scan must know of the lists.
pub(super) struct Roles {
    pub(super) polite: Classes,
    pub(super) leads: Classes,
}

impl Scan {
    /// Scan `text`, whose surrounding blanks do not count.
    pub(super) fn of(text: &str, lexicon: &Lexicon, roles: &Roles) -> Self {
        let text = text.trim();
        let mut walk = Walk::new(lexicon, roles);
        walk.scan.shape = Shape::of(text);
        let [head, tail] = ends(text, READ_AT_EACH_END);
        walk.read(head);
        if !tail.is_empty() {
            walk.end_sentence(false);
            walk.read(tail);
        }
        walk.finish()
    }

    /// How many words belong to `classes`.
    pub(super) fn hits(&self, mut classes: Classes) -> u16 {
        let mut sum: u16 = 0;
        while classes != 0 {
            sum = sum.saturating_add(self.counts[classes.trailing_zeros() as usize]);
            classes &= classes - 1;
        }
        sum
    }
}

/// The first and the last `each` bytes of a text; all of it and nothing if it has no more than both.
pub(crate) fn ends(text: &str, each: usize) -> [&str; 2] {
    if text.len() <= 2 * each {
        return [text, ""];
    }
    let head = text.get(..boundary(text, each)).unwrap_or_default();
    [head, text.get(boundary(text, text.len() - each)..).unwrap_or_default()]
}

/// The nearest character boundary at or before `at`.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

struct Walk<'a> {
    lexicon: &'a Lexicon,
    roles: &'a Roles,
    scan: Scan,
    seen: Vec<u64>,
    before: [u64; 3],
    previous: u64,
    tail: [Classes; TAIL],
    sentence: Sentence,
    /// Words since a sign ended a sentence.
    since_stop: u32,
    last_lead: Classes,
    last_pairs: Vec<(u32, Classes)>,
    at_line_start: bool,
    in_first_line: bool,
}

/// The sentence being read.
#[derive(Clone, Copy, Default)]
struct Sentence {
    words: u32,
    opening: Classes,
    lead: Classes,
    /// Words since the lead; 0 before it.
    since_lead: u32,
    after_lead: Classes,
}

impl<'a> Walk<'a> {
    fn new(lexicon: &'a Lexicon, roles: &'a Roles) -> Self {
        let scan = Scan {
            zones: [0; ZONES],
            counts: [0; MAX_CLASSES],
            pairs: [0; LEADS],
            ngrams: Vec::with_capacity(512),
            shape: Shape::default(),
        };
        Self {
            lexicon,
            roles,
            scan,
            seen: vec![0; BUCKETS / 64],
            before: [0; 3],
            previous: 0,
            tail: [0; TAIL],
            sentence: Sentence::default(),
            since_stop: 0,
            last_lead: 0,
            last_pairs: Vec::new(),
            at_line_start: true,
            in_first_line: true,
        }
    }

    fn read(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if byte.is_ascii_alphanumeric() || byte >= 0x80 {
                if let Some(word) = words::word_at(text, at) {
                    self.word(text, word);
                    at = word.end;
                    continue;
                }
            }
            if shape::wraps(bytes, at) {
                self.scan.shape.wraps += 1;
            } else {
                self.punctuation(byte, bytes.get(at + 1).copied());
            }
            at += if byte < 0x80 {
                1
            } else {
                text.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
            };
        }
    }

    fn word(&mut self, text: &str, word: Word) {
        self.count_word(text, word);
        let (alone, phrase) = self.lexicon.look_up(text, word, self.before);
        let nth = self.scan.shape.words;
        self.place(nth, alone | phrase);
        self.lead(alone, phrase);
        let gram = if word.is_number { NUMBER } else { word.hash };
        self.gram(gram);
        self.gram(words::join(self.previous, gram));
        if nth < OPENING {
            self.gram(words::join(words::join(self.previous, gram), 1));
        }
        self.ending(text, word);
        self.previous = gram;
        self.before = [word.hash, self.before[0], self.before[1]];
        self.scan.shape.words += 1;
        self.sentence.words += 1;
        self.since_stop += 1;
    }

    fn count_word(&mut self, text: &str, word: Word) {
        let shape = &mut self.scan.shape;
        let length = word.end - word.start;
        shape.numbers += u32::from(word.is_number);
        shape.long_words += u32::from(length >= 9);
        shape.letters += u32::try_from(length).unwrap_or(u32::MAX);
        shape.first_line_words += u32::from(self.in_first_line);
        let is_numbered = word.is_number && matches!(text.as_bytes().get(word.end), Some(b'.' | b')'));
        shape.list_items += u32::from(self.at_line_start && is_numbered);
        self.at_line_start = false;
    }

    /// Note the classes of the nth word in the zones that depend on its place.
    fn place(&mut self, nth: u32, classes: Classes) {
        let nth = nth as usize;
        if nth == 0 {
            self.scan.zones[Zone::Opening as usize] = classes;
        }
        if nth < HEAD {
            self.scan.zones[Zone::Head as usize] |= classes;
        }
        self.tail[nth % TAIL] = classes;
        let mut rest = classes;
        while rest != 0 {
            let class = rest.trailing_zeros() as usize;
            self.scan.counts[class] = self.scan.counts[class].saturating_add(1);
            rest &= rest - 1;
        }
    }

    /// Find the word that leads the sentence, and what follows it.
    fn lead(&mut self, alone: Classes, phrase: Classes) {
        let sentence = &mut self.sentence;
        if sentence.words == 0 {
            sentence.opening = alone;
        }
        if sentence.since_lead == 0 {
            sentence.lead |= phrase & self.roles.leads;
            if alone & self.roles.polite == 0 {
                sentence.lead |= alone & self.roles.leads;
                sentence.since_lead = 1;
            }
            return;
        }
        if sentence.since_lead <= 3 {
            sentence.lead |= phrase & self.roles.leads;
        }
        if sentence.since_lead <= REACH {
            sentence.after_lead |= alone | phrase;
        }
        sentence.since_lead += 1;
    }

    /// Endings carry over to words never seen: of medicines, diseases, verbs.
    fn ending(&mut self, text: &str, word: Word) {
        let letters = text.as_bytes().get(word.start..word.end).unwrap_or_default();
        if letters.len() < 7 {
            return;
        }
        for length in [3, 4] {
            let ending = letters.get(letters.len() - length..).unwrap_or_default();
            self.gram(words::join(words::hash_of(ending), 2));
        }
    }

    fn gram(&mut self, hash: u64) {
        let bucket = words::spread(hash) as usize % BUCKETS;
        let (word, bit) = (bucket / 64, 1 << (bucket % 64));
        if self.seen[word] & bit == 0 {
            self.seen[word] |= bit;
            self.scan.ngrams.push(u16::try_from(bucket).unwrap_or(0));
        }
    }

    fn punctuation(&mut self, byte: u8, next: Option<u8>) {
        let before_blank =
            next.is_none_or(|next| next.is_ascii_whitespace() || matches!(next, b'"' | b'\'' | b')'));
        match byte {
            b'\n' => {
                self.end_sentence(false);
                self.in_first_line = false;
                self.at_line_start = true;
                self.scan.shape.indented += u32::from(matches!(next, Some(b' ' | b'\t')));
            }
            b'$' => self.scan.shape.formulas += u32::from(next.is_none_or(|next| !next.is_ascii_digit())),
            b'?' => self.stop(true),
            b'.' | b'!' | b':' if before_blank => self.stop(false),
            b'-' | b'*' if self.at_line_start && before_blank => {
                self.scan.shape.list_items += 1;
                self.at_line_start = false;
            }
            _ => {}
        }
    }

    fn stop(&mut self, is_question: bool) {
        self.scan.shape.stops += u32::from(self.since_stop > 0);
        self.since_stop = 0;
        self.end_sentence(is_question);
    }

    fn end_sentence(&mut self, is_question: bool) {
        let sentence = std::mem::take(&mut self.sentence);
        if sentence.words == 0 {
            return;
        }
        let nth = self.scan.shape.sentences;
        self.scan.shape.sentences += 1;
        self.previous = 0;
        self.before = [0; 3];
        if is_question {
            self.scan.zones[Zone::Question as usize] |= sentence.opening | sentence.lead;
        }
        self.scan.zones[Zone::AnyLead as usize] |= sentence.lead;
        if self.scan.zones[Zone::FirstLead as usize] == 0 {
            self.scan.zones[Zone::FirstLead as usize] = sentence.lead;
        }
        self.last_lead = sentence.lead;
        self.last_pairs.clear();
        self.pair(&sentence, nth < PAIRED_SENTENCES);
    }

    fn pair(&mut self, sentence: &Sentence, now: bool) {
        let mut leads = sentence.lead & ((1 << LEADS) - 1);
        while leads != 0 {
            let lead = leads.trailing_zeros();
            if now {
                self.scan.pairs[lead as usize] |= sentence.after_lead;
            } else {
                self.last_pairs.push((lead, sentence.after_lead));
            }
            leads &= leads - 1;
        }
    }

    fn finish(mut self) -> Scan {
        self.stop(self.scan.shape.ends_with == b'?');
        for (lead, after) in &self.last_pairs {
            self.scan.pairs[*lead as usize] |= after;
        }
        self.scan.zones[Zone::LastLead as usize] = self.last_lead;
        self.scan.zones[Zone::Tail as usize] = self.tail.iter().fold(0, |all, classes| all | classes);
        let distinct: u32 = self.seen.iter().map(|bits| bits.count_ones()).sum();
        self.scan.shape.distinct = distinct;
        self.scan
    }
}
