use std::cell::Cell;
use std::sync::atomic::AtomicU64;

use proptest::prelude::*;

use super::*;
use crate::limits::interleave::{Process, State, explore};

const SECOND: u64 = 1_000_000_000;
/// The first admission of a test.
const START: u64 = 1_000 * SECOND;

/// A log whose earlier admissions were at these times.
fn words(capacity: u64, stamps: &[u64]) -> Vec<u64> {
    let mut words = vec![0; words_for(capacity)];
    plant(&mut words, stamps);
    words
}

fn shared(words: Vec<u64>) -> Vec<AtomicU64> {
    words.into_iter().map(AtomicU64::new).collect()
}

/// No window that ends with one of these times holds more than the limit.
fn assert_exact(mut times: Vec<u64>, limit: u64, window: u64) {
    times.sort_unstable();
    let limit = index(limit);
    for (first, last) in times.iter().zip(times.iter().skip(limit)) {
        assert!(last - first >= window, "{} within {} ns: {times:?}", limit + 1, last - first);
    }
}

/// What a process of the model did: what came out, and what its clock showed last.
type Result = (Outcome, u64);

fn admit(process: &Process<'_>, capacity: u64, limit: u64) -> Result {
    let last = Cell::new(0);
    let clock = || {
        last.set(process.now());
        last.get()
    };
    (Log::new(process, capacity).admit(limit, &clock), last.get())
}

fn admitted(state: &State<Result>) -> Vec<u64> {
    let results = state.results.iter().flatten();
    results.filter(|(outcome, _)| *outcome == Outcome::Admitted).map(|(_, at)| *at).collect()
}

/// Capacity, limit, earlier admissions, how many of three processes are let in.
const AT_ONCE: [(u64, u64, &[u64], usize); 6] = [
    (2, 2, &[], 2),
    (4, 2, &[START - 30 * SECOND], 1),
    (2, 2, &[START - 90 * SECOND, START - 70 * SECOND], 2),
    (4, 3, &[START - 70 * SECOND, START - 60 * SECOND, START - 59 * SECOND], 2),
    (4, 4, &[START - 59 * SECOND; 4], 0),
    (1, 1, &[START - 60 * SECOND], 1),
];

#[test]
fn in_every_order_of_steps_exactly_as_many_are_let_in_as_there_is_room_for() {
    for (capacity, limit, earlier, expected) in AT_ONCE {
        let start = State::new(words(capacity, earlier), START, &[], 3).with_loops_from(HEAD);
        let ends = explore(
            start,
            |_, process| admit(process, capacity, limit),
            |end| {
                assert_eq!(admitted(end).len(), expected, "{capacity} {limit} {earlier:?}");
            },
        );
        assert!(ends > 0);
    }
}

#[test]
fn in_every_order_of_steps_and_stops_no_window_holds_more_than_the_limit() {
    // The clock jumps at any step: a process that is between two of its steps was stopped for so long.
    let jumps = [vec![START + 60 * SECOND], vec![START + SECOND, START + 61 * SECOND]];
    for later in jumps {
        // A second jump squares the orders, so it is left to the smallest logs.
        for (capacity, limit, earlier, _) in AT_ONCE.into_iter().filter(|it| it.0 * later.len() as u64 <= 4) {
            let start = State::new(words(capacity, earlier), START, &later, 2).with_loops_from(HEAD);
            explore(
                start,
                |_, process| admit(process, capacity, limit),
                |end| {
                    let times = [earlier, &admitted(end)].concat();
                    assert_exact(times, limit, WINDOW_NS - HELD_UP_NS);
                },
            );
        }
    }
}

#[test]
fn three_processes_that_stop_for_longer_than_the_window_let_no_more_in() {
    let start =
        State::new(words(1, &[START - 61 * SECOND]), START, &[START + 61 * SECOND], 3).with_loops_from(HEAD);
    explore(
        start,
        |_, process| admit(process, 1, 1),
        |end| assert_exact(admitted(end), 1, WINDOW_NS - HELD_UP_NS),
    );
}

#[test]
fn workers_with_different_limits_count_the_same_admissions() {
    let start =
        State::new(words(4, &[START - 61 * SECOND, START - SECOND]), START, &[], 3).with_loops_from(HEAD);
    explore(
        start,
        |nth, process| admit(process, 4, [2, 2, 4][nth]),
        |end| {
            let is_in: Vec<_> =
                end.results.iter().flatten().map(|(outcome, _)| *outcome == Outcome::Admitted).collect();
            assert!(is_in[2], "there is room for four");
            assert!(!(is_in[0] && is_in[1]), "one of the two that may be is a second ago");
        },
    );
}

#[test]
fn whoever_is_let_in_while_the_log_is_sealed_is_carried_over_and_all_that_seal_read_the_same() {
    #[derive(Clone)]
    enum Did {
        Admit(Result),
        Seal(Vec<u64>),
    }
    for earlier in [vec![], vec![START - 61 * SECOND, START - 59 * SECOND], vec![START - SECOND; 2]] {
        let start = State::new(words(2, &earlier), START, &[], 3).with_loops_from(HEAD);
        let program = |nth: usize, process: &Process<'_>| match nth {
            0 => Did::Admit(admit(process, 2, 2)),
            _ => Did::Seal(Log::new(process, 2).seal()),
        };
        explore(start, program, |end| {
            let [Some(Did::Admit((outcome, _))), Some(Did::Seal(one)), Some(Did::Seal(other))] =
                &end.results[..]
            else {
                panic!("somebody did what was not asked for")
            };
            assert_eq!(one, other);
            let let_in = usize::from(*outcome == Outcome::Admitted);
            let mut expected = earlier.clone();
            expected.extend([START].iter().take(let_in));
            assert_eq!(*one, expected[expected.len().saturating_sub(2)..]);
        });
    }
}

#[test]
fn a_client_that_sends_evenly_is_never_refused() {
    for limit in [1, 3, 7, 60, 250, 256] {
        let words = shared(words(256, &[]));
        let log = Log::new(&words[..], 256);
        for nth in 0..3 * limit {
            let now = START + (nth * WINDOW_NS).div_ceil(limit);
            assert_eq!(log.admit(limit, &|| now), Outcome::Admitted, "{nth} of {limit}");
        }
    }
}

#[test]
fn a_refusal_says_when_there_is_room_and_changes_nothing() {
    let words = shared(words(256, &[START, START + SECOND]));
    let log = Log::new(&words[..], 256);
    let before: Vec<_> = (0..words.len()).map(|at| words[..].load(at)).collect();
    let now = START + 2 * SECOND;
    assert_eq!(log.admit(2, &|| now), Outcome::Full { retry_ns: 58 * SECOND });
    assert_eq!(log.room(2, now), Room { limit: 2, remaining: 0, reset_ns: 58 * SECOND });
    assert_eq!((0..words.len()).map(|at| words[..].load(at)).collect::<Vec<_>>(), before);
    assert_eq!(log.admit(2, &|| now + 58 * SECOND - 1), Outcome::Full { retry_ns: 1 });
    assert_eq!(log.admit(2, &|| now + 58 * SECOND), Outcome::Admitted);
    assert_eq!(log.room(5, now + 58 * SECOND), Room { limit: 5, remaining: 3, reset_ns: 0 });
}

#[test]
fn who_was_held_up_between_clock_and_claim_claims_again() {
    let words = shared(words(256, &[]));
    let log = Log::new(&words[..], 256);
    let times = Cell::new(&[START, START + SECOND, START + SECOND, START + SECOND][..]);
    let clock = || {
        let (first, rest) = times.get().split_first().unwrap();
        times.set(rest);
        *first
    };
    assert_eq!(log.admit(5, &clock), Outcome::Admitted);
    assert_eq!(log.room(5, START + SECOND).remaining, 3);
    assert_eq!(log.room(5, START + WINDOW_NS).remaining, 4);
}

#[test]
fn stamps_from_another_boot_do_not_count() {
    let words = shared(words(256, &[START * 1000; 256]));
    let log = Log::new(&words[..], 256);
    assert_eq!(log.admit(1, &|| START), Outcome::Admitted);
    assert_eq!(log.admit(1, &|| START), Outcome::Full { retry_ns: WINDOW_NS });
}

proptest! {
    #[test]
    fn a_successor_lets_in_exactly_what_the_log_itself_would_have(
        gaps in prop::collection::vec(0..3 * SECOND, 0..600), limit in 257_u64..600,
    ) {
        let small = shared(words(256, &[]));
        let log = Log::new(&small[..], 256);
        let (mut now, mut times) = (START, Vec::new());
        for gap in &gaps {
            now += gap;
            if log.admit(256, &|| now) == Outcome::Admitted {
                times.push(now);
            }
        }
        prop_assert_eq!(log.name_successor(limit), capacity_for(limit));
        let stamps = log.seal();
        prop_assert_eq!(&stamps[..], &times[times.len().saturating_sub(256)..]);
        prop_assert_eq!(log.admit(256, &|| now), Outcome::Sealed);
        let large = shared(words(capacity_for(limit), &stamps));
        let log = Log::new(&large[..], capacity_for(limit));
        for gap in &gaps {
            now += gap;
            let counting = times.iter().filter(|time| now - **time < WINDOW_NS).count();
            prop_assert_eq!(log.room(limit, now).remaining, limit - counting as u64);
            let outcome = log.admit(limit, &|| now);
            prop_assert_eq!(outcome == Outcome::Admitted, (counting as u64) < limit);
            if outcome == Outcome::Admitted {
                times.push(now);
            }
        }
    }

    #[test]
    fn no_content_of_the_words_makes_it_panic_or_hang(
        content in prop::collection::vec(prop_oneof![any::<u64>(), Just(0), Just(u64::MAX)], 20), limit in 1_u64..4,
    ) {
        let words = shared(content);
        let log = Log::new(&words[..], 4);
        let _ = (log.admit(limit, &|| START), log.room(limit, START), log.name_successor(5), log.seal());
    }
}
