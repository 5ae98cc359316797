//! Rate limits, exact over all workers of one machine: requests and tokens a minute, and requests at the same time.
//!
//! Each subject (an account, a key) has files in a folder that the workers share and map into memory. There are no
//! locks: a worker may be stopped or killed at any instruction and neither holds up another nor lets too much in.
//! [`log`] counts requests, [`buckets`] tokens, [`places`] what is in flight; [`subject`] knows the files, which
//! [`crate::mapped`] makes and maps, [`tally`] reads them all. All workers must see the same clock, so they share a
//! machine.

mod buckets;
mod error;
#[cfg(test)]
mod interleave;
mod log;
mod permit;
mod places;
mod subject;
mod tally;
#[cfg(test)]
mod tests;
mod words;

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};

use crate::mapped::{Folder, Process};
use buckets::{MAX_TOKENS, Outcome};
pub use error::LimitError;
use log::{MAX_REQUESTS, WINDOW_NS};
pub use permit::{Limit, Permit, Refusal, Room};
use permit::{Reserved, whole_ms};
use places::MAX_PLACES;
use subject::Subject;

/// Subjects whose files stay mapped, two mappings each: a process may have 65,530 on Linux. Who holds a permit of a
/// subject beyond that keeps its mapping.
const MAX_SUBJECTS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// When to come back for a place: nobody knows when a request in flight ends.
const PLACE_RETRY_MS: u64 = 1000;

/// What one subject allows; none is unlimited and costs nothing.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Who, as `account/acme`. Never shortened or read; files are named by its SHA-256.
    pub subject: &'a str,
    /// Requests in any 60 seconds, at most 1,000,000.
    pub requests_per_minute: Option<u64>,
    /// Requests at the same time, at most 65,535.
    pub parallel: Option<u64>,
}

/// What became of a request.
pub enum Entry {
    /// It is let in.
    Admitted(Permit),
    /// It is not.
    Refused(Refusal),
}

/// Nanoseconds since boot, the same in all processes of the machine.
pub type BootClock = Box<dyn Fn() -> u64 + Send + Sync>;

/// The limits of one worker. Make it after the worker has forked.
pub struct Limits {
    core: Arc<Core>,
    subjects: Mutex<LruCache<Box<str>, Arc<Subject>>>,
}

struct Core {
    folder: Folder,
    me: Process,
    clock: BootClock,
}

impl Limits {
    /// Share the limits with all workers that name the same directory. A file system in memory is best (`/dev/shm`,
    /// `/run`): the files are worth nothing after the next boot.
    ///
    /// # Errors
    /// When the folder cannot be made, or is not this user's alone.
    pub fn open(directory: &Path) -> Result<Self, LimitError> {
        Self::with_clock(directory, Box::new(since_boot_ns))
    }

    /// The same with another clock.
    ///
    /// # Errors
    /// As [`Limits::open`].
    pub fn with_clock(directory: &Path, clock: BootClock) -> Result<Self, LimitError> {
        let me = Process::current();
        let core = Core { folder: Folder::open(directory, me)?, me, clock };
        Ok(Self { core: Arc::new(core), subjects: Mutex::new(LruCache::new(MAX_SUBJECTS)) })
    }

    /// Have the subject's files been opened lately? Then a call takes about a microsecond, otherwise a hundred.
    #[must_use]
    pub fn is_open(&self, subject: &str) -> bool {
        self.subjects.lock().contains(subject)
    }

    /// Let a request in, if every subject has room. All are looked at before any is claimed, and places, which can be
    /// given back, are claimed before requests, which cannot; so only when another worker takes the last room of a later
    /// subject in between has an earlier subject counted a request that was refused.
    ///
    /// # Errors
    /// When a limit is too large to be kept, or a file cannot be made or is damaged.
    pub fn enter(&self, asks: &[Ask<'_>]) -> Result<Entry, LimitError> {
        let asks = self.subjects_of(asks)?;
        if let Some(refusal) = self.look(&asks)? {
            return Ok(Entry::Refused(refusal));
        }
        let mut permit = Permit::new(Arc::clone(&self.core));
        for (ask, subject) in &asks {
            let Some(limit) = ask.parallel else { continue };
            match self.places(subject)?.enter(limit, Process::is_alive).map_err(|_| too_many())? {
                Some(cell) => permit.hold_place(Arc::clone(subject), cell),
                None => return Ok(Entry::Refused(self.no_place(&asks, ask.subject, limit)?)),
            }
        }
        for (ask, subject) in &asks {
            let Some(limit) = ask.requests_per_minute else { continue };
            if let Some(retry_ns) = subject.admit(&self.core.folder, limit, &self.core.clock)? {
                return Ok(Entry::Refused(self.no_request(&asks, ask.subject, limit, retry_ns)?));
            }
        }
        permit.requests = self.tightest(&asks)?;
        Ok(Entry::Admitted(permit))
    }

    /// Requests of the last 60 seconds, by the SHA-256 of the subject in hex, of all subjects that have any: what the
    /// workers of this machine have let in.
    ///
    /// # Errors
    /// When the folder or a file in it cannot be read.
    pub fn tally(&self) -> Result<Vec<(String, u64)>, LimitError> {
        tally::tally(&self.core.folder, (self.core.clock)())
    }

    /// Reserve tokens for a request, if every subject has room for them; otherwise none are reserved. Each is (subject,
    /// tokens in a minute, at most 1,000,000,000).
    ///
    /// # Errors
    /// As [`Limits::enter`].
    pub fn take_tokens(
        &self,
        permit: &Permit,
        asks: &[(&str, Option<u64>)],
        tokens: u64,
    ) -> Result<Option<Refusal>, LimitError> {
        let mut limited = Vec::with_capacity(asks.len());
        for (name, limit) in asks {
            check("tokens_per_minute", *limit, MAX_TOKENS)?;
            limited.extend(limit.map(|limit| (self.subject(name), limit)));
        }
        // Who can never be served takes nothing from the others first.
        limited.sort_by_key(|(_, limit)| *limit);
        let mut taken: Vec<Reserved> = Vec::with_capacity(limited.len());
        for (subject, limit) in &limited {
            match subject.buckets(&self.core.folder)?.take(*limit, tokens, &self.core.clock) {
                Outcome::Taken { second } => {
                    taken.push(Reserved { subject: Arc::clone(subject), second, tokens });
                }
                Outcome::Full { retry_ns } => {
                    for held in taken {
                        held.subject.buckets(&self.core.folder)?.give_back(tokens, held.second);
                    }
                    let room = self.tightest_tokens(&limited)?;
                    let come_back = retry_ns.map(whole_ms);
                    let refusal = refuse(&subject.name, Limit::Tokens, *limit, come_back);
                    return Ok(Some(Refusal { requests: permit.requests, tokens: room, ..refusal }));
                }
            }
        }
        permit.hold_tokens(taken, self.tightest_tokens(&limited)?);
        Ok(None)
    }
}

type Asked<'a> = [(&'a Ask<'a>, Arc<Subject>)];

impl Limits {
    fn subject(&self, name: &str) -> Arc<Subject> {
        let mut subjects = self.subjects.lock();
        if let Some(subject) = subjects.get(name) {
            return Arc::clone(subject);
        }
        let subject = Arc::new(Subject::new(name));
        subjects.push(name.into(), Arc::clone(&subject));
        subject
    }

    fn subjects_of<'a>(&self, asks: &'a [Ask<'a>]) -> Result<Vec<(&'a Ask<'a>, Arc<Subject>)>, LimitError> {
        let mut found = Vec::with_capacity(asks.len());
        for ask in asks {
            check("requests_per_minute", ask.requests_per_minute, MAX_REQUESTS)?;
            check("parallel", ask.parallel, MAX_PLACES)?;
            if ask.requests_per_minute.is_some() || ask.parallel.is_some() {
                found.push((ask, self.subject(ask.subject)));
            }
        }
        Ok(found)
    }

    /// Who has no room? Of several, the one to wait longest for. Nothing is changed.
    fn look(&self, asks: &Asked<'_>) -> Result<Option<Refusal>, LimitError> {
        let mut worst: Option<Refusal> = None;
        let longer = |one: &Refusal, other: &Refusal| {
            other.retry_after_ms.is_some_and(|other| one.retry_after_ms.is_none_or(|one| one > other))
        };
        for (ask, subject) in asks {
            let mut found = Vec::new();
            if let Some(limit) = ask.requests_per_minute {
                let room = subject.room(&self.core.folder, limit, (self.core.clock)())?;
                if room.remaining == 0 {
                    found.push(self.no_request(asks, ask.subject, limit, room.reset_ns)?);
                }
            }
            if let Some(limit) = ask.parallel {
                if self.places(subject)?.is_full(limit, Process::is_alive) {
                    found.push(self.no_place(asks, ask.subject, limit)?);
                }
            }
            for refusal in found {
                if worst.as_ref().is_none_or(|worst| longer(&refusal, worst)) {
                    worst = Some(refusal);
                }
            }
        }
        Ok(worst)
    }

    fn no_request(
        &self,
        asks: &Asked<'_>,
        name: &str,
        limit: u64,
        retry_ns: u64,
    ) -> Result<Refusal, LimitError> {
        let come_back = (limit > 0).then(|| whole_ms(retry_ns.clamp(1, WINDOW_NS)));
        Ok(Refusal { requests: self.tightest(asks)?, ..refuse(name, Limit::Requests, limit, come_back) })
    }

    fn no_place(&self, asks: &Asked<'_>, name: &str, limit: u64) -> Result<Refusal, LimitError> {
        let come_back = (limit > 0).then_some(PLACE_RETRY_MS);
        Ok(Refusal { requests: self.tightest(asks)?, ..refuse(name, Limit::Parallel, limit, come_back) })
    }

    /// Room for requests of the subject with the least.
    fn tightest(&self, asks: &Asked<'_>) -> Result<Option<Room>, LimitError> {
        let now = (self.core.clock)();
        let mut rooms = Vec::with_capacity(asks.len());
        for (ask, subject) in asks {
            if let Some(limit) = ask.requests_per_minute {
                rooms.push(subject.room(&self.core.folder, limit, now)?.into());
            }
        }
        Ok(least(rooms))
    }

    fn tightest_tokens(&self, limited: &[(Arc<Subject>, u64)]) -> Result<Option<Room>, LimitError> {
        let now = (self.core.clock)();
        let mut rooms = Vec::with_capacity(limited.len());
        for (subject, limit) in limited {
            let buckets = subject.buckets(&self.core.folder)?;
            let remaining = limit.saturating_sub(buckets.used(now));
            let full = remaining == 0;
            let reset_ns = if full { buckets.free_in_ns(limit.saturating_sub(1), now) } else { 0 };
            rooms.push(Room { limit: *limit, remaining, reset_ms: whole_ms(reset_ns) });
        }
        Ok(least(rooms))
    }

    fn places<'a>(
        &self,
        subject: &'a Subject,
    ) -> Result<places::Places<'a, [std::sync::atomic::AtomicU64]>, LimitError> {
        subject.places(&self.core.folder, self.core.me)
    }
}

/// The room with the least remaining; of equals, that which is free last.
fn least(rooms: Vec<Room>) -> Option<Room> {
    rooms.into_iter().min_by_key(|room| (room.remaining, std::cmp::Reverse(room.reset_ms)))
}

fn refuse(subject: &str, limit: Limit, allowed: u64, retry_after_ms: Option<u64>) -> Refusal {
    Refusal { subject: subject.into(), limit, allowed, retry_after_ms, requests: None, tokens: None }
}

fn check(name: &'static str, limit: Option<u64>, most: u64) -> Result<(), LimitError> {
    match limit {
        Some(given) if given > most => Err(LimitError::TooLarge { name, most, given }),
        _ => Ok(()),
    }
}

fn too_many() -> LimitError {
    LimitError::TooManyProcesses { most: places::WORDS }
}

/// `CLOCK_MONOTONIC`: no change of the time of day moves it.
fn since_boot_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or_default()
}
