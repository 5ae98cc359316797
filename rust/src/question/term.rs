//! What a question is made of: its words of weight by class, its tense and mood, and the word it asks with.

mod order;

use super::lemma;
use super::moods;
use super::pack::{Entry, Form, Pack, Role, Weight};
use super::token::{ANYBODY, CAPITAL, QUOTED, SHOUTED, STARTS, Token};
use super::words::hash_of;
use order::{Link, plain};

/// What a word of weight is; for saying what tells two questions apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Class {
    Content = 0,
    /// A name, by its capital letter.
    Entity,
    /// A word that nobody knows, so perhaps a name.
    Rare,
    Number,
    Unit,
    Time,
    Relation,
    Logic,
    Pronoun,
    Gender,
    Quantity,
    Quoted,
    Code,
    /// A word of content that hardly narrows a question: "people", "specific".
    Generic,
}

pub(super) const CLASSES: [Class; 14] = [
    Class::Content,
    Class::Entity,
    Class::Rare,
    Class::Number,
    Class::Unit,
    Class::Time,
    Class::Relation,
    Class::Logic,
    Class::Pronoun,
    Class::Gender,
    Class::Quantity,
    Class::Quoted,
    Class::Code,
    Class::Generic,
];

/// One word of weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Term {
    /// 40 bits.
    pub hash: u64,
    pub class: Class,
    /// 1 to 15 for words with an opposite, the same for both; else 0.
    pub opposites: u8,
}

/// All of a question.
#[derive(Debug, Default)]
pub(super) struct Terms {
    pub moods: u16,
    pub asks: u8,
    pub list: Vec<Term>,
}

/// A word this far down the list of frequencies is as likely a name.
const RARE: u32 = 12_000;

/// Frames of questions that anybody may ask of himself.
const ASKED_BY_ANYBODY: [&[&str]; 7] = [
    &["how", "to"],
    &["can", "i"],
    &["should", "i"],
    &["what", "should", "i"],
    &["why", "should", "i"],
    &["when", "should", "i"],
    &["where", "to"],
];

/// What a text shows as a whole.
struct Outlook {
    /// Most words have capitals, so that these tell nothing.
    capitals: bool,
    /// "my" and "your" mean anybody's.
    anybody: bool,
    /// "To" is a direction, since there is a "from".
    directed: bool,
}

/// What came before in a sentence.
#[derive(Default)]
struct Before {
    /// A form of "be", "have" or "do".
    auxiliary: bool,
    /// A form of "do".
    a_do: bool,
    /// A form of "be", at once.
    a_be: bool,
}

/// Reader of one question.
struct Reader<'r, F> {
    pack: &'r Pack,
    known: &'r F,
    /// Words stand for themselves.
    literal: bool,
    outlook: Outlook,
    before: Before,
    /// How each term hangs on the one before.
    links: Vec<Link>,
    /// How the next one will.
    next: Link,
    terms: Terms,
}

/// Take the words of weight.
pub(super) fn terms(
    tokens: &[Token<'_>],
    pack: &Pack,
    literal: bool,
    known: &impl Fn(&str) -> Option<u32>,
) -> Terms {
    let capitals = tokens.iter().filter(|token| token.has(CAPITAL)).count() * 2 > tokens.len() + 2;
    let anybody = ASKED_BY_ANYBODY.iter().any(|opening| {
        opening.len() <= tokens.len() && opening.iter().zip(tokens).all(|(word, token)| *word == token.text)
    });
    let directed = tokens.iter().any(|token| token.number == pack.marks.from);
    let mut reader = Reader {
        pack,
        known,
        literal,
        outlook: Outlook { capitals, anybody, directed },
        before: Before::default(),
        links: Vec::new(),
        next: Link::Apart,
        terms: Terms::default(),
    };
    let mut at = 0;
    while at < tokens.len() {
        let taken = reader.take(&tokens[at..]);
        reader.link(&tokens[at]);
        at += taken;
    }
    reader.terms.moods |= order::shape(tokens, pack);
    let links = std::mem::take(&mut reader.links);
    order::settle(&mut reader.terms.list, links, pack);
    reader.terms
}

impl<F: Fn(&str) -> Option<u32>> Reader<'_, F> {
    /// Take one word, or two that make one; gives how many.
    fn take(&mut self, rest: &[Token<'_>]) -> usize {
        let token = &rest[0];
        if token.has(STARTS) {
            self.before = Before::default();
        }
        let behind_be = std::mem::take(&mut self.before.a_be);
        let entry = self.pack.entry(token.number);
        if token.has(QUOTED) {
            self.push(hash_of(&token.text), Class::Quoted, 0);
            return 1;
        }
        // In capitals among small letters it is a name, whatever the small word does.
        if token.has(SHOUTED)
            && !self.outlook.capitals
            && token.text.len() > 1
            && !matches!(entry.role, Role::Unit | Role::Content)
        {
            self.push(self.pack.concept_of(token), Class::Entity, 0);
            return 1;
        }
        if self.main_verb(rest) {
            let verb = if &*token.text == "have" { "have" } else { "do" };
            self.push(hash_of(verb), Class::Content, 0);
            return 1;
        }
        if self.pack.marks.be.contains(&token.number) {
            self.before.auxiliary = true;
            self.before.a_do |= matches!(&*token.text, "do" | "does" | "did");
            self.before.a_be = matches!(&*token.text, "is" | "are" | "was" | "were" | "be" | "been");
        }
        if let Some(taken) = self.opposite(rest) {
            return taken;
        }
        match entry.role {
            Role::Light if self.outlook.directed && token.number == self.pack.marks.to => {
                self.push(self.pack.concept(token.number), Class::Relation, 0);
            }
            Role::Preposition if behind_be => self.push(self.pack.concept(token.number), Class::Relation, 0),
            Role::Light | Role::Preposition => {}
            Role::Denial => {
                self.terms.moods = moods::negated(self.terms.moods);
                self.content(token, entry);
            }
            Role::Negation => self.terms.moods = moods::negated(self.terms.moods),
            Role::Mood(bit) => self.terms.moods |= bit,
            Role::Asks(kind) if self.terms.asks == 0 && kind != 0 => self.terms.asks = kind,
            Role::Asks(_) | Role::Relation => {
                self.push(self.pack.concept(token.number), Class::Relation, entry.opposites);
            }
            Role::Logic => self.push(self.pack.concept(token.number), Class::Logic, 0),
            Role::Unit => self.push(self.pack.concept(token.number), Class::Unit, entry.opposites),
            Role::Time => self.push(self.pack.concept(token.number), Class::Time, entry.opposites),
            Role::Pronoun => self.pronoun(token),
            Role::Gender => self.push(self.pack.concept(token.number), Class::Gender, 0),
            Role::Quantity => self.push(self.pack.concept(token.number), Class::Quantity, entry.opposites),
            Role::Content => self.content(token, entry),
        }
        1
    }

    /// "What does it do", "what do you have": behind an auxiliary these say what is asked for.
    fn main_verb(&self, rest: &[Token<'_>]) -> bool {
        let last = rest.get(1).is_none_or(|next| next.has(STARTS));
        match &*rest[0].text {
            "do" | "does" | "did" | "done" | "doing" => last && self.before.auxiliary,
            "have" => self.before.a_do,
            _ => false,
        }
    }

    /// Note how the term that this word became hangs on the one before.
    fn link(&mut self, token: &Token<'_>) {
        let grown = self.terms.list.len() > self.links.len();
        let article = matches!(&*token.text, "a" | "an" | "the" | "my" | "your");
        let link = if token.has(STARTS) { Link::Apart } else { self.next };
        self.links.resize(self.terms.list.len(), link);
        if grown {
            self.next = Link::Joined;
        } else if self.next == Link::Joined
            && self.pack.marks.turning.contains(&token.number)
            && !self.literal
        {
            self.next = self.turning(token);
        } else if !(article && matches!(self.next, Link::Turning | Link::Placing)) {
            self.next = Link::Apart;
        }
    }

    /// A preposition behind a noun; where the noun does not turn it counts as a word.
    fn turning(&mut self, token: &Token<'_>) -> Link {
        let turns = self
            .terms
            .list
            .last()
            .is_some_and(|head| plain(head) && !self.pack.marks.holders.contains(&head.hash));
        if turns {
            let verb = self.outlook.anybody && self.terms.list.len() == 1;
            return match (verb, self.pack.marks.placing.contains(&token.number)) {
                // "plan a trip", "plan for a trip"
                (true, _) => Link::Apart,
                (false, true) => Link::Placing,
                (false, false) => Link::Turning,
            };
        }
        self.push(self.pack.concept(token.number), Class::Relation, 0);
        self.links.push(Link::Apart);
        Link::Apart
    }

    fn push(&mut self, hash: u64, class: Class, opposites: u8) {
        self.terms.list.push(Term { hash, class, opposites });
    }

    /// In "how to" questions it is anybody's: who asks for "my English" asks for any.
    fn pronoun(&mut self, token: &Token<'_>) {
        let owner = matches!(&*token.text, "my" | "our") || token.has(ANYBODY);
        if self.outlook.anybody && matches!(&*token.text, "myself" | "yourself" | "ourselves") {
            return self.push(hash_of("oneself"), Class::Pronoun, 0);
        }
        if !(owner && self.outlook.anybody) {
            self.push(self.pack.concept(token.number), Class::Pronoun, 0);
        }
    }

    /// "not invisible" is "visible", "less insecure" is "more secure".
    fn opposite(&mut self, rest: &[Token<'_>]) -> Option<usize> {
        let next = rest.get(1)?;
        let entry = self.pack.entry(next.number);
        let marks = &self.pack.marks;
        if rest[0].number == marks.not && entry.complement != 0 && !self.literal {
            let other = self.pack.entry(entry.complement);
            self.push(self.pack.concept(entry.complement), Class::Content, other.opposites);
            return Some(2);
        }
        if rest[0].number == marks.less && entry.scale != 0 && !self.literal {
            let (more, other) = (self.pack.entry(marks.more), self.pack.entry(entry.scale));
            self.push(self.pack.concept(marks.more), Class::Quantity, more.opposites);
            self.push(self.pack.concept(entry.scale), Class::Content, other.opposites);
            return Some(2);
        }
        None
    }

    fn content(&mut self, token: &Token<'_>, entry: Entry) {
        if token.is_number() {
            return self.push(hash_of(&token.text), Class::Number, 0);
        }
        let name = token.has(CAPITAL) && !token.has(STARTS) && !self.outlook.capitals;
        let class = if name { Class::Entity } else { self.class_of(&token.text, token.number) };
        let generic = |word| self.pack.entry(word).weight == Weight::Generic && class == Class::Content;
        let weigh = |word| if generic(word) { Class::Generic } else { class };
        if self.literal {
            return self.push(hash_of(&token.text), class, entry.opposites);
        }
        if entry.base != 0 {
            self.past(entry.form);
            let opposites = self.pack.entry(entry.base).opposites;
            return self.push(self.pack.concept(entry.base), weigh(entry.base), opposites);
        }
        if entry.whole || entry.stands_for != 0 {
            return self.push(self.pack.concept(token.number), weigh(token.number), entry.opposites);
        }
        let lemma =
            if entry.opposites == 0 { lemma::lemma(&token.text, self.pack, self.known) } else { None };
        match lemma {
            None => self.push(hash_of(&token.text), weigh(token.number), entry.opposites),
            Some(lemma) => {
                self.past(lemma.form);
                let number = self.pack.words.number(&lemma.base);
                let hash = if number == 0 { hash_of(&lemma.base) } else { self.pack.concept(number) };
                let degree = if lemma.degree.is_empty() { 0 } else { hash_of(lemma.degree) };
                let class = if degree == 0 { weigh(number) } else { class };
                self.push(hash ^ degree, class, self.pack.entry(number).opposites);
            }
        }
    }

    /// "Who invents" is not "who invented"; behind "was" or "has" the form tells nothing.
    fn past(&mut self, form: Form) {
        if form == Form::Past && !self.before.auxiliary {
            self.terms.moods |= moods::PAST;
        }
    }

    fn class_of(&self, text: &str, number: u32) -> Class {
        if text.bytes().any(|byte| !byte.is_ascii_alphabetic() && byte != b'-' && byte < 128) {
            return Class::Code;
        }
        let rank = (self.known)(text);
        let rare = number == 0
            && rank.is_none_or(|rank| rank > RARE)
            && lemma::stems(text).all(|stem| (self.known)(&stem).is_none_or(|rank| rank > RARE));
        if rare { Class::Rare } else { Class::Content }
    }
}
