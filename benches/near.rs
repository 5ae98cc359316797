//! How long a lookup in the semantic index takes, verifier included, and what its rows cost: `cargo bench --bench near`.
//!
//! Bars, medians of one scope: 30 us for 1,000 rows, 80 for 10,000, 600 for 100,000.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use _core::near::{NearIndex, Row};
use _core::{DIMENSIONS, Embedding, Features, Key, Likeness, Question, Verifier};
use divan::{AllocProfiler, Bencher, black_box};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
const SCOPE: Key = [7; 32];
const NOW_S: u64 = 1_800_000_000;

fn main() {
    divan::main();
}

/// A generator of pseudo-random numbers (splitmix64).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
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

    /// Spread as questions are in a distilled table: the first numbers wider than the last, and all of them around a
    /// middle that is half as long as a vector.
    fn vector(&mut self) -> [f32; DIMENSIONS] {
        let (own, middle) = (self.spread(), Self(0).spread());
        std::array::from_fn(|nth| own[nth] + 0.6 * middle[nth])
    }

    fn spread(&mut self) -> [f32; DIMENSIONS] {
        let mut width = 1.0;
        std::array::from_fn(|_| {
            width *= 0.994;
            self.number() * width
        })
    }

    fn key(&mut self) -> Key {
        let mut key = [0; 32];
        key.chunks_exact_mut(8).for_each(|word| word.copy_from_slice(&self.next().to_le_bytes()));
        key
    }
}

/// Those of a question of about twenty words, each time another one.
fn features(noise: &mut Noise) -> Option<Features> {
    let number = noise.next() % 10_000;
    let text = format!(
        "How long does a container ship of {number} tons need from Rotterdam to Singapore when it sails slowly round \
         Africa to save fuel and fees?"
    );
    Question::read(&text).ok()?.features
}

fn row(noise: &mut Noise) -> Row {
    let embedding = Embedding::from_floats(&noise.vector());
    let features = features(noise);
    Row { key: noise.key(), canonical: noise.key(), embedding, features, expires_s: NOW_S + 60 }
}

fn filled(rows: usize) -> NearIndex {
    let mut noise = Noise(1);
    let index = NearIndex::new();
    (0..rows).for_each(|_| index.insert(&SCOPE, row(&mut noise)));
    index
}

/// An index of this many rows in one scope, made once.
fn index(rows: usize) -> Arc<NearIndex> {
    static MADE: LazyLock<Mutex<HashMap<usize, Arc<NearIndex>>>> = LazyLock::new(Mutex::default);
    let Ok(mut made) = MADE.lock() else { return Arc::default() };
    Arc::clone(made.entry(rows).or_insert_with(|| Arc::new(filled(rows))))
}

fn look_up(index: &NearIndex, query: &Embedding, asked: &Features, floor: f32) -> Option<Key> {
    let is_same = |stored: &Features| asked.compare(stored, Verifier::Strict) == Likeness::Same;
    let candidates = index.nearest(&SCOPE, query, floor, NOW_S);
    candidates.into_iter().find(|candidate| is_same(&candidate.features)).map(|candidate| candidate.key)
}

fn look_ups(bencher: Bencher, rows: usize, floor: f32) {
    let index = index(rows);
    let mut noise = Noise(2);
    let query = Embedding::from_floats(&noise.vector());
    let Some(asked) = features(&mut noise) else { return };
    bencher.bench_local(|| look_up(&index, black_box(&query), black_box(&asked), floor));
}

#[divan::bench(args = SIZES, sample_count = 200, sample_size = 20)]
fn miss_at_92(bencher: Bencher, rows: usize) {
    look_ups(bencher, rows, 0.92);
}

#[divan::bench(args = SIZES, sample_count = 200, sample_size = 20)]
fn miss_at_85(bencher: Bencher, rows: usize) {
    look_ups(bencher, rows, 0.85);
}

/// The worst case of a low floor: codes sort out little around a common middle, and no row is near enough to raise it.
#[divan::bench(args = SIZES, sample_count = 100, sample_size = 5)]
fn miss_at_60(bencher: Bencher, rows: usize) {
    look_ups(bencher, rows, 0.6);
}

/// The floor at which candidates are nominated to a second embedder.
#[divan::bench(args = SIZES, sample_count = 100, sample_size = 5)]
fn miss_at_75(bencher: Bencher, rows: usize) {
    look_ups(bencher, rows, 0.75);
}

#[divan::bench(args = SIZES, sample_count = 100, sample_size = 5)]
fn scan_of_every_row(bencher: Bencher, rows: usize) {
    look_ups(bencher, rows, -1.0);
}

#[divan::bench(args = SIZES, sample_count = 200, sample_size = 20)]
fn hit_among_four(bencher: Bencher, rows: usize) {
    let index = index(rows);
    let mut noise = Noise(3);
    let mut hit = row(&mut noise);
    for _ in 0..4 {
        hit.key = noise.key();
        hit.features = features(&mut noise);
        index.insert(&SCOPE, hit.clone());
    }
    let Some(asked) = hit.features.clone() else { return };
    bencher.bench_local(|| look_up(&index, black_box(&hit.embedding), black_box(&asked), 0.92).is_some());
}

#[divan::bench(args = SIZES, sample_count = 100, sample_size = 100)]
fn canonical(bencher: Bencher, rows: usize) {
    let index = index(rows);
    let asked = row(&mut Noise(1));
    bencher.bench_local(|| index.canonical(&SCOPE, black_box(&asked.canonical), NOW_S).is_some());
}

#[divan::bench(args = SIZES, sample_count = 100, sample_size = 100)]
fn insert_and_remove(bencher: Bencher, rows: usize) {
    let index = index(rows);
    let made = row(&mut Noise(4));
    bencher.with_inputs(|| made.clone()).bench_local_values(|row| {
        let key = row.key;
        index.insert(&SCOPE, row);
        index.remove(&SCOPE, &key)
    });
}

/// Its `max alloc` is what this many rows of one scope cost.
#[divan::bench(args = [10_000, 100_000], sample_count = 1, sample_size = 1)]
fn memory_of_one_scope(rows: usize) -> NearIndex {
    filled(rows)
}

/// Its `max alloc` is what this many scopes of one row cost.
#[divan::bench(args = [10_000], sample_count = 1, sample_size = 1)]
fn memory_of_scopes_of_one_row(scopes: usize) -> NearIndex {
    let mut noise = Noise(5);
    let index = NearIndex::new();
    (0..scopes).for_each(|_| index.insert(&noise.key(), row(&mut noise)));
    index
}
