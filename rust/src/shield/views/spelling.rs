//! Words that are spelt with digits and symbols, or wrongly.

use super::{Vocabulary, rewrite};

/// Most letters of a word that may be `i` or `l`; each doubles the spellings to look up.
const AMBIGUOUS: u32 = 3;
/// Longest word that is read as leet, in characters.
const LONGEST: usize = 32;

/// Read digits and symbols in words as the letters they resemble; where that is the `habit` of the text, in
/// words without a letter, too.
pub(super) fn leet(text: &str, habit: bool, vocabulary: &Vocabulary) -> Option<String> {
    rewrite(text, is_leet, |word| {
        let bytes = word.as_bytes();
        let has_letters = bytes.iter().any(u8::is_ascii_alphabetic);
        if bytes.len() > LONGEST || !has_letters && !habit {
            return None;
        }
        // A mark at the end may be just that.
        let bare = word.trim_end_matches(['!', '|', '+']);
        if bare.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return None;
        }
        let known = |word: &str| spellings(word).find(|spelling| vocabulary.knows(spelling.as_bytes()));
        known(word)
            .or_else(|| known(bare).map(|spelling| spelling + word.get(bare.len()..).unwrap_or_default()))
            .or_else(|| spellings(word).next().filter(|_| has_letters))
    })
}

const fn is_leet(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '@' | '$' | '!' | '+' | '|')
}

/// Every reading of `word`; all of the ambiguous letters as `i` first.
fn spellings(word: &str) -> impl Iterator<Item = String> + '_ {
    let ambiguous =
        word.bytes().filter(|byte| matches!(byte, b'1' | b'!' | b'|')).take(AMBIGUOUS as usize).count();
    (0..1_u32 << ambiguous).map(move |mut choice| {
        word.chars()
            .map(|letter| match letter {
                '0' => 'o',
                '3' => 'e',
                '4' | '@' => 'a',
                '5' | '$' => 's',
                '6' | '9' => 'g',
                '7' | '+' => 't',
                '8' => 'b',
                '1' | '!' | '|' => {
                    let is_l = choice & 1 == 1;
                    choice >>= 1;
                    if is_l { 'l' } else { 'i' }
                }
                other => other,
            })
            .collect()
    })
}

/// Put known words in the place of misspelt ones.
pub(super) fn repaired(text: &str, vocabulary: &Vocabulary) -> Option<String> {
    rewrite(
        text,
        |letter| letter.is_ascii_alphabetic(),
        |word| {
            let word = word.as_bytes();
            if vocabulary.knows(word) { None } else { vocabulary.repair(word).map(str::to_owned) }
        },
    )
}
