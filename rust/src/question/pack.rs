//! The rules as data: read once from `rust/rules/question`, laid out for one pass over a question.

mod file;
mod lay;
mod patterns;

use std::sync::LazyLock;

use super::Unfit;
use super::pattern::Pattern;
use super::token::Token;
use super::words::{UNKNOWN, WordMap, Words, hash_of};
pub(super) use file::{Check, File};

/// What a word does in a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Role {
    /// It has a content of its own.
    #[default]
    Content,
    Light,
    Negation,
    /// Negation that says something of its own.
    Denial,
    /// Light but behind a form of "be".
    Preposition,
    Relation,
    Logic,
    Unit,
    Time,
    Pronoun,
    Gender,
    Quantity,
    /// Tense or mood: the bit it sets.
    Mood(u16),
    /// The word a question is asked with.
    Asks(u8),
}

/// A text holds words of English.
pub(super) const ENGLISH: u8 = 1;
/// A text holds words of another language.
pub(super) const FOREIGN: u8 = 2;

/// What is known about a word of the rules.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Entry {
    pub role: Role,
    pub languages: u8,
    /// The word that stands for its set of synonyms or its unit; itself if there is no set.
    pub stands_for: u32,
    /// Its base form; itself if that is what it is.
    pub base: u32,
    pub form: Form,
    /// Words with a common opposite share it; 0 if it has none.
    pub opposites: u8,
    /// What "not X" and "less X" may be turned to.
    pub complement: u32,
    pub scale: u32,
    pub adjective: bool,
    pub weight: Weight,
    /// Never cut an ending off.
    pub whole: bool,
}

/// How much a word says beside others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Weight {
    #[default]
    Full,
    /// It hardly narrows a question.
    Generic,
    /// Light, and nothing but stress.
    Stress,
}

/// Which form of its base a word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Form {
    #[default]
    Base,
    Past,
    Other,
}

/// Words that are written in other words.
pub(super) struct Phrase {
    pub words: Vec<u32>,
    pub to: Vec<u32>,
}

/// Ways of putting one question.
pub(super) struct Frame {
    pub patterns: Vec<Pattern>,
    pub to: Vec<Piece>,
    pub slots: Slots,
}

/// What a frame says of its slots.
#[derive(Default)]
pub(super) struct Slots {
    pub unless: Vec<u32>,
    /// The words a slot may hold.
    pub only: Vec<(usize, Vec<u32>)>,
    /// What the word of a slot becomes.
    pub map: Vec<(usize, u32, u32)>,
    /// Slots whose order does not matter.
    pub sort: Option<(usize, usize)>,
    /// A slot that must hold a participle.
    pub participle: Option<usize>,
}

/// One piece of what a frame writes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Piece {
    Word(u32),
    Slot(usize),
}

/// Patterns under the words they may begin with.
#[derive(Default)]
pub(super) struct Index {
    by_first: WordMap<u32, Vec<(u16, u16)>>,
    any: Vec<(u16, u16)>,
}

impl Index {
    pub(super) fn add(&mut self, pattern: &Pattern, place: (u16, u16)) {
        match pattern.first_words() {
            Some(firsts) => {
                for first in firsts {
                    self.by_first.entry(first).or_default().push(place);
                }
            }
            None => self.any.push(place),
        }
    }

    /// Places of the patterns that may begin with a word.
    pub(super) fn of(&self, word: u32) -> impl Iterator<Item = (u16, u16)> + '_ {
        let own = if word == UNKNOWN { None } else { self.by_first.get(&word) };
        own.into_iter().flatten().chain(&self.any).copied()
    }
}

/// A text that is never answered from a like question.
pub(super) struct Refusal {
    pub unfit: Unfit,
    pub patterns: Vec<Pattern>,
    pub except: Vec<Pattern>,
}

/// Everything the rules say.
#[derive(Default)]
pub(super) struct Pack {
    pub words: Words,
    entries: Vec<Entry>,
    /// Phrases of spelling, under their first word, longest first.
    pub spellings: WordMap<u32, Vec<Phrase>>,
    /// Words that mean something else in capitals.
    pub acronyms: Vec<(u32, Vec<u32>)>,
    /// Phrases of like meaning.
    pub synonyms: WordMap<u32, Vec<Phrase>>,
    pub openings: Vec<Pattern>,
    pub openings_index: Index,
    pub requests: Vec<Pattern>,
    pub requests_index: Index,
    pub courtesies: Vec<Pattern>,
    pub courtesies_index: Index,
    pub closings: Vec<Vec<u32>>,
    pub spoken_about: Vec<u32>,
    pub refusals: Vec<Refusal>,
    pub refusals_index: Index,
    pub excepts_index: Index,
    pub shared: Vec<u32>,
    pub frames: Vec<Frame>,
    pub frames_index: Index,
    pub checks: Vec<Check>,
    pub marks: Marks,
}

/// Words the code asks for by name.
#[derive(Default)]
pub(super) struct Marks {
    pub please: u32,
    pub to: u32,
    pub from: u32,
    pub not: u32,
    pub less: u32,
    pub more: u32,
    pub of: u32,
    pub and: u32,
    pub or: u32,
    pub how: u32,
    pub one: u32,
    pub this: [u32; 2],
    pub questions: Vec<u32>,
    /// Prepositions around which two nouns may turn.
    pub turning: Vec<u32>,
    /// Of these, the ones that say where.
    pub placing: Vec<u32>,
    /// Hashes of words that do not turn.
    pub holders: Vec<u64>,
    pub be: Vec<u32>,
    /// Behind these a word is spoken about, so no other will do.
    pub mentions: Vec<u32>,
}

impl Pack {
    /// The one that ships.
    pub(super) fn shared() -> &'static Self {
        static PACK: LazyLock<Pack> = LazyLock::new(|| lay::read(&File::shipped()));
        &PACK
    }

    pub(super) fn entry(&self, number: u32) -> Entry {
        self.entries.get(number as usize).copied().unwrap_or_default()
    }

    fn entry_mut(&mut self, word: &str) -> Option<&mut Entry> {
        let number = self.words.learn(word);
        if self.entries.len() <= self.words.len() {
            self.entries.resize(self.words.len() + 1, Entry::default());
        }
        self.entries.get_mut(number as usize)
    }

    /// The hash of what stands for a word.
    pub(super) fn concept_of(&self, token: &Token<'_>) -> u64 {
        if token.number == UNKNOWN { hash_of(&token.text) } else { self.concept(token.number) }
    }

    /// The hash of the word that stands for a word of the rules.
    pub(super) fn concept(&self, number: u32) -> u64 {
        let stands_for = self.entry(number).stands_for;
        hash_of(self.words.text(if stands_for == UNKNOWN { number } else { stands_for }))
    }
}
