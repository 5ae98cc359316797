//! Readers and writers at once.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{NOW_S, Noise, Row, key, row};
use crate::digest::Key;
use crate::embed::{DIMENSIONS, Embedding};
use crate::near::NearIndex;

const SCOPES: [Key; 2] = [[1; 32], [2; 32]];

/// Rows whose number, modulo 2, is their scope; all of a scope lie near its centre.
fn made(nth: u64, centres: &[[f32; DIMENSIONS]; 2]) -> Row {
    let centre = &centres[(nth % 2) as usize];
    row(nth, Embedding::from_floats(&Noise(nth).beside(centre, 0.97)))
}

fn read(
    index: &NearIndex,
    centres: &[[f32; DIMENSIONS]; 2],
    written: &HashSet<Key>,
    done: &AtomicBool,
) -> usize {
    let mut seen = 0;
    while !done.load(Ordering::Relaxed) {
        for (nth, scope) in SCOPES.iter().enumerate() {
            let found = index.nearest(scope, &Embedding::from_floats(&centres[nth]), 0.9, NOW_S);
            for candidate in found {
                assert!(written.contains(&candidate.key));
                assert_eq!(usize::from(candidate.key[0] % 2), nth);
                assert_eq!(candidate.features.as_bytes().len(), 124);
                seen += 1;
            }
        }
    }
    seen
}

#[test]
fn four_readers_beside_a_writer_see_only_rows_of_their_scope() {
    let index = NearIndex::new();
    let centres = [Noise(1).vector(), Noise(2).vector()];
    let rows: Vec<_> = (0..400).map(|nth| made(nth, &centres)).collect();
    let written: HashSet<Key> = rows.iter().map(|row| row.key).collect();
    let done = AtomicBool::new(false);
    thread::scope(|threads| {
        let readers: Vec<_> =
            (0..4).map(|_| threads.spawn(|| read(&index, &centres, &written, &done))).collect();
        for round in 0..6 {
            for (nth, row) in rows.iter().enumerate() {
                index.insert(&SCOPES[nth % 2], row.clone());
                if nth % 3 == round % 3 {
                    assert!(index.remove(&SCOPES[nth % 2], &row.key));
                }
            }
        }
        // The last rows stay until every reader has had its turn.
        thread::sleep(std::time::Duration::from_millis(20));
        done.store(true, Ordering::Relaxed);
        let seen: usize = readers.into_iter().map(|reader| reader.join().unwrap()).sum();
        assert!(seen > 0);
    });
    // Of 400, the last round took every third one, from the third on.
    assert_eq!((index.rows(), index.scopes()), (400 - 133, 2));
}

#[test]
fn a_scope_that_comes_and_goes_under_many_writers_loses_no_row() {
    let index = NearIndex::new();
    thread::scope(|threads| {
        for writer in 0..4_u64 {
            let index = &index;
            threads.spawn(move || {
                let made = row(writer, Noise(writer).embedding());
                for _ in 0..2_000 {
                    index.insert(&SCOPES[0], made.clone());
                    assert_eq!(index.canonical(&SCOPES[0], &made.canonical, NOW_S), Some(key(writer)));
                    assert!(index.remove(&SCOPES[0], &made.key));
                }
            });
        }
    });
    assert_eq!((index.rows(), index.scopes(), index.used_bytes()), (0, 0, 0));
}
