//! The space of rows: which index means what.

use super::marks::{self, MARKS, MATERIALS};
use super::prior::Prior;
use crate::classify::{BUCKETS, NAMED, Reading};
use crate::embed::{DIMENSIONS as EMBEDDED, Embedding};

/// Outputs of shipped heads that a row has room for.
pub const PRIORS: usize = 8;
/// Groups of features with a scale of their own.
pub const BLOCKS: usize = 7;
/// How many features each has: named, n-grams, embedding, marks, material, marks by material, shipped heads.
const SIZES: [usize; BLOCKS] = [NAMED, BUCKETS, EMBEDDED, MARKS, MATERIALS, MATERIALS * MARKS, PRIORS];
/// Where each block begins, and the end.
pub(super) const STARTS: [usize; BLOCKS + 1] = {
    let (mut starts, mut nth) = ([0; BLOCKS + 1], 0);
    while nth < BLOCKS {
        starts[nth + 1] = starts[nth] + SIZES[nth];
        nth += 1;
    }
    starts
};
/// Number of all features.
pub const DIMENSIONS: usize = STARTS[BLOCKS];
/// Number of features that the shipped heads look at: all but their own outputs.
pub(super) const BASE: usize = STARTS[BLOCKS - 1];

/// Pairs of a row beside named features and n-grams, at most.
const DENSE: usize = EMBEDDED + 2 * MARKS + 1 + PRIORS;

/// One prompt: (index, value) in rising order of blocks.
#[derive(Debug, Clone, PartialEq)]
pub struct Row(Vec<(u32, f32)>);

impl Row {
    pub(super) fn of(text: &str, reading: &Reading, embedding: &Embedding) -> Self {
        let prior = Prior::shared();
        let mut row = Self(Vec::with_capacity(reading.named().len() + reading.ngrams().len() + DENSE));
        for &(index, value) in reading.named() {
            row.push(usize::from(index), value);
        }
        row.ngrams(reading.ngrams());
        row.embedding(embedding);
        let (material, marks) = marks::of(text, reading.math_terms());
        row.block(STARTS[3], &marks);
        row.push(STARTS[4] + material, 1.0);
        row.block(STARTS[5] + material * MARKS, &marks);
        let outputs = prior.outputs(&row);
        row.block(BASE, &outputs);
        row
    }

    /// All (index, value) pairs.
    #[must_use]
    pub fn pairs(&self) -> &[(u32, f32)] {
        &self.0
    }

    /// What the shipped heads predict, as far as there are any.
    pub(super) fn priors(&self) -> [f32; PRIORS] {
        let mut values = [0.0; PRIORS];
        for &(index, value) in self.0.iter().rev() {
            match (index as usize).checked_sub(BASE) {
                Some(nth) => values[nth] = value,
                None => break,
            }
        }
        values
    }

    fn block(&mut self, start: usize, values: &[f32]) {
        for (nth, &value) in values.iter().enumerate() {
            self.push(start + nth, value);
        }
    }

    fn push(&mut self, index: usize, value: f32) {
        if value != 0.0 {
            self.0.push((u32::try_from(index).unwrap_or(0), value));
        }
    }

    /// Together the n-grams have length one, so that a long text does not weigh more.
    fn ngrams(&mut self, buckets: &[u16]) {
        let value = 1.0 / (buckets.len().max(1) as f32).sqrt();
        let start = u32::try_from(STARTS[1]).unwrap_or(0);
        self.0.extend(buckets.iter().map(|&bucket| (start + u32::from(bucket), value)));
    }

    fn embedding(&mut self, embedding: &Embedding) {
        let length = embedding.length().max(f32::MIN_POSITIVE);
        self.block(STARTS[2], &embedding.0.map(|number| f32::from(number) / length));
    }
}
