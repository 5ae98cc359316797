//! Refuses texts whose words tie them to a moment, a person or something that is not in the text.

use super::Unfit;
use super::pack::{Index, Pack, Refusal};
use super::pattern::{MAX_SLOTS, Pattern};
use super::plain::carries;
use super::token::{AFTER_COMMA, STARTS, Token};

/// Words of a question; two may be anything.
const MIN_WORDS: usize = 3;
/// So many words of weight before a "this", in a sentence or clause before its own, are what it stands for.
const ANTECEDENT: usize = 2;

/// Refuse what words tell. Without rules for its language a text has its length only.
pub(super) fn refuse(tokens: &[Token<'_>], pack: &Pack) -> Option<Unfit> {
    if tokens.len() < MIN_WORDS {
        return Some(Unfit::Short);
    }
    let mut spared = vec![false; tokens.len()];
    each(
        tokens,
        &pack.excepts_index,
        pack,
        |refusal| &refusal.except,
        |at, taken, _| {
            spared[at..at + taken].fill(true);
            false
        },
    );
    let mut found = None;
    each(
        tokens,
        &pack.refusals_index,
        pack,
        |refusal| &refusal.patterns,
        |at, taken, unfit| {
            if !spared[at..at + taken].iter().any(|&spared| spared) {
                found = Some(unfit);
            }
            found.is_some()
        },
    );
    found.or_else(|| points_away(tokens, pack).then_some(Unfit::Deictic))
}

/// Every place where a pattern fits, until `stop` says so.
fn each(
    tokens: &[Token<'_>],
    index: &Index,
    pack: &Pack,
    list: impl Fn(&Refusal) -> &Vec<Pattern>,
    mut stop: impl FnMut(usize, usize, Unfit) -> bool,
) {
    for at in 0..tokens.len() {
        for (refusal, pattern) in index.of(tokens[at].number) {
            let Some(refusal) = pack.refusals.get(usize::from(refusal)) else { continue };
            let Some(pattern) = list(refusal).get(usize::from(pattern)) else { continue };
            let window = &tokens[at..tokens.len().min(at + 12)];
            let taken = pattern.fits(window, &mut [(0, 0); MAX_SLOTS]);
            if taken.is_some_and(|taken| stop(at, taken, refusal.unfit)) {
                return;
            }
        }
    }
}

/// Is there a "this" or "these" with nothing before it that it could stand for?
fn points_away(tokens: &[Token<'_>], pack: &Pack) -> bool {
    let mut before = 0;
    let mut own = 0;
    for (at, token) in tokens.iter().enumerate() {
        if token.has(STARTS | AFTER_COMMA) {
            before += own;
            own = 0;
        }
        if pack.marks.this.contains(&token.number) {
            let shared = tokens.get(at + 1).is_some_and(|next| pack.shared.contains(&next.number));
            if before < ANTECEDENT && !shared {
                return true;
            }
        } else if carries(token, pack) {
            own += 1;
        }
    }
    false
}
