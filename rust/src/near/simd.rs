//! The two loops of a scan, each compiled once for any processor of the target and once for a newer one.
//!
//! There is one text of each loop, in plain Rust; the variants differ only in what the compiler may use. On aarch64
//! the target itself has NEON, so the plain variant is the fast one.

#[cfg(test)]
mod tests;

use super::sign::Code;
use crate::embed::DIMENSIONS;

/// The numbers of an embedding.
pub(super) type Vector = [i8; DIMENSIONS];

/// Rows that one call looks at, at most.
pub(super) const ROWS: usize = 1024;

/// Which variant of the loops to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kernel {
    /// What every processor of the target can do.
    Plain,
    /// Made only by [`Kernel::detect`], after it has seen that the processor has AVX2 and POPCNT.
    #[cfg(target_arch = "x86_64")]
    Avx2(Proof),
}

/// Says that the processor was asked; nobody outside this file can make one.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Proof(());

impl Kernel {
    /// The best variant for this processor; the answer is remembered by the standard library.
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("popcnt") {
            return Self::Avx2(Proof(()));
        }
        Self::Plain
    }

    /// Write the numbers of the codes that differ from `query` in at most `reach` bits to the front of `found`, in
    /// order, and give how many there are. Looks at the first [`ROWS`] codes.
    pub(super) fn within(self, codes: &[Code], query: &Code, reach: u32, found: &mut [u16; ROWS]) -> usize {
        match self {
            Self::Plain => within(codes, query, reach, found),
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "code for a processor that was asked whether it can run it")]
            // SAFETY: a `Proof` is made only where both features were detected.
            Self::Avx2(Proof(())) => unsafe { within_avx2(codes, query, reach, found) },
        }
    }

    /// The dot product of two vectors.
    pub(super) fn dot(self, one: &Vector, other: &Vector) -> i32 {
        match self {
            Self::Plain => dot(one, other),
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "code for a processor that was asked whether it can run it")]
            // SAFETY: a `Proof` is made only where both features were detected.
            Self::Avx2(Proof(())) => unsafe { dot_avx2(one, other) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "functions for a newer processor must be `unsafe` up to Rust 1.85")]
#[target_feature(enable = "avx2,popcnt")]
unsafe fn within_avx2(codes: &[Code], query: &Code, reach: u32, found: &mut [u16; ROWS]) -> usize {
    within(codes, query, reach, found)
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "functions for a newer processor must be `unsafe` up to Rust 1.85")]
#[target_feature(enable = "avx2,popcnt")]
unsafe fn dot_avx2(one: &Vector, other: &Vector) -> i32 {
    dot(one, other)
}

// Both loops wrap instead of checking: no sum comes near the limits of its type, and a check would keep the compiler
// from working on many rows or numbers at once.

#[inline(always)]
#[expect(clippy::inline_always, reason = "compiled into each variant with what that one may use")]
fn within(codes: &[Code], query: &Code, reach: u32, found: &mut [u16; ROWS]) -> usize {
    let mut count = 0_usize;
    for (place, code) in (0_u16..).zip(codes.iter().take(ROWS)) {
        // Written always and kept if near: no branch that the processor could guess wrong.
        found[count % ROWS] = place;
        count = count.wrapping_add(usize::from(differing(code, query) <= reach));
    }
    count
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "see `within`")]
fn differing(one: &Code, other: &Code) -> u32 {
    one.iter().zip(other).fold(0, |sum, (one, other)| (one ^ other).count_ones().wrapping_add(sum))
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "see `within`")]
fn dot(one: &Vector, other: &Vector) -> i32 {
    one.iter()
        .zip(other)
        .fold(0, |sum, (&one, &other)| i32::from(one).wrapping_mul(i32::from(other)).wrapping_add(sum))
}
