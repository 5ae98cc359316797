//! What a text asks: read once, then compared with what an earlier text asked.
//!
//! Reading goes in steps: the shape of the text (`shape`), its words (`scan`), plain words (`plain`: contractions,
//! courtesies, spelling, numbers; these make the canonical hash), fitness (`fit`), one frame for all ways of asking
//! (`frame`), and the words of weight (`term`). What words do is data, in `rust/rules/question`.

mod compare;
mod fit;
mod frame;
mod lemma;
mod moods;
mod number;
mod pack;
mod pattern;
mod plain;
mod scan;
mod shape;
mod spelling;
mod term;
#[cfg(test)]
mod tests;
mod token;
mod words;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use unicode_normalization::{UnicodeNormalization, is_nfkc};

use crate::digest::Key;
use crate::embed::Embedder;
use pack::{Pack, Role, Weight};
use token::Token;

/// Part of every canonical hash; raise it when words are brought to plain ones in another way.
const SCHEMA: &str = "neuralrouting-canonical-1";

/// Why a text takes no part in the canonical and the semantic level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unfit {
    /// It has too few words to be told apart from others.
    #[default]
    Short,
    /// It is longer than about 512 tokens.
    Long,
    /// It holds code, a difference between files or a stack trace.
    Code,
    /// It holds an address, a path, a hash or an id.
    Link,
    /// It quotes a passage.
    Quote,
    /// Its answer changes with time.
    Time,
    /// Its answer depends on who asks.
    Personal,
    /// It points at something that is not in it.
    Deictic,
}

impl Unfit {
    /// Its name in headers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Long => "long",
            Self::Code => "code",
            Self::Link => "link",
            Self::Quote => "quote",
            Self::Time => "time",
            Self::Personal => "personal",
            Self::Deictic => "deictic",
        }
    }
}

/// How much two questions must have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verifier {
    /// Every rule; the default.
    #[default]
    Strict,
    /// Without the rules that cost the most hits.
    Std,
    /// Nothing but the cosine.
    Off,
}

impl Verifier {
    /// By its name in settings: strict, std or off.
    #[must_use]
    pub fn read(name: &str) -> Option<Self> {
        [Self::Strict, Self::Std, Self::Off].into_iter().find(|verifier| verifier.as_str() == name)
    }

    /// Its name in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Std => "std",
            Self::Off => "off",
        }
    }
}

/// The rule that tells two questions apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A number is on one side only, or stands in another place.
    Number,
    /// A unit is on one side only.
    Unit,
    /// One side denies what the other asks.
    Negation,
    /// Opposite words.
    Antonym,
    /// A quoted word is on one side only.
    Quote,
    /// A name is on one side only.
    Entity,
    /// They ask with other words.
    Wh,
    /// They say other times.
    Time,
    /// They speak of past, present or future.
    Tense,
    /// What can, must, should or may be.
    Modality,
    /// A word of direction, comparison or condition is on one side only or stands in another place.
    Direction,
    /// "And" on one side, "or" on the other.
    Logic,
    /// He or she.
    Gender,
    /// I, you or they.
    Pronoun,
    /// More or less, all or one.
    Quantity,
    /// A name as programs have them is on one side only.
    Code,
    /// The same words in another order.
    Order,
    /// One side says more.
    Added,
    /// Each side has a word that the other lacks.
    Content,
}

impl Rule {
    /// Its name in headers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Unit => "unit",
            Self::Negation => "negation",
            Self::Antonym => "antonym",
            Self::Quote => "quote",
            Self::Entity => "entity",
            Self::Wh => "wh",
            Self::Time => "time",
            Self::Tense => "tense",
            Self::Modality => "modality",
            Self::Direction => "direction",
            Self::Logic => "logic",
            Self::Gender => "gender",
            Self::Pronoun => "pronoun",
            Self::Quantity => "quantity",
            Self::Code => "code",
            Self::Order => "order",
            Self::Added => "added",
            Self::Content => "content",
        }
    }
}

/// What comparing two questions came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// No rule tells them apart.
    Same,
    /// Only a soft rule does: an embedder of another kind may say that they mean the same.
    Close(Rule),
    /// They ask different things.
    Differs(Rule),
}

/// What a question is made of, for comparing; holds no text, only hashes of its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Features(Box<[u8]>);

/// What one text asks.
#[derive(Debug, Clone)]
pub struct Question {
    /// Full SHA-256 of the canonical text: equal for texts that differ in case, politeness and the like.
    pub canonical: Key,
    /// What the verifier compares; none where there are no rules for the language, which has level 1.5 only.
    pub features: Option<Features>,
    /// The words to embed: small letters, spelling mended, courtesies dropped, the frame of the question made plain.
    pub plain: String,
}

/// Read the rules now, so that a program whose rules are broken stops when it starts.
pub(crate) fn prepare() {
    Pack::shared();
}

impl Question {
    /// Read a text.
    ///
    /// # Errors
    /// Why it takes no part.
    pub fn read(text: &str) -> Result<Self, Unfit> {
        let embedder = Embedder::shared();
        Self::read_with(text, &|word| embedder.rank(word))
    }

    /// Read a text with a list of words by frequency: 0 is the most frequent, none is unknown.
    fn read_with(text: &str, known: &impl Fn(&str) -> Option<u32>) -> Result<Self, Unfit> {
        if let Some(unfit) = shape::refuse(text) {
            return Err(unfit);
        }
        let pack = Pack::shared();
        let original = composed(text);
        let small = lowered(&original);
        let tokens = scan::cut(&small, &original, &pack.words)?;
        if tokens.len() > shape::MAX_WORDS {
            return Err(Unfit::Long);
        }
        if !shape::is_english(&tokens, pack) {
            return Self::foreign(&small);
        }
        let tokens = plain::plain(tokens, pack, known);
        if let Some(unfit) = fit::refuse(&tokens, pack) {
            return Err(unfit);
        }
        let canonical = hash("en", tokens.iter().map(|token| &*token.text));
        let tokens = frame::frame(&tokens, pack, known);
        let terms = term::terms(&tokens, pack, frame::mentions(&tokens, pack), known);
        Ok(Self { canonical, features: Some(Features::of(&terms)), plain: joined(&tokens, pack, known) })
    }

    /// Without rules for its language only case and white space are light.
    fn foreign(small: &str) -> Result<Self, Unfit> {
        let words: Vec<&str> = small.split_whitespace().collect();
        // Some languages do without blanks.
        if words.len() < 2 && small.chars().count() < 6 {
            return Err(Unfit::Short);
        }
        Ok(Self { canonical: hash("", words.iter().copied()), features: None, plain: words.join(" ") })
    }
}

/// One way of writing accents and the like, and one kind of apostrophes and quotation marks.
fn composed(text: &str) -> String {
    let plain = |char| match char {
        '’' | '‘' | '´' | 'ʼ' | '′' => '\'',
        '“' | '”' | '„' | '«' | '»' | '″' => '"',
        '‐' | '‑' | '−' => '-',
        char => char,
    };
    if text.is_ascii() {
        return text.to_owned();
    }
    if is_nfkc(text) { text.chars().map(plain).collect() } else { text.nfkc().map(plain).collect() }
}

/// Small letters, each as long in bytes as its capital; the few that are not stay as they are.
fn lowered(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars()
        .map(|char| {
            let mut small = char.to_lowercase();
            match (small.next(), small.next()) {
                (Some(one), None) if one.len_utf8() == char.len_utf8() => one,
                _ => char,
            }
        })
        .collect()
}

/// Each word with its length before it: `["ab", "c"]` is not `["a", "bc"]`.
fn hash<'a>(language: &'a str, words: impl Iterator<Item = &'a str>) -> Key {
    let mut bytes = Vec::with_capacity(256);
    for word in [SCHEMA, language].into_iter().chain(words) {
        bytes.extend_from_slice(&(word.len() as u64).to_le_bytes());
        bytes.extend_from_slice(word.as_bytes());
    }
    Sha256::digest(&bytes).into()
}

/// The words to embed: one word for each set of synonyms and each unit, one for many, none that only stresses.
fn joined(tokens: &[Token<'_>], pack: &Pack, known: &impl Fn(&str) -> Option<u32>) -> String {
    let mut plain = String::with_capacity(tokens.iter().map(|token| token.text.len() + 1).sum());
    for token in tokens {
        let entry = pack.entry(token.number);
        if entry.weight == Weight::Stress {
            continue;
        }
        if !plain.is_empty() {
            plain.push(' ');
        }
        let alike = entry.stands_for != 0 && matches!(entry.role, Role::Content | Role::Unit);
        if alike {
            plain.push_str(pack.words.text(entry.stands_for));
        } else if let Some(one) = lemma::singular(token, pack, known) {
            plain.push_str(&one);
        } else {
            plain.push_str(&token.text);
        }
    }
    plain
}
