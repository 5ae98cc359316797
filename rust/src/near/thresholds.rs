//! How near is near enough in scopes where a hit was wrong.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use parking_lot::RwLock;

use crate::digest::Key;

/// Scopes remembered; about 5 MB. Whoever can be wrong in more of them has to be told again after a restart anyway.
const SCOPES: usize = 65_536;

/// The thresholds by scope. They outlive the rows: the same wrong answer must not come back with the next row.
#[derive(Default)]
pub(super) struct Thresholds {
    by_scope: RwLock<HashMap<Key, f32>>,
}

impl Thresholds {
    pub(super) fn get(&self, scope: &Key) -> Option<f32> {
        self.by_scope.read().get(scope).copied()
    }

    /// Ask for more than this cosine. A number that is no cosine above zero changes nothing.
    pub(super) fn raise(&self, scope: &Key, similarity: f32) {
        let Some(threshold) = just_above(similarity) else { return };
        let mut by_scope = self.by_scope.write();
        if by_scope.len() >= SCOPES && !by_scope.contains_key(scope) {
            forget_the_lowest(&mut by_scope);
        }
        let raised = by_scope.entry(*scope).or_insert(threshold);
        *raised = raised.max(threshold);
    }
}

/// The next number that a cosine can be, 1 at most: one wrong answer says nothing against questions of the same words.
fn just_above(similarity: f32) -> Option<f32> {
    (similarity > 0.0).then(|| f32::from_bits(similarity.min(1.0).to_bits() + 1).min(1.0))
}

/// The lowest asks for least, so it is missed least.
fn forget_the_lowest(by_scope: &mut HashMap<Key, f32>) {
    let lowest = by_scope.iter().min_by(|one, other| one.1.total_cmp(other.1)).map(|(scope, _)| *scope);
    if let Some(lowest) = lowest {
        by_scope.remove(&lowest);
    }
}
