//! A small linear model over hashed words and pairs of words: one more piece of evidence, never enough alone.

#[cfg(test)]
mod tests;

use super::cut;
use super::tokens::is_unspaced;

/// Buckets of the hash; one byte of weight each.
pub const BUCKETS: usize = 1 << 16;
/// Bytes read at the start, and again at the end of a longer text: about 400 words.
const WINDOW_BYTES: usize = 2400;
/// The most the model can add. Alone it stays below any threshold that blocks.
const MOST: f64 = 0.7;
const MAGIC: &[u8; 4] = b"NRS1";
const HEADER: usize = 20;

/// Weights as they are in the file: magic, then scale, bias, low and high as little-endian `f32`, then the buckets.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    /// What one step of a bucket's weight stands for.
    pub scale: f32,
    /// The margin of a text without any known word.
    pub bias: f32,
    /// Up to this margin the model says nothing; from `high` on it says all it can.
    pub low: f32,
    /// See `low`.
    pub high: f32,
    /// One weight per bucket.
    pub table: Vec<i8>,
}

impl Weights {
    /// Read the file's bytes; none if they are not weights.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (header, table) = bytes.split_at_checked(HEADER)?;
        let float = |at: usize| Some(f32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?));
        if !header.starts_with(MAGIC) || table.len() != BUCKETS {
            return None;
        }
        let table = table.iter().map(|&byte| i8::from_le_bytes([byte])).collect();
        Some(Self { scale: float(4)?, bias: float(8)?, low: float(12)?, high: float(16)?, table })
    }

    /// The file's bytes.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for number in [self.scale, self.bias, self.low, self.high] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend(self.table.iter().flat_map(|weight| weight.to_le_bytes()));
        bytes
    }

    /// How far a normalised text lies on the side of the attacks.
    #[must_use]
    pub fn margin(&self, text: &str) -> f32 {
        let mut best = f32::MIN;
        for window in windows(text) {
            let (mut sum, mut count) = (0_i32, 0_u16);
            buckets(window, |bucket| {
                sum += i32::from(self.table[usize::from(bucket)]);
                count += 1;
            });
            #[expect(clippy::cast_precision_loss, reason = "sums of a few hundred bytes")]
            let mean = sum as f32 / f32::from(count.max(1)).sqrt();
            best = best.max(mean * self.scale + self.bias);
        }
        best
    }

    /// Evidence from 0 to [`MOST`] for the margin of a text.
    #[must_use]
    pub fn evidence(&self, margin: f32) -> f64 {
        let share = (margin - self.low) / (self.high - self.low).max(f32::EPSILON);
        MOST * f64::from(share.clamp(0.0, 1.0))
    }
}

/// The start of a text, as far as the model reads it.
pub(super) fn head(text: &str) -> &str {
    &text[..cut::floor(text, WINDOW_BYTES)]
}

/// The parts of a text that the model reads.
fn windows(text: &str) -> impl Iterator<Item = &str> {
    let head = head(text);
    let tail = cut::ceil(text, text.len().saturating_sub(WINDOW_BYTES).max(head.len()));
    [Some(head), (tail < text.len()).then(|| &text[tail..])].into_iter().flatten()
}

/// Call `see` once for each distinct bucket of the words and pairs of words of a normalised text.
pub(super) fn buckets(text: &str, mut see: impl FnMut(u16)) {
    let mut seen = [0_u64; BUCKETS / 64];
    let mut once = |hash: u32| {
        let [low, high, ..] = (hash ^ (hash >> 16)).to_le_bytes();
        let bucket = u16::from_le_bytes([low, high]);
        let bit = 1_u64 << (bucket % 64);
        let word = &mut seen[usize::from(bucket / 64)];
        if *word & bit == 0 {
            *word |= bit;
            see(bucket);
        }
    };
    let mut before = START;
    words(text, |word| {
        once(finish(word));
        once(finish(before.rotate_left(15).wrapping_mul(PRIME) ^ word));
        before = word;
    });
}

/// FNV-1a (Fowler, Noll, Vo), 32 bits.
const START: u32 = 0x811c_9dc5;
const PRIME: u32 = 0x0100_0193;

/// Call `see` with the hash of each word; letters of scripts without spaces are words of their own.
fn words(text: &str, mut see: impl FnMut(u32)) {
    let mut hash = START;
    for letter in text.chars() {
        let joins = letter.is_ascii_alphanumeric()
            || letter == '\''
            || (!letter.is_ascii() && letter.is_alphanumeric());
        if joins {
            hash = (hash ^ letter as u32).wrapping_mul(PRIME);
        }
        if (!joins || is_unspaced(letter)) && hash != START {
            see(hash);
            hash = START;
        }
    }
    if hash != START {
        see(hash);
    }
}

/// Spread a hash over all its bits (`MurmurHash3`'s finaliser, Appleby).
const fn finish(mut hash: u32) -> u32 {
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85eb_ca6b);
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}
