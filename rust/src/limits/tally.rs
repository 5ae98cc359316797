//! What this machine has let in lately, subject by subject: what others must know before they share a limit with it.

use std::collections::HashMap;

use crate::mapped::{Folder, MapError};

use super::error::LimitError;
use super::subject;

/// Requests of the last 60 seconds of every subject that has any, by the SHA-256 of its name in hex.
///
/// A log that is being replaced and its successor hold the same admissions, so the larger count is that of both.
pub(super) fn tally(folder: &Folder, now: u64) -> Result<Vec<(String, u64)>, LimitError> {
    let mut counts = HashMap::new();
    for name in folder.names()? {
        let Some((stem, capacity)) = subject::log_of(&name) else { continue };
        let count = match subject::map_log(folder, stem, capacity, &[]) {
            Ok(file) => capacity - file.log().room(capacity, now).remaining,
            Err(LimitError::Map(MapError::Damaged { .. })) => continue, // nobody is let in by it either
            Err(error) => return Err(error),
        };
        if count > 0 {
            let most = counts.entry(stem.to_owned()).or_insert(0);
            *most = count.max(*most);
        }
    }
    Ok(counts.into_iter().collect())
}
