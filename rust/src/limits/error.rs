//! Every way in which a limit cannot be looked at.

use std::io;
use std::path::PathBuf;

/// The limits could not be read: no request was let in and none was refused.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// The operating system said no.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was tried, for the reader.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// A file is not what this version writes.
    #[error("the file of a rate limit is damaged ({what}); stop the workers and delete it")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The folder belongs to somebody else or lets others in.
    #[error("the folder of the rate limits must belong to this user alone (mode 0700)")]
    NotOurs {
        /// Which folder.
        path: PathBuf,
    },
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
