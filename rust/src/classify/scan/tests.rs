use super::*;
use crate::classify::features::Vocabulary;

fn scan(text: &str) -> (Scan, Vocabulary) {
    let vocabulary = Vocabulary::new();
    (vocabulary.scan(text), vocabulary)
}

#[track_caller]
fn stands(text: &str, zone: Zone, class: &str) {
    let (scan, vocabulary) = scan(text);
    let wanted = vocabulary.lexicon.classes_where(|name| name == class);
    assert!(scan.zones[zone as usize] & wanted != 0, "{class} in {zone:?} of {text}");
}

#[test]
fn politeness_does_not_hide_the_verb_of_a_request() {
    stands("Hello! Could you please summarize this for me?", Zone::AnyLead, "v_summarize");
    stands("I want you to act as a pirate.", Zone::FirstLead, "v_act");
    stands("Please write a poem.", Zone::FirstLead, "v_write");
}

#[test]
fn the_request_may_stand_at_the_end() {
    stands("The sun set. Birds sang.\n\nTranslate this to Dutch.", Zone::LastLead, "v_translate");
    stands("The sun set. Why?", Zone::Question, "q_why");
}

#[test]
fn a_verb_is_paired_with_what_follows_it() {
    let (scan, vocabulary) = scan("Write a short story about rain.");
    let bit = |name: &str| vocabulary.lexicon.names().iter().position(|known| *known == name).unwrap();
    assert!(scan.pairs[bit("v_write")] & (1 << bit("o_story")) != 0);
}

#[test]
fn the_leading_classes_fit_the_pairs() {
    let vocabulary = Vocabulary::new();
    let leads = vocabulary.lexicon.classes_where(|name| name.starts_with("v_") || name.starts_with("q_"));
    assert!((Classes::BITS - leads.leading_zeros()) as usize <= LEADS);
}

#[test]
fn each_n_gram_counts_once() {
    let (once, _) = scan("tick tock");
    let (twice, _) = scan("tick tock. tick tock");
    assert!(twice.ngrams.len() <= once.ngrams.len() + 1);
}

#[test]
fn long_texts_have_bounded_work() {
    let (scan, _) = scan(&"one two three ".repeat(100_000));
    assert!(scan.shape.words < 6_000);
    assert_eq!(scan.shape.bytes, 1_399_999);
}

#[test]
fn lists_prices_and_formulas_are_counted() {
    let (scan, _) = scan("Buy:\n- milk for $3\n- eggs\n1. one\n2) two\nSolve $x$ now");
    assert_eq!((scan.shape.list_items, scan.shape.formulas), (4, 2));
}

#[test]
fn a_full_line_that_breaks_amid_a_sentence_ends_nothing() {
    let text = "Every spring Ben paints the long, narrow boat that his aunt left behind,BREAKand then he rows. Alone.";
    let (whole, _) = scan(&text.replace("BREAK", " "));
    for end in ["\n", "\r\n", "  \n"] {
        let (broken, _) = scan(&text.replace("BREAK", end));
        assert_eq!(broken.shape.breaks(), 0);
        assert_eq!((broken.shape.sentences, broken.shape.stops), (whole.shape.sentences, whole.shape.stops));
    }
}

#[test]
fn other_lines_end_what_they_say() {
    for text in [
        "Buy the following things at once:\n- a litre of goat milk and some cream\n- eggs\nThen rest",
        "eggs\nmilk\nflour\nyeast",
        "a) the trout that lives in the river under the mill\nb) the newt that lives in the pond over there\nc) cat\nd) dog",
    ] {
        let (found, _) = scan(text);
        assert_eq!((found.shape.sentences, found.shape.breaks()), (4, 3), "{text}");
    }
}

#[test]
fn a_run_of_blanks_is_as_long_as_one() {
    assert_eq!(scan("a  b \r\n\n\t c").0.shape.length, 5);
}
