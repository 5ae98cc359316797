//! Requests at the same time: one counter for each process, which dies with it.
//!
//! A place is added first and all are summed afterwards, so two that race may both be refused, but never are both let in
//! beyond the limit. Only when there is no room are the other processes looked at, and what dead ones held is freed.

#[cfg(test)]
mod tests;

use super::words::Words;
use crate::mapped::Process;

/// How many words the counters take, and how many processes may share them.
pub(super) const WORDS: usize = 64;

/// The largest limit: what one counter holds.
pub(super) const MAX_PLACES: u64 = (1 << COUNT_BITS) - 1;

const COUNT_BITS: u32 = 16;

/// All cells belong to living processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoCell;

/// The counters, in `WORDS` words from `first` on: the process in the high 48 bits, its places in the low ones.
pub(super) struct Places<'a, W: ?Sized> {
    words: &'a W,
    first: usize,
    me: Process,
}

impl<'a, W: Words + ?Sized> Places<'a, W> {
    pub(super) fn new(words: &'a W, first: usize, me: Process) -> Self {
        Self { words, first, me }
    }

    /// Take a place and return its cell, or None when there is no room.
    pub(super) fn enter(
        &self,
        limit: u64,
        is_alive: impl Fn(Process) -> bool,
    ) -> Result<Option<usize>, NoCell> {
        let cell = loop {
            let cell = self.cell(&is_alive)?;
            let held = self.words.load(cell);
            if holder(held) != self.me {
                continue; // another thread of this process is as far
            }
            if count(held) == MAX_PLACES {
                return Ok(None);
            }
            if self.words.replace(cell, held, held + 1) {
                break cell;
            }
        };
        // With its own place in the sum, "full" means more than the limit.
        if self.is_full(limit + 1, is_alive) {
            self.leave(cell);
            return Ok(None);
        }
        Ok(Some(cell))
    }

    /// Give a place back.
    pub(super) fn leave(&self, cell: usize) {
        loop {
            let held = self.words.load(cell);
            if holder(held) != self.me || count(held) == 0 || self.words.replace(cell, held, held - 1) {
                return;
            }
        }
    }

    /// Are `limit` places held by the living?
    pub(super) fn is_full(&self, limit: u64, is_alive: impl Fn(Process) -> bool) -> bool {
        self.held() >= limit && {
            self.bury(is_alive);
            self.held() >= limit
        }
    }

    fn held(&self) -> u64 {
        self.cells().map(|cell| count(self.words.load(cell))).sum()
    }

    /// The cell of this process; a free one, or that of a dead process, becomes its own.
    fn cell(&self, is_alive: &impl Fn(Process) -> bool) -> Result<usize, NoCell> {
        let free = |cell: &usize| self.words.load(*cell) == 0;
        let mine = |cell: &usize| holder(self.words.load(*cell)) == self.me;
        let claim = |cell: usize| self.words.replace(cell, 0, self.me.0 << COUNT_BITS).then_some(cell);
        if let Some(cell) = self.cells().find(mine) {
            return Ok(cell);
        }
        if let Some(cell) = self.cells().filter(free).find_map(claim) {
            return Ok(cell);
        }
        self.bury(is_alive);
        self.cells().filter(free).find_map(claim).ok_or(NoCell)
    }

    /// Empty the cells of dead processes. What a dead one held cannot change any more, except by who empties it.
    fn bury(&self, is_alive: impl Fn(Process) -> bool) {
        for cell in self.cells() {
            let held = self.words.load(cell);
            if held != 0 && holder(held) != self.me && !is_alive(holder(held)) {
                self.words.replace(cell, held, 0);
            }
        }
    }

    fn cells(&self) -> std::ops::Range<usize> {
        self.first..self.first + WORDS
    }
}

fn holder(cell: u64) -> Process {
    Process(cell >> COUNT_BITS)
}

fn count(cell: u64) -> u64 {
    cell & MAX_PLACES
}
