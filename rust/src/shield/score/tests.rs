use super::{Evidence, MEDIUM_MOST, risk};
use crate::shield::Tier;

fn piece(start: usize, category: &str, tier: Tier, weight: f64) -> Evidence<'_> {
    Evidence { start, end: start + 10, category, tier, weight }
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

#[test]
fn without_evidence_there_is_no_risk() {
    assert!(near(risk(Vec::new(), 0.0), 0.0));
}

#[test]
fn weak_cues_of_different_kinds_add_up() {
    let cues = vec![
        piece(0, "a", Tier::Critical, 0.4),
        piece(20, "b", Tier::Critical, 0.5),
        piece(40, "c", Tier::Critical, 0.5),
    ];
    assert!(near(risk(cues, 0.0), 0.85));
}

#[test]
fn of_one_category_only_the_strongest_counts() {
    let cues = vec![piece(0, "a", Tier::High, 0.4), piece(20, "a", Tier::High, 0.6)];
    assert!(near(risk(cues, 0.0), 0.6));
}

#[test]
fn the_same_words_count_once() {
    let cues = vec![piece(0, "a", Tier::High, 0.4), piece(5, "b", Tier::High, 0.6)];
    assert!(near(risk(cues, 0.0), 0.6));
}

#[test]
fn evidence_far_apart_does_not_add_up() {
    let cues = vec![piece(0, "a", Tier::High, 0.5), piece(5000, "b", Tier::High, 0.6)];
    assert!(near(risk(cues, 0.0), 0.6));
}

#[test]
fn the_model_is_one_more_piece_and_never_enough_alone() {
    assert!(near(risk(vec![piece(0, "a", Tier::High, 0.5)], 0.7), 0.85));
    assert!(risk(Vec::new(), 1.0) <= MEDIUM_MOST);
}

#[test]
fn medium_rules_alone_never_block() {
    let medium = vec![piece(0, "a", Tier::Medium, 0.8), piece(20, "b", Tier::Medium, 0.8)];
    assert!(near(risk(medium, 0.7), MEDIUM_MOST));
    let with_high = vec![piece(0, "a", Tier::Medium, 0.8), piece(20, "b", Tier::High, 0.8)];
    assert!(risk(with_high, 0.0) > 0.95);
}
