//! Brings terms whose order says nothing to one order.

use super::{Class, Term};
use crate::question::moods;
use crate::question::pack::Pack;
use crate::question::token::{STARTS, Token};

/// How a term hangs on the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// Words of grammar part them.
    Apart,
    /// It follows at once.
    Joined,
    /// A preposition stands between around which they may turn.
    Turning,
    /// The same, and it says where.
    Placing,
}

/// What sort of question it is, where it is one sentence.
pub(super) fn shape(tokens: &[Token<'_>], pack: &Pack) -> u16 {
    let [first, second, rest @ ..] = tokens else { return 0 };
    let does = |token: &Token<'_>| matches!(&*token.text, "do" | "does" | "did" | "that" | "who" | "which");
    if rest.iter().any(|token| token.has(STARTS)) {
        0
    } else if first.number == pack.marks.how && second.number == pack.marks.to {
        moods::HOW_TO
    } else if matches!(&*first.text, "what" | "which") && matches!(&*second.text, "is" | "are") {
        if rest.iter().any(does) { 0 } else { moods::BEING }
    } else if matches!(&*first.text, "why" | "how" | "where" | "when") {
        moods::ADVERB
    } else {
        0
    }
}

/// Sort what "and" and "or" join, then turn nouns around prepositions.
pub(super) fn settle(list: &mut [Term], mut links: Vec<Link>, pack: &Pack) {
    sort_joined(list, &links, pack);
    turn(list, &mut links);
}

/// A word of content, whatever is known of it.
pub(super) const fn plain(term: &Term) -> bool {
    matches!(term.class, Class::Content | Class::Generic | Class::Entity | Class::Rare)
}

/// Turn "A of B" to "B A", and "A of B of C" to "C B A". What says where comes last before the noun, so that
/// "a shop in Oslo for shoes", "a shop for shoes in Oslo" and "a shoe shop in Oslo" are one.
fn turn(list: &mut [Term], links: &mut [Link]) {
    let turns = |link: Link| matches!(link, Link::Turning | Link::Placing);
    let mut head = 0;
    while head + 1 < list.len() {
        let first = head + 1;
        if !plain(&list[head]) || !turns(links[first]) {
            head = first;
            continue;
        }
        let end = (first..list.len())
            .find(|&at| links[at] == Link::Apart || !plain(&list[at]))
            .unwrap_or(list.len());
        let mut groups: Vec<(Link, Vec<Term>)> = Vec::new();
        for at in first..end {
            match groups.last_mut() {
                Some((_, words)) if links[at] == Link::Joined => words.push(list[at]),
                _ => groups.push((links[at], vec![list[at]])),
            }
        }
        groups.reverse();
        groups.sort_by_key(|(link, _)| *link == Link::Placing);
        let turned = groups.into_iter().flat_map(|(_, words)| words).chain([list[head]]).collect::<Vec<_>>();
        list[head..end].copy_from_slice(&turned);
        links[first..end].fill(Link::Joined);
        head = end.max(first);
    }
}

/// "tea or coffee" is "coffee or tea": two single words around "and" or "or" stand in the order of their hashes.
/// Words that belong to one of the two keep them where they are: "red apples or pears".
fn sort_joined(list: &mut [Term], links: &[Link], pack: &Pack) {
    let joins = [pack.concept(pack.marks.and), pack.concept(pack.marks.or)];
    let parts = |at: usize, term: &Term| links[at] != Link::Joined || term.class == Class::Relation;
    for at in 1..list.len().saturating_sub(1) {
        // "dog and cat food" is "cat and dog food".
        let one_more = |at: usize| plain(&list[at]) && (at + 1 == list.len() || parts(at + 1, &list[at + 1]));
        let (left, right) = (at - 1, at + 1);
        let alone = joins.contains(&list[at].hash)
            && plain(&list[left])
            && plain(&list[right])
            && (left == 0 || parts(left, &list[left - 1]))
            && (right + 1 == list.len() || parts(right + 1, &list[right + 1]) || one_more(right + 1));
        if alone && list[left].hash > list[right].hash {
            list.swap(left, right);
        }
    }
}
