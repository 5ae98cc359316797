//! Fits the weights of complexity to outcomes: prompts that a cheap model got wrong and a premium one right.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::Path;

use _core::classify::training::{FITTED, Rows};
use serde_json::{Value, json};

use super::grammar;
use super::judge::{FOLDS, rounded};
use crate::solver::{Settings, Sparse, solve};

/// Outcomes that teach, each with its licence and pair of models.
pub const SOURCES: [(&str, &str); 1] =
    [("b_zeroeval_gateway_tiers", "Apache-2.0; GSM8K, MATH and CRUXEval MIT")];
const PAIRS: [(&str, &str, &str); 4] = [
    ("b_zeroeval_gateway_tiers", "llama-3.1-8b", "gpt-4o"),
    ("b_mmlupro", "llama-3.1-8b", "llama-3.1-70b"),
    ("b_routellm_mmlu", "mixtral-8x7b", "gpt-4-1106"),
    ("b_routellm_gsm8k", "mixtral-8x7b", "gpt-4-1106"),
];
/// An answer counts as right from here.
const RIGHT: f64 = 0.5;
/// Weights of the factors behind the fitted ones: no outcome row holds a conversation, and too few hold
/// constraints or several questions to fit them, so these are set by hand: numbers, questions, sentences,
/// constraints, words of hard tasks, mathematics, long words, earlier turns, context, tools.
const BY_HAND: [f32; 10] = [0.4, 0.4, 0.4, 1.0, 3.0, 0.7, 1.0, 0.8, 1.2, 1.0];
/// Ordinary small talk and questions count as answered by the cheap model, each as this part of an outcome.
const ANCHOR_WEIGHT: f32 = 0.3;
/// Turns the solver's margin into log-odds that use the whole scale.
const SLOPE: f64 = 2.5;
const OFFSET: f64 = 0.0;
const COST: f64 = 3.0;

struct Outcome {
    factors: Sparse,
    fails: bool,
    source: String,
    weight: f32,
}

fn outcomes(data: &Path, pair: (&str, &str, &str)) -> Result<Vec<Outcome>, Box<dyn Error>> {
    let rows = Rows::default();
    let text = fs::read_to_string(data.join(format!("{}.jsonl", pair.0)))?;
    let mut outcomes = Vec::new();
    for line in text.lines() {
        let value: Value = serde_json::from_str(line)?;
        let quality = |wanted: &str| -> Option<f64> {
            let models = value.get("models")?.as_object()?;
            models.get(wanted)?.get("q")?.as_f64()
        };
        let (Some(cheap), Some(premium)) = (quality(pair.1), quality(pair.2)) else { continue };
        let prompt = value.get("prompt").and_then(Value::as_str).unwrap_or_default();
        outcomes.push(Outcome {
            factors: sparse(&rows.factors(prompt)),
            fails: cheap < RIGHT && premium >= RIGHT,
            source: value.get("source").and_then(Value::as_str).unwrap_or_default().to_owned(),
            weight: 1.0,
        });
    }
    Ok(outcomes)
}

/// The factors that are fitted; the constant is the solver's bias.
fn sparse(factors: &[f32]) -> Sparse {
    factors[1..].iter().zip(0..).filter(|(value, _)| **value != 0.0).map(|(&value, at)| (at, value)).collect()
}

fn anchors() -> Vec<Outcome> {
    let rows = Rows::default();
    let easy = grammar::prompts(2, 100, 5);
    let easy = easy.iter().filter(|row| ["own-task-chat", "own-task-qa"].contains(&row.source.as_str()));
    let easy = easy.map(|row| (row.prompt.as_str(), false));
    easy.chain(grammar::HARD.iter().map(|prompt| (*prompt, true)))
        .map(|(prompt, fails)| Outcome {
            factors: sparse(&rows.factors(prompt)),
            fails,
            source: "own".into(),
            weight: ANCHOR_WEIGHT,
        })
        .collect()
}

fn weights(outcomes: &[&Outcome]) -> Vec<f32> {
    let own = anchors();
    let all: Vec<&Outcome> = outcomes.iter().copied().chain(&own).collect();
    let fitted =
        |one: &Outcome| one.factors.iter().copied().filter(|(at, _)| (*at as usize) < FITTED).collect();
    let rows: Vec<Sparse> = all.iter().map(|one| fitted(one)).collect();
    let fails: Vec<bool> = all.iter().map(|one| one.fails).collect();
    let importance: Vec<f32> = all.iter().map(|one| one.weight).collect();
    let settings = Settings { epochs: 400, tolerance: 1e-3, ..Settings::new(FITTED, COST) };
    let plane = solve(&rows, &fails, &importance, &settings);
    let mut weights = vec![(OFFSET + plane.bias * SLOPE) as f32];
    weights.extend(plane.weights.iter().map(|weight| (weight * SLOPE) as f32));
    weights.extend(BY_HAND);
    weights
}

/// The weights that ship.
pub fn fit(data: &Path) -> Result<Vec<f32>, Box<dyn Error>> {
    let outcomes = outcomes(data, PAIRS[0])?;
    Ok(weights(&outcomes.iter().collect::<Vec<_>>()))
}

/// How well complexity ranks failures: in folds, with a source left out, and on other pairs.
pub fn report(data: &Path) -> Result<Value, Box<dyn Error>> {
    let known = outcomes(data, PAIRS[0])?;
    let mut judged = Vec::new();
    for fold in 0..FOLDS {
        let (test, train): (Vec<_>, Vec<_>) =
            known.iter().enumerate().partition(|(nth, _)| nth % FOLDS == fold);
        let fitted = weights(&train.into_iter().map(|(_, one)| one).collect::<Vec<_>>());
        judged.extend(test.into_iter().map(|(_, one)| (value(&fitted, one), one.fails)));
    }
    let sources: BTreeSet<&str> = known.iter().map(|one| one.source.as_str()).collect();
    let without = sources.into_iter().map(|source| {
        let (test, train): (Vec<_>, Vec<_>) = known.iter().partition(|one| one.source == source);
        (source, ranked(&judge(&weights(&train), &test)))
    });
    let fitted = weights(&known.iter().collect::<Vec<_>>());
    let mut pairs = BTreeMap::new();
    for pair in PAIRS {
        let outcomes = outcomes(data, pair)?;
        pairs.insert(pair.0, ranked(&judge(&fitted, &outcomes.iter().collect::<Vec<_>>())));
    }
    Ok(json!({
        "cheap": PAIRS[0].1,
        "premium": PAIRS[0].2,
        "folds": ranked(&judged),
        "without_source": without.collect::<BTreeMap<_, _>>(),
        "shipped_on": pairs,
        "weights": fitted.iter().map(|weight| rounded(f64::from(*weight))).collect::<Vec<_>>(),
    }))
}

fn judge(weights: &[f32], outcomes: &[&Outcome]) -> Vec<(f64, bool)> {
    outcomes.iter().map(|one| (value(weights, one), one.fails)).collect()
}

/// AUROC, rows, failures, and both in bins of two points.
fn ranked(judged: &[(f64, bool)]) -> Value {
    let count = |rows: &[&(f64, bool)]| json!({"n": rows.len(), "failures": rows.iter().filter(|(_, fails)| *fails).count()});
    let bins = (0..5).map(|nth| {
        let of_bin = |(value, _): &&(f64, bool)| ((value / 2.0) as usize).min(4) == nth;
        count(&judged.iter().filter(of_bin).collect::<Vec<_>>())
    });
    let failures = judged.iter().filter(|(_, fails)| *fails).count();
    json!({
        "auroc": rounded(auroc(judged)),
        "n": judged.len(),
        "failures": failures,
        "bins": bins.collect::<Vec<_>>(),
    })
}

fn value(weights: &[f32], one: &Outcome) -> f64 {
    let sum: f32 = one.factors.iter().map(|&(at, value)| weights[at as usize + 1] * value).sum();
    10.0 / (1.0 + f64::from(-(weights[0] + sum)).exp())
}

/// The chance that a failure ranks above a success.
fn auroc(judged: &[(f64, bool)]) -> f64 {
    let mut order: Vec<_> = judged.iter().collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut sum) = (0.0, 0.0);
    for (_, fails) in &order {
        if *fails { sum += below } else { below += 1.0 }
    }
    let failures = judged.iter().filter(|(_, fails)| *fails).count() as f64;
    sum / (below * failures).max(1.0)
}
