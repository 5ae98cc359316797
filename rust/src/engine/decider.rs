//! The second embedder's name and its vectors.

use sha2::{Digest, Sha256};

use crate::digest::Key;

/// A second embedder by name, as the index knows it.
pub(super) fn decider_of(name: &str) -> u64 {
    let digest: Key = Sha256::digest(name).into();
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The cosine of two vectors; none if they differ in length or one has no direction.
pub(super) fn cosine(a: &[i8], b: &[i8]) -> Option<f32> {
    let dot = |a: &[i8], b: &[i8]| a.iter().zip(b).map(|(a, b)| f32::from(*a) * f32::from(*b)).sum::<f32>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    (a.len() == b.len() && lengths > 0.0).then(|| dot(a, b) / lengths)
}
