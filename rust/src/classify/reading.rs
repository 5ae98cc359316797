//! What one scan found, shared by all that judge a prompt by its words.

use super::features::Features;
use super::scan::Scan;

/// What one scan of a text found, for the classifier and the predictor alike.
pub(crate) struct Reading {
    pub(super) scan: Scan,
    pub(super) features: Features,
    pub(super) math_terms: u16,
}

impl Reading {
    /// (index below `NAMED`, value) of each named feature.
    pub(crate) fn named(&self) -> &[(u16, f32)] {
        &self.features.named
    }

    /// Words of mathematics that stories do without: polynomial, integer, perimeter.
    pub(crate) fn math_terms(&self) -> u16 {
        self.math_terms
    }

    /// The distinct buckets, below `BUCKETS`, of the word n-grams.
    pub(crate) fn ngrams(&self) -> &[u16] {
        &self.scan.ngrams
    }
}
