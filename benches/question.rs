//! How long it takes to read a question and to compare two: `cargo bench --bench question`.

use _core::{Features, Question, Verifier};
use divan::{Bencher, black_box};

/// Fifteen words, none of them misspelt.
const USUAL: &str = "What is the best way to teach a young dog to fetch a wooden stick?";
const COURTEOUS: &str =
    "Hi! Could you please tell me how I can teach my young dog to fetch a stick? Thanks in advance!";
const MISSPELT: &str = "how do i teach my yuong dog to fetch a wooden stcik before the wniter comes";

fn main() {
    divan::main();
}

#[divan::bench(args = [USUAL, COURTEOUS, MISSPELT])]
fn read(bencher: Bencher, text: &str) {
    let _ = Question::read(text); // the rules are read once
    bencher.bench(|| Question::read(black_box(text)));
}

/// As long as a text may be.
#[divan::bench(args = [128, 512, 2048])]
fn read_bytes(bencher: Bencher, bytes: usize) {
    let text: String = "Why does a grey cat climb high trees but fear to come down again? "
        .chars()
        .cycle()
        .take(bytes)
        .collect();
    bencher.bench(|| Question::read(black_box(&text)));
}

/// Hostile ones: each word may be misspelt, each is a pattern's first, all are one megabyte.
#[divan::bench]
fn read_unknown_words(bencher: Bencher) {
    let text =
        (0..200).map(|nth| format!("qzx{}vjk", char::from(b'a' + nth % 26))).collect::<Vec<_>>().join(" ");
    bencher.bench(|| Question::read(black_box(&text)));
}

#[divan::bench]
fn read_openings(bencher: Bencher) {
    let text = "what is the best way ".repeat(60);
    bencher.bench(|| Question::read(black_box(&text)));
}

#[divan::bench]
fn refuse_a_megabyte(bencher: Bencher) {
    let text = "why ".repeat(256 * 1024);
    bencher.bench(|| Question::read(black_box(&text)));
}

fn features(text: &str) -> Option<Features> {
    Question::read(text).ok()?.features
}

#[divan::bench]
fn compare_alike(bencher: Bencher) {
    let pair = features(USUAL).zip(features("How do I teach a young dog to fetch a wooden stick?"));
    bencher.bench(|| pair.as_ref().map(|(left, right)| left.compare(black_box(right), Verifier::Strict)));
}

#[divan::bench]
fn compare_unlike(bencher: Bencher) {
    let pair =
        features(USUAL).zip(features("What is the best way to teach an old dog to bring a rubber ball?"));
    bencher.bench(|| pair.as_ref().map(|(left, right)| left.compare(black_box(right), Verifier::Strict)));
}
