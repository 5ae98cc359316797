use super::{SCOPES, Thresholds};
use crate::digest::Key;

fn scope(nth: usize) -> Key {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&(nth as u64).to_le_bytes());
    key
}

#[test]
fn of_too_many_scopes_the_one_that_asked_for_least_is_forgotten() {
    let thresholds = Thresholds::default();
    (0..SCOPES).for_each(|nth| thresholds.raise(&scope(nth), if nth == 77 { 0.6 } else { 0.95 }));
    assert!(thresholds.get(&scope(77)).is_some());
    thresholds.raise(&scope(SCOPES), 0.93);
    assert_eq!(thresholds.get(&scope(77)), None);
    assert!(thresholds.get(&scope(SCOPES)).is_some());
    assert_eq!(thresholds.by_scope.read().len(), SCOPES);
}

#[test]
fn a_scope_that_is_known_is_raised_without_another_being_forgotten() {
    let thresholds = Thresholds::default();
    (0..SCOPES).for_each(|nth| thresholds.raise(&scope(nth), 0.95));
    thresholds.raise(&scope(3), 0.97);
    assert!(thresholds.get(&scope(3)) > Some(0.97));
    assert!((0..SCOPES).all(|nth| thresholds.get(&scope(nth)).is_some()));
}
