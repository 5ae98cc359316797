//! What strings and numbers look like: lengths and escapes, without any state.

/// How many bytes at the start of `bytes` are neither `"`, `\` nor a control character; eight at a time.
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Some((chunk, tail)) = rest.split_first_chunk::<8>() {
        let special = special_bytes(u64::from_le_bytes(*chunk));
        if special != 0 {
            return bytes.len() - rest.len() + special.trailing_zeros() as usize / 8;
        }
        rest = tail;
    }
    let plain = rest.iter().take_while(|&&byte| byte >= 0x20 && byte != b'"' && byte != b'\\').count();
    bytes.len() - rest.len() + plain
}

/// The high bit of each byte of `word` that is `"`, `\` or below 0x20; exact up to the first one.
const fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let quote = word ^ (ONES * b'"' as u64);
    let slash = word ^ (ONES * b'\\' as u64);
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    ((quote.wrapping_sub(ONES) & !quote) | (slash.wrapping_sub(ONES) & !slash) | control) & HIGH
}

/// Length of the number at the start of `bytes` and whether it has an exponent; `None` if it is none.
pub(super) fn number_length(bytes: &[u8]) -> Option<(usize, bool)> {
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    let whole = digits(at);
    if whole == 0 || (whole > 1 && bytes[at] == b'0') {
        return None;
    }
    at += whole;
    if bytes.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        at += 1 + (fraction > 0).then_some(fraction)?;
    }
    if !matches!(bytes.get(at), Some(b'e' | b'E')) {
        return Some((at, false));
    }
    at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
    let exponent = digits(at);
    (exponent > 0).then_some((at + exponent, true))
}

pub(super) fn hex4(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, &digit| Some(value * 16 + char::from(digit).to_digit(16)?))
}

/// Decode the escapes of a string that `Parser::string` has accepted.
pub(super) fn unescape(inner: &str) -> String {
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    loop {
        let at = plain_length(rest.as_bytes());
        out.push_str(&rest[..at]);
        if at == rest.len() {
            return out;
        }
        let (decoded, length) = unescape_one(&rest[at..]);
        out.push(decoded);
        rest = &rest[at + length..];
    }
}

/// The character an escape at the start of `rest` stands for, and the escape's length in bytes.
fn unescape_one(rest: &str) -> (char, usize) {
    let bytes = rest.as_bytes();
    let unit = |from: usize| bytes.get(from..from + 4).and_then(hex4).unwrap_or(0xfffd);
    match bytes.get(1) {
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(b'n') => ('\n', 2),
        Some(b'r') => ('\r', 2),
        Some(b't') => ('\t', 2),
        Some(b'u') => match unit(2) {
            high @ 0xd800..0xdc00 => {
                let low = unit(8);
                let point = 0x1_0000 + ((high - 0xd800) << 10) + low.saturating_sub(0xdc00);
                (char::from_u32(point).unwrap_or('\u{fffd}'), 12)
            }
            point => (char::from_u32(point).unwrap_or('\u{fffd}'), 6),
        },
        Some(&byte) => (char::from(byte), 2),
        None => ('\u{fffd}', 1),
    }
}
