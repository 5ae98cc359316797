//! How long the classifier takes: `cargo bench --bench classify`.

use _core::Classifier;
use divan::{Bencher, black_box, counter::BytesCount};

const PROSE: &str = "Large bridges move: steel grows by about 12 mm per metre and 1000 degrees, so engineers leave \
    joints between the sections. Explain to a 9-year-old why, in two or three sentences. ";
const CODE: &str = "def total(items):\n    result = 0\n    for item in items:\n        if item.price is not None:\n            \
    result += item.price * item.count  # in cents\n    return result\n\n";

fn main() {
    divan::main();
}

fn bench(bencher: Bencher, text: &str, bytes: usize) {
    let text: String = text.chars().cycle().take(bytes).collect();
    let classifier = Classifier::shared();
    bencher.counter(BytesCount::new(bytes)).bench(|| classifier.classify_text(black_box(&text)));
}

#[divan::bench(args = [64, 1024, 8 * 1024, 64 * 1024, 1024 * 1024])]
fn prose(bencher: Bencher, bytes: usize) {
    bench(bencher, PROSE, bytes);
}

#[divan::bench(args = [1024, 8 * 1024])]
fn code(bencher: Bencher, bytes: usize) {
    bench(bencher, CODE, bytes);
}

#[divan::bench(args = [1024, 8 * 1024])]
fn ideographs(bencher: Bencher, bytes: usize) {
    bench(bencher, "请把下面的句子翻译成英文：今天天气很好。", bytes / 3);
}

#[divan::bench]
fn distinct_words_of_8_kb(bencher: Bencher) {
    let text = (0..2000).map(|nth| format!("w{nth:x}")).collect::<Vec<_>>().join(" ");
    bench(bencher, &text, 8 * 1024);
}
