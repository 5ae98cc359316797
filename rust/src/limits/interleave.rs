//! Runs a few processes over the same words in every order of their steps: the real code, on a model of memory.
//!
//! A step is one load, one compare-and-swap or one look at the clock. A process is run anew for each step: what its
//! earlier steps returned is played back, the next one is done, and then it is unwound. What a process knows is exactly
//! what its steps returned, so two orders that lead to the same words and the same returns need following only once.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::words::Words;

/// Steps after which a process that runs alone must be done.
const MAX_STEPS: usize = 200;

/// A state of the machine.
#[derive(Clone)]
pub(super) struct State<T> {
    pub words: Vec<u64>,
    pub now: u64,
    /// Times the clock may still jump to, at any moment.
    pub later: Vec<u64>,
    /// Words that are written by anyone. Reading another is no step: it is the same at any time.
    live: fn(usize) -> bool,
    /// The word that a loop reads first, and beyond that only right after the clock: whoever reads it has forgotten what
    /// it knew.
    begins: Option<usize>,
    /// What the steps of each process returned.
    pasts: Vec<Vec<u64>>,
    /// What each process came to.
    pub results: Vec<Option<T>>,
}

/// One process, as its code sees the machine.
pub(super) struct Process<'a> {
    live: fn(usize) -> bool,
    begins: Option<usize>,
    saw_clock: Cell<bool>,
    machine: RefCell<(&'a mut Vec<u64>, u64)>,
    past: RefCell<&'a mut Vec<u64>>,
    played: Cell<usize>,
    may_step: Cell<bool>,
}

impl Process<'_> {
    fn step(&self, act: impl FnOnce(&mut Vec<u64>, u64) -> u64) -> u64 {
        let mut past = self.past.borrow_mut();
        if self.played.get() == past.len() {
            if !self.may_step.replace(false) {
                drop(past);
                resume_unwind(Box::new(()));
            }
            let mut machine = self.machine.borrow_mut();
            let now = machine.1;
            past.push(act(machine.0, now));
        }
        self.played.set(self.played.get() + 1);
        past[self.played.get() - 1]
    }

    pub(super) fn now(&self) -> u64 {
        let now = self.step(|_, now| now);
        self.saw_clock.set(true);
        now
    }
}

impl Words for Process<'_> {
    fn load(&self, at: usize) -> u64 {
        if !(self.live)(at) {
            return self.machine.borrow().0[at];
        }
        let again = self.begins == Some(at) && !self.saw_clock.replace(false);
        if again && self.played.get() == self.past.borrow().len() {
            self.past.borrow_mut().clear();
            self.played.set(0);
        }
        self.step(|words, _| words[at])
    }

    fn replace(&self, at: usize, old: u64, new: u64) -> bool {
        assert!((self.live)(at), "word {at} is written");
        self.saw_clock.set(false);
        self.step(|words, _| {
            let same = words[at] == old;
            if same {
                words[at] = new;
            }
            same.into()
        }) == 1
    }
}

impl<T: Clone> State<T> {
    pub(super) fn new(words: Vec<u64>, now: u64, later: &[u64], processes: usize) -> Self {
        let (pasts, results) = (vec![Vec::new(); processes], vec![None; processes]);
        Self { words, now, later: later.to_vec(), live: |_| true, begins: None, pasts, results }
    }

    pub(super) fn with_live(self, live: fn(usize) -> bool) -> Self {
        Self { live, ..self }
    }

    pub(super) fn with_loops_from(self, word: usize) -> Self {
        Self { begins: Some(word), ..self }
    }

    fn step(&mut self, nth: usize, program: &impl Fn(usize, &Process<'_>) -> T) {
        let process = Process {
            live: self.live,
            begins: self.begins,
            saw_clock: Cell::new(false),
            machine: RefCell::new((&mut self.words, self.now)),
            past: RefCell::new(&mut self.pasts[nth]),
            played: Cell::new(0),
            may_step: Cell::new(true),
        };
        if let Ok(result) = catch_unwind(AssertUnwindSafe(|| program(nth, &process))) {
            self.results[nth] = Some(result);
        }
    }

    fn unfinished(&self) -> Vec<usize> {
        (0..self.results.len()).filter(|nth| self.results[*nth].is_none()).collect()
    }
}

/// Follow every order; `check` sees each end. Wherever one of two stops for good, the other must come to
/// its end: nobody waits for anybody. Returns how many ends there were.
pub(super) fn explore<T: Clone>(
    start: State<T>,
    program: impl Fn(usize, &Process<'_>) -> T,
    mut check: impl FnMut(&State<T>),
) -> usize {
    let (mut seen, mut open, mut ends) = (HashSet::new(), vec![start], 0);
    while let Some(state) = open.pop() {
        let unfinished = state.unfinished();
        if unfinished.is_empty() {
            ends += 1;
            check(&state);
            continue;
        }
        if let Some((soonest, later)) = state.later.split_first() {
            open.push(State { now: *soonest, later: later.to_vec(), ..state.clone() });
        }
        for nth in unfinished {
            let mut next = state.clone();
            next.step(nth, &program);
            if seen.insert((next.words.clone(), next.now, next.pasts.clone())) {
                // Of three, two that stopped leave behind what one does; leaving it out keeps the test short.
                if next.results.len() < 3 {
                    finish_alone(next.clone(), nth, &program);
                }
                open.push(next);
            }
        }
    }
    ends
}

fn finish_alone<T: Clone>(mut state: State<T>, nth: usize, program: &impl Fn(usize, &Process<'_>) -> T) {
    for _ in 0..MAX_STEPS {
        if state.results[nth].is_some() {
            return;
        }
        state.step(nth, program);
    }
    panic!("process {nth} hangs when the others stop: {:?}", state.pasts);
}
