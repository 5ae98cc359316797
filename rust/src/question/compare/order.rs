//! How one order of words comes from another order of the same words.

use super::super::term::{Class, Term};

/// How one order of the same words comes from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// It is the same.
    Kept,
    /// One part of the question stands elsewhere: "on a boat, how do I ...".
    Moved,
    /// Words have changed places, and with them perhaps what they do.
    Turned,
}

impl Order {
    pub(super) fn of(mine: &[Term], theirs: &[Term]) -> Self {
        let (here, there) = unlike(mine, theirs);
        match here.len() {
            0 if there.is_empty() => Self::Kept,
            // Two neighbours that change places may as well be two that change roles.
            0..=2 => Self::Turned,
            _ if rotated(here, there) => Self::Moved,
            _ => Self::Turned,
        }
    }
}

/// Did one run of plain words move behind another, in a question long enough to say the same after it? Where there are
/// two words of one scale ("best" and "worst") all hold their places.
pub(super) fn moved(mine: &[Term], theirs: &[Term]) -> bool {
    const MIN_TERMS: usize = 4;
    let scale = |at: usize, term: &Term| {
        term.opposites != 0 && mine[..at].iter().any(|other| other.opposites == term.opposites)
    };
    if mine.len() < MIN_TERMS || mine.iter().enumerate().any(|(at, term)| scale(at, term)) {
        return false;
    }
    let (here, there) = unlike(mine, theirs);
    here.iter().all(|term| matches!(term.class, Class::Content | Class::Generic)) && rotated(here, there)
}

/// What is left between the words with which both begin and those with which both end.
fn unlike<'t>(mine: &'t [Term], theirs: &'t [Term]) -> (&'t [Term], &'t [Term]) {
    let alike = |(left, right): &(&Term, &Term)| left.hash == right.hash;
    let start = mine.iter().zip(theirs).take_while(alike).count();
    let (mine, theirs) = (&mine[start..], &theirs[start..]);
    let end = mine.iter().rev().zip(theirs.iter().rev()).take_while(alike).count();
    (&mine[..mine.len() - end], &theirs[..theirs.len() - end])
}

/// Does one part of `here`, put behind the rest, give `there`?
fn rotated(here: &[Term], there: &[Term]) -> bool {
    let hashes = |terms: &[Term]| -> Vec<u64> { terms.iter().map(|term| term.hash).collect() };
    let (mut here, there) = (hashes(here), hashes(there));
    (1..here.len()).any(|_| {
        here.rotate_left(1);
        here == there
    })
}
