//! The shipped heads; written by `rust/training/routing.py`.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use super::head::{Linear, scores};
use super::space::{BASE, BLOCKS, PRIORS, Row};
use crate::classify::fingerprint;
use crate::embed::Embedder;

/// The heads whose output is told by name: how a small and a middling model fare against a premium one.
pub const PUBLIC: [&str; 2] = ["small", "mid"];

pub(super) static FILE: &[u8] = include_bytes!("../../weights/routing.bin");
const MAGIC: &[u8; 4] = b"NRP1";
/// Bias and scales of one head.
const NUMBERS: usize = 1 + (BLOCKS - 1);

static SHARED: LazyLock<Prior> = LazyLock::new(|| Prior::read(FILE).unwrap_or(Prior::EMPTY));
static VERSION: LazyLock<[u8; 8]> = LazyLock::new(|| {
    let digest = Sha256::new().chain_update(fingerprint()).chain_update(Embedder::shared().id());
    let digest: [u8; 32] = digest.chain_update(FILE).finalize().into();
    digest.first_chunk().copied().unwrap_or_default()
});

/// Which features rows have: heads of one version mean nothing to another.
#[must_use]
pub fn version() -> [u8; 8] {
    *VERSION
}

/// The shipped heads; their weights stay where they lie in the binary.
#[derive(Debug)]
pub(super) struct Prior {
    heads: Vec<Linear<'static>>,
}

impl Prior {
    /// Predicts nothing; stands in for a file made for other word lists, which a test rules out.
    pub(super) const EMPTY: Self = Self { heads: Vec::new() };

    pub(super) fn shared() -> &'static Self {
        &SHARED
    }

    /// Read a file; none if it was made for other features.
    pub(super) fn read(file: &'static [u8]) -> Option<Self> {
        let rest = file.strip_prefix(MAGIC)?;
        let heads = rest.strip_prefix(&fingerprint())?;
        let count = heads.len() / (NUMBERS * 4 + BASE);
        let whole = heads.len() % (NUMBERS * 4 + BASE) == 0 && (PUBLIC.len()..=PRIORS).contains(&count);
        whole.then(|| Self { heads: heads.chunks_exact(NUMBERS * 4 + BASE).map(head).collect() })
    }

    /// What each head predicts.
    pub(super) fn outputs(&self, row: &Row) -> [f32; PRIORS] {
        let mut outputs = [0.0; PRIORS];
        let mut slots = outputs.iter_mut();
        scores(row, &self.heads, |value| {
            if let Some(slot) = slots.next() {
                *slot = value;
            }
        });
        outputs
    }
}

/// Bias and scales, f32, then weights. No scale for outputs of heads, which no shipped head looks at.
fn head(bytes: &'static [u8]) -> Linear<'static> {
    let (numbers, weights) = bytes.split_at(NUMBERS * 4);
    let mut values = numbers.chunks_exact(4).map(|chunk| chunk.try_into().map_or(0.0, f32::from_le_bytes));
    let bias = values.next().unwrap_or_default();
    Linear { bias, scales: std::array::from_fn(|_| values.next().unwrap_or_default()), weights }
}
