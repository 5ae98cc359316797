//! Single characters that are written as codes: percent escapes, entities of HTML, backslash escapes.

use super::super::cut;
use super::{Budget, Decoded, ESCAPES, is_text, readable};

/// Escapes that lie closer together belong to one piece, in bytes.
const GAP: usize = 256;
/// How far a piece reaches before its first escape and beyond its last if no blank ends it, in bytes.
const REACH: (usize, usize) = (64, 4096);
/// Longest entity, in bytes: `&NewLine;`, `&#x0010ffff;`.
const ENTITY: usize = 12;

/// The character that an escape at the start of the bytes stands for, and the length of the escape.
type Read = fn(&[u8]) -> Option<(Code, usize)>;

/// A way to write characters as codes.
struct Scheme {
    via: &'static str,
    mark: u8,
    read: Read,
    /// Fewest escapes in a piece that is decoded.
    fewest: usize,
}

enum Code {
    Byte(u8),
    Char(char),
}

/// Decode `%69%67`, and `+` as a blank where none is written otherwise.
pub(super) fn percent(text: &str, fewest: usize, budget: &mut Budget, found: &mut Vec<Decoded>) {
    let first = found.len();
    pieces(text, &Scheme { via: "percent", mark: b'%', read: percent_code, fewest }, budget, found);
    for decoded in found.iter_mut().skip(first) {
        if !decoded.text.contains(' ') {
            decoded.text = decoded.text.replace('+', " ");
        }
    }
}

/// Decode `&#105;&#x67;` and the names of marks.
pub(super) fn entities(text: &str, budget: &mut Budget, found: &mut Vec<Decoded>) {
    pieces(text, &Scheme { via: "entities", mark: b'&', read: entity_code, fewest: ESCAPES }, budget, found);
}

/// Decode `\x69\u0067` and what JSON and most languages write with a backslash.
pub(super) fn backslashes(text: &str, budget: &mut Budget, found: &mut Vec<Decoded>) {
    pieces(text, &Scheme { via: "escapes", mark: b'\\', read: backslash_code, fewest: 1 }, budget, found);
}

/// Decode each part of `text` in which escapes lie close together.
fn pieces(text: &str, scheme: &Scheme, budget: &mut Budget, found: &mut Vec<Decoded>) {
    let bytes = text.as_bytes();
    let mut open: Option<(usize, usize, usize)> = None;
    let mut at = 0;
    while let Some(step) = bytes.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == scheme.mark))
    {
        let start = at + step;
        let Some((_, length)) = bytes.get(start..).and_then(scheme.read) else {
            at = start + 1;
            continue;
        };
        at = start + length;
        open = match open {
            Some((first, end, count)) if start - end <= GAP => Some((first, at, count + 1)),
            closed => {
                piece(text, closed, scheme, budget, found);
                Some((start, at, 1))
            }
        };
    }
    piece(text, open, scheme, budget, found);
}

fn piece(
    text: &str,
    span: Option<(usize, usize, usize)>,
    scheme: &Scheme,
    budget: &mut Budget,
    found: &mut Vec<Decoded>,
) {
    let Some((first, last, _)) = span.filter(|span| span.2 >= scheme.fewest) else { return };
    if budget.is_spent() {
        return;
    }
    let reach = cut::ceil(text, first.saturating_sub(REACH.0));
    let before = text.get(reach..first).unwrap_or_default();
    let start =
        reach + before.rfind(char::is_whitespace).map_or(0, |at| cut::ceil(text, reach + at + 1) - reach);
    let reach = cut::floor(text, last + REACH.1);
    let after = text.get(last..reach).unwrap_or_default();
    let end = last + after.find(char::is_whitespace).unwrap_or(after.len());
    let end = cut::floor(text, start + budget.take(end - start));
    let bytes = text.as_bytes().get(start..end).unwrap_or_default();
    let decoded = readable(&unescape(bytes, scheme.read));
    if is_text(&decoded) {
        found.push(Decoded { text: budget.give(decoded), via: scheme.via, start, end });
    }
}

fn unescape(bytes: &[u8], read: Read) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        let Some((code, length)) = read(rest) else {
            decoded.push(*first);
            rest = tail;
            continue;
        };
        match code {
            Code::Byte(byte) => decoded.push(byte),
            Code::Char(letter) => decoded.extend(letter.encode_utf8(&mut [0; 4]).bytes()),
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    decoded
}

fn percent_code(bytes: &[u8]) -> Option<(Code, usize)> {
    let [b'%', rest @ ..] = bytes else { return None };
    Some((Code::Byte(u8::try_from(hex(rest, 2)?).ok()?), 3))
}

fn entity_code(bytes: &[u8]) -> Option<(Code, usize)> {
    let head = bytes.get(..bytes.len().min(ENTITY))?;
    let (numeric, hexadecimal) = match head {
        [b'&', b'#', b'x' | b'X', ..] => (3, true),
        [b'&', b'#', ..] => (2, false),
        _ => return named(head),
    };
    let digits = head.get(numeric..)?;
    let length = digits
        .iter()
        .take_while(|byte| if hexadecimal { byte.is_ascii_hexdigit() } else { byte.is_ascii_digit() })
        .count();
    let digits = std::str::from_utf8(digits.get(..length)?).ok()?;
    let code = u32::from_str_radix(digits, if hexadecimal { 16 } else { 10 }).ok()?;
    let end = numeric + length;
    Some((Code::Char(char::from_u32(code)?), end + usize::from(head.get(end) == Some(&b';'))))
}

fn named(head: &[u8]) -> Option<(Code, usize)> {
    let end = head.iter().position(|byte| *byte == b';')?;
    let letter = match head.get(1..end)? {
        b"lt" => '<',
        b"gt" => '>',
        b"amp" => '&',
        b"quot" | b"ldquo" | b"rdquo" => '"',
        b"apos" | b"lsquo" | b"rsquo" => '\'',
        b"nbsp" | b"ensp" | b"emsp" | b"thinsp" | b"Tab" => ' ',
        b"NewLine" => '\n',
        b"shy" | b"zwnj" | b"zwj" => '\u{200b}',
        b"excl" => '!',
        b"quest" => '?',
        b"period" => '.',
        b"comma" => ',',
        b"colon" => ':',
        b"semi" => ';',
        b"lpar" => '(',
        b"rpar" => ')',
        b"lsqb" | b"lbrack" => '[',
        b"rsqb" | b"rbrack" => ']',
        b"lcub" | b"lbrace" => '{',
        b"rcub" | b"rbrace" => '}',
        b"vert" | b"verbar" => '|',
        b"sol" => '/',
        b"bsol" => '\\',
        b"lowbar" => '_',
        b"hyphen" | b"dash" | b"ndash" | b"mdash" => '-',
        b"num" => '#',
        b"equals" => '=',
        _ => return None,
    };
    Some((Code::Char(letter), end + 1))
}

fn backslash_code(bytes: &[u8]) -> Option<(Code, usize)> {
    let [b'\\', kind, rest @ ..] = bytes else { return None };
    match kind {
        b'x' | b'X' => Some((Code::Byte(u8::try_from(hex(rest, 2)?).ok()?), 4)),
        b'u' if rest.first() == Some(&b'{') => {
            let length = rest.iter().take(8).position(|byte| *byte == b'}')?;
            let code = hex(rest.get(1..length)?, length - 1)?;
            Some((Code::Char(char::from_u32(code)?), length + 3))
        }
        b'u' => utf16(rest).map(|(letter, length)| (Code::Char(letter), length + 2)),
        b'U' => Some((Code::Char(char::from_u32(hex(rest, 8)?)?), 10)),
        b'n' | b'r' => Some((Code::Byte(b'\n'), 2)),
        b't' => Some((Code::Byte(b' '), 2)),
        b'"' | b'\'' | b'/' | b'\\' => Some((Code::Byte(*kind), 2)),
        b'0'..=b'3' => {
            let octal = std::str::from_utf8(bytes.get(1..4)?).ok()?;
            Some((Code::Byte(u8::from_str_radix(octal, 8).ok()?), 4))
        }
        _ => None,
    }
}

/// Four digits, or twice four for a character beyond the first 65,536.
fn utf16(rest: &[u8]) -> Option<(char, usize)> {
    let high = hex(rest, 4)?;
    if let Some(letter) = char::from_u32(high) {
        return Some((letter, 4));
    }
    let low = rest.get(4..).and_then(|rest| rest.strip_prefix(b"\\u")).and_then(|rest| hex(rest, 4));
    let pair = [u16::try_from(high).ok()?, u16::try_from(low.unwrap_or(0)).ok()?];
    match char::decode_utf16(pair).next() {
        Some(Ok(letter)) => Some((letter, 10)),
        _ => Some((char::REPLACEMENT_CHARACTER, 4)),
    }
}

fn hex(bytes: &[u8], digits: usize) -> Option<u32> {
    let digits = bytes.get(..digits).filter(|digits| !digits.is_empty())?;
    digits
        .iter()
        .try_fold(0_u32, |code, digit| Some(code.checked_mul(16)? + char::from(*digit).to_digit(16)?))
}
