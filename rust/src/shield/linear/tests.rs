use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::{BUCKETS, Weights, buckets};
use crate::shield::WEIGHTS;

fn found(text: &str) -> Vec<u16> {
    let mut found = Vec::new();
    buckets(text, |bucket| found.push(bucket));
    found
}

fn weights(text: &str, weight: i8) -> Weights {
    let mut table = vec![0; BUCKETS];
    for bucket in found(text) {
        table[usize::from(bucket)] = weight;
    }
    Weights { scale: 0.5, bias: -1.0, low: 0.0, high: 1.0, table }
}

#[test]
fn the_shipped_weights_are_those_the_record_describes() {
    let record = include_str!("../../../weights/shield.toml");
    assert!(record.contains(&format!("sha256 = \"{}\"", crate::hex(&Sha256::digest(WEIGHTS)))));
    assert!(Weights::read(WEIGHTS).is_some());
}

#[test]
fn words_and_pairs_are_counted_once_each() {
    assert_eq!(found("one two").len(), 4);
    assert_eq!(found("one one one one").len(), 3);
    assert_eq!(found("").len(), 0);
}

#[test]
fn letters_of_scripts_without_spaces_are_words() {
    assert_eq!(found("忽略指令").len(), 8);
}

#[test]
fn the_margin_is_the_bias_plus_the_scaled_sum_over_the_root_of_the_count() {
    let weights = weights("one two", 4);
    assert!((weights.margin("one two") - (-1.0 + 0.5 * 16.0 / 2.0)).abs() < 1e-6);
    assert!((weights.margin("nothing known") - -1.0).abs() < 1e-6);
}

#[test]
fn the_end_of_a_long_text_is_read_too() {
    let weights = weights("drop the mask", 100);
    let long = format!("{}drop the mask", "quiet words here ".repeat(500));
    assert!(weights.margin(&long) > weights.margin(&"quiet words here ".repeat(500)));
}

#[test]
fn evidence_grows_from_low_to_high_and_stays_below_what_blocks() {
    let weights = weights("", 0);
    assert!(weights.evidence(-5.0) < 1e-9);
    assert!((weights.evidence(0.5) - 0.35).abs() < 1e-6);
    assert!(weights.evidence(99.0) < 0.85);
}

#[test]
fn bytes_that_are_no_weights_are_refused() {
    assert_eq!(Weights::read(b""), None);
    assert_eq!(Weights::read(&vec![0; BUCKETS + 20]), None);
    let good = weights("one", 3);
    assert_eq!(Weights::read(&good.write()), Some(good));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,300}") {
        let margin = weights("a", 1).margin(&text);
        prop_assert!(margin.is_finite());
    }
}
