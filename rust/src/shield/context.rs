//! What stands round a finding: is it only quoted, and is the text source code?

#[cfg(test)]
mod tests;

use memchr::memchr3_iter;

/// The quoted spans of a normalised text.
pub(super) struct Quotes(Vec<(usize, usize)>);

impl Quotes {
    /// Pair the quotation marks and backticks, each with the next of its kind; apostrophes inside words are none.
    pub fn read(text: &str) -> Self {
        let bytes = text.as_bytes();
        let in_word =
            |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_alphanumeric);
        let (mut spans, mut double, mut back, mut single) = (Vec::new(), None, None, None);
        for at in memchr3_iter(b'"', b'`', b'\'', bytes) {
            let open = match bytes[at] {
                b'"' => &mut double,
                b'`' => &mut back,
                _ => {
                    let wrong_side =
                        if single.is_none() { in_word(at.checked_sub(1)) } else { in_word(Some(at + 1)) };
                    if wrong_side {
                        continue;
                    }
                    &mut single
                }
            };
            match open.take() {
                None => *open = Some(at),
                Some(start) => spans.push((start, at)),
            }
        }
        spans.sort_unstable();
        Self(spans)
    }

    /// The quotation that holds all of these bytes.
    pub fn around(&self, start: usize, end: usize) -> Option<(usize, usize)> {
        // Spans of one kind do not overlap, so only the last few that begin before can reach over.
        let first = self.0.partition_point(|&(from, _)| from < start);
        self.0[..first].iter().rev().take(KINDS_DEEP).find(|&&(_, to)| end <= to).copied()
    }
}

/// How far back a span that is still open is looked for.
const KINDS_DEEP: usize = 16;
/// Share of signs above which a text counts as source code, the length below which it cannot, and what is looked at.
const CODE_SHARE: usize = 20;
const CODE_BYTES: usize = 80;
const SAMPLE_BYTES: usize = 16 * 1024;

/// Is this text mostly source code, going by the signs at its start?
pub(super) fn looks_like_code(text: &str) -> bool {
    let is_sign = |byte: &u8| {
        matches!(
            byte,
            b'{' | b'}' | b'(' | b')' | b'=' | b';' | b'<' | b'>' | b'_' | b'[' | b']' | b'/' | b'#'
        )
    };
    let sample = &text.as_bytes()[..text.len().min(SAMPLE_BYTES)];
    sample.len() > CODE_BYTES
        && sample.iter().filter(|byte| is_sign(byte)).count() * CODE_SHARE > sample.len()
}
