//! The shape of a text: plain counts that cost one pass over its bytes.

/// Plain counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Shape {
    pub(super) bytes: usize,
    /// Bytes where each run of blanks counts as one: how a text is set on the page makes it no longer.
    pub(super) length: usize,
    pub(super) words: u32,
    pub(super) numbers: u32,
    pub(super) sentences: u32,
    /// Sentences that end in a sign, wherever lines break.
    pub(super) stops: u32,
    pub(super) distinct: u32,
    pub(super) long_words: u32,
    pub(super) first_line_words: u32,
    pub(super) letters: u32,
    pub(super) list_items: u32,
    pub(super) indented: u32,
    /// Line breaks amid a sentence.
    pub(super) wraps: u32,
    /// Dollar signs that open no price.
    pub(super) formulas: u32,
    pub(super) ends_with: u8,
    /// How often each byte occurs in the whole text.
    pub(super) histogram: Vec<u32>,
}

impl Shape {
    /// Count the bytes of `text`; the scan counts the rest.
    pub(super) fn of(text: &str) -> Self {
        let mut histogram = vec![0_u32; 256];
        let (mut length, mut after_blank) = (0_usize, false);
        for &byte in text.as_bytes() {
            if let Some(count) = histogram.get_mut(usize::from(byte)) {
                *count = count.saturating_add(1);
            }
            let is_blank = byte.is_ascii_whitespace();
            length += usize::from(!(is_blank && after_blank));
            after_blank = is_blank;
        }
        let ends_with = text.as_bytes().last().copied().unwrap_or(0);
        Self { bytes: text.len(), length, ends_with, histogram, ..Self::default() }
    }

    /// Line breaks that separate something.
    pub(super) fn breaks(&self) -> u32 {
        self.count(b"\n").saturating_sub(self.wraps)
    }

    /// Occurrences of any of `bytes`.
    pub(super) fn count(&self, bytes: &[u8]) -> u32 {
        bytes.iter().filter_map(|&byte| self.histogram.get(usize::from(byte))).sum()
    }
}

/// Letters of a line, at least, that was broken for being full.
const FULL_LINE: usize = 32;

/// Is there a line break at `at` where a sentence goes on, as in a text set in narrow lines? The same for small and
/// capital letters and for any number of blanks. The letter of an option, "b) Trout", goes on with nothing.
pub(super) fn wraps(bytes: &[u8], at: usize) -> bool {
    let Some((before, [b'\n', after, rest @ ..])) = bytes.split_at_checked(at) else { return false };
    let line = before.iter().rev().take_while(|byte| **byte != b'\n');
    let mut letters = line.filter(|byte| !byte.is_ascii_whitespace());
    after.is_ascii_alphabetic()
        && !matches!(rest, [b'.' | b')', ..])
        && letters.next().is_some_and(|last| last.is_ascii_alphabetic() || *last == b',')
        && letters.nth(FULL_LINE - 2).is_some()
}

/// Base-2 logarithm, linear between powers of two: the C library's own differs between machines in its last
/// bit, and weights must be the same everywhere.
pub(super) fn log2(count: u32) -> f32 {
    let floor = count.max(1).ilog2();
    floor as f32 + count.max(1) as f32 / (1_u64 << floor) as f32 - 1.0
}

#[cfg(test)]
mod tests {
    use super::log2;

    #[test]
    fn the_logarithm_is_exact_at_powers_of_two_and_grows_between_them() {
        assert!((log2(8) - 3.0).abs() < 1e-6 && log2(0).abs() < 1e-6);
        assert!((1..1000).all(|count| log2(count) < log2(count + 1)));
    }
}
