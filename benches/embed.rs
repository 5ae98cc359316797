//! How long an embedding takes: `cargo bench --bench embed`.
//!
//! Bars: under 10 µs for 20 tokens, 250 µs for 4 KB of English; a rank under 50 ns; hostile texts stay linear.

use _core::{Embedder, Embedding};
use divan::{Bencher, black_box, counter::BytesCount};

const SHORT: &str = "How do I replace the battery of a smoke detector?";
/// 20 tokens.
const TWENTY: &str =
    "Which tools do I need to replace the kitchen tap in my flat, and how long will that take?";
const PROSE: &str = "Large bridges move: steel grows by about 12 mm per metre and 1000 degrees, so engineers leave \
    joints between the sections. Explain to a nine-year-old why, in two or three sentences. ";
const RUSSIAN: &str =
    "Большие мосты двигаются: сталь расширяется от тепла, поэтому инженеры оставляют зазоры. ";
const CHINESE: &str = "大桥会移动：钢材受热膨胀，所以工程师在各段之间留有缝隙。";
const ACCENTS: &str =
    "Où se trouve la bibliothèque la plus proche de l'hôtel où nous avons dîné hier soir ? ";
/// Words that fall to single letters, as long as a word may be.
const SHREDS: &str =
    "qzxjvqkzxwqjzvxkqzjxwvqzkxjqzvxwkqzxjvqkzxwqjzvxkqzjxwvqzkxjqzvxwkqzxjvqkzxwqjzvxkqzjxwvqzkxjqzvxw ";
/// What a letter becomes with many accents.
const ZALGO: &str = "e\u{301}\u{302}\u{303}\u{304}\u{306}\u{307}\u{308}\u{30a}";

fn main() {
    divan::main();
}

fn bench(bencher: Bencher, text: &str) {
    let embedder = Embedder::shared();
    bencher.counter(BytesCount::of_str(text)).bench(|| embedder.embed(black_box(text)));
}

/// A text again and again, about so many bytes.
fn long(text: &str, bytes: usize) -> String {
    text.repeat(bytes.div_ceil(text.len()))
}

#[divan::bench]
fn short(bencher: Bencher) {
    bench(bencher, SHORT);
}

#[divan::bench]
fn twenty_tokens(bencher: Bencher) {
    bench(bencher, TWENTY);
}

#[divan::bench(args = [1024, 4096, 65_536])]
fn prose(bencher: Bencher, bytes: usize) {
    bench(bencher, &long(PROSE, bytes));
}

#[divan::bench(args = [("russian", RUSSIAN), ("chinese", CHINESE), ("french", ACCENTS), ("shreds", SHREDS), ("zalgo", ZALGO)])]
fn four_kb(bencher: Bencher, (_, text): (&str, &str)) {
    bench(bencher, &long(text, 4096));
}

#[divan::bench(args = [10_000, 100_000, 1_000_000])]
fn no_blanks(bencher: Bencher, bytes: usize) {
    bench(bencher, &long("x", bytes));
}

#[divan::bench(args = [10_000, 100_000])]
fn punctuation_only(bencher: Bencher, bytes: usize) {
    bench(bencher, &long("!", bytes));
}

#[divan::bench(args = [10_000, 100_000])]
fn shredded_words(bencher: Bencher, bytes: usize) {
    bench(bencher, &long(SHREDS, bytes));
}

#[divan::bench(args = ["the", "trombone", "tromboneless"])]
fn rank(bencher: Bencher, word: &str) {
    let embedder = Embedder::shared();
    bencher.bench(|| embedder.rank(black_box(word)));
}

#[divan::bench]
fn cosine(bencher: Bencher) {
    let embedder = Embedder::shared();
    let (left, right): (Embedding, Embedding) = (embedder.embed(SHORT), embedder.embed(TWENTY));
    bencher.bench(|| black_box(&left).cosine(black_box(&right)));
}
