mod model;
mod threads;

use proptest::prelude::*;

use super::{Candidate, NEAREST, NearIndex, Row, SCOPE_BYTES};
use crate::digest::Key;
use crate::embed::{DIMENSIONS, Embedding};
use crate::question::Features;

const NOW_S: u64 = 1_800_000_000;
const SCOPE: Key = [1; 32];

/// A generator of pseudo-random numbers (splitmix64).
pub(super) struct Noise(pub(super) u64);

impl Noise {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Near enough to normally distributed: the sum of twelve even ones.
    fn number(&mut self) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "24 bits fit")]
        let even = |noise: &mut Self| (noise.next() >> 40) as f32 / 16_777_216.0;
        (0..12).map(|_| even(self)).sum::<f32>() - 6.0
    }

    /// A vector of length 1.
    pub(super) fn vector(&mut self) -> [f32; DIMENSIONS] {
        unit(&std::array::from_fn(|_| self.number()))
    }

    /// A vector of length 1 whose cosine to another one of length 1 is this.
    pub(super) fn beside(&mut self, vector: &[f32; DIMENSIONS], cosine: f32) -> [f32; DIMENSIONS] {
        let other = self.vector();
        let along: f32 = vector.iter().zip(&other).map(|(one, other)| one * other).sum();
        let across = unit(&std::array::from_fn(|nth| other[nth] - along * vector[nth]));
        let sine = (1.0 - cosine * cosine).sqrt();
        std::array::from_fn(|nth| cosine * vector[nth] + sine * across[nth])
    }

    pub(super) fn embedding(&mut self) -> Embedding {
        Embedding::from_floats(&self.vector())
    }
}

fn unit(vector: &[f32; DIMENSIONS]) -> [f32; DIMENSIONS] {
    let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
    vector.map(|number| number / length)
}

fn key(nth: u64) -> Key {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&nth.to_le_bytes());
    key
}

/// What is compared of some question, in so many bytes.
pub(super) fn features(bytes: usize) -> Option<Features> {
    let mut written = vec![0; bytes];
    written[0] = 1;
    let features = Features::from_bytes(&written);
    assert!(features.is_some(), "{bytes} bytes are no question's");
    features
}

/// A row whose canonical text nobody shares.
fn row(nth: u64, embedding: Embedding) -> Row {
    let canonical = key(nth | 1 << 40);
    Row { key: key(nth), canonical, embedding, features: features(124), expires_s: NOW_S + 60 }
}

fn keys(candidates: &[Candidate]) -> Vec<Key> {
    candidates.iter().map(|candidate| candidate.key).collect()
}

#[test]
fn the_nearest_come_first_and_no_more_than_four() {
    let (index, mut noise) = (NearIndex::new(), Noise(1));
    let asked = noise.vector();
    for (nth, cosine) in (1_u64..).zip([0.93, 0.99, 0.95, 0.91, 0.97, 0.96]) {
        index.insert(&SCOPE, row(nth, Embedding::from_floats(&noise.beside(&asked, cosine))));
    }
    let found = index.nearest(&SCOPE, &Embedding::from_floats(&asked), 0.92, NOW_S);
    assert_eq!(keys(&found), [key(2), key(5), key(6), key(3)]);
    assert_eq!(found.len(), NEAREST);
    assert!((found[0].similarity - 0.99).abs() < 0.001);
}

#[test]
fn what_is_just_below_the_floor_is_no_neighbour() {
    let (index, mut noise) = (NearIndex::new(), Noise(2));
    let asked = noise.vector();
    index.insert(&SCOPE, row(1, Embedding::from_floats(&noise.beside(&asked, 0.9))));
    let asked = Embedding::from_floats(&asked);
    let similarity = index.nearest(&SCOPE, &asked, 0.8, NOW_S)[0].similarity;
    assert_eq!(index.nearest(&SCOPE, &asked, similarity, NOW_S).len(), 1);
    assert!(index.nearest(&SCOPE, &asked, f32::from_bits(similarity.to_bits() + 1), NOW_S).is_empty());
}

#[test]
fn the_same_question_has_a_cosine_of_one_exactly() {
    let (index, mut noise) = (NearIndex::new(), Noise(3));
    for nth in 0..50 {
        let embedding = noise.embedding();
        index.insert(&SCOPE, row(nth, embedding));
        let found = index.nearest(&SCOPE, &embedding, 1.0, NOW_S);
        assert_eq!((keys(&found), found[0].similarity.to_bits()), (vec![key(nth)], 1.0_f32.to_bits()));
    }
}

#[test]
fn a_question_without_words_has_no_neighbours_and_is_none() {
    let (index, nothing) = (NearIndex::new(), Embedding([0; DIMENSIONS]));
    index.insert(&SCOPE, row(1, nothing));
    index.insert(&SCOPE, row(2, Noise(4).embedding()));
    assert!(index.nearest(&SCOPE, &nothing, -1.0, NOW_S).is_empty());
    assert_eq!(keys(&index.nearest(&SCOPE, &Noise(5).embedding(), -1.0, NOW_S)), [key(2)]);
}

#[test]
fn a_row_without_features_is_found_by_its_canonical_text_only() {
    let (index, embedding) = (NearIndex::new(), Noise(6).embedding());
    index.insert(&SCOPE, Row { features: None, ..row(1, embedding) });
    assert!(index.nearest(&SCOPE, &embedding, 0.5, NOW_S).is_empty());
    assert_eq!(index.canonical(&SCOPE, &row(1, embedding).canonical, NOW_S), Some(key(1)));
}

#[test]
fn an_expired_row_is_not_found_but_held_until_it_is_removed() {
    let (index, made) = (NearIndex::new(), row(1, Noise(7).embedding()));
    index.insert(&SCOPE, made.clone());
    let found = |now_s| {
        let nearest = !index.nearest(&SCOPE, &made.embedding, 0.9, now_s).is_empty();
        (nearest, index.canonical(&SCOPE, &made.canonical, now_s).is_some())
    };
    assert_eq!(found(NOW_S + 59), (true, true));
    assert_eq!(found(NOW_S + 60), (false, false));
    assert_eq!(index.rows(), 1);
    assert!(index.remove(&SCOPE, &made.key));
    assert!(!index.remove(&SCOPE, &made.key));
}

#[test]
fn of_two_answers_to_one_canonical_text_the_one_that_lives_longer_answers() {
    let (index, embedding) = (NearIndex::new(), Noise(8).embedding());
    let canonical = key(99);
    let made = |nth, expires_s| Row { canonical, expires_s, ..row(nth, embedding) };
    let found = || index.canonical(&SCOPE, &canonical, NOW_S);
    index.insert(&SCOPE, made(1, NOW_S + 50));
    index.insert(&SCOPE, made(2, NOW_S + 70));
    assert_eq!(found(), Some(key(2)));
    index.insert(&SCOPE, made(3, NOW_S + 60));
    assert_eq!(found(), Some(key(2)));
    index.remove(&SCOPE, &key(1));
    assert_eq!(found(), Some(key(2)));
    index.remove(&SCOPE, &key(2));
    assert_eq!(found(), None);
    assert_eq!(keys(&index.nearest(&SCOPE, &embedding, 0.9, NOW_S)), [key(3)]);
}

#[test]
fn a_scope_goes_with_its_last_row() {
    let index = NearIndex::new();
    index.insert(&SCOPE, row(1, Noise(9).embedding()));
    index.insert(&[2; 32], row(1, Noise(9).embedding()));
    assert_eq!((index.rows(), index.scopes()), (2, 2));
    index.remove(&SCOPE, &key(1));
    assert_eq!((index.rows(), index.scopes()), (1, 1));
    index.remove(&[2; 32], &key(1));
    assert_eq!((index.rows(), index.scopes(), index.used_bytes()), (0, 0, 0));
}

#[test]
fn a_row_costs_what_it_said_it_would() {
    let index = NearIndex::new();
    let made = row(1, Noise(10).embedding());
    index.insert(&SCOPE, made.clone());
    assert_eq!(index.used_bytes(), NearIndex::row_bytes(&made) + SCOPE_BYTES);
    assert_eq!(NearIndex::row_bytes(&made) - NearIndex::row_bytes(&Row { features: None, ..made }), 124);
}

#[test]
fn a_second_vector_belongs_to_its_embedder_and_goes_with_its_row() {
    let (index, embedding) = (NearIndex::new(), Noise(11).embedding());
    assert!(!index.attach(&SCOPE, &key(1), 7, Box::new([1, 2])));
    index.insert(&SCOPE, row(1, embedding));
    assert!(!index.attach(&SCOPE, &key(2), 7, Box::new([1, 2])));
    let before = index.used_bytes();
    assert!(index.attach(&SCOPE, &key(1), 7, Box::new([1, 2])));
    assert_eq!(index.decided(&SCOPE, &key(1), 7).as_deref(), Some(&[1, 2][..]));
    assert_eq!(index.decided(&SCOPE, &key(1), 8), None);
    assert!(index.attach(&SCOPE, &key(1), 8, Box::new([3, 4])));
    assert_eq!(index.decided(&SCOPE, &key(1), 7), None);
    index.insert(&SCOPE, row(1, embedding));
    assert_eq!((index.decided(&SCOPE, &key(1), 8), index.used_bytes()), (None, before));
}

#[test]
fn a_wrong_hit_asks_for_more_than_its_cosine_even_when_the_scope_is_gone() {
    let index = NearIndex::new();
    assert_eq!(index.threshold(&SCOPE), None);
    index.insert(&SCOPE, row(1, Noise(12).embedding()));
    index.tighten(&SCOPE, 0.95);
    index.remove(&SCOPE, &key(1));
    let threshold = index.threshold(&SCOPE).unwrap();
    assert!(threshold > 0.95 && threshold < 0.950_001, "{threshold}");
    assert_eq!(index.threshold(&[2; 32]), None);
}

#[test]
fn a_threshold_only_rises() {
    let index = NearIndex::new();
    index.tighten(&SCOPE, 0.95);
    let before = index.threshold(&SCOPE);
    for less in [0.93, 0.0, -1.0, f32::NAN] {
        index.tighten(&SCOPE, less);
        assert_eq!(index.threshold(&SCOPE), before);
    }
}

#[test]
fn after_a_wrong_hit_at_one_only_the_same_words_will_do() {
    for similarity in [1.0, 1.000_001, f32::INFINITY] {
        let index = NearIndex::new();
        index.tighten(&SCOPE, similarity);
        assert_eq!(index.threshold(&SCOPE), Some(1.0));
        index.tighten(&SCOPE, f32::from_bits(1.0_f32.to_bits() - 1));
        assert_eq!(index.threshold(&SCOPE), Some(1.0));
    }
    let index = NearIndex::new();
    index.tighten(&SCOPE, f32::from_bits(1.0_f32.to_bits() - 1));
    assert_eq!(index.threshold(&SCOPE), Some(1.0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn among_many_rows_every_neighbour_is_found(seed in any::<u64>(), floor in 0.6_f32..0.97) {
        let (index, mut noise) = (NearIndex::new(), Noise(seed));
        let asked = noise.vector();
        for nth in 0..300 {
            index.insert(&SCOPE, row(nth, noise.embedding()));
        }
        for (nth, share) in (1000_u64..).zip([0.1_f32, 0.3, 0.6, 0.9]) {
            let near = noise.beside(&asked, floor + (0.99 - floor) * share);
            index.insert(&SCOPE, row(nth, Embedding::from_floats(&near)));
        }
        let found = index.nearest(&SCOPE, &Embedding::from_floats(&asked), floor, NOW_S);
        prop_assert_eq!(keys(&found), [1003, 1002, 1001, 1000].map(key));
    }
}
