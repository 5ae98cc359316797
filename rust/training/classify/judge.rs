//! Says how well the method does where it has seen nothing of a source: leave one source out, and the sources
//! whose licence keeps them out of training anyway.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::Path;

use _core::Task;
use _core::classify::training::Plane;
use serde_json::{Value, json};

use super::fit::{RISK_THRESHOLD, SHARPNESS, Table, risk_plane, score, task_planes};
use super::rows::Row;
use super::{complexity, with_own};

pub(super) const FOLDS: usize = 5;

/// A row with the scores that planes gave it which had not seen its source.
struct Judged {
    row: Row,
    tasks: Vec<f64>,
    risk: f64,
}

/// Scores of every row by planes that have not seen its source.
fn held_out(rows: &[Row]) -> Vec<Judged> {
    let permissive: Vec<Row> = rows.iter().filter(|row| row.is_permissive()).cloned().collect();
    let others: Vec<Row> = rows.iter().filter(|row| !row.is_permissive()).cloned().collect();
    let mut judged = judge_with(&permissive, &others);
    // Ordinary traffic is known to the model that ships: its own source stays in, by halves.
    let (calm, permissive): (Vec<Row>, Vec<Row>) =
        permissive.into_iter().partition(|row| row.task.is_none() && row.high_risk == Some(false));
    for half in 0..2 {
        let side = |one: &(usize, Row)| one.0 % 2 == half;
        let (mine, rest): (Vec<_>, Vec<_>) = calm.iter().cloned().enumerate().partition(side);
        let strip = |rows: Vec<(usize, Row)>| rows.into_iter().map(|(_, row)| row).collect::<Vec<_>>();
        let mut known = strip(rest);
        known.extend(permissive.iter().cloned());
        judged.extend(judge_with(&known, &strip(mine)));
    }
    for source in permissive.iter().map(|row| row.source.clone()).collect::<BTreeSet<_>>() {
        let (mine, rest): (Vec<Row>, Vec<Row>) =
            permissive.iter().cloned().partition(|row| row.source == source);
        let rest: Vec<Row> = rest.into_iter().chain(calm.iter().cloned()).collect();
        judged.extend(judge_with(&rest, &mine));
    }
    judged
}

fn judge_with(known: &[Row], unknown: &[Row]) -> Vec<Judged> {
    let known = with_own(known);
    let needs_tasks = unknown.iter().any(|row| row.task.is_some());
    let tasks = if needs_tasks { task_planes(&known) } else { Vec::new() };
    let risk = unknown.iter().any(|row| row.high_risk.is_some()).then(|| risk_plane(&known));
    scored(unknown, &tasks, risk.as_ref())
}

fn scored(rows: &[Row], tasks: &[Plane], risk: Option<&Plane>) -> Vec<Judged> {
    let table = Table::of(rows);
    let pairs = table.rows.into_iter().zip(&table.features);
    pairs
        .map(|(row, features)| Judged {
            row,
            tasks: tasks.iter().map(|plane| score(plane, features)).collect(),
            risk: risk.map_or(0.0, |plane| score(plane, features)),
        })
        .collect()
}

/// Scores of every row that may teach, by planes fitted to four other fifths of them.
fn in_source(rows: &[Row]) -> Vec<Judged> {
    let permissive: Vec<Row> = rows.iter().filter(|row| row.is_permissive()).cloned().collect();
    let fold = |fold: usize| {
        let (mine, rest): (Vec<_>, Vec<_>) =
            permissive.iter().enumerate().partition(|(nth, _)| nth % FOLDS == fold);
        let strip =
            |rows: Vec<(usize, &Row)>| rows.into_iter().map(|(_, row)| row.clone()).collect::<Vec<_>>();
        judge_with(&strip(rest), &strip(mine))
    };
    (0..FOLDS).flat_map(fold).collect()
}

/// Print everything as JSON.
pub fn report(rows: &[Row], data: &Path) -> Result<(), Box<dyn Error>> {
    let (left_out, folds) = (held_out(rows), in_source(rows));
    let told = json!({
        "left_out": {"task": tasks(&left_out), "risk": risks(&left_out), "calibration": calibration(&left_out)},
        "in_source": {"folds": FOLDS, "task": tasks(&folds), "risk": risks(&folds)},
        "complexity": complexity::report(data)?,
    });
    println!("{}", serde_json::to_string_pretty(&told)?);
    Ok(())
}

/// The sharpness and slope under which the labels are likeliest, and what abstaining is worth.
fn calibration(judged: &[Judged]) -> Value {
    let human: Vec<&Judged> =
        judged.iter().filter(|one| one.row.task.is_some() && one.row.is_human).collect();
    let sharpness = [1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0].map(|sharpness| {
        let log_loss = mean(human.iter().map(|one| -right_share(one, sharpness).ln()));
        json!({"sharpness": sharpness, "log_loss": rounded(log_loss)})
    });
    let slopes = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0].map(|slope| {
        let labelled = judged.iter().filter_map(|one| Some((one.risk, one.row.high_risk?)));
        let losses = labelled.map(|(risk, high)| {
            let logit = (risk - f64::from(RISK_THRESHOLD)) * slope;
            (1.0 + (if high { -logit } else { logit }).exp()).ln()
        });
        json!({"slope": slope, "log_loss": rounded(mean(losses))})
    });
    let confidence = [0.3, 0.35, 0.4, 0.45, 0.5, 0.6].map(|least| {
        let sure = |one: &&Judged| sureness(one) >= least;
        let kept: Vec<&Judged> = human.iter().copied().filter(sure).collect();
        json!({"at_least": least, "n": kept.len(), "of": human.len(), "right": accuracy(&kept, 11).right})
    });
    json!({"sharpness": sharpness, "risk_slope": slopes, "confidence": confidence})
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0_usize), |(sum, count), value| (sum + value, count + 1));
    sum / count.max(1) as f64
}

/// Four digits are more than the rows carry.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

fn shares(one: &Judged, sharpness: f64) -> Vec<f64> {
    let most = one.tasks.iter().copied().fold(f64::MIN, f64::max);
    let powers: Vec<f64> = one.tasks.iter().map(|score| ((score - most) * sharpness).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// The share of the likeliest task type.
fn sureness(one: &Judged) -> f64 {
    shares(one, f64::from(SHARPNESS)).into_iter().fold(0.0, f64::max)
}

fn right_share(one: &Judged, sharpness: f64) -> f64 {
    one.row.task.and_then(|task| shares(one, sharpness).get(task as usize).copied()).unwrap_or(1.0)
}

fn tasks(judged: &[Judged]) -> Value {
    let labelled: Vec<&Judged> = judged.iter().filter(|one| one.row.task.is_some()).collect();
    let mut sources: BTreeMap<&str, Vec<&Judged>> = BTreeMap::new();
    for one in &labelled {
        sources.entry(&one.row.source).or_default().push(one);
    }
    let sources: BTreeMap<&str, Value> =
        sources.into_iter().map(|(source, rows)| (source, by_labels(&rows))).collect();
    let human: Vec<&Judged> = labelled.iter().copied().filter(|one| one.row.is_human).collect();
    json!({"human": by_labels(&human), "selective": selective(&human), "confusion": confusion(&human), "sources": sources})
}

/// How many are right among the surest part, in percent of all.
fn selective(rows: &[&Judged]) -> BTreeMap<String, Value> {
    let mut surest = rows.to_vec();
    surest.sort_by(|a, b| sureness(b).total_cmp(&sureness(a)));
    let part = |percent: usize| {
        let kept = surest.get(..surest.len() * percent / 100).unwrap_or_default();
        json!({"n": kept.len(), "right": accuracy(kept, 11).right})
    };
    [50, 70, 90].map(|percent| (percent.to_string(), part(percent))).into_iter().collect()
}

/// With eleven labels, and with ten: without `other`, which is what no label fits.
fn by_labels(rows: &[&Judged]) -> Value {
    let named: Vec<&Judged> = rows.iter().copied().filter(|one| one.row.task != Some(Task::Other)).collect();
    json!({"labels_11": accuracy(rows, 11).told(), "labels_10": accuracy(&named, 10).told()})
}

/// Rows, how many of them are right, and the mean over labels.
struct Accuracy {
    rows: usize,
    right: usize,
    macro_f1: f64,
}

impl Accuracy {
    fn told(&self) -> Value {
        json!({"n": self.rows, "right": self.right, "macro_f1": rounded(self.macro_f1)})
    }
}

/// Accuracy and macro-F1 among the first `labels` task types.
fn accuracy(rows: &[&Judged], labels: usize) -> Accuracy {
    let mut counts: BTreeMap<Task, [f64; 3]> = BTreeMap::new();
    let mut right = 0;
    for one in rows {
        let (Some(label), Some(found)) = (one.row.task, best(&one.tasks, labels)) else { continue };
        right += usize::from(label == found);
        counts.entry(label).or_default()[usize::from(label != found)] += 1.0;
        counts.entry(found).or_default()[2] += f64::from(u8::from(label != found));
    }
    let with_rows = counts.values().filter(|[hit, missed, _]| hit + missed > 0.0);
    let f1 = with_rows.map(|[hit, missed, wrong]| 2.0 * hit / (2.0 * hit + missed + wrong));
    Accuracy { rows: rows.len(), right, macro_f1: mean(f1) }
}

fn best(scores: &[f64], labels: usize) -> Option<Task> {
    let scores = scores.get(..labels)?;
    (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).map(|nth| Task::ALL[nth])
}

/// Label, then answer, then rows.
fn confusion(rows: &[&Judged]) -> BTreeMap<&'static str, BTreeMap<&'static str, usize>> {
    let mut counts: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for one in rows {
        let (Some(label), Some(found)) = (one.row.task, best(&one.tasks, 11)) else { continue };
        *counts.entry(label.as_str()).or_default().entry(found.as_str()).or_default() += 1;
    }
    counts
}

/// The score that `share` of the negatives exceed.
fn cut(negatives: &mut [f64], share: f64) -> f64 {
    negatives.sort_by(f64::total_cmp);
    let at = (negatives.len() as f64 * (1.0 - share)) as usize;
    negatives.get(at.min(negatives.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

/// For each source, rows and how many of them score above the threshold that five percent of all calm rows exceed.
fn risks(judged: &[Judged]) -> Value {
    let labelled = || judged.iter().filter_map(|one| Some((one.row.high_risk?, one)));
    let mut calm: Vec<f64> = labelled().filter(|(high, _)| !high).map(|(_, one)| one.risk).collect();
    let threshold = cut(&mut calm, 0.05);
    let mut sides = [BTreeMap::<&str, [usize; 2]>::new(), BTreeMap::new()];
    for (high, one) in labelled() {
        let [rows, above] = sides[usize::from(high)].entry(&one.row.source).or_default();
        *rows += 1;
        *above += usize::from(one.risk > threshold);
    }
    let [calm, high] = sides.map(|sources| {
        let told =
            sources.into_iter().map(|(source, [rows, above])| (source, json!({"n": rows, "above": above})));
        told.collect::<BTreeMap<_, _>>()
    });
    json!({"threshold": rounded(threshold), "calm": calm, "high": high})
}
