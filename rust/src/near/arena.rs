//! One scope: its rows and where to find them by key and by canonical text.

#[cfg(test)]
mod tests;

use hashbrown::HashTable;

use super::rows::{Decided, Label, Rows};
use super::simd::Kernel;
use super::{Candidate, Row, row_bytes};
use crate::digest::Key;
use crate::embed::Embedding;

/// The rows of one scope. A table holds places only; the keys are read from the rows.
#[derive(Default)]
pub(super) struct Arena {
    rows: Rows,
    /// The place of every row, by its key.
    keys: HashTable<u32>,
    /// The place of one row of each canonical text: of the one that lives longest.
    canonicals: HashTable<u32>,
    /// Its last row was removed and the index has dropped it: who still holds it must look for its successor.
    pub(super) closed: bool,
}

impl Arena {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.len() == 0
    }

    /// Add a row; its key is not here yet. False if there is no room, which is at four thousand million rows.
    pub(super) fn insert(&mut self, row: Row) -> bool {
        let Ok(place) = u32::try_from(self.rows.len()) else { return false };
        let (key, canonical) = (row.key, row.canonical);
        self.rows.push(row);
        let rows = &self.rows;
        self.keys.insert_unique(hash(&key), place, |place| hash_at(rows, *place, |label| &label.key));
        self.list(&canonical, place);
        true
    }

    /// Let a row answer for its canonical text, unless another one does and lives longer.
    fn list(&mut self, canonical: &Key, place: u32) {
        let Self { rows, canonicals, .. } = self;
        let expires_s = |place: u32| label(rows, place).map(|label| label.expires_s);
        if let Some(listed) =
            canonicals.find_mut(hash(canonical), |listed| is_canonical(rows, *listed, canonical))
        {
            if expires_s(*listed) <= expires_s(place) {
                *listed = place;
            }
            return;
        }
        canonicals
            .insert_unique(hash(canonical), place, |place| hash_at(rows, *place, |label| &label.canonical));
    }

    /// Take a row out and give its bytes; none if there is none.
    pub(super) fn remove(&mut self, key: &Key) -> Option<usize> {
        let place = self.place(key)?;
        let last = u32::try_from(self.rows.len().checked_sub(1)?).ok()?;
        self.unlist(place);
        if last != place {
            self.relist(last, place);
        }
        let removed = self.rows.swap_remove(place as usize)?;
        self.shrink();
        Some(label_bytes(&removed))
    }

    /// Take a place out of both tables.
    fn unlist(&mut self, place: u32) {
        let Some(Label { key, canonical, .. }) = label(&self.rows, place) else { return };
        if let Ok(entry) = self.keys.find_entry(hash(key), |listed| *listed == place) {
            entry.remove();
        }
        if let Ok(entry) = self.canonicals.find_entry(hash(canonical), |listed| *listed == place) {
            entry.remove();
        }
    }

    /// Write another place for a row that is about to move.
    fn relist(&mut self, from: u32, to: u32) {
        let Some(Label { key, canonical, .. }) = label(&self.rows, from) else { return };
        if let Some(listed) = self.keys.find_mut(hash(key), |listed| *listed == from) {
            *listed = to;
        }
        if let Some(listed) = self.canonicals.find_mut(hash(canonical), |listed| *listed == from) {
            *listed = to;
        }
    }

    /// Give back room in the tables once three quarters of it are free.
    fn shrink(&mut self) {
        let Self { rows, keys, canonicals, .. } = self;
        if keys.capacity() > 4 * keys.len() {
            keys.shrink_to(2 * keys.len(), |place| hash_at(rows, *place, |label| &label.key));
        }
        if canonicals.capacity() > 4 * canonicals.len() {
            canonicals
                .shrink_to(2 * canonicals.len(), |place| hash_at(rows, *place, |label| &label.canonical));
        }
    }

    /// The key of the living row of a canonical text.
    pub(super) fn canonical(&self, canonical: &Key, now_s: u64) -> Option<Key> {
        let listed =
            self.canonicals.find(hash(canonical), |listed| is_canonical(&self.rows, *listed, canonical))?;
        label(&self.rows, *listed).filter(|label| label.expires_s > now_s).map(|label| label.key)
    }

    /// See [`super::NearIndex::nearest`].
    pub(super) fn nearest(&self, query: &Embedding, floor: f32, now_s: u64) -> Vec<Candidate> {
        let found = self.rows.nearest(Kernel::detect(), query, floor, now_s);
        let candidate = |found: super::rows::Found| {
            let label = self.rows.label(found.place)?;
            Some(Candidate {
                key: label.key,
                similarity: found.similarity,
                features: label.features.clone()?,
            })
        };
        found.into_iter().filter_map(candidate).collect()
    }

    /// Give a row its second vector. Gives the bytes of what it had before; none if there is no such row.
    pub(super) fn attach(&mut self, key: &Key, decided: Decided) -> Option<usize> {
        let place = self.place(key)?;
        let label = self.rows.label_mut(place as usize)?;
        let before = label.decided.replace(Box::new(decided));
        Some(before.map_or(0, |before| super::vector_bytes(before.vector.len())))
    }

    /// The second vector of a row, if this embedder gave it.
    pub(super) fn decided(&self, key: &Key, decider: u64) -> Option<Box<[i8]>> {
        let held = label(&self.rows, self.place(key)?)?.decided.as_ref()?;
        (held.decider == decider).then(|| held.vector.clone())
    }

    fn place(&self, key: &Key) -> Option<u32> {
        let is_it = |place: &u32| label(&self.rows, *place).is_some_and(|label| label.key == *key);
        self.keys.find(hash(key), is_it).copied()
    }
}

fn label(rows: &Rows, place: u32) -> Option<&Label> {
    rows.label(place as usize)
}

fn is_canonical(rows: &Rows, place: u32, canonical: &Key) -> bool {
    label(rows, place).is_some_and(|label| label.canonical == *canonical)
}

/// What a row costs, as [`super::NearIndex::row_bytes`] reckons, and its second vector.
fn label_bytes(label: &Label) -> usize {
    let decided = label.decided.as_ref().map_or(0, |decided| super::vector_bytes(decided.vector.len()));
    row_bytes(label.features.as_deref()) + decided
}

/// Keys are SHA-256: any eight bytes of one are a hash already. Whoever searches for texts that collide slows down
/// nobody but the one tenant whose scope this is.
fn hash(key: &Key) -> u64 {
    key.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn hash_at(rows: &Rows, place: u32, key: impl Fn(&Label) -> &Key) -> u64 {
    label(rows, place).map_or(0, |label| hash(key(label)))
}
