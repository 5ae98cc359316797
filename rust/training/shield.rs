//! Trains the shield's linear model on permissively licensed rows, the rules' own examples and sentences of ours.

mod judge;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use _core::hex;
use _core::shield_training::{BUCKETS, Weights, examples, row};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::solver::{Linear, Settings, Sparse, solve};

pub use judge::judge;

/// Licences whose rows may shape weights that ship; everything else is only measured on.
const PERMISSIVE: [&str; 6] =
    ["MIT", "Apache-2.0", "CC-BY-4.0", "MIT/Apache-2.0", "Apache-2.0/MIT", "Apache/MIT"];
/// What the rows of a scope teach; scopes without lexical form and mentions are left out.
const SCOPES: [(&str, bool); 4] = [("form", true), ("mixed", true), ("benign", false), ("content", false)];
/// Noisy labels: commands to a shell rather than to a model, and plain role-play called an attack.
const NOISY: [&str; 2] = ["neuralchemy_encoding", "deepset_mixed"];
/// Chosen by leave-source-out validation among 0.1, 0.3, 1 and 3.
const COST: f64 = 0.3;
const FOLDS: usize = 5;
/// Share of held-out benign texts below the margin at which the model begins to speak, and at which it says all it can.
const QUIET: f64 = 0.97;
const LOUD: f64 = 0.995;
/// The licence of what we wrote.
const OURS: &str = "ours";
/// Benign sentences of our own that hold trigger words, and attacks of our own.
const OWN: &str = include_str!("shield/rows.txt");

/// One text that teaches.
struct Lesson {
    features: Sparse,
    attack: bool,
    scope: String,
    source: String,
    family: String,
    licence: String,
}

impl Lesson {
    fn new(text: &str, attack: bool, source: &str) -> Self {
        let (scope, family, licence) = (OURS.to_owned(), OURS.to_owned(), OURS.to_owned());
        Self { features: row(text), attack, scope, source: source.to_owned(), family, licence }
    }

    /// A row of the public data, if it may teach.
    fn read(told: &Value) -> Option<Self> {
        let field = |name: &str| told[name].as_str().unwrap_or_default();
        let (scope, attack) = *SCOPES.iter().find(|(scope, _)| *scope == field("scope"))?;
        let licence = field("licence").trim_end_matches("(HF)");
        let usable = PERMISSIVE.contains(&licence)
            && field("channel") != "system"
            && !NOISY.contains(&field("family"));
        usable.then(|| Self {
            features: row(field("text")),
            attack,
            scope: scope.to_owned(),
            source: field("source").to_owned(),
            family: field("family").to_owned(),
            licence: licence.to_owned(),
        })
    }
}

/// Write `shield.bin` and `shield.toml` into `out`; `data` holds `dev.jsonl`.
pub fn train(data: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    let lessons = gather(&read(data)?);
    let bytes = weights(&lessons, |_| true).write();
    fs::write(out.join("shield.bin"), &bytes)?;
    fs::write(out.join("shield.toml"), describe(&lessons, &bytes))?;
    println!("{} rows", lessons.len());
    Ok(())
}

/// The rows of the data file, whatever their licence.
fn read(data: &Path) -> Result<Vec<Value>, Box<dyn Error>> {
    let path = data.join("dev.jsonl");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

fn gather(rows: &[Value]) -> Vec<Lesson> {
    let mut lessons: Vec<Lesson> = rows.iter().filter_map(Lesson::read).collect();
    let (attacks, innocent) = examples();
    lessons.extend(attacks.iter().map(|text| Lesson::new(text, true, "examples of the rules")));
    lessons.extend(innocent.iter().map(|text| Lesson::new(text, false, "counter-examples of the rules")));
    let own = OWN.lines().filter_map(|line| line.split_once(' '));
    lessons.extend(own.map(|(mark, text)| Lesson::new(text, mark == "+", "rust/training/shield/rows.txt")));
    lessons
}

/// The weights that the kept lessons give, with margins that fit them.
fn weights(lessons: &[Lesson], kept: impl Fn(&Lesson) -> bool) -> Weights {
    let held_out = held_out_margins(lessons, &kept);
    quantise(&fit(lessons, &kept), quantile(&held_out, QUIET), quantile(&held_out, LOUD))
}

fn fit(lessons: &[Lesson], kept: impl Fn(&Lesson) -> bool) -> Linear {
    let rows: Vec<Sparse> = lessons.iter().map(|lesson| lesson.features.clone()).collect();
    let attack: Vec<bool> = lessons.iter().map(|lesson| lesson.attack).collect();
    let importance: Vec<f32> = lessons.iter().map(|lesson| f32::from(u8::from(kept(lesson)))).collect();
    solve(&rows, &attack, &importance, &Settings::new(BUCKETS, COST))
}

/// The fold of a source: all its rows are in one.
fn fold(sources: &[&str], source: &str) -> usize {
    sources.binary_search(&source).unwrap_or_default() % FOLDS
}

fn sources(lessons: &[Lesson]) -> Vec<&str> {
    let mut sources: Vec<&str> = lessons.iter().map(|lesson| lesson.source.as_str()).collect();
    sources.sort_unstable();
    sources.dedup();
    sources
}

/// Margins of everyday benign rows under planes that never saw a row of their source. Sentences of ours are picked to be
/// hard, and harmful ones have no form: neither says how often an everyday text comes near an attack.
fn held_out_margins(lessons: &[Lesson], kept: impl Fn(&Lesson) -> bool) -> Vec<f64> {
    let sources = sources(lessons);
    let mut margins = Vec::new();
    for nth in 0..FOLDS {
        let is_out = |lesson: &Lesson| fold(&sources, &lesson.source) == nth;
        let plane = fit(lessons, |lesson| kept(lesson) && !is_out(lesson));
        let unseen = lessons.iter().filter(|lesson| is_out(lesson) && lesson.scope == "benign");
        margins.extend(unseen.map(|lesson| plane.score(&lesson.features)));
    }
    margins.sort_unstable_by(f64::total_cmp);
    margins
}

fn quantile(sorted: &[f64], share: f64) -> f64 {
    sorted.get((sorted.len() as f64 * share) as usize).copied().unwrap_or_default()
}

fn quantise(plane: &Linear, low: f64, high: f64) -> Weights {
    let most = plane.weights.iter().fold(f64::MIN_POSITIVE, |most, weight| most.max(weight.abs()));
    let scale = most / 127.0;
    let table = plane.weights.iter().map(|weight| (weight / scale).round() as i8).collect();
    Weights { scale: scale as f32, bias: plane.bias as f32, low: low as f32, high: high as f32, table }
}

/// Where the weights come from, as TOML.
fn describe(lessons: &[Lesson], bytes: &[u8]) -> String {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for lesson in lessons {
        *counts.entry((&lesson.source, &lesson.licence)).or_default() += 1;
    }
    let mut text = String::from(
        "# Where shield.bin comes from; made by `cargo run --release --example train -- shield DATA_DIR rust/weights`.\n",
    );
    let digest = hex(&Sha256::digest(bytes));
    let _ = writeln!(text, "sha256 = \"{digest}\"");
    for ((source, licence), count) in counts {
        let _ = writeln!(text, "\n[[source]]\nname = {source:?}\nlicence = {licence:?}\nrows = {count}");
    }
    text
}
