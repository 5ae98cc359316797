//! What metrics cost: counting in the map that all workers share, finding a series, a scrape:
//! `cargo bench --bench metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

use _core::metrics::{Family, Format, Kind, Metrics};
use divan::{Bencher, black_box};

/// Buckets of the histogram, as those of the gateway's latency.
const BOUNDS: [u64; 16] = [
    1_000,
    2_000,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
];

fn main() {
    divan::main();
}

/// The metrics, and the folder that they are in; none where it cannot be written.
fn metrics() -> Option<(tempfile::TempDir, Metrics)> {
    let family = |name: &str, kind: Kind, per: u64| Family {
        name: name.into(),
        help: "What it counts.".into(),
        labels: vec!["model".into(), "status".into()],
        kind,
        per,
    };
    let families = vec![
        family("requests_total", Kind::Counter, 1),
        family("latency_seconds", Kind::Histogram(Box::new(BOUNDS)), 1_000_000),
    ];
    let directory = tempfile::tempdir().ok()?;
    let metrics = Metrics::open(directory.path(), families).ok()?;
    Some((directory, metrics))
}

/// A plain atomic of this process: what no counter can be cheaper than.
#[divan::bench]
fn an_atomic(bencher: Bencher) {
    let counter = AtomicU64::new(0);
    bencher.bench(|| black_box(&counter).fetch_add(1, Ordering::Relaxed));
}

#[divan::bench]
fn a_counter(bencher: Bencher) {
    let Some((_directory, metrics)) = metrics() else { return };
    let Ok(series) = metrics.series(0, &["openai/gpt-4o", "200"]) else { return };
    bencher.bench(|| black_box(&series).add(1));
}

#[divan::bench]
fn a_histogram(bencher: Bencher) {
    let Some((_directory, metrics)) = metrics() else { return };
    let Ok(series) = metrics.series(1, &["openai/gpt-4o", "200"]) else { return };
    bencher.bench(|| black_box(&series).observe(black_box(340_000)));
}

#[divan::bench]
fn finding_a_series(bencher: Bencher) {
    let Some((_directory, metrics)) = metrics() else { return };
    bencher.bench(|| metrics.series(0, black_box(&["openai/gpt-4o", "200"])).is_ok());
}

/// A scrape of so many label sets, each a counter and a histogram of 16 buckets.
#[divan::bench(args = [30, 300, 2_000])]
fn a_scrape(bencher: Bencher, label_sets: usize) {
    let Some((_directory, metrics)) = metrics() else { return };
    for n in 0..label_sets {
        let model = format!("provider/model-{n}");
        for family in [0, 1] {
            let Ok(series) = metrics.series(family, &[&model, "200"]) else { return };
            series.add(1);
            series.observe(340_000);
        }
    }
    bencher.bench(|| black_box(metrics.render(Format::Prometheus)).len());
}
