use std::sync::atomic::AtomicU64;

use super::*;
use crate::limits::interleave::{self, State, explore};

fn shared() -> Vec<AtomicU64> {
    std::iter::repeat_with(AtomicU64::default).take(WORDS).collect()
}

fn places(words: &[AtomicU64], me: u64) -> Places<'_, [AtomicU64]> {
    Places::new(words, 0, Process(me))
}

const ALL_LIVE: fn(Process) -> bool = |_| true;

#[test]
fn places_are_counted_over_all_processes_and_given_back() {
    let words = shared();
    let (one, other) = (places(&words, 7), places(&words, 8));
    let first = one.enter(2, ALL_LIVE).unwrap().unwrap();
    assert!(other.enter(2, ALL_LIVE).unwrap().is_some());
    assert_eq!(one.enter(2, ALL_LIVE), Ok(None));
    assert!(other.is_full(2, ALL_LIVE));
    one.leave(first);
    one.leave(first); // nothing is left of it
    assert!(other.enter(2, ALL_LIVE).unwrap().is_some());
    assert_eq!(one.enter(2, ALL_LIVE), Ok(None));
}

#[test]
fn what_the_dead_held_is_free() {
    let words = shared();
    let (one, other) = (places(&words, 7), places(&words, 8));
    let cell = one.enter(1, ALL_LIVE).unwrap().unwrap();
    assert_eq!(other.enter(1, ALL_LIVE), Ok(None));
    assert!(other.enter(1, |process| process != Process(7)).unwrap().is_some());
    one.leave(cell); // a dead process that was none takes nothing from others
    assert_eq!(one.enter(1, ALL_LIVE), Ok(None));
}

#[test]
fn a_cell_is_found_when_only_dead_ones_are_left() {
    let words = shared();
    for process in 1..=WORDS as u64 {
        assert!(places(&words, process).enter(1000, ALL_LIVE).unwrap().is_some());
    }
    let newcomer = places(&words, 1000);
    assert_eq!(newcomer.enter(1000, ALL_LIVE), Err(NoCell));
    assert!(newcomer.enter(1000, |process| process != Process(3)).unwrap().is_some());
}

#[test]
fn a_process_never_holds_more_than_its_cell_counts() {
    let words = shared();
    let one = places(&words, 7);
    words[0].store(7 << COUNT_BITS | MAX_PLACES, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(one.enter(MAX_PLACES, ALL_LIVE), Ok(None));
    assert_eq!(holder(words[0].load(std::sync::atomic::Ordering::SeqCst)), Process(7));
}

#[test]
fn in_every_order_of_steps_no_more_are_in_than_there_are_places() {
    // Each process comes in and stays. The machine has all cells, of which two are not yet somebody's.
    let mut cells: Vec<u64> = (0..WORDS as u64).map(|nth| (100 + nth) << COUNT_BITS).collect();
    (cells[0], cells[1]) = (0, 0);
    let program = |nth: usize, process: &interleave::Process<'_>| {
        Places::new(process, 0, Process(1 + nth as u64)).enter(1, |_| true).is_ok_and(|cell| cell.is_some())
    };
    let start = State::new(cells, 0, &[], 2).with_live(|cell| cell < 2);
    explore(start, program, |end| assert!(end.results.iter().flatten().filter(|is_in| **is_in).count() <= 1));
}
