//! The linear model: weights of one byte each, read where they lie in the binary.

#[cfg(test)]
mod tests;

use super::features::{Features, NAMED};
use super::lexicon::Lexicon;
use super::scan::BUCKETS;

/// Planes of the model: 11 task types, high risk, its 7 domains, and one to spare.
pub(super) const PLANES: usize = 20;
/// The plane of high risk; those of the domains follow.
pub(super) const RISK_PLANE: usize = 11;
/// Numbers that turn scores into probabilities and complexity.
pub(super) const TUNING: usize = 24;
const MAGIC: [u8; 4] = *b"NRC1";
const HEADER: usize = MAGIC.len() + 32 + 4 * TUNING;
const SCALES: usize = 4 * PLANES * 3;

/// Scores of one text.
pub(super) type Scores = [f32; PLANES];

/// The weights, borrowed from the file's bytes.
pub(super) struct Model {
    /// Calibration; see [`super::Tuning`].
    pub(super) tuning: [f32; TUNING],
    named_scale: Scores,
    gram_scale: Scores,
    bias: Scores,
    named: &'static [u8],
    grams: &'static [u8],
}

impl Model {
    /// Read a file; none if it was made for other features or other word lists.
    pub(super) fn read(file: &'static [u8]) -> Option<Self> {
        let (magic, rest) = file.split_at_checked(MAGIC.len())?;
        let (fingerprint, rest) = rest.split_at_checked(32)?;
        if magic != MAGIC || fingerprint != Lexicon::fingerprint() {
            return None;
        }
        let (tuning, rest) = floats::<TUNING>(rest)?;
        let (named_scale, rest) = floats::<PLANES>(rest)?;
        let (gram_scale, rest) = floats::<PLANES>(rest)?;
        let (bias, rest) = floats::<PLANES>(rest)?;
        let (named, grams) = rest.split_at_checked(NAMED * PLANES)?;
        (grams.len() == BUCKETS * PLANES).then_some(Self {
            tuning,
            named_scale,
            gram_scale,
            bias,
            named,
            grams,
        })
    }

    /// The score of every plane.
    pub(super) fn scores(&self, features: &Features, ngrams: &[u16]) -> Scores {
        let mut named = [0.0_f32; PLANES];
        for &(index, value) in &features.named {
            for (sum, &weight) in named.iter_mut().zip(row(self.named, usize::from(index))) {
                *sum += f32::from(signed(weight)) * value;
            }
        }
        let mut grams = [0_i32; PLANES];
        for &bucket in ngrams {
            for (sum, &weight) in grams.iter_mut().zip(row(self.grams, usize::from(bucket))) {
                *sum += i32::from(signed(weight));
            }
        }
        let mut scores = self.bias;
        for (plane, score) in scores.iter_mut().enumerate() {
            *score += named[plane] * self.named_scale[plane]
                + grams[plane] as f32 * features.ngram_value * self.gram_scale[plane];
        }
        scores
    }

    /// What one named feature adds to a plane.
    pub(super) fn contribution(&self, index: u16, value: f32, plane: usize) -> f32 {
        let weight = row(self.named, usize::from(index)).get(plane).copied().unwrap_or(0);
        f32::from(signed(weight)) * value * self.named_scale.get(plane).copied().unwrap_or(0.0)
    }

    /// What the n-grams add to a plane.
    pub(super) fn gram_contribution(&self, features: &Features, ngrams: &[u16], plane: usize) -> f32 {
        let weight = |bucket: u16| row(self.grams, usize::from(bucket)).get(plane).copied().unwrap_or(0);
        let sum: i32 = ngrams.iter().map(|&bucket| i32::from(signed(weight(bucket)))).sum();
        sum as f32 * features.ngram_value * self.gram_scale.get(plane).copied().unwrap_or(0.0)
    }
}

const fn signed(byte: u8) -> i8 {
    i8::from_le_bytes([byte])
}

fn row(weights: &[u8], index: usize) -> &[u8] {
    weights.get(index * PLANES..(index + 1) * PLANES).unwrap_or_default()
}

fn floats<const N: usize>(bytes: &[u8]) -> Option<([f32; N], &[u8])> {
    let (head, rest) = bytes.split_at_checked(4 * N)?;
    let mut values = [0.0; N];
    for (value, chunk) in values.iter_mut().zip(head.chunks_exact(4)) {
        *value = f32::from_le_bytes(chunk.try_into().ok()?);
    }
    values.iter().all(|value| value.is_finite()).then_some((values, rest))
}

/// One plane as the trainer found it, over named features and then buckets.
#[derive(Clone)]
pub struct Plane {
    /// One weight per feature.
    pub weights: Vec<f64>,
    /// Added to every score.
    pub bias: f64,
}

/// Write a file that [`Model::read`] takes.
#[must_use]
pub fn write(planes: &[Plane], tuning: &[f32]) -> Vec<u8> {
    let mut file = Vec::with_capacity(HEADER + SCALES + (NAMED + BUCKETS) * PLANES);
    file.extend_from_slice(&MAGIC);
    file.extend_from_slice(&Lexicon::fingerprint());
    let float = |file: &mut Vec<u8>, value: f32| file.extend_from_slice(&value.to_le_bytes());
    (0..TUNING).for_each(|nth| float(&mut file, tuning.get(nth).copied().unwrap_or(0.0)));
    let scales = |range: std::ops::Range<usize>| -> Vec<f64> {
        (0..PLANES)
            .map(|nth| planes.get(nth).map_or(0.0, |plane| largest(&plane.weights[range.clone()]) / 127.0))
            .collect()
    };
    let (named, grams) = (scales(0..NAMED), scales(NAMED..NAMED + BUCKETS));
    named.iter().chain(&grams).for_each(|&scale| float(&mut file, scale as f32));
    (0..PLANES).for_each(|nth| float(&mut file, planes.get(nth).map_or(0.0, |plane| plane.bias as f32)));
    for (range, scales) in [(0..NAMED, named), (NAMED..NAMED + BUCKETS, grams)] {
        for feature in range {
            for (nth, &scale) in scales.iter().enumerate() {
                let weight = planes.get(nth).map_or(0.0, |plane| plane.weights[feature]);
                let steps = if scale > 0.0 { (weight / scale).round() } else { 0.0 };
                file.push((steps as i8).to_le_bytes()[0]);
            }
        }
    }
    file
}

fn largest(weights: &[f64]) -> f64 {
    weights.iter().fold(0.0, |most, weight| weight.abs().max(most))
}
