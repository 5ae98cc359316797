//! How long each part of one pass took.

use std::time::Instant;

/// Nanoseconds of each part of one pass; what was not done took none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Parsing, the checks of all fields, and the key.
    pub read_ns: u64,
    /// The scan for injection.
    pub shield_ns: u64,
    /// Looking for an answer under the key, and for a question that asks the same.
    pub cache_ns: u64,
    /// Task, complexity and stakes.
    pub classify_ns: u64,
    /// How much worse cheaper models would answer.
    pub predict_ns: u64,
}

/// A clock that tells the time since it was asked last.
pub(super) struct Laps(Instant);

impl Laps {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// Nanoseconds since the last lap.
    pub(super) fn lap(&mut self) -> u64 {
        let now = Instant::now();
        let lap = now.duration_since(self.0).as_nanos();
        self.0 = now;
        u64::try_from(lap).unwrap_or(u64::MAX)
    }
}
