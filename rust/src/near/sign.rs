//! Sign codes: one bit for each number of an embedding, which tell in four words whether two can be near at all.

#[cfg(test)]
mod tests;

use std::f64::consts::PI;

use crate::embed::{DIMENSIONS, Embedding};

/// Words of a code.
const WORDS: usize = DIMENSIONS / 64;

/// Which numbers of an embedding are below zero.
pub(super) type Code = [u64; WORDS];

/// Bits in which two codes may differ beyond what their angle lets expect, in standard deviations of that count.
/// With random planes the count would be binomial; the axes are fixed, so the spread is wider than that.
/// Measured on all pairs of 46,849 questions in the table that ships: of those at or above 0.92 and 0.9 none is lost, one
/// at 0.92 with no bit to spare; 2 of 107,664 at 0.85, 87 of 1.6 million at 0.7, 75 of 8.4 million at 0.6.
const DEVIATIONS: f64 = 5.0;

/// The code of an embedding.
pub(super) fn code(embedding: &Embedding) -> Code {
    let mut code = [0; WORDS];
    for (word, numbers) in code.iter_mut().zip(embedding.0.chunks_exact(64)) {
        *word = numbers.iter().rev().fold(0, |bits, number| bits << 1 | u64::from(*number < 0));
    }
    code
}

/// In how many bits the codes of two embeddings may differ whose cosine is at least `floor`.
///
/// A plane through the origin parts two directions with a chance of angle / pi. That is the mean; see
/// [`DEVIATIONS`] for the rest. At low floors it is all bits: nothing is sorted out.
pub(super) fn reach(floor: f32) -> u32 {
    let bits = f64::from(u32::try_from(DIMENSIONS).unwrap_or(u32::MAX));
    let chance = f64::from(floor.clamp(-1.0, 1.0)).acos() / PI;
    let mean = bits * chance;
    let deviation = (mean * (1.0 - chance)).sqrt();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 256")]
    let reach = (mean + DEVIATIONS * deviation).ceil().min(bits) as u32;
    reach
}
