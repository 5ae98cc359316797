//! The rows of one scope, in blocks: growing copies one block at most, and a scan reads each kind of number in a row.

use std::sync::Arc;

use super::sign::{Code, code, reach};
use super::simd::{Kernel, ROWS, Vector};
use super::{NEAREST, Row};
use crate::digest::Key;
use crate::embed::Embedding;
use crate::question::Features;

/// Room that a block adds when it is full, at most; a quarter of its rows while these are few, so that small scopes,
/// which are most, stay small.
const STEP_ROWS: usize = 128;

/// What a row has beside its numbers.
pub(super) struct Label {
    pub(super) key: Key,
    pub(super) canonical: Key,
    pub(super) features: Option<Arc<Features>>,
    pub(super) decided: Option<Box<Decided>>,
    /// Unix time in seconds.
    pub(super) expires_s: u64,
}

/// The vector that a second embedder gave a row.
pub(super) struct Decided {
    /// The hash of the embedder's id.
    pub(super) decider: u64,
    pub(super) vector: Box<[i8]>,
}

/// At most [`ROWS`] rows, as a structure of arrays.
#[derive(Default)]
struct Block {
    codes: Vec<Code>,
    vectors: Vec<Vector>,
    /// The squares of the vectors' lengths; 0: no vector, never a neighbour.
    squares: Vec<i32>,
    labels: Vec<Label>,
}

/// All rows; every block but the last is full.
#[derive(Default)]
pub(super) struct Rows {
    blocks: Vec<Block>,
}

/// A row that is near enough, and how near.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Found {
    pub(super) similarity: f32,
    pub(super) place: usize,
}

/// A scan: what it looks for and what it has found so far.
struct Scan<'query> {
    kernel: Kernel,
    vector: &'query Vector,
    square: i32,
    code: Code,
    /// For the cosine that a row must have now.
    reach: u32,
    floor: f32,
    now_s: u64,
    /// Best first.
    best: Vec<Found>,
}

impl Scan<'_> {
    /// The cosine to a vector, given the square of its length; no number if that is 0.
    ///
    /// All three numbers are exact in 64 bits, as is the product, so equal directions come out as 1 and not just
    /// below.
    fn similarity(&self, vector: &Vector, square: i32) -> f32 {
        let dot = f64::from(self.kernel.dot(vector, self.vector));
        #[expect(clippy::cast_possible_truncation, reason = "a cosine needs no more digits")]
        let cosine = (dot / (f64::from(square) * f64::from(self.square)).sqrt()) as f32;
        cosine
    }

    /// Look at the rows of a block, whose first one has this place.
    fn visit(&mut self, block: &Block, first: usize) {
        let mut within = [0; ROWS];
        let count = self.kernel.within(&block.codes, &self.code, self.reach, &mut within);
        for place in within.iter().take(count).map(|place| usize::from(*place)) {
            let (Some(vector), Some(square)) = (block.vectors.get(place), block.squares.get(place)) else {
                continue;
            };
            let similarity = self.similarity(vector, *square);
            // The label only now: it lies far from the vector, and most rows need no look at it.
            let is_found = |label: &Label| label.expires_s > self.now_s && label.features.is_some();
            if similarity >= self.floor && block.labels.get(place).is_some_and(is_found) {
                self.keep(Found { similarity, place: first + place });
            }
        }
    }

    /// Put one among the best. Once there are enough, others must be nearer than the last of them, and the reach
    /// shrinks accordingly: with a low floor, where codes sort out little, most of the time is saved here.
    fn keep(&mut self, found: Found) {
        let rank = self.best.partition_point(|better| better.similarity >= found.similarity);
        if rank >= NEAREST {
            return;
        }
        self.best.truncate(NEAREST - 1);
        self.best.insert(rank, found);
        if let Some(last) = self.best.get(NEAREST - 1) {
            self.floor = last.similarity;
            self.reach = reach(self.floor);
        }
    }
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.blocks.last().map_or(0, |last| (self.blocks.len() - 1) * ROWS + last.labels.len())
    }

    /// The label at a place; none beyond the last row.
    pub(super) fn label(&self, place: usize) -> Option<&Label> {
        self.blocks.get(place / ROWS)?.labels.get(place % ROWS)
    }

    /// The same, to be changed.
    pub(super) fn label_mut(&mut self, place: usize) -> Option<&mut Label> {
        self.blocks.get_mut(place / ROWS)?.labels.get_mut(place % ROWS)
    }

    /// Add a row behind the last one.
    pub(super) fn push(&mut self, row: Row) {
        if self.len() % ROWS == 0 {
            self.blocks.reserve_exact(1);
            self.blocks.push(Block::default());
        }
        if let Some(last) = self.blocks.last_mut() {
            last.push(row);
        }
    }

    /// Take a row out; the last one takes its place.
    pub(super) fn swap_remove(&mut self, place: usize) -> Option<Label> {
        let (numbers, last) = self.pop()?;
        if place == self.len() {
            return Some(last);
        }
        let block = self.blocks.get_mut(place / ROWS)?;
        *block.codes.get_mut(place % ROWS)? = numbers.0;
        *block.vectors.get_mut(place % ROWS)? = numbers.1;
        *block.squares.get_mut(place % ROWS)? = numbers.2;
        Some(std::mem::replace(block.labels.get_mut(place % ROWS)?, last))
    }

    fn pop(&mut self) -> Option<((Code, Vector, i32), Label)> {
        let block = self.blocks.last_mut()?;
        let numbers = (block.codes.pop()?, block.vectors.pop()?, block.squares.pop()?);
        let label = block.labels.pop()?;
        block.shrink();
        if block.labels.is_empty() {
            self.blocks.pop();
        }
        Some((numbers, label))
    }

    /// The rows nearest to a vector, best first: alive, with features, and of a cosine of at least `floor`.
    pub(super) fn nearest(&self, kernel: Kernel, query: &Embedding, floor: f32, now_s: u64) -> Vec<Found> {
        let square = kernel.dot(&query.0, &query.0);
        if square == 0 {
            return Vec::new();
        }
        let (vector, code, reach) = (&query.0, code(query), reach(floor));
        let mut scan = Scan { kernel, vector, square, code, reach, floor, now_s, best: Vec::new() };
        for (nth, block) in self.blocks.iter().enumerate() {
            scan.visit(block, nth * ROWS);
        }
        scan.best
    }

    /// Bytes taken from the allocator for the rows, those of features and second vectors not included.
    #[cfg(test)]
    pub(super) fn allocated_bytes(&self) -> usize {
        let block_bytes = |block: &Block| {
            block.codes.capacity() * size_of::<Code>()
                + block.vectors.capacity() * size_of::<Vector>()
                + block.squares.capacity() * size_of::<i32>()
                + block.labels.capacity() * size_of::<Label>()
        };
        self.blocks.iter().map(block_bytes).sum::<usize>() + self.blocks.capacity() * size_of::<Block>()
    }
}

impl Block {
    fn push(&mut self, row: Row) {
        if self.labels.len() == self.labels.capacity() {
            let step_rows = step(self.labels.len());
            self.codes.reserve_exact(step_rows);
            self.vectors.reserve_exact(step_rows);
            self.squares.reserve_exact(step_rows);
            self.labels.reserve_exact(step_rows);
        }
        self.codes.push(code(&row.embedding));
        self.squares.push(Kernel::detect().dot(&row.embedding.0, &row.embedding.0));
        self.vectors.push(row.embedding.0);
        self.labels.push(Label {
            key: row.key,
            canonical: row.canonical,
            features: row.features.map(Arc::new),
            decided: None,
            expires_s: row.expires_s,
        });
    }

    /// Give back room once there is much more of it than growing would have left.
    fn shrink(&mut self) {
        let rows = self.labels.len();
        if self.labels.capacity() > rows + 2 * step(rows) {
            let kept_rows = rows + step(rows);
            self.codes.shrink_to(kept_rows);
            self.vectors.shrink_to(kept_rows);
            self.squares.shrink_to(kept_rows);
            self.labels.shrink_to(kept_rows);
        }
    }
}

/// Rows of room to add to a full block of this many.
fn step(rows: usize) -> usize {
    (rows / 4).clamp(1, STEP_ROWS)
}
