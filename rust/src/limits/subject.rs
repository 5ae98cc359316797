//! One subject's files: the log of its requests, and the counters of its tokens and places.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use crate::mapped::{Folder, MapError, Process, Shared};

use super::buckets::{self, Buckets};
use super::error::LimitError;
use super::log::{self, Log, Outcome, Room};
use super::places::{self, Places};

/// What a file is, and in which version. Raise it when the layout changes: the name of the file holds it too.
const LOG_MAGIC: [u8; 8] = *b"nr-log-1";
const COUNTERS_MAGIC: [u8; 8] = *b"nr-cnt-1";
const LOG_INFIX: &str = ".log-1-";

/// Where the counters stand in their file, behind its header, each kind in cache lines of its own.
const FIRST_BUCKET: usize = 8;
const FIRST_PLACE: usize = 72;
const COUNTERS_WORDS: usize = FIRST_PLACE + places::WORDS;
const _: () = assert!(FIRST_BUCKET + buckets::WORDS <= FIRST_PLACE);

type Memory = [std::sync::atomic::AtomicU64];

/// A subject. Its files are opened when a limit first asks for them.
pub(super) struct Subject {
    pub(super) name: Box<str>,
    /// Names the files: what a subject is called may hold anything, and may be personal.
    stem: String,
    log: Mutex<Option<Arc<LogFile>>>,
    counters: OnceLock<Shared>,
}

pub(super) struct LogFile {
    shared: Shared,
    capacity: u64,
}

impl LogFile {
    pub(super) fn log(&self) -> Log<'_, Memory> {
        Log::new(self.shared.words(), self.capacity)
    }
}

impl Subject {
    pub(super) fn new(name: &str) -> Self {
        let stem = crate::digest::hex(&Sha256::digest(name));
        Self { name: name.into(), stem, log: Mutex::new(None), counters: OnceLock::new() }
    }

    /// Let a request in, if there is room; otherwise say when there is.
    pub(super) fn admit(
        &self,
        folder: &Folder,
        limit: u64,
        clock: &dyn Fn() -> u64,
    ) -> Result<Option<u64>, LimitError> {
        loop {
            match self.log_for(folder, limit)?.log().admit(limit, clock) {
                Outcome::Admitted => return Ok(None),
                Outcome::Full { retry_ns } => return Ok(Some(retry_ns)),
                Outcome::Sealed => {}
            }
        }
    }

    /// How much room there is for requests.
    pub(super) fn room(&self, folder: &Folder, limit: u64, now: u64) -> Result<Room, LimitError> {
        Ok(self.log_for(folder, limit)?.log().room(limit, now))
    }

    /// The log that counts now and can keep `limit`. The smallest log is the root of all: a larger one is only ever
    /// made as the successor of a sealed one, so there are no two that let requests in.
    fn log_for(&self, folder: &Folder, limit: u64) -> Result<Arc<LogFile>, LimitError> {
        let mut known = self.log.lock();
        let mut file = match known.as_ref() {
            Some(file) => Arc::clone(file),
            None => map_log(folder, &self.stem, log::capacity_for(0), &[])?,
        };
        while file.capacity < limit || file.log().is_sealed() {
            let log = file.log();
            let capacity = log.name_successor(limit);
            if capacity <= file.capacity || !log::is_capacity(capacity) {
                let path = folder.path_of(&log_name(&self.stem, file.capacity));
                return Err(LimitError::Map(MapError::Damaged { path, what: "it names no successor" }));
            }
            file = map_log(folder, &self.stem, capacity, &log.seal())?;
        }
        *known = Some(Arc::clone(&file));
        Ok(file)
    }

    /// The counters of tokens.
    pub(super) fn buckets(&self, folder: &Folder) -> Result<Buckets<'_, Memory>, LimitError> {
        Ok(Buckets::new(self.counters(folder)?.words(), FIRST_BUCKET))
    }

    /// The counters of places.
    pub(super) fn places(&self, folder: &Folder, me: Process) -> Result<Places<'_, Memory>, LimitError> {
        Ok(Places::new(self.counters(folder)?.words(), FIRST_PLACE, me))
    }

    fn counters(&self, folder: &Folder) -> Result<&Shared, LimitError> {
        if let Some(shared) = self.counters.get() {
            return Ok(shared);
        }
        let shared =
            folder.map(&format!("{}.counters-1", self.stem), COUNTERS_MAGIC, COUNTERS_WORDS, |_| ())?;
        Ok(self.counters.get_or_init(|| shared))
    }
}

/// Map a log; when it is missing it is made with these stamps.
pub(super) fn map_log(
    folder: &Folder,
    stem: &str,
    capacity: u64,
    stamps: &[u64],
) -> Result<Arc<LogFile>, LimitError> {
    let fill = |words: &mut [u64]| log::plant(words, stamps);
    let shared = folder.map(&log_name(stem, capacity), LOG_MAGIC, log::words_for(capacity), fill)?;
    Ok(Arc::new(LogFile { shared, capacity }))
}

fn log_name(stem: &str, capacity: u64) -> String {
    format!("{stem}{LOG_INFIX}{capacity}")
}

/// Whose log a file is and its capacity; none for other files.
pub(super) fn log_of(name: &str) -> Option<(&str, u64)> {
    let (stem, capacity) = name.split_once(LOG_INFIX)?;
    let capacity = capacity.parse().ok()?;
    log::is_capacity(capacity).then_some((stem, capacity))
}
