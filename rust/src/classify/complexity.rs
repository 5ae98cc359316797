//! How hard a prompt is, from 0 to 10: a few readable factors whose only judge is whether a cheap model fails.

#[cfg(test)]
mod tests;

use super::Task;
use super::conversation::Conversation;
use super::lexicon::Classes;
use super::model::{Model, TUNING};
use super::scan::Scan;
use super::shape::log2;

/// Number of factors, the constant included.
pub(super) const FACTORS: usize = 16;
/// Where the weights begin among the tuning numbers of the file.
pub(super) const FIRST: usize = TUNING - FACTORS;
/// Factors behind the constant that outcomes of models can teach; the others are weighed by hand.
pub const FITTED: usize = 5;

/// Each from 0 to 1.
pub(super) type Factors = [f32; FACTORS];

/// Sets of words that make a task harder.
pub(super) struct HardWords {
    pub(super) constraints: Classes,
    pub(super) hard: Classes,
    pub(super) math: Classes,
    pub(super) terms: Classes,
    pub(super) code: Classes,
}

/// The factors of a prompt.
pub(super) fn factors(scan: &Scan, hard: &HardWords, conversation: &Conversation) -> Factors {
    let shape = &scan.shape;
    let part = |count: f32, half: f32| count / (count + half);
    let hits = |classes| f32::from(scan.hits(classes));
    let length = (log2(u32::try_from(shape.length).unwrap_or(u32::MAX)) / 8.0 - 0.5).clamp(0.0, 1.0);
    let signs = (shape.formulas + shape.count(b"\\")) as f32;
    // Three registers, because length means little in formulas and much in prose and code.
    let looks_like_code = hits(hard.code) >= 3.0 && shape.count(b"([{=;") > shape.words / 12;
    let code = f32::from(u8::from(looks_like_code));
    let formulas = ((signs + hits(hard.terms)) * 0.5).min(1.0) * (1.0 - code);
    let prose = 1.0 - code - formulas;
    // Lines mean something in code; elsewhere they are a matter of setting.
    let sentences = if looks_like_code { shape.sentences } else { shape.stops };
    let context = (conversation.context_bytes as f32 / 1024.0 + 1.0).log2() / 8.0;
    [
        1.0,
        length * prose,
        length * code,
        formulas,
        code,
        formulas * part(shape.count(b"$") as f32, 6.0),
        prose * part(shape.numbers as f32, 8.0),
        part(shape.count(b"?") as f32, 4.0),
        part(sentences as f32, 12.0),
        part(hits(hard.constraints), 4.0),
        part(hits(hard.hard), 2.0),
        prose * part(hits(hard.math), 6.0),
        part(shape.long_words as f32, 24.0),
        part(conversation.earlier_turns as f32, 8.0),
        context.min(1.0),
        part((conversation.tool_steps + conversation.tools) as f32, 8.0),
    ]
}

/// Factors that grow with the mere size of a prompt.
const OF_SIZE: [usize; 5] = [1, 6, 8, 11, 12];

/// The share of the probabilities that goes to tasks whose prompt brings its material along.
#[expect(clippy::cast_possible_truncation, reason = "a probability")]
pub(super) fn material(probabilities: &[f64; Task::ALL.len()]) -> f32 {
    let brings =
        [Task::Summarization, Task::Extraction, Task::Classification, Task::Translation, Task::Rewriting];
    let share = Task::ALL.iter().zip(probabilities).filter(|(task, _)| brings.contains(task));
    share.map(|(_, probability)| *probability).sum::<f64>() as f32
}

/// A long text to translate or to sum up is not hard for being long: its size counts by what is left of `material`.
pub(super) fn without_material(mut factors: Factors, material: f32) -> Factors {
    for at in OF_SIZE {
        factors[at] *= 1.0 - material;
    }
    factors
}

/// The fitted weights.
pub(super) fn weights(model: &Model) -> Factors {
    let mut weights = [0.0; FACTORS];
    weights.copy_from_slice(&model.tuning[FIRST..]);
    weights
}

/// The complexity: factors times weights, squashed to 0 to 10, one decimal.
pub(super) fn of(factors: &Factors, weights: &Factors) -> f64 {
    let sum: f32 = factors.iter().zip(weights).map(|(factor, weight)| factor * weight).sum();
    let scaled = 10.0 / (1.0 + f64::from(-sum).exp());
    (scaled * 10.0).round() / 10.0
}
