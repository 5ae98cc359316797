use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::prior::{FILE, Prior};
use super::space::{BASE, BLOCKS, STARTS};
use super::*;

const STORY: &str = "Ada has 12 apples and gives 5 to Ben. How many apples are left?";
const PROOF: &str =
    "Prove that $x^3 - 3x + 1$ has three real roots and find $\\sqrt{a^2 + b^2}$ for its largest two.";

fn predict(text: &str, predictor: &Predictor) -> Prediction {
    predictor.predict(text, &crate::Classifier::shared().read(text))
}

/// A head whose only weight is on one feature.
fn head(feature: usize, scale: f32, bias: f32) -> Vec<u8> {
    let mut bytes = b"NRH1".to_vec();
    bytes.extend_from_slice(&version());
    bytes.extend_from_slice(&bias.to_le_bytes());
    (0..BLOCKS).for_each(|_| bytes.extend_from_slice(&scale.to_le_bytes()));
    let mut weights = vec![0; DIMENSIONS];
    weights[feature] = 100;
    bytes.extend(weights);
    bytes
}

fn value_of(text: &str, feature: usize) -> f32 {
    let row = row(text);
    row.pairs().iter().find(|(index, _)| *index as usize == feature).map_or(0.0, |(_, value)| *value)
}

#[test]
fn the_weights_are_those_of_the_provenance_file_and_fit_the_word_lists() {
    let provenance = include_str!("../../weights/routing.toml");
    assert!(provenance.contains(&format!("sha256 = \"{}\"", crate::hex(&Sha256::digest(FILE)))));
    assert!(Prior::read(FILE).is_some(), "train again: the lists or the features have changed");
}

#[test]
fn a_file_cut_short_or_for_other_words_is_not_read() {
    for length in [0, 4, 36, 1_000, FILE.len() - 1] {
        assert!(Prior::read(&FILE[..length]).is_none(), "{length}");
    }
    let mut other = FILE.to_vec();
    other[5] ^= 1;
    assert!(Prior::read(other.leak()).is_none());
}

#[test]
fn a_row_stays_in_its_space_and_its_order() {
    for text in ["", " ", STORY, PROOF, "貓", &STORY.repeat(900)] {
        let row = row(text);
        assert!(row.pairs().iter().all(|(index, value)| (*index as usize) < DIMENSIONS && value.is_finite()));
        let blocks: Vec<_> = row
            .pairs()
            .iter()
            .map(|(index, _)| STARTS.partition_point(|&start| start <= *index as usize))
            .collect();
        assert!(blocks.is_sorted(), "{text}");
    }
}

#[test]
fn the_material_of_a_question_is_told_apart() {
    let code = "Complete:\ndef f(a):\n    return g(a) + h(a)\nassert f(2) == ??";
    let options = "Which is a mammal?\nA. Trout\nB. Bat\nC. Newt\nD. Wren";
    for (nth, text) in [options, code, PROOF, STORY, "Why is the sea salty?"].into_iter().enumerate() {
        assert!((value_of(text, STARTS[4] + nth) - 1.0).abs() < 1e-6, "{nth}: {text}");
    }
}

#[test]
fn options_are_options_in_small_letters_and_in_brackets() {
    let options = "which is a mammal?\na) trout\nb) bat\nc) newt\nd) wren";
    assert!((value_of(options, STARTS[4]) - 1.0).abs() < 1e-6);
}

#[test]
fn the_money_of_a_story_is_no_formula() {
    let text = "A pen costs $2 and a book costs $7. Tom pays with $20. What does he get back?";
    assert!((value_of(text, STARTS[4] + 3) - 1.0).abs() < 1e-6);
}

#[test]
fn the_shipped_heads_are_always_there_and_expect_a_proof_to_suffer_more() {
    let (story, proof) = (predict(STORY, &Predictor::default()), predict(PROOF, &Predictor::default()));
    let names: Vec<_> = story.differences.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, PUBLIC);
    assert!(
        story.differences.iter().zip(&proof.differences).all(|(story, proof)| story.1 > proof.1),
        "{story:?} {proof:?}"
    );
}

#[test]
fn a_head_is_bias_and_weighted_features() {
    let feature = STARTS[4] + 3;
    let predictor = Predictor::new(&[("own", &head(feature, 0.004, -0.25))], &[]).unwrap();
    assert!((predict(STORY, &predictor).differences[2].1 - 0.15).abs() < 1e-6);
    assert!((predict(PROOF, &predictor).differences[2].1 + 0.25).abs() < 1e-6);
    assert_eq!(predict(STORY, &predictor).differences[2].0, "own");
}

#[test]
fn each_of_several_heads_predicts_what_it_does_alone() {
    let heads: Vec<_> =
        (0..5_u8).map(|nth| head(BASE + usize::from(nth % 2), 0.01, f32::from(nth) / 10.0)).collect();
    let own: Vec<(&str, &[u8])> =
        ["a", "b", "c", "d", "e"].into_iter().zip(heads.iter().map(Vec::as_slice)).collect();
    let together = predict(PROOF, &Predictor::new(&own, &[]).unwrap()).differences;
    assert_eq!(together.len(), PUBLIC.len() + 5);
    for (nth, one) in own.iter().enumerate() {
        let alone = predict(PROOF, &Predictor::new(&[*one], &[]).unwrap()).differences;
        assert_eq!(alone[PUBLIC.len()], together[PUBLIC.len() + nth]);
    }
}

proptest! {
    #[test]
    fn a_head_scores_as_one_who_adds_up_by_hand(weights in prop::collection::vec(any::<u8>(), 64), text in ".{0,200}") {
        let weights: Vec<u8> = (0..DIMENSIONS).map(|at| weights[at % 64]).collect();
        let scales: [f32; BLOCKS] = std::array::from_fn(|nth| (nth + 1) as f32 / 1e4);
        let row = row(&text);
        let mut by_hand = 0.25_f64;
        for &(index, value) in row.pairs() {
            let block = STARTS.partition_point(|&start| start <= index as usize) - 1;
            by_hand += f64::from(scales[block]) * f64::from(i8::from_le_bytes([weights[index as usize]])) * f64::from(value);
        }
        let mut scored = Vec::new();
        let linear = head::Linear { bias: 0.25, scales, weights: &weights };
        head::scores(&row, &[linear, linear, linear], |value| scored.push(value));
        prop_assert_eq!(scored.len(), 3);
        prop_assert!(scored.iter().all(|value| (f64::from(*value) - by_hand).abs() < 1e-3), "{:?} {}", scored, by_hand);
    }
}

#[test]
fn a_head_may_build_on_a_shipped_one() {
    let predictor = Predictor::new(&[("own", &head(BASE, 0.01, 0.0))], &[]).unwrap();
    let found = predict(PROOF, &predictor).differences;
    assert!((found[2].1 - found[0].1).abs() < 1e-6);
}

#[test]
fn predictions_stay_between_minus_one_and_one() {
    let predictor = Predictor::new(&[("own", &head(STARTS[4] + 3, 0.5, 7.0))], &[]).unwrap();
    assert!((predict(STORY, &predictor).differences[2].1 - 1.0).abs() < 1e-9);
}

#[test]
fn heads_that_cannot_be_used_are_refused() {
    let good = head(0, 1.0, 0.0);
    let refused = |heads: &[(&str, &[u8])], escalated: &[u8]| Predictor::new(heads, escalated).unwrap_err();
    assert_eq!(refused(&[("a", &good[1..])], &[]), BadHead::Form("a".into(), good.len() - 1));
    let mut stale = good.clone();
    stale[4] ^= 1;
    assert_eq!(refused(&[("a", &stale)], &[]), BadHead::Version("a".into()));
    let endless = head(0, f32::INFINITY, 0.0);
    assert_eq!(refused(&[("a", &endless)], &[]), BadHead::Form("a".into(), good.len()));
    assert_eq!(refused(&[("a", &good), ("a", &good)], &[]), BadHead::Taken("a".into()));
    assert_eq!(refused(&[("mid", &good)], &[]), BadHead::Taken("mid".into()));
    assert_eq!(refused(&[], &[0; 300]), BadHead::Embeddings(300));
}

#[test]
fn a_prompt_near_one_that_went_wrong_is_recognised() {
    let wrong = predict(STORY, &Predictor::default());
    assert!((wrong.escalated + 1.0).abs() < 1e-6);
    let predictor = Predictor::new(&[], &wrong.embedding.as_bytes()).unwrap();
    let near =
        predict("Ada has 14 apples and gives 6 to Ben. How many apples are left?", &predictor).escalated;
    let far = predict("Name three rivers of Peru.", &predictor).escalated;
    assert!(near > 0.9 && far < 0.5, "{near} {far}");
}

proptest! {
    #[test]
    fn any_text_is_predicted_the_same_way_twice(text in ".{0,300}") {
        let found = predict(&text, &Predictor::default());
        prop_assert!(found.differences.iter().all(|(_, value)| (-1.0..=1.0).contains(value)));
        prop_assert_eq!(found, predict(&text, &Predictor::default()));
    }

    #[test]
    fn surrounding_blanks_never_matter(text in "\\PC{1,100}", before in "[ \n\t]{0,3}", after in "[ \n\t]{0,3}") {
        prop_assert_eq!(row(text.trim()), row(&format!("{before}{text}{after}")));
    }
}
