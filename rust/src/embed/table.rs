//! The table of tokens, read where it lies in the binary; written by `rust/training/distill.py`.

use super::DIMENSIONS;

const MAGIC: &[u8] = b"NREMBED1";
const NAME: usize = 32;
/// Pages of 256 characters in Unicode.
const PAGES: usize = 0x1100;
/// FNV-1a, 64 bits.
pub(super) const START: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;
/// The hash goes on from the mark that the vocabulary puts before a piece inside a word.
pub(super) const INSIDE: u64 = step(step(START, b'#'), b'#');
/// The mark itself.
pub(super) const MARK: &str = "##";

/// Hash one more byte.
pub(super) const fn step(hash: u64, byte: u8) -> u64 {
    (hash ^ byte as u64).wrapping_mul(PRIME)
}

/// Tokens, most frequent first, and what BERT does with each character.
pub(super) struct Table {
    /// The embedder's id.
    pub(super) name: &'static str,
    rows: &'static [u8],
    /// What a row is to be multiplied by, f32 each.
    scales: &'static [u8],
    /// Where in `pool` a token starts, u32 each, and one more for the end.
    offsets: &'static [u8],
    /// Open addressing: row + 1, u16 each; 0 is empty.
    slots: &'static [u8],
    /// Which page holds a character.
    index: &'static [u8],
    /// A class for each character of a page.
    pages: &'static [u8],
    pool: &'static [u8],
}

impl Table {
    /// Knows no token; stands in for a file that cannot be read, which a test rules out.
    pub(super) const EMPTY: Self = Self {
        name: "builtin-empty",
        rows: &[],
        scales: &[],
        offsets: &[],
        slots: &[],
        index: &[],
        pages: &[],
        pool: &[],
    };

    /// Read a file; none if its sections do not add up.
    pub(super) fn read(file: &'static [u8]) -> Option<Self> {
        let rest = file.strip_prefix(MAGIC)?;
        let (name, rest) = rest.split_at_checked(NAME)?;
        let (counts, rest) = rest.split_at_checked(16)?;
        let count = |index| word_at(counts, index).and_then(|count| usize::try_from(count).ok());
        let (row_count, slot_count, page_count, pool_bytes) = (count(0)?, count(1)?, count(2)?, count(3)?);
        let (rows, rest) = rest.split_at_checked(row_count.checked_mul(DIMENSIONS)?)?;
        let (scales, rest) = rest.split_at_checked(row_count * 4)?;
        let (offsets, rest) = rest.split_at_checked(row_count * 4 + 4)?;
        let (slots, rest) = rest.split_at_checked(slot_count.checked_mul(2)?)?;
        let (index, rest) = rest.split_at_checked(PAGES)?;
        let (pages, pool) = rest.split_at_checked(page_count.checked_mul(256)?)?;
        let whole = pool.len() == pool_bytes && slot_count.is_power_of_two() && row_count < slot_count;
        let name = std::str::from_utf8(name).ok()?;
        whole.then_some(Self { name, rows, scales, offsets, slots, index, pages, pool })
    }

    /// The row of a token: `bytes` after `mark`, whose hash begins with `seed`.
    pub(super) fn row(&self, seed: u64, bytes: &[u8], mark: &str) -> Option<u16> {
        self.find(bytes.iter().fold(seed, |hash, &byte| step(hash, byte)), bytes, mark)
    }

    /// The same where the hash is known.
    pub(super) fn find(&self, hash: u64, bytes: &[u8], mark: &str) -> Option<u16> {
        let last = (self.slots.len() / 2).checked_sub(1)?;
        #[expect(clippy::cast_possible_truncation, reason = "the mask takes the low bits anyway")]
        let mut slot = (hash ^ (hash >> 32)) as usize & last;
        // The file has fewer rows than slots, so an empty one ends the search.
        for _ in 0..=last {
            let found = self.slots.get(slot * 2..slot * 2 + 2)?;
            let row = u16::from_le_bytes([found[0], found[1]]).checked_sub(1)?;
            let token = self.token(row)?;
            if let Some((before, own)) = token.split_at_checked(mark.len()) {
                if same(own, bytes) && same(before, mark.as_bytes()) {
                    return Some(row);
                }
            }
            slot = (slot + 1) & last;
        }
        None
    }

    /// The numbers of a row, and what they are to be multiplied by.
    pub(super) fn vector(&self, row: u16) -> Option<(&'static [u8; DIMENSIONS], f32)> {
        let row = usize::from(row);
        let numbers = self.rows.get(row * DIMENSIONS..(row + 1) * DIMENSIONS)?;
        Some((numbers.try_into().ok()?, f32::from_bits(word_at(self.scales, row)?)))
    }

    /// What BERT does with a character, as a number of the file.
    pub(super) fn class(&self, character: char) -> u8 {
        let point = character as usize;
        let page = self.index.get(point >> 8).copied().unwrap_or_default();
        self.pages.get(usize::from(page) << 8 | point & 0xff).copied().unwrap_or_default()
    }

    /// A token as the vocabulary writes it.
    pub(super) fn token(&self, row: u16) -> Option<&'static [u8]> {
        let start = word_at(self.offsets, row.into())?;
        let end = word_at(self.offsets, usize::from(row) + 1)?;
        self.pool.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
    }
}

/// Compares byte by byte: tokens are short, and the bytes of a word may have been written one by one just before.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one == other)
}

fn word_at(bytes: &[u8], index: usize) -> Option<u32> {
    let word = bytes.get(index * 4..index * 4 + 4)?;
    Some(u32::from_le_bytes(word.try_into().ok()?))
}
