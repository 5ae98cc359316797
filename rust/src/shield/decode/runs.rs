//! Runs in the alphabet of an encoding: base64, base32, hexadecimal and binary digits.

use super::{Budget, Decoded, is_text, printable, readable};

/// Shortest run that is tried, in characters.
const RUN: usize = 16;
/// Characters of each sample that decides whether a run is worth decoding: whole groups of every encoding.
const SAMPLE: usize = 48;
/// Fewest numbers in a row that are taken for bytes.
const NUMBERS: usize = 6;
/// Shortest part of a blob that is kept as text, in characters.
const PART: usize = 12;
/// Most blanks that a wrapped line is indented by.
const INDENT: usize = 32;
/// How formats start that hold no text: PNG, JPEG, GIF, WEBP, PDF, WOFF, gzip, zip.
const MAGIC: [&[u8]; 10] = [
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"RIFF",
    b"%PDF",
    b"wOFF",
    b"wOF2",
    b"\x1f\x8b",
    b"PK\x03\x04",
    b"BM\x36",
];

/// An alphabet: how many bits a character carries, and which.
struct Alphabet {
    via: &'static str,
    bits: u32,
    value: fn(u8) -> Option<u8>,
}

const BINARY: Alphabet = Alphabet { via: "binary", bits: 1, value: |byte| digit(byte, 2) };
const HEX: Alphabet = Alphabet { via: "hex", bits: 4, value: |byte| digit(byte, 16) };
const BASE32: Alphabet = Alphabet { via: "base32", bits: 5, value: base32 };
const BASE64: Alphabet = Alphabet { via: "base64", bits: 6, value: base64 };

fn digit(byte: u8, radix: u32) -> Option<u8> {
    char::from(byte).to_digit(radix).and_then(|digit| u8::try_from(digit).ok())
}

const fn base32(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a'),
        b'2'..=b'7' => Some(byte - b'2' + 26),
        _ => None,
    }
}

const fn base64(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

/// Decode every run of sixteen characters or more that reads as text in one of the alphabets.
pub(super) fn alphabets(text: &str, budget: &mut Budget, found: &mut Vec<Decoded>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() && !budget.is_spent() {
        let length = run_length(bytes, at);
        if length < RUN {
            at += length + 1;
            continue;
        }
        let (symbols, last, end) = wrapped(bytes, at, length);
        run(&symbols, (at, end), budget, found);
        if last > 0 {
            // The last line may be a word that only follows the payload.
            run(symbols.get(..symbols.len() - last).unwrap_or_default(), (at, end), budget, found);
        }
        at = end;
    }
}

fn run_length(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..).unwrap_or_default().iter().take_while(|byte| base64(**byte).is_some()).count()
}

/// The run at `at` with the lines it goes on over: all as long as the first but the last. Padding ends it. Also gives the
/// length of that last, shorter line.
fn wrapped(bytes: &[u8], at: usize, length: usize) -> (Vec<u8>, usize, usize) {
    let mut symbols = bytes.get(at..at + length).unwrap_or_default().to_vec();
    let (mut end, mut last) = (at + length, 0);
    while let Some(next) = next_line(bytes, end) {
        let more = run_length(bytes, next);
        let whole_line =
            matches!(bytes.get(next + more), None | Some(b'\n' | b'\r' | b'=' | b'"' | b'\'' | b'`' | b' '));
        if more == 0 || more > length || !whole_line {
            break;
        }
        symbols.extend(bytes.get(next..next + more).unwrap_or_default());
        end = next + more;
        if more < length {
            last = more;
            break;
        }
    }
    let padding =
        bytes.get(end..).unwrap_or_default().iter().take(6).take_while(|byte| **byte == b'=').count();
    (symbols, last, end + padding)
}

/// Where the next line starts if the current one ends at `end`.
fn next_line(bytes: &[u8], end: usize) -> Option<usize> {
    let blanks = bytes.get(end..)?.iter().take(INDENT).take_while(|byte| byte.is_ascii_whitespace());
    let (length, breaks) =
        blanks.fold((0, 0), |(length, breaks), byte| (length + 1, breaks + u8::from(*byte == b'\n')));
    (breaks == 1).then_some(end + length)
}

fn run(symbols: &[u8], span: (usize, usize), budget: &mut Budget, found: &mut Vec<Decoded>) {
    let body = symbols.strip_prefix(b"0x").unwrap_or(symbols);
    let all = |belongs: fn(&u8) -> bool| body.iter().all(belongs);
    let alphabet = [
        (all(|byte| matches!(byte, b'0' | b'1')), &BINARY),
        (all(u8::is_ascii_hexdigit), &HEX),
        (all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7')), &BASE32),
        (all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7')), &BASE32),
        (true, &BASE64),
    ];
    let fits = alphabet.into_iter().filter(|(fits, _)| *fits).map(|(_, alphabet)| alphabet);
    // A word before a hyphen or a slash shifts what comes after it: its longest part is tried, too.
    let part = symbols.split(|byte| matches!(byte, b'-' | b'_' | b'/')).max_by_key(|part| part.len());
    let part = part.filter(|part| part.len() >= RUN && part.len() < symbols.len());
    let tries = fits.map(|alphabet| (alphabet, body)).chain(part.map(|part| (&BASE64, part)));
    for (alphabet, body) in tries {
        if !worth_it(body, alphabet) {
            continue;
        }
        let taken = budget.take(body.len());
        let text = kept(&unpack(body.get(..taken).unwrap_or_default(), alphabet));
        if let Some(text) = text {
            found.push(Decoded { text: budget.give(text), via: alphabet.via, start: span.0, end: span.1 });
            return;
        }
    }
}

/// Does the head, the middle or the tail read as text?
fn worth_it(symbols: &[u8], alphabet: &Alphabet) -> bool {
    let sample = |at: usize| {
        let start = at / 8 * 8;
        let end = symbols.len().min(start + SAMPLE);
        unpack(symbols.get(start..end).unwrap_or_default(), alphabet)
    };
    let head = sample(0);
    if MAGIC.iter().any(|magic| head.starts_with(magic)) {
        return false;
    }
    is_text(&readable(&head))
        || symbols.len() > 2 * SAMPLE
            && [symbols.len() / 2, symbols.len() - SAMPLE]
                .into_iter()
                .any(|at| is_text(&readable(&sample(at))))
}

fn unpack(symbols: &[u8], alphabet: &Alphabet) -> Vec<u8> {
    let (mut bytes, mut pending, mut held) = (Vec::with_capacity(symbols.len()), 0_u32, 0_u32);
    for value in symbols.iter().filter_map(|symbol| (alphabet.value)(*symbol)) {
        pending = (pending << alphabet.bits | u32::from(value)) & 0xffff;
        held += alphabet.bits;
        if held >= 8 {
            held -= 8;
            bytes.push((pending >> held).to_le_bytes()[0]);
        }
    }
    bytes
}

/// The bytes as text, or the longest part of them that is text.
fn kept(bytes: &[u8]) -> Option<String> {
    let text = readable(bytes);
    if is_text(&text) {
        return Some(text);
    }
    let part = text.split(|letter| !printable(letter)).max_by_key(|part| part.len())?;
    (part.len() >= PART && is_text(part)).then(|| part.to_owned())
}

/// Decode bytes of eight binary digits that are set apart.
pub(super) fn octets(text: &str, budget: &mut Budget, found: &mut Vec<Decoded>) {
    numbers(text, &BINARY, 8, budget, found);
}

/// Decode bytes of two hexadecimal digits that are set apart, with or without `0x`.
pub(super) fn pairs(text: &str, budget: &mut Budget, found: &mut Vec<Decoded>) {
    numbers(text, &HEX, 2, budget, found);
}

fn numbers(text: &str, alphabet: &Alphabet, digits: usize, budget: &mut Budget, found: &mut Vec<Decoded>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() && !budget.is_spent() {
        let (mut symbols, mut next, mut end) = (Vec::new(), at, at);
        while let Some(number) = number(bytes, next, alphabet, digits) {
            symbols.extend(number);
            let prefix =
                if bytes.get(next + 1).is_some_and(|byte| matches!(byte, b'x' | b'X')) { 2 } else { 0 };
            end = next + prefix + digits;
            let rest = bytes.get(end..).unwrap_or_default();
            next = end + rest.iter().take(4).take_while(|byte| b" ,;:-|\n\r\t".contains(byte)).count();
        }
        if symbols.len() >= NUMBERS * digits {
            let taken = budget.take(symbols.len());
            let text = kept(&unpack(symbols.get(..taken).unwrap_or_default(), alphabet));
            if let Some(text) = text {
                found.push(Decoded { text: budget.give(text), via: alphabet.via, start: at, end });
            }
        }
        // The rest of the word that no number was made of is left out, so that no number starts inside it.
        let rest = bytes.get(end..).unwrap_or_default();
        at = end + rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count().max(1);
    }
}

/// The digits of the number at `at`, which must be a word of its own.
fn number<'a>(bytes: &'a [u8], at: usize, alphabet: &Alphabet, digits: usize) -> Option<&'a [u8]> {
    let rest = bytes.get(at..)?;
    let rest = rest.strip_prefix(b"0x").or_else(|| rest.strip_prefix(b"0X")).unwrap_or(rest);
    let number = rest.get(..digits)?;
    let ends = !rest.get(digits).is_some_and(u8::is_ascii_alphanumeric);
    (ends && number.iter().all(|byte| (alphabet.value)(*byte).is_some())).then_some(number)
}
