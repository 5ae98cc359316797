//! What the trainer needs of the classifier: its very own features, and the form of the weights.

use super::complexity;
use super::conversation::Conversation;
use super::features::{self, NAMED, Vocabulary};
use super::scan::BUCKETS;

pub use super::complexity::FITTED;
pub use super::model::{Plane, write};

/// Features of the linear model: the named ones, then the buckets of the n-grams.
pub const DIMENSIONS: usize = NAMED + BUCKETS;
/// Where the buckets begin.
pub const FIRST_BUCKET: usize = NAMED;

/// Turns texts into rows.
pub struct Rows(Vocabulary);

impl Default for Rows {
    fn default() -> Self {
        Self(Vocabulary::new())
    }
}

impl Rows {
    /// (feature, value) of a text: named features first.
    #[must_use]
    pub fn row(&self, text: &str) -> Vec<(u32, f32)> {
        let scan = self.0.scan(text);
        let features = self.0.features(&scan);
        let named = features.named.iter().map(|&(index, value)| (u32::from(index), value));
        let base = FIRST_BUCKET as u32;
        let grams = scan.ngrams.iter().map(|&bucket| (base + u32::from(bucket), features.ngram_value));
        named.chain(grams).collect()
    }

    /// The factors of complexity of a text, the constant first, then those that outcomes can teach.
    #[must_use]
    pub fn factors(&self, text: &str) -> Vec<f32> {
        complexity::factors(&self.0.scan(text), &self.0.hard, &Conversation::default()).to_vec()
    }

    /// The name of a named feature.
    #[must_use]
    pub fn name(&self, feature: u32) -> String {
        features::name_of(u16::try_from(feature).unwrap_or(u16::MAX), &self.0.lexicon)
    }
}
