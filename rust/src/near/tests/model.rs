//! The index against a plain list of rows, over any sequence of calls.

use std::collections::HashSet;

use proptest::prelude::*;

use super::{NOW_S, Noise, features, key};
use crate::digest::Key;
use crate::embed::Embedding;
use crate::near::{NEAREST, NearIndex, Row, SCOPE_BYTES, vector_bytes};

#[derive(Debug, Clone)]
enum Call {
    Insert { scope: u8, key: u8, canonical: u8, place: u8, featured: bool, lives_s: u64 },
    Remove { scope: u8, key: u8 },
    Wait { wait_s: u64 },
    Canonical { scope: u8, canonical: u8 },
    Nearest { scope: u8, place: u8, floor: f32 },
    Attach { scope: u8, key: u8, decider: u64 },
}

fn calls() -> impl Strategy<Value = Call> {
    let (scope, key, canonical, place) = (0_u8..3, 0_u8..12, 0_u8..5, 0_u8..24);
    let inserts = (scope.clone(), key.clone(), canonical.clone(), place.clone(), any::<bool>(), 0_u64..40);
    prop_oneof![
        6 => inserts.prop_map(|(scope, key, canonical, place, featured, lives_s)| {
            Call::Insert { scope, key, canonical, place, featured, lives_s }
        }),
        3 => (scope.clone(), key.clone()).prop_map(|(scope, key)| Call::Remove { scope, key }),
        1 => (0_u64..8).prop_map(|wait_s| Call::Wait { wait_s }),
        2 => (scope.clone(), canonical).prop_map(|(scope, canonical)| Call::Canonical { scope, canonical }),
        4 => (scope.clone(), place, prop_oneof![0.3_f32..1.0, Just(-1.0)])
            .prop_map(|(scope, place, floor)| Call::Nearest { scope, place, floor }),
        1 => (scope, key, 1_u64..3).prop_map(|(scope, key, decider)| Call::Attach { scope, key, decider }),
    ]
}

/// One of 24 places in space, in six clusters of near ones.
fn embedding(place: u8) -> Embedding {
    let centre = Noise(u64::from(place % 6)).vector();
    let cosine = 0.8 + 0.05 * f32::from(place / 6);
    Embedding::from_floats(&Noise(100 + u64::from(place)).beside(&centre, cosine))
}

fn cosine(one: &Embedding, other: &Embedding) -> f64 {
    let dot = |one: &Embedding, other: &Embedding| -> f64 {
        one.0.iter().zip(&other.0).map(|(one, other)| f64::from(*one) * f64::from(*other)).sum()
    };
    dot(one, other) / (dot(one, one) * dot(other, other)).sqrt()
}

#[derive(Default)]
struct Model {
    rows: Vec<(u8, Row, Option<u64>)>,
    /// Rows that may answer for a canonical text: of those with one text, only the last that took it over.
    listed: Vec<(u8, Key, Key)>,
    now_s: u64,
}

impl Model {
    fn insert(&mut self, scope: u8, row: Row) {
        self.remove(scope, &row.key);
        let listed =
            self.listed.iter().position(|(of, canonical, _)| (*of, *canonical) == (scope, row.canonical));
        match listed.map(|nth| (nth, self.row(scope, &self.listed[nth].2).unwrap().expires_s)) {
            None => self.listed.push((scope, row.canonical, row.key)),
            Some((nth, expires_s)) if expires_s <= row.expires_s => self.listed[nth].2 = row.key,
            Some(_) => {}
        }
        self.rows.push((scope, row, None));
    }

    fn remove(&mut self, scope: u8, key: &Key) -> bool {
        let before = self.rows.len();
        self.rows.retain(|(of, row, _)| *of != scope || row.key != *key);
        self.listed.retain(|(of, _, listed)| *of != scope || listed != key);
        self.rows.len() < before
    }

    fn row(&self, scope: u8, key: &Key) -> Option<&Row> {
        self.rows.iter().find(|(of, row, _)| *of == scope && row.key == *key).map(|(_, row, _)| row)
    }

    fn canonical(&self, scope: u8, canonical: &Key) -> Option<Key> {
        let (_, _, key) = self.listed.iter().find(|(of, listed, _)| (of, listed) == (&scope, canonical))?;
        (self.row(scope, key)?.expires_s > self.now_s).then_some(*key)
    }

    /// The best cosines.
    fn nearest(&self, scope: u8, query: &Embedding, floor: f32) -> Vec<f64> {
        let alive = |row: &Row| row.expires_s > self.now_s && row.features.is_some();
        let rows = self.rows.iter().filter(|(of, row, _)| *of == scope && alive(row));
        let mut cosines: Vec<f64> = rows.map(|(_, row, _)| cosine(query, &row.embedding)).collect();
        cosines.retain(|cosine| *cosine >= f64::from(floor));
        cosines.sort_by(|one, other| other.total_cmp(one));
        cosines.truncate(NEAREST);
        cosines
    }

    fn used_bytes(&self) -> usize {
        let scopes: HashSet<u8> = self.rows.iter().map(|(scope, ..)| *scope).collect();
        let row_bytes = |row: &(u8, Row, Option<u64>)| {
            NearIndex::row_bytes(&row.1) + row.2.map_or(0, |_| vector_bytes(3))
        };
        self.rows.iter().map(row_bytes).sum::<usize>() + scopes.len() * SCOPE_BYTES
    }
}

fn scope_key(scope: u8) -> Key {
    [scope; 32]
}

fn apply(call: &Call, index: &NearIndex, model: &mut Model) {
    match *call {
        Call::Insert { scope, key: nth, canonical, place, featured, lives_s } => {
            let row = Row {
                key: key(u64::from(nth)),
                canonical: key(u64::from(canonical)),
                embedding: embedding(place),
                features: features(4 + 6 * usize::from(nth)).filter(|_| featured),
                expires_s: model.now_s + lives_s,
            };
            index.insert(&scope_key(scope), row.clone());
            model.insert(scope, row);
        }
        Call::Remove { scope, key: nth } => {
            let key = key(u64::from(nth));
            assert_eq!(index.remove(&scope_key(scope), &key), model.remove(scope, &key));
        }
        Call::Wait { wait_s } => model.now_s += wait_s,
        Call::Canonical { scope, canonical } => {
            let canonical = key(u64::from(canonical));
            let found = index.canonical(&scope_key(scope), &canonical, model.now_s);
            assert_eq!(found, model.canonical(scope, &canonical));
        }
        Call::Nearest { scope, place, floor } => {
            compare_nearest(scope, &embedding(place), floor, index, model);
        }
        Call::Attach { scope, key: nth, decider } => {
            let key = key(u64::from(nth));
            let held = model.rows.iter_mut().find(|(of, row, _)| *of == scope && row.key == key);
            let attached = index.attach(&scope_key(scope), &key, decider, Box::new([1, 2, 3]));
            assert_eq!(attached, held.is_some());
            if let Some(held) = held {
                held.2 = Some(decider);
            }
        }
    }
}

fn compare_nearest(scope: u8, query: &Embedding, floor: f32, index: &NearIndex, model: &Model) {
    let found = index.nearest(&scope_key(scope), query, floor, model.now_s);
    let expected = model.nearest(scope, query, floor);
    assert_eq!(found.len(), expected.len());
    for (candidate, expected) in found.iter().zip(expected) {
        assert!((f64::from(candidate.similarity) - expected).abs() < 1e-6);
        let row = model.row(scope, &candidate.key).expect("a candidate is a row of its scope");
        assert!((cosine(query, &row.embedding) - expected).abs() < 1e-6);
        assert_eq!(row.features.as_ref(), Some(&*candidate.features));
    }
    let keys: HashSet<Key> = found.iter().map(|candidate| candidate.key).collect();
    assert_eq!(keys.len(), found.len());
}

proptest! {
    #[test]
    fn any_calls_give_what_a_plain_list_gives(calls in prop::collection::vec(calls(), 1..120)) {
        let index = NearIndex::new();
        let mut model = Model { now_s: NOW_S, ..Model::default() };
        for call in calls {
            apply(&call, &index, &mut model);
            assert_eq!((index.rows(), index.used_bytes()), (model.rows.len(), model.used_bytes()));
        }
        for (scope, row, decider) in &model.rows {
            for asked in 1..3 {
                let decided = index.decided(&scope_key(*scope), &row.key, asked);
                assert_eq!(decided.is_some(), *decider == Some(asked));
            }
        }
    }
}
