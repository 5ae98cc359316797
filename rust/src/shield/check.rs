//! Rules prove themselves: every example fires, no counter-example does.

#[cfg(test)]
mod tests;

use super::decode::Budget;
use super::pack::Rule;
use super::scan::Place;
use super::{BadRules, Channel, Shield, Verdict};

/// Check each rule against its own examples.
///
/// # Errors
/// [`BadRules`] with the line of the first rule that does not do what its examples say.
pub(super) fn examples(shield: &Shield, rules: &[Rule]) -> Result<(), BadRules> {
    for rule in rules {
        let refuse = |message: String| BadRules::at(&message, Some(rule.line), Some(rule.id.get_ref()));
        if let Some(example) = rule.examples.iter().find(|example| !fires(shield, rule, example)) {
            return Err(refuse(format!("the rule does not fire on its example {example:?}")));
        }
        if let Some(example) = rule.counter_examples.iter().find(|example| fires(shield, rule, example)) {
            return Err(refuse(format!("the rule fires on its counter-example {example:?}")));
        }
    }
    Ok(())
}

/// Does a rule fire on a text that comes in one of its channels?
fn fires(shield: &Shield, rule: &Rule, text: &str) -> bool {
    let channel = rule.channels.first().copied().unwrap_or(Channel::User);
    let mut verdict = Verdict::default();
    verdict.add(shield, text, Place { channel, message: None }, &mut Budget::default());
    verdict.hits.iter().any(|hit| *hit.rule == **rule.id.get_ref())
}
