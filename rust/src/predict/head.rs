//! A linear model over rows, one byte a weight.

use super::prior::version;
use super::space::{BLOCKS, DIMENSIONS, Row, STARTS};

const MAGIC: &[u8; 4] = b"NRH1";
/// Magic, version, bias, a scale for each block.
const HEADER: usize = MAGIC.len() + 8 + 4 + 4 * BLOCKS;

/// Why a predictor could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadHead {
    /// The bytes are no head.
    #[error("{0}: not the weights of a head: {1} bytes")]
    Form(String, usize),
    /// Learned on other features.
    #[error("{0}: learned by another version, learn it again")]
    Version(String),
    /// Two heads of one name, or the name of a shipped one.
    #[error("{0}: a head of this name exists already")]
    Taken(String),
    /// No whole number of embeddings.
    #[error("escalated prompts have 256 bytes each, not {0} together")]
    Embeddings(usize),
}

/// The weights of one head.
#[derive(Clone, PartialEq)]
pub struct Head {
    bias: f32,
    scales: [f32; BLOCKS],
    weights: Box<[u8]>,
}

/// Bias, scales of the blocks and one signed byte for each feature, wherever they lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Linear<'a> {
    pub(super) bias: f32,
    pub(super) scales: [f32; BLOCKS],
    pub(super) weights: &'a [u8],
}

impl std::fmt::Debug for Head {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Head").field("bias", &self.bias).finish_non_exhaustive()
    }
}

impl Head {
    /// Read what `neuralrouting.evidence.ridge.fit_head` wrote: magic, version, bias, scales, weights.
    ///
    /// # Errors
    /// [`BadHead::Form`] or [`BadHead::Version`], each with the head's name.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self, BadHead> {
        let form = || BadHead::Form(name.to_owned(), bytes.len());
        if bytes.len() != HEADER + DIMENSIONS || !bytes.starts_with(MAGIC) {
            return Err(form());
        }
        let (head, weights) = bytes.split_at(HEADER);
        if head[4..12] != version() {
            return Err(BadHead::Version(name.to_owned()));
        }
        let (bias, scales) = numbers(&head[12..]).filter(is_finite).ok_or_else(form)?;
        Ok(Self { bias, scales, weights: weights.into() })
    }

    /// What scores rows.
    pub(super) fn linear(&self) -> Linear<'_> {
        Linear { bias: self.bias, scales: self.scales, weights: &self.weights }
    }
}

/// Bias and scales of the blocks.
fn numbers(bytes: &[u8]) -> Option<(f32, [f32; BLOCKS])> {
    let mut values =
        bytes.chunks_exact(4).filter_map(|chunk| Some(f32::from_le_bytes(chunk.try_into().ok()?)));
    let bias = values.next()?;
    let mut scales = [0.0; BLOCKS];
    for scale in &mut scales {
        *scale = values.next()?;
    }
    Some((bias, scales))
}

fn is_finite((bias, scales): &(f32, [f32; BLOCKS])) -> bool {
    bias.is_finite() && scales.iter().all(|scale| scale.is_finite())
}

/// The predicted difference of each model, not yet bounded.
pub(super) fn scores(row: &Row, models: &[Linear<'_>], mut give: impl FnMut(f32)) {
    // Each sum waits for its last product; two at a time wait together.
    for pair in models.chunks(2) {
        match pair {
            [one, other] => together(row, [one, other]).into_iter().for_each(&mut give),
            rest => rest.iter().for_each(|one| together(row, [one]).into_iter().for_each(&mut give)),
        }
    }
}

/// Bias and, block by block, scale times the sum of weights and values.
fn together<const N: usize>(row: &Row, models: [&Linear<'_>; N]) -> [f32; N] {
    let mut sums = models.map(|model| model.bias);
    let (mut block, mut of_block) = (0, [0.0_f32; N]);
    for &(index, value) in row.pairs() {
        let index = index as usize;
        while index >= STARTS[block + 1] {
            for nth in 0..N {
                sums[nth] += of_block[nth] * models[nth].scales[block];
            }
            (block, of_block) = (block + 1, [0.0; N]);
        }
        for nth in 0..N {
            let weight = models[nth].weights.get(index).copied().unwrap_or(0);
            of_block[nth] += f32::from(i8::from_le_bytes([weight])) * value;
        }
    }
    std::array::from_fn(|nth| sums[nth] + of_block[nth] * models[nth].scales[block])
}
