//! The shape of a text: plain counts that cost one pass over its bytes.

/// Plain counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Shape {
    pub(super) bytes: usize,
    pub(super) words: u32,
    pub(super) numbers: u32,
    pub(super) sentences: u32,
    pub(super) distinct: u32,
    pub(super) long_words: u32,
    pub(super) first_line_words: u32,
    pub(super) letters: u32,
    pub(super) list_items: u32,
    pub(super) indented: u32,
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
        for &byte in text.as_bytes() {
            if let Some(count) = histogram.get_mut(usize::from(byte)) {
                *count = count.saturating_add(1);
            }
        }
        let ends_with = text.as_bytes().last().copied().unwrap_or(0);
        Self { bytes: text.len(), ends_with, histogram, ..Self::default() }
    }

    /// Occurrences of any of `bytes`.
    pub(super) fn count(&self, bytes: &[u8]) -> u32 {
        bytes.iter().filter_map(|&byte| self.histogram.get(usize::from(byte))).sum()
    }
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
