//! Brings ways of putting one question to one.

use super::lemma;
use super::pack::{Form, Frame, Pack, Piece, Role};
use super::pattern::{MAX_SLOTS, Taken};
use super::plain::rewrite;
use super::token::{ANYBODY, CAPITAL, QUOTED, STARTS, Token, sentences};
use super::words::hash_of;

/// A frame may uncover another one so many times.
const ROUNDS: usize = 3;

/// Put every sentence in the words of its frame, and words that mean the same in the same words.
pub(super) fn frame<'a>(
    tokens: &[Token<'a>],
    pack: &'a Pack,
    known: &impl Fn(&str) -> Option<u32>,
) -> Vec<Token<'a>> {
    let mut framed = Vec::with_capacity(tokens.len() + 4);
    for range in sentences(tokens) {
        let mut sentence = tokens[range].to_vec();
        if !sentence.iter().any(|token| matches!(&*token.text, "i" | "me" | "my" | "we" | "us" | "our")) {
            for token in sentence.iter_mut().filter(|token| &*token.text == "your") {
                token.flags |= ANYBODY;
            }
        }
        for _ in 0..ROUNDS {
            let Some(next) = once(&sentence, pack, known) else { break };
            sentence = next;
        }
        if let Some(first) = sentence.first_mut() {
            first.flags |= STARTS;
        }
        framed.append(&mut sentence);
    }
    if mentions(&framed, pack) { framed } else { rewrite(framed, &pack.synonyms, pack) }
}

/// Is a word spoken about, rather than used?
pub(super) fn mentions(tokens: &[Token<'_>], pack: &Pack) -> bool {
    tokens.iter().any(|token| token.number != 0 && pack.marks.mentions.contains(&token.number))
}

/// The first frame that fits and changes something.
fn once<'a>(
    sentence: &[Token<'a>],
    pack: &'a Pack,
    known: &impl Fn(&str) -> Option<u32>,
) -> Option<Vec<Token<'a>>> {
    let first = sentence.first()?.number;
    pack.frames_index.of(first).find_map(|(frame, pattern)| {
        let frame = pack.frames.get(usize::from(frame))?;
        let mut taken = [(0, 0); MAX_SLOTS];
        let end = frame.patterns.get(usize::from(pattern))?.fits(sentence, &mut taken)?;
        if end == 0 || sentence.get(end).is_some_and(|next| frame.slots.unless.contains(&next.number)) {
            return None;
        }
        let written = write(frame, sentence, end, taken, pack, known)?;
        let changed = written.len() != sentence.len()
            || written.iter().zip(sentence).any(|(new, old)| new.text != old.text);
        changed.then_some(written)
    })
}

fn write<'a>(
    frame: &'a Frame,
    sentence: &[Token<'a>],
    end: usize,
    mut taken: Taken,
    pack: &'a Pack,
    known: &impl Fn(&str) -> Option<u32>,
) -> Option<Vec<Token<'a>>> {
    let slots = &frame.slots;
    let of = |slot: usize, taken: &Taken| &sentence[taken[slot].0..taken[slot].1];
    for (slot, words) in &slots.only {
        if !of(*slot, &taken).iter().all(|token| token.number != 0 && words.contains(&token.number)) {
            return None;
        }
    }
    if let Some((left, right)) = slots.sort {
        if key(of(left, &taken), pack) > key(of(right, &taken), pack) {
            taken.swap(left, right);
        }
    }
    let mut written = Vec::with_capacity(sentence.len() + 2);
    for piece in &frame.to {
        match *piece {
            Piece::Word(word) => written.push(Token::known(word, 0, &pack.words)),
            Piece::Slot(slot) if slots.participle == Some(slot) => {
                written.push(base_of_participle(of(slot, &taken).first()?, pack, known)?);
            }
            Piece::Slot(slot) => written.extend(mapped(slot, of(slot, &taken), frame, pack)?),
        }
    }
    written.extend_from_slice(&sentence[end..]);
    for token in written.iter_mut().skip(1) {
        token.flags &= !STARTS;
    }
    Some(written)
}

/// What stands in a slot, without its order and articles.
fn key(words: &[Token<'_>], pack: &Pack) -> u64 {
    let light =
        |token: &&Token<'_>| !matches!(pack.entry(token.number).role, Role::Light | Role::Preposition);
    words.iter().filter(light).fold(0, |sum, token| {
        let hash = if token.number == 0 { hash_of(&token.text) } else { pack.concept(token.number) };
        (sum ^ hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}

/// A slot's words, through the map of its frame if it has one; none if the map does not know them.
fn mapped<'a>(slot: usize, words: &[Token<'a>], frame: &Frame, pack: &'a Pack) -> Option<Vec<Token<'a>>> {
    let mut pairs = frame.slots.map.iter().filter(|&&(of, ..)| of == slot).peekable();
    if pairs.peek().is_none() {
        return Some(words.to_vec());
    }
    let [word] = words else { return None };
    let &(_, _, to) = pairs.find(|&&(_, from, _)| from == word.number)?;
    Some(vec![Token::known(to, word.flags & (CAPITAL | QUOTED), &pack.words)])
}

/// "broken" is what somebody did who breaks things.
fn base_of_participle<'a>(
    word: &Token<'a>,
    pack: &'a Pack,
    known: &impl Fn(&str) -> Option<u32>,
) -> Option<Token<'a>> {
    let entry = pack.entry(word.number);
    if entry.form != Form::Base && entry.base != 0 {
        return Some(Token::known(entry.base, 0, &pack.words));
    }
    let lemma = lemma::lemma(&word.text, pack, known).filter(|lemma| lemma.form == Form::Past)?;
    Some(Token::new(lemma.base.into(), 0, &pack.words))
}
