//! Series as Prometheus reads them. What is counted is whole; it is divided here, in decimals and without a float.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::table::{Entry, Table};
use super::{Across, Family, Kind, workers};

/// Between the name of a family and the labels.
const BEGIN: char = '{';

/// Told with the others, though it is no series of the table.
pub(super) const TURNED_AWAY: &str = "neuralrouting_series_turned_away_total";

fn away() -> Family {
    let help = "Times a series was counted as `other`, because there are too many.";
    Family { name: TURNED_AWAY.into(), help: help.into(), labels: vec![], kind: Kind::Counter, per: 1 }
}

/// How the series are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text format 0.0.4.
    Prometheus,
    /// `OpenMetrics` 1.0: counters are named without `_total` where they are declared, and the end is marked.
    OpenMetrics,
}

/// What a series is found by: the family's name, and its labels as they are written.
pub(super) fn key(family: &Family, values: &[&str]) -> String {
    let mut text = String::with_capacity(128);
    text.push_str(&family.name);
    text.push(BEGIN);
    for (place, (label, value)) in family.labels.iter().zip(values).enumerate() {
        if place > 0 {
            text.push(',');
        }
        text.push_str(label);
        text.push_str("=\"");
        for each in value.chars() {
            match each {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                _ => text.push(each),
            }
        }
        text.push('"');
    }
    text
}

/// The name of the family in the key of a series.
pub(super) fn family_of(key: &str) -> &str {
    key.split_once(BEGIN).map_or(key, |(name, _)| name)
}

pub(super) fn render(table: &Table<'_>, families: &[Arc<Family>], format: Format) -> String {
    let mut found: Vec<(String, Entry)> = table.entries().map(|entry| (table.text(entry), entry)).collect();
    found.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    let living = workers::living(table);
    let mut text = String::with_capacity(64 * 1024);
    for family in families {
        declare(&mut text, family, format);
        let prefix = format!("{}{BEGIN}", family.name);
        let first = found.partition_point(|(key, _)| *key < prefix);
        for (key, entry) in &found[first..] {
            let Some(labels) = key.strip_prefix(&*prefix) else { break };
            write_series(&mut text, family, labels, table.values(*entry, family.words()), &living);
        }
    }
    declare(&mut text, &away(), format);
    sample(&mut text, TURNED_AWAY, "", &table.times_turned_away().to_string());
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

fn declare(text: &mut String, family: &Family, format: Format) {
    let name = match format {
        Format::Prometheus => &family.name,
        Format::OpenMetrics => family.name.strip_suffix("_total").unwrap_or(&family.name),
    };
    let kind = match family.kind {
        Kind::Counter => "counter",
        Kind::Gauge(_) => "gauge",
        Kind::Histogram(_) => "histogram",
    };
    line(text, format_args!("# HELP {name} {}\n# TYPE {name} {kind}", family.help));
}

fn write_series(text: &mut String, family: &Family, labels: &str, values: &[AtomicU64], living: &[usize]) {
    let name = &family.name;
    match &family.kind {
        Kind::Counter => sample(text, name, labels, &decimal(values[0].load(Relaxed).into(), family.per)),
        Kind::Gauge(across) => {
            let said = living.iter().filter_map(|place| workers::value_of(values[*place].load(Relaxed)));
            let told = match across {
                Across::Sum => said.map(i128::from).reduce(|one, other| one + other),
                Across::Most => said.map(i128::from).max(),
                Across::Least => said.map(i128::from).min(),
            };
            if let Some(value) = told {
                sample(text, name, labels, &decimal(value, family.per));
            }
        }
        Kind::Histogram(bounds) => {
            let between = if labels.is_empty() { "" } else { "," };
            let mut count = 0;
            for (place, bucket) in values[..=bounds.len()].iter().enumerate() {
                count += u128::from(bucket.load(Relaxed));
                let bound = bounds.get(place).map_or("+Inf".to_owned(), |bound| le(*bound, family.per));
                line(text, format_args!("{name}_bucket{{{labels}{between}le=\"{bound}\"}} {count}"));
            }
            let sum = decimal(values[bounds.len() + 1].load(Relaxed).into(), family.per);
            sample(text, &format!("{name}_sum"), labels, &sum);
            sample(text, &format!("{name}_count"), labels, &count.to_string());
        }
    }
}

fn sample(text: &mut String, name: &str, labels: &str, value: &str) {
    if labels.is_empty() {
        line(text, format_args!("{name} {value}"));
    } else {
        line(text, format_args!("{name}{{{labels}}} {value}"));
    }
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    // Writing into a string cannot fail.
    let _ = writeln!(text, "{content}");
}

/// Bounds are floats to whoever compares them as text: `1.0`, not `1`.
fn le(bound: u64, per: u64) -> String {
    let text = decimal(bound.into(), per);
    if text.contains('.') { text } else { text + ".0" }
}

/// `value` / `per`, exactly.
fn decimal(value: i128, per: u64) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let (whole, rest) = (value.unsigned_abs() / u128::from(per), value.unsigned_abs() % u128::from(per));
    if rest == 0 {
        return format!("{sign}{whole}");
    }
    let width = per.to_string().len() - 1;
    format!("{sign}{whole}.{rest:0width$}").trim_end_matches('0').to_owned()
}
