//! Brings a text to plain words: contractions written out, courtesies dropped, spelling mended, numbers in digits.

use super::number;
use super::pack::{Index, Pack, Phrase, Role};
use super::pattern::{MAX_SLOTS, Pattern};
use super::spelling;
use super::token::{CAPITAL, QUOTED, SHOUTED, STARTS, Token, sentences};
use super::words::WordMap;

/// Openings that may follow one another.
const MAX_OPENINGS: usize = 4;

/// All steps, in the order in which each makes the next possible.
pub(super) fn plain<'a>(
    tokens: Vec<Token<'a>>,
    pack: &'a Pack,
    known: &impl Fn(&str) -> Option<u32>,
) -> Vec<Token<'a>> {
    let mut tokens = acronyms(tokens, pack);
    endings(&mut tokens, pack);
    spelling::mend(&mut tokens, pack, known);
    let tokens = rewrite(tokens, &pack.spellings, pack);
    let tokens = number::digits(&tokens, pack);
    courtesies(tokens, pack)
}

/// "US" among small letters is the country.
fn acronyms<'a>(tokens: Vec<Token<'a>>, pack: &'a Pack) -> Vec<Token<'a>> {
    let shouted = tokens.iter().filter(|token| token.has(SHOUTED)).count();
    if shouted == 0 || shouted * 2 > tokens.len() {
        return tokens;
    }
    let mut plain = Vec::with_capacity(tokens.len() + 4);
    for token in tokens {
        let found = pack.acronyms.iter().find(|(word, _)| token.has(SHOUTED) && *word == token.number);
        match found {
            Some((_, to)) => plain.extend(written(to, &token, pack)),
            None => plain.push(token),
        }
    }
    plain
}

/// Words of the rules in the place of one word.
fn written<'a>(to: &[u32], place: &Token<'_>, pack: &'a Pack) -> impl Iterator<Item = Token<'a>> {
    let flags = place.flags;
    to.iter().enumerate().map(move |(at, &word)| {
        Token::known(word, if at == 0 { flags } else { flags & (CAPITAL | QUOTED) }, &pack.words)
    })
}

/// "n't", "'re", "'ll" and the like become words.
fn endings<'a>(tokens: &mut Vec<Token<'a>>, pack: &'a Pack) {
    const ENDINGS: [(&str, &str); 7] = [
        ("n't", "not"),
        ("'re", "are"),
        ("'ll", "will"),
        ("'ve", "have"),
        ("'d", "would"),
        ("'m", "am"),
        ("'s", "is"),
    ];
    if !tokens.iter().any(|token| token.text.contains('\'')) {
        return;
    }
    let mut at = 0;
    while at < tokens.len() {
        let text = tokens[at].text.clone();
        let cut = ENDINGS.iter().find_map(|(ending, word)| Some((text.strip_suffix(ending)?.len(), *word)));
        if let Some((len, word)) =
            cut.filter(|&(len, _)| len > 0 && !pack.spellings.contains_key(&tokens[at].number))
        {
            let flags = tokens[at].flags;
            tokens[at] = Token::new(text[..len].to_owned().into(), flags, &pack.words);
            tokens.insert(at + 1, Token::new(word.into(), flags & QUOTED, &pack.words));
            at += 1;
        } else if text.contains('\'') && text != "'s" && tokens[at].number == 0 {
            tokens[at].text = text.replace('\'', "").into();
            tokens[at].number = pack.words.number(&tokens[at].text);
        }
        at += 1;
    }
}

/// Write phrases of the rules in the words that stand for them.
pub(super) fn rewrite<'a>(
    tokens: Vec<Token<'a>>,
    phrases: &'a WordMap<u32, Vec<Phrase>>,
    pack: &'a Pack,
) -> Vec<Token<'a>> {
    let find = |at: usize| {
        let tokens = tokens.get(at..)?;
        phrases.get(&tokens.first()?.number)?.iter().find(|phrase| {
            phrase.words.len() <= tokens.len()
                && phrase.words.iter().zip(tokens).all(|(&word, token)| word == token.number)
                && !tokens[1..phrase.words.len()].iter().any(|token| token.has(STARTS))
        })
    };
    if (0..tokens.len()).all(|at| find(at).is_none()) {
        return tokens;
    }
    let mut plain = Vec::with_capacity(tokens.len() + 8);
    let mut at = 0;
    while at < tokens.len() {
        if let Some(phrase) = find(at) {
            plain.extend(written(&phrase.to, &tokens[at], pack));
            at += phrase.words.len();
        } else {
            plain.push(tokens[at].clone());
            at += 1;
        }
    }
    plain
}

/// Drop what asks for an answer without changing it.
fn courtesies<'a>(tokens: Vec<Token<'a>>, pack: &'a Pack) -> Vec<Token<'a>> {
    let mut keep = vec![true; tokens.len()];
    let all = sentences(&tokens);
    for sentence in &all {
        let words = &tokens[sentence.clone()];
        let whole = fits_one(&pack.courtesies, &pack.courtesies_index, words) == Some(words.len());
        let dropped = if whole { words.len() } else { opening(words, pack) };
        keep[sentence.start..sentence.start + dropped].fill(false);
    }
    closing(&tokens, &mut keep, pack);
    for at in 0..tokens.len() {
        let verb = at > 0
            && matches!(&*tokens[at - 1].text, "to" | "i" | "we" | "they" | "he" | "she" | "not" | "will");
        if tokens[at].number == pack.marks.please
            && !verb
            && !tokens[at].has(QUOTED)
            && !about(&tokens, at, pack)
        {
            keep[at] = false;
        }
    }
    let mut starts = 0;
    let mut kept = Vec::with_capacity(tokens.len());
    for (mut token, keep) in tokens.into_iter().zip(keep) {
        starts |= token.flags & STARTS;
        if keep {
            token.flags |= starts;
            starts = 0;
            kept.push(token);
        }
    }
    kept
}

fn about(tokens: &[Token<'_>], at: usize, pack: &Pack) -> bool {
    at > 0 && pack.spoken_about.contains(&tokens[at - 1].number)
}

/// How many words of an opening courtesy.
fn opening(words: &[Token<'_>], pack: &Pack) -> usize {
    let mut dropped = 0;
    for _ in 0..MAX_OPENINGS {
        let rest = &words[dropped..];
        let asks = |taken: &usize| {
            rest.get(*taken).is_some_and(|next| {
                pack.marks.questions.contains(&next.number) || next.number == pack.marks.this[0]
            })
        };
        let request = fits_one(&pack.requests, &pack.requests_index, rest).filter(asks);
        let Some(taken) = request.or_else(|| plain_opening(rest, pack)) else { break };
        dropped += taken;
    }
    dropped
}

/// A greeting; "can you" only before "please".
fn plain_opening(rest: &[Token<'_>], pack: &Pack) -> Option<usize> {
    let taken = fits_one(&pack.openings, &pack.openings_index, rest)?;
    let last = rest.get(taken.checked_sub(1)?)?;
    let you = &*last.text == "you" && &*rest[0].text != "thank";
    if you && rest.get(taken).is_none_or(|next| next.number != pack.marks.please) {
        return None;
    }
    (taken < rest.len() || taken <= 3).then_some(taken)
}

fn fits_one(patterns: &[Pattern], index: &Index, words: &[Token<'_>]) -> Option<usize> {
    let first = words.first()?.number;
    index
        .of(first)
        .filter_map(|(at, _)| patterns.get(usize::from(at))?.fits(words, &mut [(0, 0); MAX_SLOTS]))
        .filter(|&taken| taken > 0)
        .max()
}

/// "Thanks" at the end.
fn closing(tokens: &[Token<'_>], keep: &mut [bool], pack: &Pack) {
    let mut end = tokens.len();
    for _ in 0..2 {
        let found = pack.closings.iter().find(|closing| {
            let start = end.checked_sub(closing.len());
            start.is_some_and(|start| {
                start > 2
                    && closing
                        .iter()
                        .zip(&tokens[start..end])
                        .all(|(&word, token)| word == token.number && !token.has(QUOTED))
                    && !about(tokens, start, pack)
            })
        });
        let Some(closing) = found else { return };
        keep[end - closing.len()..end].fill(false);
        end -= closing.len();
    }
}

/// Is it a word of its own weight, or one that any sentence may hold?
pub(super) fn carries(token: &Token<'_>, pack: &Pack) -> bool {
    matches!(pack.entry(token.number).role, Role::Content | Role::Unit | Role::Time | Role::Quantity)
}
