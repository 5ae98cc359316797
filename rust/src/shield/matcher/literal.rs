//! Words of classes as they are compared with a text, and words that spare one.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::cut;
use super::super::normalise::normalise;
use super::super::pack::Rule;
use super::super::tokens::{Counter, bounded_left, bounded_right, is_unspaced};

/// Tokens before and behind a finding in which a word that spares it is looked for, and the bytes they are looked for in.
const GUARD_TOKENS: u32 = 2;
const GUARD_BYTES: usize = 64;

/// A word of a class, normalised as the text is. A star at an end says that the word may go on there.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Literal {
    pub text: String,
    pub open_left: bool,
    pub open_right: bool,
}

impl Literal {
    pub fn read(word: &str) -> Self {
        let (open_left, open_right) = (word.starts_with('*'), word.ends_with('*'));
        let text = normalise(word.trim_matches('*')).text;
        // Scripts without spaces have no word ends to look for; neither has a word that ends in a sign.
        let free = |end: Option<char>| end.is_none_or(|c| !c.is_alphanumeric() || is_unspaced(c));
        let (first, last) = (text.chars().next(), text.chars().next_back());
        Self { open_left: open_left || free(first), open_right: open_right || free(last), text }
    }

    /// Does the word stand anywhere in a short text?
    fn stands_in(&self, text: &str) -> bool {
        text.match_indices(&self.text).any(|(start, found)| {
            (self.open_left || bounded_left(text, start))
                && (self.open_right || bounded_right(text, start + found.len()))
        })
    }
}

/// What spares a text from a rule: words right before, right behind or inside the finding.
#[derive(Debug, Default)]
pub(super) struct Spared {
    before: Vec<Literal>,
    after: Vec<Literal>,
    within: Vec<Literal>,
}

impl Spared {
    /// The words of the classes that a rule names.
    pub fn read(rule: &Rule, classes: &BTreeMap<String, Vec<String>>) -> Self {
        let words = |class: &Option<String>| {
            let words = class.as_ref().and_then(|class| classes.get(class));
            words.into_iter().flatten().map(|word| Literal::read(word)).collect()
        };
        Self {
            before: words(&rule.unless_before),
            after: words(&rule.unless_after),
            within: words(&rule.unless_within),
        }
    }

    /// Do the words round a finding spare the text?
    pub fn spares(&self, text: &str, found: &Range<usize>) -> bool {
        let from = cut::floor(text, found.start.saturating_sub(GUARD_BYTES));
        let to = cut::ceil(text, (found.end + GUARD_BYTES).min(text.len()));
        self.before.iter().any(|word| word.stands_in(last_tokens(&text[from..found.start])))
            || self.after.iter().any(|word| word.stands_in(first_tokens(&text[found.end..to])))
            || self.within.iter().any(|word| word.stands_in(&text[found.clone()]))
    }
}

/// The first few tokens of a text.
fn first_tokens(text: &str) -> &str {
    let mut counter = Counter::default();
    let end = text.bytes().position(|byte| {
        counter.see(byte);
        counter.tokens() > GUARD_TOKENS
    });
    &text[..cut::floor(text, end.unwrap_or(text.len()))]
}

/// The last few tokens of a text.
fn last_tokens(text: &str) -> &str {
    let all = Counter::count(text);
    let mut counter = Counter::default();
    let start = text.bytes().position(|byte| {
        counter.see(byte);
        counter.tokens() + GUARD_TOKENS > all
    });
    &text[cut::floor(text, start.unwrap_or(text.len()))..]
}
