//! Compares two questions by what they are made of.

mod order;
#[cfg(test)]
mod tests;

use super::moods;
use super::term::{CLASSES, Class, Term, Terms};
use super::{Features, Likeness, Rule, Verifier};
use order::Order;

/// Raise it when terms are made in another way: features of two versions say nothing about each other.
const VERSION: u8 = 1;
/// Version, moods, question word.
const HEAD: usize = 4;
/// A hash of 40 bits, class and opposites.
const TERM: usize = 6;
/// Terms that count; a longer question is refused long before.
const MAX_TERMS: usize = 512;
/// Words that may stand on one side only, both sides counted, where two questions are close.
const MAX_ALONE: usize = 4;
/// The question word "what", and none at all: what asks with them may be put with another.
const OPEN: [u8; 2] = [0, 1];
/// Small words: none of them names anything.
const SMALL: [(Class, Rule); 4] = [
    (Class::Relation, Rule::Direction),
    (Class::Logic, Rule::Logic),
    (Class::Quantity, Rule::Quantity),
    (Class::Pronoun, Rule::Pronoun),
];

impl Features {
    pub(super) fn of(terms: &Terms) -> Self {
        let mut bytes = Vec::with_capacity(HEAD + TERM * terms.list.len());
        bytes.push(VERSION);
        bytes.extend(terms.moods.to_le_bytes());
        bytes.push(terms.asks);
        for term in &terms.list {
            bytes.extend_from_slice(&term.hash.to_le_bytes()[..5]);
            bytes.push((term.class as u8) << 4 | term.opposites & 15);
        }
        Self(bytes.into_boxed_slice())
    }

    /// Compare with what was stored. Neither side comes first.
    #[must_use]
    pub fn compare(&self, stored: &Self, verifier: Verifier) -> Likeness {
        if verifier == Verifier::Off || self.0 == stored.0 {
            return Likeness::Same;
        }
        if (self.moods() ^ stored.moods()) & moods::NEGATION != 0 {
            return Likeness::Differs(Rule::Negation);
        }
        let how_to = (self.moods() | stored.moods()) & moods::HOW_TO != 0;
        let words = Words::of(&self.terms(), &stored.terms(), how_to);
        if self.asks() != stored.asks() {
            return self.other_asks(stored, &words);
        }
        let likeness = match (self.worded(stored, &words, verifier), self.mood(stored, verifier)) {
            (Likeness::Same, Some(rule)) => Likeness::Close(rule),
            (Likeness::Close(Rule::Order), Some(rule)) => Likeness::Differs(rule),
            (likeness, _) => likeness,
        };
        match likeness {
            // A yes or a no turns on every word.
            Likeness::Close(rule) if self.asks() == 0 => Likeness::Differs(rule),
            likeness => likeness,
        }
    }

    /// As bytes, to be kept in a database.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// From what [`Self::as_bytes`] gave; none if it is nothing that this version wrote.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (head, terms) = bytes.split_at_checked(HEAD)?;
        let classes = || terms.iter().skip(TERM - 1).step_by(TERM);
        let good = head[0] == VERSION
            && terms.len() % TERM == 0
            && terms.len() <= MAX_TERMS * TERM
            && classes().all(|class| usize::from(class >> 4) < CLASSES.len());
        good.then(|| Self(bytes.into()))
    }

    fn moods(&self) -> u16 {
        u16::from_le_bytes([self.0[1], self.0[2]])
    }

    fn asks(&self) -> u8 {
        self.0[3]
    }

    /// Where moods differ, the shape of the question aside.
    fn unlike_moods(&self, stored: &Self) -> u16 {
        (self.moods() ^ stored.moods()) & !moods::SHAPE
    }

    /// Tense and mood.
    fn mood(&self, stored: &Self, verifier: Verifier) -> Option<Rule> {
        let differs = self.unlike_moods(stored);
        if verifier == Verifier::Std || differs == 0 {
            return None;
        }
        Some(if differs & moods::TENSE != 0 { Rule::Tense } else { Rule::Modality })
    }

    /// What the words say, but for one generic word too many and one part that stands elsewhere.
    fn worded(&self, stored: &Self, words: &Words, verifier: Verifier) -> Likeness {
        let shapely = self.moods() & stored.moods() & moods::SHAPE != 0;
        match words.likeness(verifier) {
            Likeness::Close(Rule::Added) if self.asks() != 0 && words.needless(self.moods()) => {
                Likeness::Same
            }
            Likeness::Differs(Rule::Order | Rule::Direction) | Likeness::Close(Rule::Order)
                if shapely && words.moved() =>
            {
                Likeness::Same
            }
            likeness => likeness,
        }
    }

    /// "How" for "what" alone asks for something else; where other words differ too it may be the same question in
    /// other words. "Why" and "how" never are, nor "who", "when" and "where".
    fn other_asks(&self, stored: &Self, words: &Words) -> Likeness {
        let open = OPEN.contains(&self.asks().min(stored.asks()));
        match words.likeness(Verifier::Strict) {
            Likeness::Close(_) if open && words.alone() > 1 && self.unlike_moods(stored) == 0 => {
                Likeness::Close(Rule::Wh)
            }
            _ => Likeness::Differs(Rule::Wh),
        }
    }

    fn terms(&self) -> Vec<Term> {
        let class = |byte: u8| CLASSES.get(usize::from(byte >> 4)).copied().unwrap_or(Class::Content);
        self.0[HEAD..]
            .chunks_exact(TERM)
            .map(|term| Term {
                hash: u64::from_le_bytes([term[0], term[1], term[2], term[3], term[4], 0, 0, 0]),
                class: class(term[5]),
                opposites: term[5] & 15,
            })
            .collect()
    }
}

/// What only one side has.
fn without(left: &[Term], right: &[Term]) -> Vec<Term> {
    let mut rest: Vec<u64> = right.iter().map(|term| term.hash).collect();
    let mut alone = Vec::new();
    for term in left {
        match rest.iter().position(|&hash| hash == term.hash) {
            Some(at) => {
                rest.swap_remove(at);
            }
            None => alone.push(*term),
        }
    }
    alone
}

/// How the words of two questions stand to each other.
struct Words {
    here: Vec<Term>,
    there: Vec<Term>,
    /// What both have, as each orders it.
    shared: [Vec<Term>; 2],
    /// Does a side ask how to do something? "The best way to" and the like count for nothing there.
    how_to: bool,
}

impl Words {
    fn of(mine: &[Term], theirs: &[Term], how_to: bool) -> Self {
        let (here, there) = (without(mine, theirs), without(theirs, mine));
        let shared = [without(mine, &here), without(theirs, &there)];
        Self { here, there, shared, how_to }
    }

    /// Words that only one side has.
    fn alone(&self) -> usize {
        self.here.len() + self.there.len()
    }

    /// Is all that one side has more a single word that hardly narrows a question of so many words?
    fn needless(&self, mood: u16) -> bool {
        let enough = if mood & moods::HOW_TO != 0 { 2 } else { 3 };
        let [mine, theirs] = &self.shared;
        let counts = mine.iter().any(|term| matches!(term.class, Class::Quantity | Class::Number));
        let generic = || self.here.iter().chain(&self.there).all(|term| term.class == Class::Generic);
        self.alone() == 1
            && mine.len() >= enough
            && !counts
            && generic()
            && Order::of(mine, theirs) == Order::Kept
    }

    /// Did one run of plain words move, and nothing else change?
    fn moved(&self) -> bool {
        self.alone() == 0 && order::moved(&self.shared[0], &self.shared[1])
    }

    fn likeness(&self, verifier: Verifier) -> Likeness {
        let [mine, theirs] = &self.shared;
        if self.alone() == 0 {
            return ordered(mine, theirs, verifier);
        }
        if let Some(rule) = hard(&self.here, &self.there) {
            return Likeness::Differs(rule);
        }
        if numbers(mine) != numbers(theirs) {
            return Likeness::Differs(Rule::Number);
        }
        let rule = self.doubt();
        let one_each = self.here.len() == 1 && self.there.len() == 1;
        if self.alone() > MAX_ALONE || (one_each && rule == Rule::Content) {
            return Likeness::Differs(rule);
        }
        // What it is the opposite of may stand on the other side, where it counts for nothing: "the worst way to".
        if self.how_to && self.here.iter().chain(&self.there).any(|term| term.opposites != 0) {
            return Likeness::Differs(rule);
        }
        match Order::of(mine, theirs) {
            Order::Kept | Order::Moved => Likeness::Close(rule),
            Order::Turned => Likeness::Differs(rule),
        }
    }

    /// What to call the difference. The more words differ, the more it says that a sentence embedder finds both alike:
    /// one word changed changes no cosine much.
    fn doubt(&self) -> Rule {
        if self.alone() > 2 {
            return Rule::Content;
        }
        let wording = if self.here.is_empty() || self.there.is_empty() { Rule::Added } else { Rule::Content };
        small(self.here.iter().chain(&self.there)).unwrap_or(wording)
    }
}

/// The same words: in the same order?
fn ordered(mine: &[Term], theirs: &[Term], verifier: Verifier) -> Likeness {
    if mine.iter().map(|term| term.hash).eq(theirs.iter().map(|term| term.hash)) {
        return Likeness::Same;
    }
    if numbers(mine) != numbers(theirs) {
        return Likeness::Differs(Rule::Number);
    }
    let directed = |term: &Term| {
        use Class::{Entity, Gender, Number, Pronoun, Rare, Relation, Unit};
        matches!(term.class, Relation | Gender | Pronoun | Entity | Rare | Number | Unit)
    };
    let all = || mine.iter().chain(theirs);
    let rule = if all().any(|term| term.class == Class::Relation) { Rule::Direction } else { Rule::Order };
    if verifier == Verifier::Std && !all().any(directed) {
        return Likeness::Same;
    }
    match Order::of(mine, theirs) {
        Order::Moved => Likeness::Close(Rule::Order),
        Order::Kept | Order::Turned => Likeness::Differs(rule),
    }
}

fn numbers(terms: &[Term]) -> Vec<u64> {
    terms.iter().filter(|term| term.class == Class::Number).map(|term| term.hash).collect()
}

/// The first rule among words of direction, logic, quantity and person.
fn small<'t>(terms: impl Iterator<Item = &'t Term>) -> Option<Rule> {
    let classes: Vec<Class> = terms.map(|term| term.class).collect();
    SMALL.iter().find(|(class, _)| classes.contains(class)).map(|&(_, rule)| rule)
}

/// The gravest rule among words that only one side has; none if a second embedder may overrule what is left.
fn hard(here: &[Term], there: &[Term]) -> Option<Rule> {
    const GRAVE: [(Class, Rule); 5] = [
        (Class::Number, Rule::Number),
        (Class::Unit, Rule::Unit),
        (Class::Quoted, Rule::Quote),
        (Class::Time, Rule::Time),
        (Class::Gender, Rule::Gender),
    ];
    const NAMES: [(Class, Rule); 3] =
        [(Class::Code, Rule::Code), (Class::Entity, Rule::Entity), (Class::Rare, Rule::Entity)];
    let find = |list: &[(Class, Rule)]| {
        let stands = |class| here.iter().chain(there).any(|term| term.class == class);
        list.iter().find(|(class, _)| stands(*class)).map(|&(_, rule)| rule)
    };
    let opposite =
        |term: &Term| term.opposites != 0 && there.iter().any(|other| other.opposites == term.opposites);
    // "Over" for "through", "all" for "several".
    let exchanged = |term: &&Term| there.iter().any(|other| other.class == term.class);
    find(&GRAVE)
        .or_else(|| here.iter().any(opposite).then_some(Rule::Antonym))
        .or_else(|| find(&NAMES))
        .or_else(|| small(here.iter().filter(exchanged)))
}
