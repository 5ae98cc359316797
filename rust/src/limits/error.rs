//! Every way in which a limit cannot be looked at.

use crate::mapped::MapError;

/// The limits could not be read: no request was let in and none was refused.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// A file of theirs could not be made, found or mapped.
    #[error(transparent)]
    Map(#[from] MapError),
    /// A limit that cannot be kept.
    #[error("{name} must be at most {most}, not {given}")]
    TooLarge {
        /// Which limit.
        name: &'static str,
        /// The largest that can be kept.
        most: u64,
        /// What was asked for.
        given: u64,
    },
    /// All cells of a subject belong to living processes.
    #[error("more than {most} processes share the limits")]
    TooManyProcesses {
        /// How many may.
        most: usize,
    },
}
