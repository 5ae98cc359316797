//! What the trainer of the linear model needs of the shield: its very own features, and the form of the weights.

use super::decode::written_out;
pub use super::linear::{BUCKETS, Weights};
use super::normalise::normalise;
use super::pack::Pack;
use super::{BadRules, Shield};

/// (bucket, value) of a text's words, of length one together.
#[must_use]
pub fn row(text: &str) -> Vec<(u32, f32)> {
    let mut found = Vec::new();
    let normal = normalise(&written_out(text));
    super::linear::buckets(super::linear::head(&normal.text), |bucket| found.push(u32::from(bucket)));
    #[expect(clippy::cast_precision_loss, reason = "a few hundred words")]
    let value = 1.0 / (found.len().max(1) as f32).sqrt();
    found.into_iter().map(|bucket| (bucket, value)).collect()
}

/// The built-in rules with other weights than those that ship.
///
/// # Errors
/// None that a test would not have found: the rules are built in.
pub fn with_weights(weights: Weights) -> Result<Shield, BadRules> {
    let mut shield = Shield::new(&[], false)?;
    shield.model = Some(weights);
    Ok(shield)
}

/// Examples and counter-examples of the English rules. There is too little ordinary text in other languages to learn
/// from: a model that saw their attacks alone would take the language for the attack.
#[must_use]
pub fn examples() -> (Vec<String>, Vec<String>) {
    let rules = Pack::read(&super::ENGLISH, &[]).map(|(pack, _)| pack.rules).unwrap_or_default();
    let attacks = rules.iter().filter(|rule| rule.weight >= 0.6).flat_map(|rule| rule.examples.clone());
    let innocent = rules.iter().flat_map(|rule| rule.counter_examples.clone());
    (attacks.collect(), innocent.collect())
}
