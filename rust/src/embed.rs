//! The built-in sentence embedder: words to a vector of 256 numbers.
//!
//! A text is cut into the `WordPiece` tokens of BERT (uncased); each token has a row in a table that
//! `rust/training/distill.py` made from all-MiniLM-L6-v2, and the sum of the rows is the embedding.

mod pieces;
mod sum;
mod table;
#[cfg(test)]
mod tests;
mod words;

use std::sync::LazyLock;

use pieces::Pieces;
use table::Table;
use words::Words;

/// Numbers of one embedding.
pub const DIMENSIONS: usize = 256;

static FILE: &[u8] = include_bytes!("../weights/embedding.bin");
static SHARED: LazyLock<Embedder> =
    LazyLock::new(|| Embedder { table: Table::read(FILE).unwrap_or(Table::EMPTY) });

/// A direction in space, as 8-bit numbers whose largest is 127 or -127: only its direction counts. All zero: no words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Embedding(pub [i8; DIMENSIONS]);

impl Embedding {
    /// Round a vector of any length.
    #[must_use]
    pub fn from_floats(vector: &[f32; DIMENSIONS]) -> Self {
        Self(sum::rounded(vector))
    }

    /// How alike two directions are, -1 to 1; 0 if either has none.
    #[must_use]
    pub fn cosine(&self, other: &Self) -> f32 {
        let lengths = f64::from(dot(&self.0, &self.0)) * f64::from(dot(&other.0, &other.0));
        if lengths == 0.0 {
            return 0.0;
        }
        #[expect(clippy::cast_possible_truncation, reason = "a cosine needs no more digits")]
        let cosine = (f64::from(dot(&self.0, &other.0)) / lengths.sqrt()) as f32;
        cosine.clamp(-1.0, 1.0)
    }

    /// How long the rounded vector is. The sum of its squares has fewer than 24 bits, so no order of summing matters.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "below 2^24")]
    pub fn length(&self) -> f32 {
        (dot(&self.0, &self.0) as f32).sqrt()
    }

    /// Did the text have no word that the table knows?
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0 == [0; DIMENSIONS]
    }

    /// As bytes, to be kept in a database.
    #[must_use]
    pub fn as_bytes(&self) -> [u8; DIMENSIONS] {
        self.0.map(|number| number.to_le_bytes()[0])
    }

    /// From what [`Self::as_bytes`] gave; none if the length is another.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; DIMENSIONS] = bytes.try_into().ok()?;
        Some(Self(bytes.map(|byte| i8::from_le_bytes([byte]))))
    }
}

/// At most 256 * 128 * 128, far from overflow; a checked sum would keep the compiler from using SIMD.
fn dot(left: &[i8; DIMENSIONS], right: &[i8; DIMENSIONS]) -> i32 {
    left.iter().zip(right).fold(0_i32, |sum, (&left, &right)| {
        sum.wrapping_add(i32::from(i16::from(left).wrapping_mul(i16::from(right))))
    })
}

/// Turns texts into embeddings; its table of words is data.
pub struct Embedder {
    table: Table,
}

impl Embedder {
    /// The one that ships.
    #[must_use]
    pub fn shared() -> &'static Self {
        &SHARED
    }

    /// Which table this is, with a part of its SHA-256; embeddings of two tables say nothing about each other.
    #[must_use]
    pub fn id(&self) -> &'static str {
        self.table.name
    }

    /// Embed a text, in time proportional to its length. Words that the vocabulary cannot spell count for nothing.
    #[must_use]
    pub fn embed(&self, text: &str) -> Embedding {
        // English has a token for each five bytes or so.
        let mut rows = Vec::with_capacity(text.len() / 5 + 16);
        self.each_row(text, |row| rows.extend(self.table.vector(row)));
        Embedding(sum::of(&rows))
    }

    /// How frequent a whole word in small letters is, 0 being the most frequent; none if it is no single token.
    ///
    /// Ranks below 68 are the single characters of ASCII; the first longer word, "the", is 68.
    #[must_use]
    pub fn rank(&self, word: &str) -> Option<u32> {
        // "##ing" is how the vocabulary writes the end of a word.
        if word.starts_with("##") {
            return None;
        }
        self.table.row(table::START, word.as_bytes(), "").map(u32::from)
    }

    fn each_row(&self, text: &str, mut give: impl FnMut(u16)) {
        let mut pieces = Pieces::default();
        Words::new(&self.table).each(text, |word| {
            for &row in pieces.of(&self.table, word) {
                give(row);
            }
        });
    }
}
