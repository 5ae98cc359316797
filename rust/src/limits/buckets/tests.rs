use std::sync::atomic::AtomicU64;

use proptest::prelude::*;

use super::*;
use crate::limits::interleave::{Process, State, explore};

const START: u64 = 1_000 * SECOND_NS;

fn shared() -> Vec<AtomicU64> {
    std::iter::repeat_with(AtomicU64::default).take(WORDS).collect()
}

fn take(words: &[AtomicU64], limit: u64, tokens: u64, now: u64) -> Outcome {
    Buckets::new(words, 0).take(limit, tokens, &|| now)
}

#[test]
fn more_than_the_limit_at_once_is_refused_for_good() {
    let words = shared();
    assert_eq!(take(&words, 100, 101, START), Outcome::Full { retry_ns: None });
    assert_eq!(Buckets::new(&words[..], 0).used(START), 0);
    assert_eq!(take(&words, 100, 100, START), Outcome::Taken { second: 1_000 });
}

#[test]
fn a_refusal_says_when_there_is_room_and_consumes_nothing() {
    let words = shared();
    assert_eq!(take(&words, 100, 60, START), Outcome::Taken { second: 1_000 });
    assert_eq!(take(&words, 100, 40, START + 10 * SECOND_NS), Outcome::Taken { second: 1_010 });
    let now = START + 20 * SECOND_NS;
    assert_eq!(take(&words, 100, 1, now), Outcome::Full { retry_ns: Some(41 * SECOND_NS) });
    assert_eq!(take(&words, 100, 61, now), Outcome::Full { retry_ns: Some(51 * SECOND_NS) });
    assert_eq!(Buckets::new(&words[..], 0).used(now), 100);
    assert_eq!(take(&words, 100, 1, START + 61 * SECOND_NS - 1), Outcome::Full { retry_ns: Some(1) });
    assert_eq!(take(&words, 100, 60, START + 61 * SECOND_NS), Outcome::Taken { second: 1_061 });
}

#[test]
fn tokens_go_back_to_the_second_they_were_taken_in_while_it_counts() {
    let words = shared();
    let buckets = Buckets::new(&words[..], 0);
    assert_eq!(take(&words, 100, 60, START), Outcome::Taken { second: 1_000 });
    buckets.give_back(50, 1_000);
    assert_eq!(buckets.used(START), 10);
    assert_eq!(take(&words, 100, 7, START + 61 * SECOND_NS), Outcome::Taken { second: 1_061 });
    buckets.give_back(10, 1_000);
    assert_eq!(buckets.used(START + 61 * SECOND_NS), 7);
}

#[test]
fn a_counter_from_another_boot_is_written_anew() {
    let words = shared();
    for word in &words {
        word.store((5_000_000 << 32) + 99, std::sync::atomic::Ordering::SeqCst);
    }
    assert_eq!(take(&words, 100, 60, START), Outcome::Taken { second: 1_000 });
    assert_eq!(Buckets::new(&words[..], 0).used(START), 60);
}

#[test]
fn a_full_counter_refuses_instead_of_forgetting() {
    let words = shared();
    let buckets = Buckets::new(&words[..], 0);
    for _ in 0..4 {
        assert_eq!(buckets.add(MAX_TOKENS, &|| START), Some(1_000));
    }
    assert_eq!(buckets.add(MAX_TOKENS, &|| START), None);
    assert_eq!(buckets.used(START), 4 * MAX_TOKENS);
}

#[test]
fn in_every_order_of_steps_no_more_tokens_are_let_in_than_the_limit() {
    let program = |nth: usize, process: &Process<'_>| {
        let outcome = Buckets::new(process, 0).take(10, [6, 4, 5][nth], &|| process.now());
        matches!(outcome, Outcome::Taken { .. }).then_some([6, 4, 5][nth]).unwrap_or_default()
    };
    let start = State::new(vec![0; WORDS], START, &[START + 30 * SECOND_NS], 2);
    let start = start.with_live(|at| at == 1_000 % WORDS || at == 1_030 % WORDS);
    let mut sums = std::collections::BTreeSet::new();
    explore(start, program, |end| {
        let sum: u64 = end.results.iter().flatten().sum();
        assert!(sum <= 10);
        sums.insert(sum);
    });
    assert!(sums.contains(&10), "{sums:?}");
}

proptest! {
    #[test]
    fn no_minute_holds_more_than_the_limit_and_none_that_fits_with_a_second_to_spare_is_refused(
        steps in prop::collection::vec((0..20 * SECOND_NS, 1_u64..60), 1..200), limit in 50_u64..200,
    ) {
        let words = shared();
        let (mut now, mut taken) = (START, Vec::<(u64, u64)>::new());
        for (gap, tokens) in steps {
            now += gap;
            let within = |window: u64| -> u64 {
                taken.iter().filter(|(at, _)| now - at < window).map(|(_, tokens)| tokens).sum()
            };
            match take(&words, limit, tokens, now) {
                Outcome::Taken { .. } => {
                    prop_assert!(within(60 * SECOND_NS) + tokens <= limit);
                    taken.push((now, tokens));
                }
                Outcome::Full { retry_ns: None } => prop_assert!(tokens > limit),
                Outcome::Full { retry_ns: Some(retry_ns) } => {
                    prop_assert!(within(61 * SECOND_NS) + tokens > limit);
                    prop_assert!(retry_ns <= 61 * SECOND_NS);
                }
            }
        }
    }

    #[test]
    fn no_content_of_the_counters_makes_it_panic_or_hang(content in prop::collection::vec(any::<u64>(), WORDS)) {
        let words: Vec<_> = content.into_iter().map(AtomicU64::new).collect();
        let buckets = Buckets::new(&words[..], 0);
        let _ = (take(&words, 100, 5, START), buckets.free_in_ns(3, START), buckets.used(START));
    }
}
