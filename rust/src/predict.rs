//! How much worse a cheaper model is likely to answer one prompt than the reference model would.
//!
//! A prompt becomes a sparse row: the named features and word n-grams that the classifier has scanned anyway, the
//! built-in embedding, marks of its shape as a question, and what the shipped heads predict. A head is a linear model
//! over such a row; those of an account are learned from its own audits and begin where the shipped ones end.

mod head;
mod marks;
mod prior;
mod space;
#[cfg(test)]
mod tests;

use crate::classify::Reading;
use crate::embed::{DIMENSIONS as EMBEDDED, Embedder, Embedding};

pub use head::{BadHead, Head};
pub use prior::{PUBLIC, version};
pub use space::{DIMENSIONS, Row};

/// Bytes that are embedded at each end of a text; time is proportional to them.
const EMBED_AT_EACH_END: usize = 1024;

/// What is likely of one prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// (head, predicted difference of quality to the reference, -1 to 1), the shipped heads first.
    pub differences: Vec<(String, f64)>,
    /// The greatest cosine to a prompt that went wrong; -1 where there is none.
    pub escalated: f32,
    /// The prompt as a direction.
    pub embedding: Embedding,
}

/// The heads of one account and the prompts whose answers were poor. Made off the path of requests.
#[derive(Debug, Default)]
pub struct Predictor {
    heads: Vec<(String, Head)>,
    escalated: Vec<Embedding>,
}

impl Predictor {
    /// A predictor; `escalated` holds embeddings of 256 bytes, one after the other.
    ///
    /// # Errors
    /// [`BadHead`] where a head is not of this version, a name is taken, or bytes are left over.
    pub fn new(heads: &[(&str, &[u8])], escalated: &[u8]) -> Result<Self, BadHead> {
        let mut read: Vec<(String, Head)> = Vec::with_capacity(heads.len());
        for (name, weights) in heads {
            if PUBLIC.contains(name) || read.iter().any(|(known, _)| known == name) {
                return Err(BadHead::Taken((*name).to_owned()));
            }
            read.push(((*name).to_owned(), Head::read(name, weights)?));
        }
        if escalated.len() % EMBEDDED != 0 {
            return Err(BadHead::Embeddings(escalated.len()));
        }
        let escalated = escalated.chunks_exact(EMBEDDED).filter_map(Embedding::from_bytes).collect();
        Ok(Self { heads: read, escalated })
    }

    /// The names of the account's own heads.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.heads.iter().map(|(name, _)| name.as_str())
    }

    /// Predict for a text that the classifier has read.
    pub(crate) fn predict(&self, text: &str, reading: &Reading) -> Prediction {
        let embedding = embed(text);
        let row = Row::of(text, reading, &embedding);
        let mut values = row.priors()[..PUBLIC.len()].to_vec();
        let own: Vec<_> = self.heads.iter().map(|(_, head)| head.linear()).collect();
        head::scores(&row, &own, |value| values.push(value));
        let names = PUBLIC.into_iter().chain(self.names());
        let differences = names.zip(values).map(|(name, value)| (name.to_owned(), bounded(value))).collect();
        let alike = self.escalated.iter().map(|other| embedding.cosine(other));
        Prediction { differences, escalated: alike.fold(-1.0, f32::max), embedding }
    }
}

/// The row of a bare text.
#[must_use]
pub fn row(text: &str) -> Row {
    let reading = crate::Classifier::shared().read(text);
    Row::of(text, &reading, &embed(text))
}

/// Where each block of features begins, and the end.
#[must_use]
pub fn starts() -> Vec<usize> {
    space::STARTS.to_vec()
}

fn bounded(difference: f32) -> f64 {
    f64::from(difference).clamp(-1.0, 1.0)
}

fn embed(text: &str) -> Embedding {
    let [head, tail] = crate::classify::ends(text.trim(), EMBED_AT_EACH_END);
    let embedder = Embedder::shared();
    if tail.is_empty() { embedder.embed(head) } else { embedder.embed(&[head, tail].join("\n")) }
}
