use proptest::prelude::*;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::pieces::LONGEST;
use super::table::{INSIDE, MARK};
use super::*;
use crate::digest::hex;

/// What the reference tokenizer and the float table say; written by `rust/training/distill.py` from texts.txt.
#[derive(Deserialize)]
struct Fixture {
    text: String,
    rows: Vec<u16>,
    vector: Option<Vec<f32>>,
}

fn fixtures() -> Vec<Fixture> {
    include_str!("fixtures.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn embedder() -> &'static Embedder {
    Embedder::shared()
}

fn rows(text: &str) -> Vec<u16> {
    let mut rows = Vec::new();
    embedder().each_row(text, |row| rows.push(row));
    rows
}

fn cosine(left: &str, right: &str) -> f32 {
    embedder().embed(left).cosine(&embedder().embed(right))
}

#[test]
fn the_tokens_are_those_of_the_reference_tokenizer() {
    let fixtures = fixtures();
    assert!(fixtures.len() > 300);
    for Fixture { text, rows: expected, .. } in fixtures {
        assert_eq!(rows(&text), expected, "{text:?}");
    }
}

#[test]
fn eight_bits_point_where_the_floats_do() {
    let mut seen = 0;
    for Fixture { text, vector, .. } in fixtures() {
        let Some(vector) = vector else { continue };
        let ours = embedder().embed(&text).0.map(f32::from);
        let product: f32 = ours.iter().zip(&vector).map(|(ours, oracle)| ours * oracle).sum();
        let length = ours.iter().map(|number| number * number).sum::<f32>().sqrt();
        assert!(product / length > 0.999, "{text:?}: {}", product / length);
        seen += 1;
    }
    assert!(seen > 30);
}

#[test]
fn the_id_names_the_bytes_of_the_table() {
    let body = &FILE[8 + embedder().id().len()..];
    let digest = hex(&Sha256::digest(body));
    assert_eq!(embedder().id(), format!("builtin-minilm256-{}", &digest[..14]));
    let card = include_str!("../../weights/embedding.toml");
    let whole = hex(&Sha256::digest(FILE));
    assert!(card.contains(&whole), "embedding.toml is of another file");
}

#[test]
fn a_file_cut_short_is_not_read() {
    for length in [0, 8, 40, 56, 100_000, FILE.len() - 1] {
        assert!(Table::read(&FILE[..length]).is_none(), "{length}");
    }
}

#[test]
fn an_empty_table_embeds_nothing() {
    let empty = Embedder { table: Table::EMPTY };
    assert!(empty.embed("the cat, 貓").is_zero());
    assert_eq!(empty.rank("the"), None);
}

#[test]
fn a_word_is_looked_up_by_its_rank() {
    assert_eq!(embedder().rank("the"), Some(68));
    assert!(embedder().rank("water") < embedder().rank("trombone"));
    for unknown in ["", "##ing", "The", "qzxv", "trombones", "two words"] {
        assert_eq!(embedder().rank(unknown), None, "{unknown:?}");
    }
}

#[test]
fn no_token_is_longer_than_the_search() {
    let (mut longest, known) = ("telecommunications", "telecommunications".len());
    assert_eq!(known, LONGEST);
    assert!(embedder().rank(longest).is_some());
    let mut count = 0;
    for row in 0..u16::MAX {
        let Some(token) = embedder().table.token(row) else { break };
        let token = std::str::from_utf8(token).unwrap();
        let (seed, mark, bare) = match token.strip_prefix(MARK) {
            Some(bare) if !bare.is_empty() => (INSIDE, MARK, bare),
            _ => (table::START, "", token),
        };
        assert_eq!(embedder().table.row(seed, bare.as_bytes(), mark), Some(row), "{token}");
        if bare.len() > longest.len() {
            longest = bare;
        }
        count += 1;
    }
    assert_eq!((longest.len(), count), (LONGEST, 29_523));
}

#[test]
fn alike_texts_are_nearer_than_others() {
    let near = cosine("How do I bake bread?", "What is the way to bake a loaf of bread?");
    let far = cosine("How do I bake bread?", "Who signed the peace treaty?");
    assert!(near > far + 0.3, "{near} {far}");
}

#[test]
fn nothing_has_no_direction() {
    for nothing in ["", "  \n\t", "\u{200b}\u{301}", &"x".repeat(101)] {
        let embedding = embedder().embed(nothing);
        assert!(embedding.is_zero(), "{nothing:?}");
        assert!(embedding.cosine(&embedder().embed("bread")).abs() < f32::EPSILON);
    }
    assert!(Embedding::from_floats(&[f32::NAN; DIMENSIONS]).is_zero());
}

#[test]
fn bytes_of_another_length_are_no_embedding() {
    assert_eq!(Embedding::from_bytes(&[1; DIMENSIONS - 1]), None);
}

proptest! {
    #[test]
    fn any_text_is_embedded(text in any::<String>()) {
        let embedding = embedder().embed(&text);
        prop_assert_eq!(embedding.is_zero(), rows(&text).is_empty());
        prop_assert_eq!(Embedding::from_bytes(&embedding.as_bytes()), Some(embedding));
        let itself = embedding.cosine(&embedding);
        prop_assert!(embedding.is_zero() || (itself - 1.0).abs() < 1e-6);
    }

    #[test]
    fn capitals_do_not_matter(text in "[a-zA-Z0-9 .,?'é-üа-я]{0,80}") {
        prop_assert_eq!(embedder().embed(&text), embedder().embed(&text.to_uppercase()));
    }

    #[test]
    fn tokens_of_two_texts_are_those_of_both(left in any::<String>(), right in any::<String>()) {
        let mut both = rows(&left);
        both.extend(rows(&right));
        prop_assert_eq!(rows(&format!("{left} {right}")), both);
    }

    #[test]
    fn saying_it_twice_changes_no_direction(text in "[a-z ]{1,60}") {
        let once = embedder().embed(&text);
        let twice = embedder().embed(&format!("{text} {text}"));
        prop_assert!(once.is_zero() || once.cosine(&twice) > 0.9999);
    }

    #[test]
    fn a_cosine_is_the_same_both_ways(left in any::<[i8; 32]>(), right in any::<[i8; 32]>()) {
        let wide = |short: [i8; 32]| Embedding(std::array::from_fn(|at| short[at % 32]));
        let (left, right) = (wide(left), wide(right));
        prop_assert!((left.cosine(&right) - right.cosine(&left)).abs() < f32::EPSILON);
        prop_assert!((-1.0..=1.0).contains(&left.cosine(&right)));
    }
}
