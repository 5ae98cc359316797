//! Lays out what is written in patterns: courtesies, refusals and frames.

use super::file::{Check, File, FrameText, RefusalText};
use super::{Frame, Index, Pack, Piece, Refusal, Slots};
use crate::question::pattern::Pattern;

pub(super) fn courtesies(pack: &mut Pack, file: &File) {
    let openings = file.openings.split(['|', '\n']).map(str::trim);
    for (lines, kind) in [
        (openings.collect::<Vec<_>>(), 0),
        (file.requests.lines().collect(), 1),
        (file.sentences.lines().collect(), 2),
    ] {
        for line in lines.into_iter().filter(|line| !line.trim().is_empty()) {
            let pattern = Pattern::read(line, kind == 2, &mut Vec::new(), &mut pack.words);
            let (list, index) = match kind {
                0 => (&mut pack.openings, &mut pack.openings_index),
                1 => (&mut pack.requests, &mut pack.requests_index),
                _ => (&mut pack.courtesies, &mut pack.courtesies_index),
            };
            add_pattern(list, index, pattern);
        }
    }
    for closing in file.closings.split('|').filter(|closing| !closing.trim().is_empty()) {
        let closing = closing.split_whitespace().map(|word| pack.words.learn(word)).collect();
        pack.closings.push(closing);
    }
    pack.closings.sort_by_key(|closing| std::cmp::Reverse(closing.len()));
    let spoken: Vec<u32> = file.spoken_about.split_whitespace().map(|word| pack.words.learn(word)).collect();
    pack.spoken_about.extend(spoken);
}

fn add_pattern(list: &mut Vec<Pattern>, index: &mut Index, pattern: Pattern) {
    index.add(&pattern, (u16::try_from(list.len()).unwrap_or(u16::MAX), 0));
    list.push(pattern);
}

pub(super) fn add_refusal(pack: &mut Pack, text: &RefusalText) {
    let mut read = |lines: &[String]| -> Vec<Pattern> {
        lines.iter().map(|line| Pattern::read(line, false, &mut Vec::new(), &mut pack.words)).collect()
    };
    let refusal = Refusal { unfit: text.unfit, patterns: read(&text.patterns), except: read(&text.except) };
    let place = u16::try_from(pack.refusals.len()).unwrap_or(u16::MAX);
    for (at, pattern) in (0_u16..).zip(&refusal.patterns) {
        pack.refusals_index.add(pattern, (place, at));
    }
    for (at, pattern) in (0_u16..).zip(&refusal.except) {
        pack.excepts_index.add(pattern, (place, at));
    }
    pack.refusals.push(refusal);
    let pairs = |texts: &[String]| texts.iter().map(|text| (text.clone(), String::new())).collect();
    pack.checks.push(Check {
        rule: text.unfit.as_str().to_owned(),
        same: pairs(&text.counter_examples),
        different: pairs(&text.examples),
    });
}

pub(super) fn add_frame(pack: &mut Pack, text: &FrameText) {
    let mut names = Vec::new();
    let whole = text.to.contains('{');
    let to_words: Vec<&str> = text.to.split_whitespace().collect();
    let patterns: Vec<Pattern> =
        text.from.iter().map(|from| Pattern::read(from, whole, &mut names, &mut pack.words)).collect();
    let slot = |name: &str| names.iter().position(|known| known == name);
    let to = to_words
        .iter()
        .filter_map(|word| match word.strip_prefix('{').and_then(|word| word.strip_suffix('}')) {
            Some(name) => slot(name).map(Piece::Slot),
            None => Some(Piece::Word(pack.words.learn(word))),
        })
        .collect();
    let mut learn =
        |words: &str| -> Vec<u32> { words.split_whitespace().map(|word| pack.words.learn(word)).collect() };
    let mut slots = Slots { unless: learn(&text.unless), ..Slots::default() };
    for (name, words) in &text.only {
        slots.only.extend(slot(name).map(|slot| (slot, learn(words))));
    }
    for (name, pairs) in &text.map {
        for (from, to) in pairs.split_whitespace().filter_map(|pair| pair.split_once('=')) {
            slots.map.extend(slot(name).map(|slot| (slot, learn(from)[0], learn(to)[0])));
        }
    }
    slots.sort = if text.sort { slot("a").zip(slot("b")) } else { None };
    slots.participle = if text.participle { slot("v") } else { None };
    let place = u16::try_from(pack.frames.len()).unwrap_or(u16::MAX);
    for (at, pattern) in (0_u16..).zip(&patterns) {
        pack.frames_index.add(pattern, (place, at));
    }
    pack.frames.push(Frame { patterns, to, slots });
    pack.checks.push(Check {
        rule: text.to.clone(),
        same: text.same.clone(),
        different: text.different.clone(),
    });
}
