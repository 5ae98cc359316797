//! Patterns of words: alternatives, optional words, slots that take what stands there, and the ends of sentences.

use super::token::{AFTER_COMMA, STARTS, Token};
use super::words::{UNKNOWN, Words};

/// Longer sentences are left as they are: a slot may try every length.
const MAX_SENTENCE: usize = 48;

#[derive(Debug, Clone)]
enum Part {
    /// One of several words or runs of words.
    Words { runs: Vec<Vec<u32>>, optional: bool },
    /// One word or more, up to `most`.
    Slot { slot: usize, most: usize },
    /// The next word stands behind a comma.
    Comma,
    /// The next word is the first of its sentence.
    Start,
    /// A sentence ends here.
    End,
}

/// One pattern.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    parts: Vec<Part>,
    /// Must it take the whole sentence?
    whole: bool,
}

/// What the slots took, by their place among the names of the slots.
pub(super) type Taken = [(usize, usize); MAX_SLOTS];

/// Slots of one pattern.
pub(super) const MAX_SLOTS: usize = 5;

impl Pattern {
    /// Read a pattern; `names` gathers the names of slots.
    pub(super) fn read(text: &str, whole: bool, names: &mut Vec<String>, words: &mut Words) -> Self {
        let parts = text.split_whitespace().map(|part| read_part(part, names, words)).collect();
        Self { parts, whole }
    }

    /// Words it may begin with; none if it may begin with anything.
    pub(super) fn first_words(&self) -> Option<Vec<u32>> {
        let mut firsts = Vec::new();
        for part in &self.parts {
            let Part::Words { runs, optional } = part else {
                if matches!(part, Part::Start) {
                    continue;
                }
                return None;
            };
            firsts.extend(runs.iter().filter_map(|run| run.first()));
            if !optional {
                firsts.sort_unstable();
                firsts.dedup();
                return Some(firsts);
            }
        }
        None
    }

    /// Does it fit the beginning of `tokens`? Gives how many words it took.
    pub(super) fn fits(&self, tokens: &[Token<'_>], taken: &mut Taken) -> Option<usize> {
        if tokens.len() > MAX_SENTENCE && self.parts.iter().any(|part| matches!(part, Part::Slot { .. })) {
            return None;
        }
        fit(&self.parts, tokens, 0, self.whole, taken)
    }
}

fn read_part(part: &str, names: &mut Vec<String>, words: &mut Words) -> Part {
    match part {
        "," => return Part::Comma,
        "^" => return Part::Start,
        "." => return Part::End,
        _ => {}
    }
    if let Some(inner) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
        let (name, most) = inner.split_once(':').unwrap_or((inner, ""));
        let slot = names.iter().position(|known| known == name).unwrap_or_else(|| {
            names.push(name.to_owned());
            names.len() - 1
        });
        return Part::Slot { slot: slot.min(MAX_SLOTS - 1), most: most.parse().unwrap_or(MAX_SENTENCE) };
    }
    let (list, optional) = part.strip_suffix('?').map_or((part, false), |list| (list, true));
    let mut runs: Vec<Vec<u32>> = list
        .split('|')
        .map(|run| run.split('-').filter(|word| !word.is_empty()).map(|word| words.learn(word)).collect())
        .filter(|run: &Vec<u32>| !run.is_empty())
        .collect();
    // The longest first, so that "some of the" is taken whole.
    runs.sort_by_key(|run| std::cmp::Reverse(run.len()));
    Part::Words { runs, optional }
}

fn fit(parts: &[Part], tokens: &[Token<'_>], at: usize, whole: bool, taken: &mut Taken) -> Option<usize> {
    let Some((part, rest)) = parts.split_first() else {
        return (!whole || at == tokens.len()).then_some(at);
    };
    match part {
        Part::Comma => tokens
            .get(at)
            .is_some_and(|token| token.has(AFTER_COMMA))
            .then(|| fit(rest, tokens, at, whole, taken))?,
        Part::Start => tokens
            .get(at)
            .is_some_and(|token| token.has(STARTS))
            .then(|| fit(rest, tokens, at, whole, taken))?,
        Part::End => tokens
            .get(at)
            .is_none_or(|token| token.has(STARTS))
            .then(|| fit(rest, tokens, at, whole, taken))?,
        Part::Words { runs, optional } => runs
            .iter()
            .filter(|run| stands(run, tokens, at))
            .find_map(|run| fit(rest, tokens, at + run.len(), whole, taken))
            .or_else(|| optional.then(|| fit(rest, tokens, at, whole, taken))?),
        Part::Slot { slot, most } => {
            let last = (at + most).min(tokens.len());
            let first = if rest.is_empty() && whole { tokens.len() } else { at + 1 };
            (first..=last).find_map(|end| {
                taken[*slot] = (at, end);
                let found = fit(rest, tokens, end, whole, taken)?;
                taken[*slot] = (at, end);
                Some(found)
            })
        }
    }
}

fn stands(run: &[u32], tokens: &[Token<'_>], at: usize) -> bool {
    tokens.len() >= at + run.len()
        && run.iter().zip(&tokens[at..]).all(|(&word, token)| word == token.number && word != UNKNOWN)
}
