//! Requests per minute: a log of the last admissions in a ring, exact and without locks.
//!
//! Admission number `n` is written to slot `n % capacity` together with the clock. With a limit of `N`, number `n` is
//! admitted when number `n - N` is 60 seconds old. The limit is an argument, not a property of the ring, so it may
//! change from one request to the next, and workers that know different limits for a while still count the same
//! admissions. A step is one load or one compare-and-swap; between any two steps a process may stop for as long as it
//! likes, or die, and all others go on.
//!
//! **Admissions come in order.** `head` is the number of the next admission, or one less while nobody has moved it on.
//! Each slot has a mark that changes with every lap, so "is number `head` taken already?" is answered by the slot
//! itself, and whoever finds it taken moves `head` on for the other (who may be dead). `head` only grows; so when it is
//! the same before and after slot, gate and predecessor were read, they were read as they stand for this number. The
//! claim swaps exactly the word that was read, stamps in one slot never repeat, and so a successful claim is that of
//! the number it was meant for, and there is one for each number.
//!
//! **Never more than `N`.** Stamps do not decrease from number to number: each is the clock or the predecessor's stamp,
//! whichever is later. Of `N + 1` admissions the last, `n`, passed its gate: number `n - N` lies 60 s or more before it;
//! the first of them has that number or a smaller one, so an earlier stamp. No 60 seconds hold both.
//!
//! **A stamp is true.** A process that was stopped between the clock and the claim has stamped the past; it asks the
//! clock again, and if it was held up, it leaves that slot unused and claims another. A stamp is therefore at most
//! [`HELD_UP_NS`] older than the admission.
//!
//! **Nobody is refused too early.** The gate is the only reason to refuse, so a client that sends `N` a minute, evenly,
//! is never refused, and a refusal has written nothing.
//!
//! **Growing.** A limit beyond the capacity needs a larger file. The old one names its successor, then its head is
//! sealed, then the slot at the head, if nobody has taken it: from there on nothing in it changes, so whoever builds
//! the successor builds the same one.

#[cfg(test)]
mod tests;

use super::words::Words;

/// The length of the window.
pub(super) const WINDOW_NS: u64 = 60_000_000_000;

/// The largest limit. Its log takes 8 MiB.
pub(super) const MAX_REQUESTS: u64 = 1_000_000;

/// Slots of the smallest log: with its header it fits in one page.
const MIN_CAPACITY: u64 = 256;

/// How much older than the admission a stamp may be. A worker that has lost its core for a moment is within it.
const HELD_UP_NS: u64 = 10_000_000;

/// Where the capacity of the successor stands; zero while there is none.
const NEXT: usize = 2;
/// Where the head stands, in a cache line of its own.
const HEAD: usize = 8;
/// Where the ring begins.
const RING: usize = 16;

/// Set in a head that will not move again.
const SEALED: u64 = 1 << 63;

/// A slot is the clock in nanoseconds (62 bits: 146 years), whether it was sealed, and the mark of its lap.
const STAMP_SHIFT: u32 = 2;
const SLOT_SEALED: u64 = 0b10;
const SLOT_MARK: u64 = 0b01;

/// What became of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is let in, and counted.
    Admitted,
    /// It is refused; after so many nanoseconds there is room for one.
    Full { retry_ns: u64 },
    /// The log has a successor: ask that.
    Sealed,
}

/// How much room there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    pub limit: u64,
    pub remaining: u64,
    /// Until there is room for one; zero when there is.
    pub reset_ns: u64,
}

/// The log in a file's words.
pub(super) struct Log<'a, W: ?Sized> {
    words: &'a W,
    /// A power of two.
    capacity: u64,
}

/// The capacity of a log that can keep `limit`.
pub(super) fn capacity_for(limit: u64) -> u64 {
    limit.max(MIN_CAPACITY).next_power_of_two()
}

/// Is it the capacity of a log?
pub(super) fn is_capacity(capacity: u64) -> bool {
    capacity.is_power_of_two() && (MIN_CAPACITY..=MAX_REQUESTS.next_power_of_two()).contains(&capacity)
}

/// How many words a log of this capacity has.
pub(super) fn words_for(capacity: u64) -> usize {
    RING + index(capacity)
}

/// Write into the words of a new log what its predecessor held, oldest first.
pub(super) fn plant(words: &mut [u64], stamps: &[u64]) {
    for (slot, stamp) in words[RING..].iter_mut().zip(stamps) {
        *slot = stamp << STAMP_SHIFT | SLOT_MARK;
    }
    words[HEAD] = stamps.len() as u64;
}

impl<'a, W: Words + ?Sized> Log<'a, W> {
    /// `words` has `words_for(capacity)` words.
    pub(super) fn new(words: &'a W, capacity: u64) -> Self {
        Self { words, capacity }
    }

    /// Let a request in, if there is room for it. `limit` is at most the capacity; `clock` gives nanoseconds.
    pub(super) fn admit(&self, limit: u64, clock: &dyn Fn() -> u64) -> Outcome {
        loop {
            let number = self.words.load(HEAD);
            if number & SEALED != 0 {
                return Outcome::Sealed;
            }
            // The gate before the slot: where they are the same word, and it is taken in between, the slot tells.
            let (gate, predecessor) = (self.gate(number, limit), self.load(number.wrapping_sub(1)));
            let slot = self.load(number);
            let now = clock();
            if self.words.load(HEAD) != number {
                continue; // what was read belongs to different numbers
            }
            if self.is_taken(slot, number) {
                self.advance(number); // for one who is slow, or dead
                continue;
            }
            let retry_ns = gate.map_or(0, |gate| left_ns(gate, now));
            if retry_ns > 0 {
                return Outcome::Full { retry_ns };
            }
            let stamp = if left_ns(predecessor, now) > 0 { now.max(predecessor >> STAMP_SHIFT) } else { now };
            if !self.words.replace(self.at(number), slot, stamp << STAMP_SHIFT | self.mark(number)) {
                continue;
            }
            self.advance(number);
            if clock().saturating_sub(now) <= HELD_UP_NS {
                return Outcome::Admitted;
            }
        }
    }

    /// How much room there is, by what can be seen at this moment.
    pub(super) fn room(&self, limit: u64, now: u64) -> Room {
        let head = self.words.load(HEAD) & !SEALED;
        let oldest = head.saturating_sub(limit);
        let (mut low, mut high) = (oldest, head); // stamps do not decrease, so the first that counts is found by halving
        while low < high {
            let middle = low + (high - low) / 2;
            if left_ns(self.load(middle), now) > 0 { high = middle } else { low = middle + 1 }
        }
        let remaining = limit.saturating_sub(head - low);
        let gate = self.gate(head, limit).filter(|_| remaining == 0);
        Room { limit, remaining, reset_ns: gate.map_or(0, |gate| left_ns(gate, now)) }
    }

    /// Is there a successor, or about to be?
    pub(super) fn is_sealed(&self) -> bool {
        self.words.load(HEAD) & SEALED != 0
    }

    /// The capacity of the successor: what it was first said to be, here or elsewhere.
    pub(super) fn name_successor(&self, limit: u64) -> u64 {
        self.words.replace(NEXT, 0, capacity_for(limit.max(self.capacity + 1)));
        self.words.load(NEXT)
    }

    /// Let nobody in any more; the stamps of the last admissions, oldest first, which stay as they are.
    pub(super) fn seal(&self) -> Vec<u64> {
        let number = loop {
            let head = self.words.load(HEAD);
            if head & SEALED != 0 || self.words.replace(HEAD, head, head | SEALED) {
                break head & !SEALED;
            }
        };
        // The head stands still, so only its own slot can still be taken: by one who had read the head before.
        let end = loop {
            let slot = self.load(number);
            if self.is_taken(slot, number) {
                break number + 1;
            }
            if slot & SLOT_SEALED != 0 || self.words.replace(self.at(number), slot, slot | SLOT_SEALED) {
                break number;
            }
        };
        (end.saturating_sub(self.capacity)..end).map(|number| self.load(number) >> STAMP_SHIFT).collect()
    }

    /// The admission that must be 60 s old before number `number` is let in.
    fn gate(&self, number: u64, limit: u64) -> Option<u64> {
        number.checked_sub(limit).map(|gate| self.load(gate))
    }

    fn advance(&self, number: u64) {
        self.words.replace(HEAD, number, (number + 1) & !SEALED);
    }

    fn load(&self, number: u64) -> u64 {
        self.words.load(self.at(number))
    }

    fn at(&self, number: u64) -> usize {
        RING + index(number & (self.capacity - 1))
    }

    /// One in the first lap, zero in the second, and so on: a slot that was never written is not taken.
    fn mark(&self, number: u64) -> u64 {
        SLOT_MARK & !(number >> self.capacity.trailing_zeros())
    }

    fn is_taken(&self, slot: u64, number: u64) -> bool {
        slot & SLOT_MARK == self.mark(number)
    }
}

/// How long an admission still counts. One that lies more than the window ahead was not stamped by this clock.
fn left_ns(slot: u64, now: u64) -> u64 {
    let stamp = slot >> STAMP_SHIFT;
    if stamp == 0 || now.abs_diff(stamp) >= WINDOW_NS {
        return 0;
    }
    stamp + WINDOW_NS - now
}

/// Numbers below a capacity fit in any `usize` of 32 bits or more.
fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
