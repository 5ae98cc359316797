//! From rules to the automaton: each word learns what it does in which sequence.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::nfa::contiguous::NFA;

use super::super::pack::{Pack, Rule, compile_pattern};
use super::super::tokens::Counter;
use super::literal::{Literal, Spared};
use super::{AT_START, Element, Expression, Group, Matcher, Roles, Step, Word};

/// Gathers elements and chains while rules are read.
#[derive(Default)]
pub(super) struct Builder {
    /// By the classes of a place, and whether it must start a sentence.
    elements: BTreeMap<(Vec<String>, bool), Element>,
    chains: Vec<Chain>,
    marks: BTreeSet<Element>,
    alone: BTreeMap<Element, Vec<u16>>,
    anchors: BTreeMap<Element, Vec<u16>>,
    patterns: Vec<Expression>,
    spared: Vec<Spared>,
}

/// A sequence of two elements or more.
struct Chain {
    rule: u16,
    gap: u32,
    places: Vec<Element>,
}

/// A place of a sequence before its words are known: later places first, then by what must have been seen before.
type Place = (Reverse<usize>, u32);
/// By element: the steps it takes.
type Steps = BTreeMap<Element, BTreeMap<Place, Vec<Step>>>;

impl Builder {
    fn element(&mut self, place: &str) -> Result<Element, String> {
        let (place, at_start) = place.strip_prefix(AT_START).map_or((place, false), |rest| (rest, true));
        let mut classes: Vec<String> = place.split('|').map(str::to_owned).collect();
        classes.sort_unstable();
        let next = Element::try_from(self.elements.len()).map_err(|_| "too many places")?;
        Ok(*self.elements.entry((classes, at_start)).or_insert(next))
    }

    /// Take in one rule.
    pub fn rule(
        &mut self,
        nth: u16,
        rule: &Rule,
        classes: &BTreeMap<String, Vec<String>>,
    ) -> Result<(), String> {
        self.spared.push(Spared::read(rule, classes));
        if let (Some(pattern), Some(anchor)) = (&rule.pattern, &rule.anchor) {
            let index = u16::try_from(self.patterns.len()).map_err(|_| "too many patterns")?;
            self.patterns.push(Expression { rule: nth, pattern: compile_pattern(pattern)? });
            let element = self.element(anchor)?;
            self.anchors.entry(element).or_default().push(index);
        }
        for sequence in &rule.sequences {
            let places = sequence.iter().map(|place| self.element(place)).collect::<Result<Vec<_>, _>>()?;
            if rule.any_order {
                for order in orders(&places) {
                    self.chain(nth, rule.gap, &order);
                }
            } else {
                self.chain(nth, rule.gap, &places);
            }
        }
        Ok(())
    }

    fn chain(&mut self, rule: u16, gap: u16, places: &[Element]) {
        match places {
            [] => {}
            [only] => self.alone.entry(*only).or_default().push(rule),
            [first, ..] => {
                self.marks.insert(*first);
                self.chains.push(Chain { rule, gap: gap.into(), places: places.to_vec() });
            }
        }
    }

    /// The steps of all sequences. Also gives how many places are kept in mind, after the elements.
    fn steps(&self) -> Result<(Steps, usize), String> {
        let mut steps = Steps::new();
        let mut slot = u32::try_from(self.elements.len()).map_err(|_| "too many places")?;
        for Chain { rule, gap, places } in &self.chains {
            let mut before = places.first().copied().map_or(slot, u32::from);
            for (place, element) in places.iter().enumerate().skip(1) {
                let next = (place + 1 < places.len()).then_some(slot);
                let of_element = steps.entry(*element).or_default();
                let step = Step { rule: *rule, gap: *gap, next };
                of_element.entry((Reverse(place), before)).or_default().push(step);
                if next.is_some() {
                    before = slot;
                    slot += 1;
                }
            }
        }
        Ok((steps, slot as usize))
    }

    /// Build the automaton over the words of the classes that rules use.
    pub fn finish(self, pack: &Pack) -> Result<Matcher, String> {
        let mut of_class: BTreeMap<&str, Vec<(Element, bool)>> = BTreeMap::new();
        for ((classes, at_start), &element) in &self.elements {
            for class in classes {
                of_class.entry(class).or_default().push((element, *at_start));
            }
        }
        let mut of_word: BTreeMap<Literal, BTreeSet<(Element, bool)>> = BTreeMap::new();
        for (class, words) in &pack.classes {
            let Some(elements) = of_class.get(class.as_str()) else { continue };
            for word in words {
                of_word.entry(Literal::read(word)).or_default().extend(elements);
            }
        }
        let automaton = NFA::new(of_word.keys().map(|literal| literal.text.as_str()))
            .map_err(|error| format!("the words do not fit into one automaton: {error}"))?;
        let (steps, seen) = self.steps()?;
        let words = of_word.iter().map(|(literal, elements)| self.word(literal, elements, &steps)).collect();
        Ok(Matcher { automaton, words, patterns: self.patterns, spared: self.spared, seen })
    }

    fn word(&self, literal: &Literal, elements: &BTreeSet<(Element, bool)>, steps: &Steps) -> Word {
        let roles = |wanted: bool| {
            let chosen = elements.iter().filter(|(_, at_start)| *at_start == wanted);
            self.roles(&chosen.map(|(element, _)| *element).collect(), steps)
        };
        Word {
            bytes: literal.text.len(),
            tokens: Counter::count(&literal.text),
            open_left: literal.open_left,
            open_right: literal.open_right,
            anywhere: roles(false),
            at_start: roles(true),
        }
    }

    fn roles(&self, elements: &BTreeSet<Element>, steps: &Steps) -> Roles {
        let mut places: BTreeMap<Place, BTreeSet<Step>> = BTreeMap::new();
        for (place, taken) in elements.iter().filter_map(|element| steps.get(element)).flatten() {
            places.entry(*place).or_default().extend(taken);
        }
        let groups = places.into_iter().map(|((_, before), steps)| Group {
            before,
            reach: steps.iter().map(|step| step.gap).max().unwrap_or_default(),
            steps: steps.into_iter().collect(),
        });
        let alone: BTreeSet<u16> =
            elements.iter().filter_map(|element| self.alone.get(element)).flatten().copied().collect();
        let anchors = elements.iter().filter_map(|element| self.anchors.get(element)).flatten().copied();
        Roles {
            marks: elements.intersection(&self.marks).copied().collect(),
            alone: alone.into_iter().collect(),
            groups: groups.collect(),
            anchors: anchors.collect(),
        }
    }
}

/// Every order of a few places.
fn orders(places: &[Element]) -> Vec<Vec<Element>> {
    let [first, rest @ ..] = places else { return vec![Vec::new()] };
    let mut all = Vec::new();
    for order in orders(rest) {
        for at in 0..=order.len() {
            let mut longer = order.clone();
            longer.insert(at, *first);
            all.push(longer);
        }
    }
    all
}
