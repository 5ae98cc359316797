//! From findings to one risk: evidence adds up where it stands together, the strongest of each category counts.

#[cfg(test)]
mod tests;

use super::{FLAG_RISK, Tier};

/// Evidence adds up within this many bytes; further apart it is about different things.
const TOGETHER_BYTES: usize = 800;
/// What MEDIUM rules can reach without a rule of a higher tier: below the default threshold that blocks.
pub(super) const MEDIUM_MOST: f64 = 0.84;

/// What the model can reach without any finding: too little to flag.
const MODEL_ALONE: f64 = 0.49;

/// One piece of evidence: where it begins, of which category and tier, and how much.
pub(super) struct Evidence<'a> {
    pub start: usize,
    pub end: usize,
    pub category: &'a str,
    pub tier: Tier,
    pub weight: f64,
}

/// The risk of a text: one minus what its evidence leaves, in the worst stretch, with the model's share.
///
/// The same words count once: a finding that overlaps a stronger one adds nothing. With independent pieces of evidence this is the probability that at least
/// one of them is right (noisy-OR; Pearl, 1988).
pub(super) fn risk(evidence: Vec<Evidence<'_>>, model: f64) -> f64 {
    let evidence = apart(evidence);
    let stretches = evidence.iter().enumerate().map(|(nth, first)| {
        let near = evidence[nth..].iter().take_while(|later| later.start < first.start + TOGETHER_BYTES);
        stretch(near, model)
    });
    stretches.fold(model.min(MODEL_ALONE), f64::max)
}

/// The strongest pieces that do not overlap, in the order of the text.
fn apart(mut evidence: Vec<Evidence<'_>>) -> Vec<Evidence<'_>> {
    evidence.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    let mut kept: Vec<Evidence<'_>> = Vec::with_capacity(evidence.len());
    for piece in evidence {
        if kept.iter().all(|known| piece.end <= known.start || known.end <= piece.start) {
            kept.push(piece);
        }
    }
    kept.sort_by_key(|piece| piece.start);
    kept
}

fn stretch<'a>(near: impl Iterator<Item = &'a Evidence<'a>>, model: f64) -> f64 {
    let mut best: Vec<(&str, f64)> = Vec::new();
    let mut only_medium = true;
    for Evidence { category, tier, weight, .. } in near {
        only_medium &= *tier == Tier::Medium;
        match best.iter_mut().find(|(known, _)| known == category) {
            Some((_, strongest)) => *strongest = strongest.max(*weight),
            None => best.push((category, *weight)),
        }
    }
    let left: f64 = best.iter().map(|(_, weight)| 1.0 - weight).product();
    let risk = 1.0 - left * (1.0 - model);
    // The model lifts what the rules flag; it makes no block of what they would let pass.
    let only_medium = only_medium || 1.0 - left < FLAG_RISK;
    if only_medium { risk.min(MEDIUM_MOST) } else { risk }
}
