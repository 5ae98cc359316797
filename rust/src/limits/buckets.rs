//! Tokens per minute: one counter for each second of the last minute.
//!
//! Tokens are added first and the minute is summed afterwards, so two that race may both be refused, but never are both
//! let in beyond the limit. A minute is 61 counters, since 60 seconds touch so many; tokens count for at most one second
//! longer than a minute.

#[cfg(test)]
mod tests;

use super::words::Words;

const BUCKETS: u64 = 61;
const SECOND_NS: u64 = 1_000_000_000;

/// The largest limit: far enough below 32 bits that sums in a counter stay exact.
pub(super) const MAX_TOKENS: u64 = 1_000_000_000;

/// How many words the counters take.
pub(super) const WORDS: usize = 61;

/// What became of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It stands, in the counter of this second.
    Taken { second: u64 },
    /// It is refused; after so many nanoseconds there is room for it. None: there never is.
    Full { retry_ns: Option<u64> },
}

/// The counters, in `WORDS` words from `first` on: a second since boot in the high half (136 years of
/// them), tokens in the low one.
pub(super) struct Buckets<'a, W: ?Sized> {
    words: &'a W,
    first: usize,
}

impl<'a, W: Words + ?Sized> Buckets<'a, W> {
    pub(super) fn new(words: &'a W, first: usize) -> Self {
        Self { words, first }
    }

    /// Reserve `tokens`, if the last minute has room for them.
    pub(super) fn take(&self, limit: u64, tokens: u64, clock: &dyn Fn() -> u64) -> Outcome {
        if tokens > limit {
            return Outcome::Full { retry_ns: None };
        }
        loop {
            let Some(second) = self.add(tokens, clock) else {
                return Outcome::Full { retry_ns: Some(SECOND_NS * BUCKETS) };
            };
            let now = clock();
            if now / SECOND_NS > second + 1 {
                self.give_back(tokens, second); // held up: the tokens would be forgotten too early
                continue;
            }
            if self.used(now) <= limit {
                return Outcome::Taken { second };
            }
            self.give_back(tokens, second);
            return Outcome::Full { retry_ns: Some(self.free_in_ns(limit - tokens, now).max(1)) };
        }
    }

    /// Add to the counter of the present second, which is returned. None when it would not hold them: it is then beyond
    /// any limit already.
    pub(super) fn add(&self, tokens: u64, clock: &dyn Fn() -> u64) -> Option<u64> {
        loop {
            let second = clock() / SECOND_NS;
            let (at, old) = self.load(second);
            if second_of(old) > second && second_of(old) <= clock() / SECOND_NS {
                continue; // this process was stopped for a minute between clock and counter
            }
            let held = if second_of(old) == second { tokens_of(old) } else { 0 };
            let sum = held.checked_add(tokens).filter(|sum| u32::try_from(*sum).is_ok())?;
            if self.words.replace(at, old, second << 32 | sum) {
                return Some(second);
            }
        }
    }

    /// Take tokens out of the counter of `second`, if it still stands.
    pub(super) fn give_back(&self, tokens: u64, second: u64) {
        loop {
            let (at, old) = self.load(second);
            if second_of(old) != second {
                return;
            }
            if self.words.replace(at, old, second << 32 | tokens_of(old).saturating_sub(tokens)) {
                return;
            }
        }
    }

    /// Tokens of the last minute.
    pub(super) fn used(&self, now: u64) -> u64 {
        self.minute(now).map(|(_, tokens)| tokens).sum()
    }

    /// How long until at most `goal` tokens count; zero when that is so.
    pub(super) fn free_in_ns(&self, goal: u64, now: u64) -> u64 {
        let mut used = self.used(now);
        for (second, tokens) in self.minute(now) {
            if used <= goal {
                return 0;
            }
            used = used.saturating_sub(tokens);
            if used <= goal {
                return ((second + BUCKETS) * SECOND_NS).saturating_sub(now);
            }
        }
        0
    }

    /// The counters that count now, oldest first, as (second, tokens). The next second is among them: another worker's
    /// clock may have been read a moment later.
    fn minute(&self, now: u64) -> impl Iterator<Item = (u64, u64)> {
        let newest = now / SECOND_NS + 1;
        let seconds = newest.saturating_sub(BUCKETS)..=newest;
        seconds.filter_map(|second| {
            let (_, held) = self.load(second);
            (second_of(held) == second && tokens_of(held) > 0).then(|| (second, tokens_of(held)))
        })
    }

    fn load(&self, second: u64) -> (usize, u64) {
        let at = self.first + usize::try_from(second % BUCKETS).unwrap_or_default();
        (at, self.words.load(at))
    }
}

fn second_of(bucket: u64) -> u64 {
    bucket >> 32
}

fn tokens_of(bucket: u64) -> u64 {
    bucket & u64::from(u32::MAX)
}
