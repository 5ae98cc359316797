//! Bits of tense and mood, and a count of negations, one for the whole question.

/// How many words turn the meaning round, up to three. Two do not make none: "no, that is not right".
pub(super) const NEGATION: u16 = 3 << 14;
const ONE_NEGATION: u16 = 1 << 14;
pub(super) const PAST: u16 = 1 << 1;
pub(super) const FUTURE: u16 = 1 << 2;
pub(super) const CAN: u16 = 1 << 3;
pub(super) const SHOULD: u16 = 1 << 4;
pub(super) const MUST: u16 = 1 << 5;
pub(super) const WOULD: u16 = 1 << 6;
pub(super) const MAY: u16 = 1 << 7;
/// The bits that say when.
pub(super) const TENSE: u16 = PAST | FUTURE;

/// It asks how to do something, so that no word in it is the subject.
pub(super) const HOW_TO: u16 = 1 << 8;
/// It asks what something is, so that no word in it does anything to another.
pub(super) const BEING: u16 = 1 << 9;
/// It asks for none of those who do something.
pub(super) const ADVERB: u16 = 1 << 10;
/// The bits that say what words may change places, not what is asked.
pub(super) const SHAPE: u16 = HOW_TO | BEING | ADVERB;

/// One negation more.
pub(super) const fn negated(moods: u16) -> u16 {
    if moods & NEGATION == NEGATION { moods } else { moods + ONE_NEGATION }
}
