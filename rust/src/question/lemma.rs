//! Base forms: plurals, past forms and the like are cut back to the word they come from.

use super::pack::{Form, Pack, Role};
use super::token::{QUOTED, Token};

/// Ways to cut an ending off, likeliest first; most of them give no word.
pub(super) fn stems(word: &str) -> impl Iterator<Item = String> + '_ {
    const ENDINGS: [(&str, &str); 16] = [
        ("ies", "y"),
        ("es", "e"),
        ("es", ""),
        ("s", ""),
        ("ied", "y"),
        ("ed", "e"),
        ("ed", ""),
        ("ying", "y"),
        ("ing", "e"),
        ("ing", ""),
        ("ly", ""),
        ("er", ""),
        ("er", "e"),
        ("est", ""),
        ("est", "e"),
        ("ier", "y"),
    ];
    ENDINGS
        .iter()
        .filter_map(move |(ending, put)| {
            let stem = word.strip_suffix(ending).filter(|stem| stem.len() >= 2)?;
            Some(format!("{stem}{put}"))
        })
        .chain(doubled(word))
}

/// "running" has one n too many.
fn doubled(word: &str) -> Option<String> {
    let stem = ["ing", "ed", "er", "est"].iter().find_map(|ending| word.strip_suffix(ending))?;
    undouble(stem).map(str::to_owned)
}

fn undouble(stem: &str) -> Option<&str> {
    let bytes = stem.as_bytes();
    let &[.., before, last] = bytes else { return None };
    let double =
        before == last && !matches!(last, b'l' | b's' | b'z' | b'f' | b'e' | b'o') && bytes.len() > 3;
    double.then(|| &stem[..stem.len() - 1])
}

/// A base form and which form of it the word was.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lemma {
    pub base: String,
    pub form: Form,
    /// "er" or "est", of adjectives.
    pub degree: &'static str,
}

/// The base form of a word that the rules do not name, or none if it is one already.
pub(super) fn lemma(word: &str, pack: &Pack, known: &impl Fn(&str) -> Option<u32>) -> Option<Lemma> {
    if word.len() < 4 || !word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return None;
    }
    let plain = |base: String, form| Some(Lemma { base, form, degree: "" });
    if let Some(stem) = word.strip_suffix("ing").filter(|stem| has_vowel(stem) && stem.len() >= 2) {
        return plain(verb(stem, pack, known), Form::Other);
    }
    if let Some(stem) = word.strip_suffix("ied").filter(|stem| stem.len() >= 2) {
        return plain(format!("{stem}y"), Form::Past);
    }
    if let Some(stem) =
        word.strip_suffix("ed").filter(|stem| has_vowel(stem) && stem.len() >= 2 && !stem.ends_with('e'))
    {
        return plain(verb(stem, pack, known), Form::Past);
    }
    adjective(word, pack).or_else(|| plural(word, pack, known).and_then(|base| plain(base, Form::Other)))
}

/// The singular of a plural, where it is a word that the embedder knows too.
pub(super) fn singular(
    token: &Token<'_>,
    pack: &Pack,
    known: &impl Fn(&str) -> Option<u32>,
) -> Option<String> {
    let entry = pack.entry(token.number);
    let plain = entry.role == Role::Content && entry.base == 0 && !entry.whole && !token.has(QUOTED);
    if !plain || token.text.len() < 4 || !token.text.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return None;
    }
    plural(&token.text, pack, known).filter(|base| known(base).is_some())
}

fn has_vowel(stem: &str) -> bool {
    stem.bytes().any(|byte| matches!(byte, b'a' | b'e' | b'i' | b'o' | b'u' | b'y'))
}

/// Is "mak" from "make", "runn" from "run", "work" from "work"? The more frequent word wins.
fn verb(stem: &str, pack: &Pack, known: &impl Fn(&str) -> Option<u32>) -> String {
    if let Some(single) = undouble(stem) {
        return single.to_owned();
    }
    let with_e = format!("{stem}e");
    let rank = |word: &str| known(word).or_else(|| (pack.words.number(word) != 0).then_some(u32::MAX));
    match (rank(stem), rank(&with_e)) {
        (None, Some(_)) => with_e,
        (Some(plain), Some(e)) if e < plain && wants_e(stem) => with_e,
        (None, None) if stem.ends_with(['c', 'v', 'u', 'z']) => with_e,
        _ => stem.to_owned(),
    }
}

/// One vowel and one consonant at the end would have been doubled.
fn wants_e(stem: &str) -> bool {
    let bytes = stem.as_bytes();
    let vowel =
        |at: usize| bytes.len() >= at && matches!(bytes[bytes.len() - at], b'a' | b'e' | b'i' | b'o' | b'u');
    !vowel(1) && (vowel(2) || stem.ends_with(['c', 'g', 's', 'v', 'z']))
}

fn adjective(word: &str, pack: &Pack) -> Option<Lemma> {
    let (stem, degree) = word
        .strip_suffix("est")
        .map(|stem| (stem, "est"))
        .or_else(|| word.strip_suffix("er").map(|stem| (stem, "er")))?;
    let with_y = stem.strip_suffix('i').map(|stem| format!("{stem}y"));
    let candidates =
        [with_y, Some(stem.to_owned()), Some(format!("{stem}e")), undouble(stem).map(str::to_owned)];
    let base = candidates.into_iter().flatten().find(|base| pack.entry(pack.words.number(base)).adjective)?;
    Some(Lemma { base, form: Form::Other, degree })
}

fn plural(word: &str, pack: &Pack, known: &impl Fn(&str) -> Option<u32>) -> Option<String> {
    if word.ends_with("ss") || word.ends_with("us") || word.ends_with("is") {
        return None;
    }
    if let Some(stem) = word.strip_suffix("ies").filter(|stem| stem.len() >= 2) {
        return Some(format!("{stem}y"));
    }
    let stem = word.strip_suffix('s')?;
    let hisses = |short: &&str| {
        short.ends_with(['x', 'o']) || ["ch", "sh", "ss", "zz"].iter().any(|end| short.ends_with(end))
    };
    if let Some(short) = stem.strip_suffix('e').filter(hisses) {
        let rank = |word: &str| known(word).or_else(|| (pack.words.number(word) != 0).then_some(u32::MAX));
        let silent = rank(stem).is_some_and(|e| rank(short).is_none_or(|plain| e < plain));
        return Some(if silent { stem } else { short }.to_owned());
    }
    Some(stem.to_owned())
}
