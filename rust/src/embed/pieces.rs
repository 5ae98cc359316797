//! Spells a word with the tokens of the vocabulary, the longest first.

use super::table::{INSIDE, MARK, START, Table, step};

/// Bytes of the longest token ("telecommunications" has 18; the longest of other scripts are shorter).
pub(super) const LONGEST: usize = 18;

/// The rows of one word; kept, so that a text needs one allocation.
#[derive(Default)]
pub(super) struct Pieces {
    rows: Vec<u16>,
}

impl Pieces {
    /// The rows of a word's tokens; none at all if some part of it is no token.
    pub(super) fn of(&mut self, table: &Table, word: &str) -> &[u16] {
        self.rows.clear();
        if word.len() <= LONGEST {
            // Most words are tokens.
            if let Some(row) = table.row(START, word.as_bytes(), "") {
                self.rows.push(row);
                return &self.rows;
            }
        }
        let (mut rest, mut seed, mut mark) = (word, START, "");
        while !rest.is_empty() {
            let Some((row, bytes)) = longest(table, rest, seed, mark) else {
                self.rows.clear();
                break;
            };
            self.rows.push(row);
            rest = rest.get(bytes..).unwrap_or_default();
            (seed, mark) = (INSIDE, MARK);
        }
        &self.rows
    }
}

/// The longest token that a text starts with, and its bytes.
fn longest(table: &Table, text: &str, seed: u64, mark: &str) -> Option<(u16, usize)> {
    let bytes = text.as_bytes();
    let mut hashes = [seed; LONGEST + 1];
    let mut hash = seed;
    let reach = bytes.len().min(LONGEST);
    for (slot, &byte) in hashes[1..].iter_mut().zip(bytes) {
        hash = step(hash, byte);
        *slot = hash;
    }
    let ends = (1..=reach).rev().filter(|&end| text.is_char_boundary(end));
    ends.into_iter().find_map(|end| Some((table.find(hashes[end], &bytes[..end], mark)?, end)))
}
