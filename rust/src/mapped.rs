//! Files of 64-bit words that all workers of a machine map: made whole, checked before they are mapped, changed by
//! atomic operations only.
//!
//! [`folder`] makes the files, [`shared`] maps them, [`process`] tells a worker from a later one of the same number.
//! All workers see the same process numbers, so they share a machine, and a container if there is one.

mod folder;
mod process;
mod shared;

use std::io;
use std::path::PathBuf;

pub(crate) use folder::Folder;
pub(crate) use process::Process;
pub(crate) use shared::Shared;

/// A shared file could not be made, found or mapped.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
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
    #[error("a file that workers share is damaged ({what}); stop the workers and delete it")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The folder belongs to somebody else or lets others in.
    #[error("a folder that workers share must belong to this user alone (mode 0700)")]
    NotOurs {
        /// Which folder.
        path: PathBuf,
    },
}
