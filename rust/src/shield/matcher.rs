//! One automaton over all words of all classes; rules are sequences of classes that lie near each other.

mod compile;
mod literal;
#[cfg(test)]
mod tests;

use aho_corasick::Anchored;
use aho_corasick::automaton::Automaton;
use aho_corasick::nfa::contiguous::NFA;
use regex::Regex;

use super::cut;
use super::pack::Pack;
use super::tokens::{Counter, bounded_left, bounded_right, starts_sentence};
use compile::Builder;
use literal::Spared;

/// Findings kept of one rule; quoting is judged on all of them, so one is not enough.
const MAX_FOUND_PER_RULE: u8 = 4;
/// Anchors around which one pattern is tried in one text; bounds the work of a hostile one.
const MAX_TRIES: u8 = 32;
/// Bytes on each side of an anchor that a pattern sees.
const PATTERN_WINDOW: usize = 256;
/// A place that begins with this must stand at the start of a sentence.
pub(super) const AT_START: char = '^';

/// A rule that fired, with the bytes of the text it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub rule: u16,
    pub start: usize,
    pub end: usize,
}

/// One element of a sequence: hits of any of its classes.
type Element = u16;

/// A place in a sequence that a word can fill: what must have been seen before it, and where that is then noted down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    rule: u16,
    gap: u32,
    /// Where in [`Sweep::seen`]; none for the last place, which is a finding.
    next: Option<u32>,
}

/// Places that a word can fill after the same words were seen.
#[derive(Debug)]
struct Group {
    /// Where in [`Sweep::seen`].
    before: u32,
    /// The widest gap of its steps.
    reach: u32,
    steps: Box<[Step]>,
}

#[derive(Debug)]
struct Expression {
    rule: u16,
    pattern: Regex,
}

/// What the automaton knows of one word.
#[derive(Debug, Default)]
struct Word {
    bytes: usize,
    tokens: u32,
    open_left: bool,
    open_right: bool,
    /// What it does anywhere, and what it does besides at the start of a sentence.
    anywhere: Roles,
    at_start: Roles,
}

/// What a word does in the rules.
#[derive(Debug, Default)]
struct Roles {
    /// Elements that start a sequence.
    marks: Box<[Element]>,
    /// Rules that one word is enough for.
    alone: Box<[u16]>,
    /// Later places first, so that one word cannot fill two places.
    groups: Box<[Group]>,
    anchors: Box<[u16]>,
}

impl Roles {
    const fn are_none(&self) -> bool {
        self.marks.is_empty() && self.alone.is_empty() && self.groups.is_empty() && self.anchors.is_empty()
    }
}

/// The compiled rules.
#[derive(Debug)]
pub(crate) struct Matcher {
    automaton: NFA,
    words: Vec<Word>,
    patterns: Vec<Expression>,
    /// By rule: what spares the text before and behind.
    spared: Vec<Spared>,
    /// How many elements and places of sequences are kept in mind.
    seen: usize,
}

/// Bytes and tokens of a word, or of a sequence up to one of its places.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    start: usize,
    /// Zero when it was not seen yet: no word ends at byte zero.
    end: usize,
    first_token: u32,
    last_token: u32,
}

/// What one pass keeps in mind.
struct Sweep<'a> {
    matcher: &'a Matcher,
    text: &'a str,
    /// Elements that start a sequence, then sequences up to one of their places.
    seen: Vec<Seen>,
    found: Vec<(u16, Seen)>,
    per_rule: Vec<u8>,
    tries: Vec<u8>,
    /// Steps taken so far.
    #[cfg(test)]
    work: usize,
}

impl Matcher {
    /// Compile checked rules.
    ///
    /// # Errors
    /// A sentence when the automaton would be too large.
    pub fn new(pack: &Pack) -> Result<Self, String> {
        let mut builder = Builder::default();
        for (nth, rule) in pack.rules.iter().enumerate() {
            builder.rule(u16::try_from(nth).map_err(|_| "too many rules")?, rule, &pack.classes)?;
        }
        builder.finish(pack)
    }

    /// Find every rule that fires in a normalised text. Linear in its length.
    pub fn sweep(&self, text: &str) -> Vec<Found> {
        let mut sweep = Sweep::new(self, text);
        sweep.run();
        sweep.finish()
    }

    /// Steps that one pass takes, to show that they grow as the text does.
    #[cfg(test)]
    pub fn work(&self, text: &str) -> usize {
        let mut sweep = Sweep::new(self, text);
        sweep.run();
        sweep.work
    }
}

impl<'a> Sweep<'a> {
    fn new(matcher: &'a Matcher, text: &'a str) -> Self {
        Self {
            matcher,
            text,
            seen: vec![Seen::default(); matcher.seen],
            found: Vec::new(),
            per_rule: vec![0; matcher.spared.len()],
            tries: vec![0; matcher.patterns.len()],
            #[cfg(test)]
            work: 0,
        }
    }

    fn run(&mut self) {
        let matcher = self.matcher;
        let automaton = &matcher.automaton;
        let Ok(mut state) = automaton.start_state(Anchored::No) else { return };
        let mut counter = Counter::default();
        for (at, &byte) in self.text.as_bytes().iter().enumerate() {
            counter.see(byte);
            state = automaton.next_state(Anchored::No, state, if byte == b'\n' { b' ' } else { byte });
            if automaton.is_special(state) && automaton.is_match(state) {
                for nth in 0..automaton.match_len(state) {
                    let word = &matcher.words[automaton.match_pattern(state, nth).as_usize()];
                    self.hit(word, at + 1, counter.tokens());
                }
            }
        }
    }

    fn hit(&mut self, word: &Word, end: usize, last_token: u32) {
        let start = end - word.bytes;
        if !(word.open_left || bounded_left(self.text, start))
            || !(word.open_right || bounded_right(self.text, end))
        {
            return;
        }
        let first_token = (last_token + 1).saturating_sub(word.tokens);
        let seen = Seen { start, end, first_token, last_token };
        self.play(&word.anywhere, seen);
        if !word.at_start.are_none() && starts_sentence(self.text, start) {
            self.play(&word.at_start, seen);
        }
    }

    fn play(&mut self, roles: &Roles, seen: Seen) {
        for &rule in &roles.alone {
            self.emit(rule, seen);
        }
        for Group { before, reach, steps } in &roles.groups {
            let before = self.seen[*before as usize];
            if before.end == 0 || before.end > seen.start || seen.first_token > before.last_token + 1 + reach
            {
                continue;
            }
            let so_far = Seen { start: before.start, first_token: before.first_token, ..seen };
            for step in steps {
                if seen.first_token <= before.last_token + 1 + step.gap {
                    self.take(step, so_far);
                }
            }
        }
        for &element in &roles.marks {
            self.seen[element as usize] = seen;
        }
        for &pattern in &roles.anchors {
            self.try_pattern(pattern, seen);
        }
        #[cfg(test)]
        {
            self.work += 1 + roles.groups.iter().map(|group| 1 + group.steps.len()).sum::<usize>();
        }
    }

    fn take(&mut self, step: &Step, so_far: Seen) {
        match step.next {
            Some(next) => self.seen[next as usize] = so_far,
            None => self.emit(step.rule, so_far),
        }
    }

    fn emit(&mut self, rule: u16, seen: Seen) {
        let count = &mut self.per_rule[rule as usize];
        if *count < MAX_FOUND_PER_RULE {
            *count += 1;
            self.found.push((rule, seen));
        }
    }

    fn try_pattern(&mut self, nth: u16, anchor: Seen) {
        let tries = &mut self.tries[nth as usize];
        if *tries == MAX_TRIES {
            return;
        }
        *tries += 1;
        let from = cut::floor(self.text, anchor.start.saturating_sub(PATTERN_WINDOW));
        let to = cut::ceil(self.text, (anchor.end + PATTERN_WINDOW).min(self.text.len()));
        let Expression { rule, pattern } = &self.matcher.patterns[nth as usize];
        if let Some(hit) = pattern.find(&self.text[from..to]) {
            self.emit(*rule, Seen { start: from + hit.start(), end: from + hit.end(), ..anchor });
        }
    }

    /// Leave out what a guard word nearby spares.
    fn finish(self) -> Vec<Found> {
        let kept = self.found.iter().filter(|(rule, seen)| {
            !self.matcher.spared[*rule as usize].spares(self.text, &(seen.start..seen.end))
        });
        kept.map(|&(rule, Seen { start, end, .. })| Found { rule, start, end }).collect()
    }
}
