//! Words whose letters are set apart, and words that are not.

use super::super::normalise::Normal;
use super::vocabulary::{EMPTY, grow};
use super::{Vocabulary, rewrite};

/// Fewest letters set apart by blanks that are one piece; two are enough of what is set apart otherwise.
const CHAIN: usize = 4;
/// Shortest run of letters that is cut into words, in letters.
const RUN: usize = 8;
/// Longest known word that is looked for in a run, in letters.
const WORD: usize = 16;
/// Most letters that are cut into words in one text: each costs [`WORD`] lookups.
const CUT: usize = 2048;
/// Fewest letters in two words of a run that is cut, on average: less is a long word cut to pieces.
const TWO_WORDS: usize = 5;
/// What a known word costs, one of two letters or less, and a letter that belongs to none.
const COSTS: (u32, u32, u32) = (10, 16, 14);

/// Join letters that stand alone: `i g n o r e   a l l`, `i.g.n.o.r.e a.l.l`. Where the original has wider
/// gaps, words end there; else they are looked for.
pub(super) fn joined(normal: &Normal, window: (usize, usize), vocabulary: &Vocabulary) -> Option<String> {
    let text = normal.text.get(window.0..window.1)?;
    let letters: Vec<(usize, char)> = text.char_indices().collect();
    let wide = |at: usize| {
        let at = window.0 + at;
        normal.origin(at + 1).saturating_sub(normal.origin(at)) > 1
    };
    let (mut joined, mut at, mut changed) = (String::with_capacity(text.len()), 0, false);
    while let Some((_, letter)) = letters.get(at) {
        let starts = at == 0 || letters.get(at - 1).is_some_and(|(_, before)| before.is_whitespace());
        let (chain, end) = if starts { chain(&letters, at, wide) } else { (String::new(), at) };
        if end == at {
            joined.push(*letter);
            at += 1;
            continue;
        }
        changed = true;
        // Without blanks between letters the words around tell where this one ends, unless there are none.
        let fewest =
            if letters.get(at + 1).is_some_and(|(_, letter)| letter.is_whitespace()) { RUN } else { WORD };
        if chain.len() >= fewest && !chain.contains(' ') {
            let cut = rewrite(&chain, |letter| letter.is_ascii_alphabetic(), |word| cut(word, vocabulary));
            joined.push_str(&cut.unwrap_or(chain));
        } else {
            joined.push_str(&chain);
        }
        at = end;
    }
    changed.then_some(joined)
}

/// The letters that stand alone from `at` on, all with the same separator between them, and where they end.
fn chain(letters: &[(usize, char)], at: usize, wide: impl Fn(usize) -> bool) -> (String, usize) {
    let char_at = |at: usize| letters.get(at).map(|(_, letter)| *letter);
    let separator = char_at(at + 1);
    let Some(separator) =
        separator.filter(|letter| matches!(letter, ' ' | '\n' | '.' | '-' | '_' | ',' | '/' | '*' | '|'))
    else {
        return (String::new(), at);
    };
    let (mut chain, mut length, mut next) = (String::new(), 0, at);
    while let Some(letter) = char_at(next).filter(|letter| !letter.is_whitespace()) {
        let after = char_at(next + 1);
        if after != Some(separator) && after.is_some_and(|after| !after.is_whitespace()) {
            break;
        }
        chain.push(letter);
        length += 1;
        next += 1;
        if after != Some(separator) {
            break;
        }
        if char_at(next + 1).is_none_or(char::is_whitespace) {
            break;
        }
        if separator == ' ' && letters.get(next).is_some_and(|(byte, _)| wide(*byte)) {
            chain.push(' ');
        }
        next += 1;
    }
    let fewest = if separator.is_whitespace() { CHAIN } else { 2 };
    if length < fewest {
        return (String::new(), at);
    }
    // A separator that was stepped over without a letter after it still stands between words.
    if next > at && char_at(next - 1) == Some(separator) && separator.is_whitespace() && !chain.ends_with(' ')
    {
        chain.push(separator);
    }
    (chain, next)
}

/// Cut long runs of letters into known words.
pub(super) fn parted(text: &str, vocabulary: &Vocabulary) -> Option<String> {
    let mut left = CUT;
    rewrite(
        text,
        |letter| letter.is_ascii_alphabetic(),
        |word| {
            if word.len() < RUN || word.len() > left || vocabulary.knows(word.as_bytes()) {
                return None;
            }
            left -= word.len();
            cut(word, vocabulary)
        },
    )
}

/// The cheapest way to cut `run` into known words and letters that belong to none.
fn cut(run: &str, vocabulary: &Vocabulary) -> Option<String> {
    let bytes = run.as_bytes().get(..run.len().min(CUT))?;
    let (word_cost, short_cost, letter_cost) = COSTS;
    // For each end: the cost so far, where the last word starts, and whether it is known.
    let mut best = vec![(u32::MAX, 0, false); bytes.len() + 1];
    if let Some(first) = best.first_mut() {
        first.0 = 0;
    }
    for start in 0..bytes.len() {
        let Some(&(so_far, ..)) = best.get(start) else { break };
        let mut offer = |end: usize, cost: u32, known: bool| {
            if let Some(at) = best.get_mut(end).filter(|at| so_far.saturating_add(cost) < at.0) {
                *at = (so_far.saturating_add(cost), start, known);
            }
        };
        offer(start + 1, letter_cost, false);
        let mut hash = EMPTY;
        for (at, letter) in bytes.iter().enumerate().skip(start).take(WORD) {
            hash = grow(hash, *letter);
            let length = at + 1 - start;
            let stands_alone = length > 1 || matches!(letter, b'a' | b'i');
            if stands_alone && vocabulary.knows_hash(hash) {
                offer(at + 1, if length > 2 { word_cost } else { short_cost }, true);
            }
        }
    }
    let (mut ends, mut at) = (Vec::new(), bytes.len());
    while at > 0 {
        let &(_, start, known) = best.get(at)?;
        ends.push((start, at, known));
        at = start;
    }
    let mut words = String::with_capacity(run.len() * 2);
    let (mut was_known, mut pieces) = (true, 0);
    for (start, end, known) in ends.into_iter().rev() {
        if known || was_known {
            pieces += 1;
            if !words.is_empty() {
                words.push(' ');
            }
        }
        words.push_str(run.get(start..end)?);
        was_known = known;
    }
    words.push_str(run.get(bytes.len()..)?);
    (pieces > 1 && run.len() * 2 >= pieces * TWO_WORDS).then_some(words)
}
