use std::collections::HashSet;

use super::Arena;
use crate::near::tests::{Noise, features};
use crate::near::{NEAREST, ROW_BYTES, Row};
use crate::question::Features;

/// Those of a question of twenty words.
const FEATURE_BYTES: usize = 124;

/// A counted pointer's counts, the vector inside it, its bytes.
const FEATURES_ALLOCATED: usize = 16 + size_of::<Features>() + FEATURE_BYTES;

fn row(noise: &mut Noise) -> Row {
    let mut key = || {
        let words = [noise.next(), noise.next(), noise.next(), noise.next()];
        std::array::from_fn(|nth| words[nth / 8].to_le_bytes()[nth % 8])
    };
    let (key, canonical) = (key(), key());
    let features = features(FEATURE_BYTES);
    Row { key, canonical, embedding: noise.embedding(), features, expires_s: 100 }
}

fn allocated_bytes(arena: &Arena) -> usize {
    let tables = arena.keys.allocation_size() + arena.canonicals.allocation_size();
    arena.rows.allocated_bytes() + tables + arena.rows.len() * FEATURES_ALLOCATED
}

/// Rows over three blocks.
fn filled(noise: &mut Noise) -> (Arena, Vec<Row>) {
    let mut arena = Arena::default();
    let rows: Vec<Row> = (0..2_500).map(|_| row(noise)).collect();
    assert!(rows.iter().all(|row| arena.insert(row.clone())));
    (arena, rows)
}

/// Every row must be found by its key and by its canonical text, and a few of them, since that takes longer, by where
/// they lie.
fn assert_holds(arena: &Arena, rows: &[Row]) {
    assert_eq!(arena.rows.len(), rows.len());
    for row in rows {
        assert!(arena.place(&row.key).is_some());
        assert_eq!(arena.canonical(&row.canonical, 0), Some(row.key));
    }
    for row in rows.iter().step_by(100) {
        let nearest = arena.nearest(&row.embedding, 0.99, 0);
        assert!(nearest.iter().map(|candidate| candidate.key).eq([row.key]));
    }
}

#[test]
fn rows_removed_in_any_order_leave_the_others_where_they_can_be_found() {
    let mut noise = Noise(1);
    let (mut arena, mut rows) = filled(&mut noise);
    assert_holds(&arena, &rows);
    while !rows.is_empty() {
        let nth = usize::try_from(noise.next() % rows.len() as u64).unwrap();
        let taken = rows.swap_remove(nth);
        assert!(arena.remove(&taken.key).is_some());
        assert!(arena.remove(&taken.key).is_none());
        if rows.len() % 250 == 0 {
            assert_holds(&arena, &rows);
        }
    }
}

#[test]
fn a_row_costs_less_than_it_says_and_less_than_600_bytes() {
    let mut noise = Noise(2);
    let mut arena = Arena::default();
    for rows in 1..=6_000 {
        arena.insert(row(&mut noise));
        // From here on the room that a block keeps for the next rows counts for little.
        if rows > 4_000 {
            let row_bytes = allocated_bytes(&arena) / rows;
            assert!(row_bytes <= ROW_BYTES + FEATURE_BYTES, "{row_bytes} at {rows}");
            // What is missing is the allocator's own share.
            assert!(row_bytes > ROW_BYTES + FEATURE_BYTES - 90, "{row_bytes} at {rows}");
        }
    }
    const { assert!(ROW_BYTES + FEATURE_BYTES < 600) };
}

#[test]
fn what_rows_took_is_given_back_when_they_go() {
    let mut noise = Noise(3);
    let (mut arena, rows) = filled(&mut noise);
    for (left, row) in rows.iter().enumerate().map(|(nth, row)| (rows.len() - nth - 1, row)) {
        arena.remove(&row.key);
        // Three times the rows, and what nearly empty tables and blocks come to.
        assert!(allocated_bytes(&arena) <= 3 * left * (ROW_BYTES + FEATURE_BYTES) + 400, "at {left}");
    }
    assert!(arena.is_empty());
    assert!(allocated_bytes(&arena) <= 400);
}

#[test]
fn equal_rows_are_all_neighbours() {
    let mut noise = Noise(4);
    let mut arena = Arena::default();
    let embedding = noise.embedding();
    assert!((0..10).all(|_| arena.insert(Row { embedding, ..row(&mut noise) })));
    let keys: HashSet<_> = arena.nearest(&embedding, 1.0, 0).iter().map(|candidate| candidate.key).collect();
    assert_eq!(keys.len(), NEAREST);
}
