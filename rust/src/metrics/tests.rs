use std::process::Command;
use std::thread;

use super::*;

const MICRO: u64 = 1_000_000;

fn families() -> Vec<Family> {
    let family = |name: &str, labels: &[&str], kind, per| Family {
        name: name.into(),
        help: "What it counts.".into(),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        kind,
        per,
    };
    vec![
        family("requests_total", &["model", "status"], Kind::Counter, 1),
        family("cost_usd_total", &[], Kind::Counter, 1_000_000_000),
        family("latency_seconds", &["endpoint"], Kind::Histogram(Box::new([1_000, 10_000, MICRO])), MICRO),
        family("in_flight", &[], Kind::Gauge(Across::Sum), 1),
        family("provider_up", &["provider"], Kind::Gauge(Across::Least), 1),
        family("lag_seconds", &[], Kind::Gauge(Across::Most), MICRO),
    ]
}

fn open(directory: &Path) -> Metrics {
    Metrics::open(directory, families()).unwrap()
}

fn told(metrics: &Metrics) -> Vec<String> {
    let text = metrics.render(Format::Prometheus);
    let series = |line: &&str| !line.starts_with('#') && !line.starts_with(text::TURNED_AWAY);
    text.lines().filter(series).map(str::to_owned).collect()
}

#[test]
fn what_one_worker_counts_another_tells() {
    let directory = tempfile::tempdir().unwrap();
    let (one, other) = (open(directory.path()), open(directory.path()));
    one.series(0, &["gpt-4o", "200"]).unwrap().add(2);
    other.series(0, &["gpt-4o", "200"]).unwrap().add(3);
    other.series(0, &["gpt-4o", "502"]).unwrap().add(1);
    let expected = [
        "requests_total{model=\"gpt-4o\",status=\"200\"} 5",
        "requests_total{model=\"gpt-4o\",status=\"502\"} 1",
    ];
    assert_eq!(told(&one), expected);
    assert_eq!(told(&other), expected);
}

#[test]
fn nano_dollars_are_told_as_dollars_to_the_last_digit() {
    let directory = tempfile::tempdir().unwrap();
    let metrics = open(directory.path());
    let cost = metrics.series(1, &[]).unwrap();
    cost.add(9_007_199_254_740_993); // 2^53 + 1: no float has it
    assert_eq!(told(&metrics), ["cost_usd_total 9007199.254740993"]);
    cost.add(7);
    assert_eq!(told(&metrics), ["cost_usd_total 9007199.254741"]);
}

#[test]
fn a_histogram_counts_up_to_each_bound_and_the_bound_itself() {
    let directory = tempfile::tempdir().unwrap();
    let metrics = open(directory.path());
    let latency = metrics.series(2, &["/v1/x"]).unwrap();
    for value in [0, 1_000, 1_001, 10_000_000] {
        latency.observe(value);
    }
    assert_eq!(
        told(&metrics),
        [
            "latency_seconds_bucket{endpoint=\"/v1/x\",le=\"0.001\"} 2",
            "latency_seconds_bucket{endpoint=\"/v1/x\",le=\"0.01\"} 3",
            "latency_seconds_bucket{endpoint=\"/v1/x\",le=\"1.0\"} 3",
            "latency_seconds_bucket{endpoint=\"/v1/x\",le=\"+Inf\"} 4",
            "latency_seconds_sum{endpoint=\"/v1/x\"} 10.002001",
            "latency_seconds_count{endpoint=\"/v1/x\"} 4",
        ]
    );
}

#[test]
fn a_gauge_is_of_living_workers_only() {
    let directory = tempfile::tempdir().unwrap();
    let metrics = open(directory.path());
    metrics.series(3, &[]).unwrap().set(5);
    metrics.series(4, &["openai"]).unwrap().set(1);
    metrics.series(5, &[]).unwrap().set(-1_500_000);
    // A worker that says more of each, and dies.
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let words = metrics.core.shared.words();
    let table = metrics.core.table();
    let place = metrics.core.place.unwrap() + 1;
    let it = Process::of(child.id());
    assert_eq!(workers::take_place(&table, it, &["in_flight"]), Some(place));
    for (family, labels, value) in [(3, &[][..], 7), (4, &["openai"][..], 0), (5, &[][..], 2_000_000)] {
        let first = metrics.series(family, labels).unwrap().first.unwrap();
        words[first + place].store(workers::word_of(value), Relaxed);
    }
    assert_eq!(told(&metrics), ["in_flight 12", "provider_up{provider=\"openai\"} 0", "lag_seconds 2"]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(told(&metrics), ["in_flight 5", "provider_up{provider=\"openai\"} 1", "lag_seconds -1.5"]);
    // Whoever takes its place begins with nothing said.
    let heir = Process::of(1);
    assert_eq!(workers::take_place(&table, heir, &["in_flight", "provider_up", "lag_seconds"]), Some(place));
    assert_eq!(told(&metrics), ["in_flight 5", "provider_up{provider=\"openai\"} 1", "lag_seconds -1.5"]);
}

#[test]
fn beyond_the_bound_all_count_in_one_series_and_what_was_turned_away_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let metrics = open(directory.path());
    for n in 0..MAX_SERIES + 50 {
        metrics.series(0, &[&n.to_string(), "200"]).unwrap().add(1);
    }
    metrics.series(0, &["7", "200"]).unwrap().add(10);
    metrics.series(2, &["late"]).unwrap().observe(1);
    let lines = told(&metrics);
    assert!(lines.contains(&"requests_total{model=\"other\",status=\"other\"} 50".to_owned()));
    assert!(lines.contains(&"requests_total{model=\"7\",status=\"200\"} 11".to_owned()));
    assert!(lines.contains(&"latency_seconds_count{endpoint=\"other\"} 1".to_owned()));
    assert_eq!(metrics.turned_away(), 51);
    assert!(metrics.render(Format::Prometheus).ends_with("\nneuralrouting_series_turned_away_total 51\n"));
    assert_eq!(lines.iter().filter(|line| line.starts_with("requests_total")).count(), 4097);
}

#[test]
fn the_arena_ends_before_the_file_does() {
    let directory = tempfile::tempdir().unwrap();
    let metrics = open(directory.path());
    for n in 0..MAX_SERIES {
        metrics.series(0, &[&format!("{n:0900}"), "200"]).unwrap().add(1);
    }
    assert!(metrics.turned_away() > 0);
    assert_eq!(metrics.series(0, &[&"x".repeat(2_000), "200"]).unwrap().first, {
        metrics.series(0, &[OTHER, OTHER]).unwrap().first
    });
    let total: u64 =
        told(&metrics).iter().map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum();
    assert_eq!(total, MAX_SERIES);
}

#[test]
fn threads_that_begin_the_same_series_at_once_count_in_one() {
    let directory = tempfile::tempdir().unwrap();
    let workers: Vec<Metrics> = (0..4).map(|_| open(directory.path())).collect();
    thread::scope(|scope| {
        for metrics in &workers {
            scope.spawn(move || {
                for n in 0..2_000 {
                    metrics.series(0, &[&(n % 200).to_string(), "200"]).unwrap().add(1);
                }
            });
        }
    });
    let lines = told(&workers[0]);
    assert_eq!(lines.len(), 200);
    assert!(lines.iter().all(|line| line.ends_with(" 40")), "{lines:?}");
}

#[test]
fn labels_are_escaped() {
    let directory = tempfile::tempdir().unwrap();
    let metrics = open(directory.path());
    metrics.series(0, &["a\"b\\c\nd", "200"]).unwrap().add(1);
    assert_eq!(told(&metrics), [r#"requests_total{model="a\"b\\c\nd",status="200"} 1"#]);
}

#[test]
fn open_metrics_declares_counters_without_their_ending_and_marks_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let metrics = open(directory.path());
    metrics.series(0, &["m", "200"]).unwrap().add(1);
    let text = metrics.render(Format::OpenMetrics);
    assert!(text.contains("# TYPE requests counter\nrequests_total{model=\"m\",status=\"200\"} 1\n"));
    assert!(text.ends_with("# EOF\n"));
    assert!(metrics.render(Format::Prometheus).contains("# TYPE requests_total counter\n"));
}

#[test]
fn families_and_labels_that_cannot_be_written_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |change: fn(&mut Family)| {
        let mut families = families();
        change(&mut families[0]);
        assert!(matches!(Metrics::open(directory.path(), families), Err(MetricError::Wrong(_))));
    };
    refused(|family| family.name = "requests".into());
    refused(|family| family.name = "Requests_total".into());
    refused(|family| family.labels[0] = "a-b".into());
    refused(|family| family.per = 1_000);
    refused(|family| family.help = "two\nlines".into());
    refused(|family| family.kind = Kind::Histogram(Box::new([2, 1])));
    let metrics = open(directory.path());
    assert!(metrics.series(0, &["one"]).is_err());
    assert!(metrics.series(99, &[]).is_err());
}
