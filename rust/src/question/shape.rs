//! What the shape of a text tells: code, links, ids, and whether it is English.

use super::Unfit;
use super::pack::{ENGLISH, FOREIGN, Pack};
use super::token::Token;

/// About 512 tokens of English, and fewer of anything else.
const MAX_BYTES: usize = 2400;
/// Words, at three tokens for two words.
pub(super) const MAX_WORDS: usize = 340;

/// What only code, logs and differences between files hold.
const CODE_MARKS: [&str; 22] = [
    "```",
    "~~~",
    "diff --git",
    "@@ -",
    "Traceback (most recent call",
    "Exception in thread",
    "stack trace:",
    "#include",
    "<?php",
    "#!/",
    "</",
    "/>",
    "=>",
    "->",
    "::",
    "==",
    "!=",
    "&&",
    "||",
    "+=",
    "();",
    "){",
];
/// What only addresses hold.
const LINK_MARKS: [&str; 5] = ["://", "www.", ":\\", "~/", "./"];

/// Refuse what shows without reading words.
pub(super) fn refuse(text: &str) -> Option<Unfit> {
    if text.len() > MAX_BYTES {
        return Some(Unfit::Long);
    }
    if LINK_MARKS.iter().any(|mark| text.contains(mark)) || text.split_whitespace().any(is_address) {
        return Some(Unfit::Link);
    }
    (CODE_MARKS.iter().any(|mark| text.contains(mark)) || looks_like_code(text)).then_some(Unfit::Code)
}

/// An e-mail address or a path.
fn is_address(word: &str) -> bool {
    let at = word.find('@').is_some_and(|at| at > 0 && word[at + 1..].contains('.'));
    let slashes = word.bytes().filter(|&byte| byte == b'/' || byte == b'\\').count();
    at || (slashes >= 2 && (word.starts_with(['/', '\\']) || word.contains('.')))
        || (slashes >= 1
            && word.find('.').is_some_and(|dot| {
                word[dot..].contains('/')
                    && !word[..dot].contains('/')
                    && word[dot + 1..].starts_with(char::is_alphabetic)
                    && word[..dot].len() > 2
            }))
}

/// Several names as programs write them, or lines that end as theirs do.
fn looks_like_code(text: &str) -> bool {
    let names = text
        .split(|char: char| !(char.is_alphanumeric() || char == '_' || char == '(' || char == ')'))
        .filter(|word| is_identifier(word))
        .count();
    let lines = text.lines().filter(|line| line.trim_end().ends_with([';', '{', '}'])).count();
    names >= 2 || lines >= 2 || (names >= 1 && lines >= 1)
}

fn is_identifier(word: &str) -> bool {
    let bytes = word.as_bytes();
    let joined = bytes.windows(3).any(|three| {
        three[1] == b'_' && three[0].is_ascii_alphanumeric() && three[2].is_ascii_alphanumeric()
    });
    let called = word.ends_with("()") && word.len() > 3;
    joined || called
}

/// A hash, an identifier or a long number: never the same in two questions by chance.
pub(super) fn is_link_like(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let letters = word.bytes().filter(u8::is_ascii_alphabetic).count();
    let plain = digits + letters == word.len();
    (plain && letters == 0 && digits >= 9)
        || (plain && digits >= 3 && letters >= 3 && word.len() >= 10)
        || (plain
            && digits >= 1
            && letters >= 1
            && word.len() >= 8
            && word.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Is it English? Told by the small words, and by letters.
pub(super) fn is_english(tokens: &[Token<'_>], pack: &Pack) -> bool {
    let foreign_letters = tokens
        .iter()
        .filter(|token| token.text.chars().any(|char| char.is_alphabetic() && !char.is_ascii()))
        .count();
    let count = |bit| tokens.iter().filter(|token| pack.entry(token.number).languages & bit != 0).count();
    let (english, foreign) = (count(ENGLISH), count(FOREIGN));
    foreign_letters * 3 <= tokens.len() && english >= foreign && (english > 0 || foreign == 0)
}
