//! Sums and rounds vectors: loops compiled once for any processor of the target and once for one with AVX2.
//!
//! As in `near::simd` there is one text of them, so both give the same bits: no variant may fuse a product with a sum.

#[cfg(test)]
mod tests;

use super::DIMENSIONS;

/// The numbers of a row of the table, one byte each, and what they are to be multiplied by.
pub(super) type Scaled<'a> = (&'a [u8; DIMENSIONS], f32);
/// A vector before it is rounded.
pub(super) type Floats = [f32; DIMENSIONS];
/// A vector after that.
pub(super) type Rounded = [i8; DIMENSIONS];

/// Numbers summed at a time: a line of the cache from each row, so that the processor fetches many rows at once, and
/// no more sums than it has registers for.
const PART: usize = 64;

/// The sum of rows in their order, rounded as [`rounded`] does.
pub(super) fn of(rows: &[Scaled<'_>]) -> Rounded {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        #[expect(unsafe_code, reason = "code for a processor that was asked whether it can run it")]
        // SAFETY: the feature was detected one line above.
        return unsafe { of_avx2(rows) };
    }
    plain(rows)
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "functions for a newer processor must be `unsafe` up to Rust 1.85")]
#[target_feature(enable = "avx2")]
unsafe fn of_avx2(rows: &[Scaled<'_>]) -> Rounded {
    plain(rows)
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "compiled into each variant with what that one may use")]
fn plain(rows: &[Scaled<'_>]) -> Rounded {
    let mut sum = [0.0_f32; DIMENSIONS];
    for (nth, part) in sum.chunks_exact_mut(PART).enumerate() {
        let mut totals = [0.0_f32; PART];
        for (numbers, scale) in rows {
            for (total, &number) in totals.iter_mut().zip(&numbers[nth * PART..(nth + 1) * PART]) {
                *total += f32::from(i8::from_le_bytes([number])) * scale;
            }
        }
        part.copy_from_slice(&totals);
    }
    rounded(&sum)
}

/// A vector as 8-bit numbers, the largest of which is 127 or -127; zero where it has no direction.
#[inline(always)]
#[expect(clippy::inline_always, reason = "see `plain`")]
pub(super) fn rounded(vector: &Floats) -> Rounded {
    let largest = vector.iter().fold(0.0_f32, |largest, number| largest.max(number.abs()));
    if largest == 0.0 || !largest.is_finite() {
        return [0; DIMENSIONS];
    }
    #[expect(clippy::cast_possible_truncation, reason = "between -127 and 127")]
    vector.map(|number| (number / largest * 127.0).round() as i8)
}
