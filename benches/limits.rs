//! How long a worker takes to ask the rate limits: `cargo bench --bench limits`.

use std::path::PathBuf;

use _core::limits::{Ask, Entry, Limits};
use divan::{Bencher, black_box};

fn main() {
    divan::main();
    // What the benches have made; nothing is lost when it stays.
    let _ = std::fs::remove_dir_all(directory());
}

/// In memory where there is such a place, as the gateway is told to have it.
fn directory() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
    parent.join(format!("neuralrouting-bench-{}", std::process::id()))
}

fn ask(subject: &str, requests_per_minute: Option<u64>, parallel: Option<u64>) -> Ask<'_> {
    Ask { subject, requests_per_minute, parallel }
}

/// The largest limit: none of the measured requests is refused before a million.
const MANY: Option<u64> = Some(1_000_000);

#[divan::bench(sample_count = 100, sample_size = 1000)]
fn enter_and_leave_one_subject(bencher: Bencher) {
    let Ok(limits) = Limits::open(&directory()) else { return };
    let asks = [ask("account/one", MANY, Some(100))];
    bencher.bench(|| limits.enter(black_box(&asks)).is_ok());
}

#[divan::bench(sample_count = 100, sample_size = 1000)]
fn enter_and_leave_two_subjects(bencher: Bencher) {
    let Ok(limits) = Limits::open(&directory()) else { return };
    let asks = [ask("account/two", MANY, Some(100)), ask("key/two", MANY, Some(100))];
    bencher.bench(|| limits.enter(black_box(&asks)).is_ok());
}

#[divan::bench(sample_count = 100, sample_size = 1000)]
fn refuse_one_of_two_subjects(bencher: Bencher) {
    let Ok(limits) = Limits::open(&directory()) else { return };
    let asks = [ask("account/full", MANY, Some(100)), ask("key/full", Some(1), Some(100))];
    bencher.bench(|| limits.enter(black_box(&asks)).is_ok());
}

#[divan::bench(sample_count = 100, sample_size = 1000)]
fn take_and_settle_tokens_of_two_subjects(bencher: Bencher) {
    let Ok(limits) = Limits::open(&directory()) else { return };
    let asks = [("account/tokens", Some(1_000_000_000)), ("key/tokens", Some(1_000_000_000))];
    bencher.bench(|| {
        let Ok(Entry::Admitted(permit)) = limits.enter(&[]) else { return false };
        let taken = limits.take_tokens(&permit, black_box(&asks), 2).is_ok();
        permit.leave(Some(1));
        taken
    });
}

#[divan::bench(sample_count = 20, sample_size = 20)]
fn open_a_new_subject(bencher: Bencher) {
    let Ok(limits) = Limits::open(&directory()) else { return };
    let nth = std::sync::atomic::AtomicU64::new(0);
    bencher
        .with_inputs(|| format!("new/{}", nth.fetch_add(1, std::sync::atomic::Ordering::Relaxed)))
        .bench_values(|name| limits.enter(&[ask(&name, Some(60), Some(10))]).is_ok());
}
