//! Lays the files of the rules out: words, forms, spellings, synonyms and opposites.

use std::collections::BTreeMap;

use super::file::File;
use super::patterns::{add_frame, add_refusal, courtesies};
use super::{ENGLISH, Entry, FOREIGN, Form, Pack, Phrase, Role, Weight};
use crate::question::moods;
use crate::question::words::{UNKNOWN, WordMap, hash_of};

/// Lay files out.
pub(crate) fn read(files: &[File]) -> Pack {
    let mut pack = Pack::default();
    for file in files {
        classes(&mut pack, file);
    }
    for file in files {
        forms(&mut pack, file);
        spellings(&mut pack, file);
        acronyms(&mut pack, file);
        synonyms(&mut pack, file);
        antonyms(&mut pack, file);
        courtesies(&mut pack, file);
        for refusal in &file.refusal {
            add_refusal(&mut pack, refusal);
        }
        for frame in &file.frame {
            add_frame(&mut pack, frame);
        }
        let shared: Vec<u32> = file.shared.split_whitespace().map(|word| pack.words.learn(word)).collect();
        pack.shared.extend(shared);
        pack.checks.extend(file.check.iter().cloned());
    }
    for list in pack.spellings.values_mut().chain(pack.synonyms.values_mut()) {
        list.sort_by_key(|phrase| std::cmp::Reverse(phrase.words.len()));
    }
    marks(&mut pack);
    pack.entry_mut("the"); // makes room for words learnt last
    pack
}

fn set(pack: &mut Pack, words: &str, change: impl Fn(&mut Entry)) {
    for word in words.split_whitespace() {
        if let Some(entry) = pack.entry_mut(word) {
            change(entry);
        }
    }
}

fn classes(pack: &mut Pack, file: &File) {
    let roles = [
        (&file.light, Role::Light),
        (&file.negation, Role::Negation),
        (&file.denial, Role::Denial),
        (&file.prepositions, Role::Preposition),
        (&file.relation, Role::Relation),
        (&file.logic, Role::Logic),
        (&file.time, Role::Time),
        (&file.quantity, Role::Quantity),
        (&file.past, Role::Mood(moods::PAST)),
        (&file.future, Role::Mood(moods::FUTURE)),
        (&file.can, Role::Mood(moods::CAN)),
        (&file.should, Role::Mood(moods::SHOULD)),
        (&file.must, Role::Mood(moods::MUST)),
        (&file.would, Role::Mood(moods::WOULD)),
        (&file.may, Role::Mood(moods::MAY)),
    ];
    for (words, role) in roles {
        set(pack, words, |entry| entry.role = role);
    }
    for (lines, role) in
        [(&file.units, Role::Unit), (&file.pronouns, Role::Pronoun), (&file.gender, Role::Gender)]
    {
        for line in lines {
            let first = line.split_whitespace().next().map_or(UNKNOWN, |word| pack.words.learn(word));
            set(pack, line, |entry| (entry.role, entry.stands_for) = (role, first));
        }
    }
    set(pack, &file.english, |entry| entry.languages |= ENGLISH);
    set(pack, &file.foreign, |entry| entry.languages |= FOREIGN);
    set(pack, &file.generic, |entry| entry.weight = Weight::Generic);
    set(pack, &file.emphasis, |entry| entry.weight = Weight::Stress);
    let turning: Vec<u32> = file.turning.split_whitespace().map(|word| pack.words.learn(word)).collect();
    pack.marks.turning.extend(turning);
    let placing: Vec<u32> = file.placing.split_whitespace().map(|word| pack.words.learn(word)).collect();
    pack.marks.placing.extend(placing);
    let holders = file.holders.split_whitespace().map(hash_of);
    pack.marks.holders.extend(holders);
    let mentions: Vec<u32> = file.mentions.split_whitespace().map(|word| pack.words.learn(word)).collect();
    pack.marks.mentions.extend(mentions);
}

fn forms(pack: &mut Pack, file: &File) {
    for line in file.verbs.split_whitespace() {
        let Some((base, rest)) = line.split_once('=') else { continue };
        let base = pack.words.learn(base);
        let (past, others) = rest.split_once('|').unwrap_or((rest, ""));
        for (words, form) in [(past, Form::Past), (others, Form::Other)] {
            set(pack, &words.replace('|', " "), |entry| (entry.base, entry.form) = (base, form));
        }
    }
    for line in file.nouns.split_whitespace() {
        let Some((base, plural)) = line.split_once('=') else { continue };
        let base = pack.words.learn(base);
        set(pack, plural, |entry| (entry.base, entry.form) = (base, Form::Other));
    }
    set(pack, &file.whole, |entry| entry.whole = true);
    set(pack, &file.adjectives, |entry| entry.adjective = true);
}

fn spellings(pack: &mut Pack, file: &File) {
    let pairs = file.contractions.iter().filter_map(|line| line.split_once('='));
    let variants = file.variants.split_whitespace().chain(file.misspelt.split_whitespace());
    let variants = variants.filter_map(|pair| pair.split_once('/')).map(|(right, other)| (other, right));
    for (from, to) in pairs.chain(variants) {
        let phrase = phrase(pack, from.split_whitespace(), to.split_whitespace());
        add_phrase(&mut pack.spellings, phrase);
    }
}

fn acronyms(pack: &mut Pack, file: &File) {
    for (from, to) in file.acronyms.iter().filter_map(|line| line.split_once('=')) {
        let from = pack.words.learn(from.trim());
        let to = to.split_whitespace().map(|word| pack.words.learn(word)).collect();
        pack.acronyms.push((from, to));
    }
}

fn phrase<'a>(
    pack: &mut Pack,
    from: impl Iterator<Item = &'a str>,
    to: impl Iterator<Item = &'a str>,
) -> Phrase {
    let words = from.map(|word| pack.words.learn(word)).collect();
    Phrase { words, to: to.map(|word| pack.words.learn(word)).collect() }
}

fn add_phrase(map: &mut WordMap<u32, Vec<Phrase>>, phrase: Phrase) {
    if let Some(&first) = phrase.words.first() {
        map.entry(first).or_default().push(phrase);
    }
}

/// In sets a hyphen stands for a blank.
fn synonyms(pack: &mut Pack, file: &File) {
    for set in &file.sets {
        // A word stands for its phrases, since only a phrase can be written in other words.
        let single = set.split_whitespace().find(|member| !member.contains('-'));
        let Some(first) = single.or_else(|| set.split_whitespace().next()) else { continue };
        let chief = pack.words.learn(first);
        for member in set.split_whitespace() {
            if !member.contains('-') {
                if let Some(entry) = pack.entry_mut(member) {
                    entry.stands_for = chief;
                }
            } else if member != first {
                let phrase = phrase(pack, member.split('-'), first.split('-'));
                add_phrase(&mut pack.synonyms, phrase);
            }
        }
    }
}

fn antonyms(pack: &mut Pack, file: &File) {
    let pairs: Vec<(&str, &str)> =
        file.pairs.split_whitespace().filter_map(|pair| pair.split_once('/')).collect();
    // Words that are opposites, or have an opposite in common, share a number.
    let mut group: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, &(left, right)) in pairs.iter().enumerate() {
        let known = group.get(left).copied().or_else(|| group.get(right).copied()).unwrap_or(at);
        let old = group.get(right).copied().unwrap_or(known);
        for number in group.values_mut().filter(|number| **number == old) {
            *number = known;
        }
        group.extend([(left, known), (right, known)]);
    }
    for (word, number) in group {
        if let Some(entry) = pack.entry_mut(word) {
            entry.opposites = u8::try_from(number % 15 + 1).unwrap_or(1);
        }
    }
    for (list, scale) in [(&file.complements, false), (&file.scales, true)] {
        for (left, right) in list.split_whitespace().filter_map(|pair| pair.split_once('/')) {
            for (word, other) in [(left, right), (right, left)] {
                let other = pack.words.learn(other);
                if let Some(entry) = pack.entry_mut(word) {
                    *(if scale { &mut entry.scale } else { &mut entry.complement }) = other;
                }
            }
        }
    }
}

fn marks(pack: &mut Pack) {
    let asks: [(&str, u8); 9] = [
        ("what", 1),
        ("which", 1),
        ("who", 2),
        ("whom", 2),
        ("whose", 7),
        ("when", 3),
        ("where", 4),
        ("why", 5),
        ("how", 6),
    ];
    for (word, kind) in asks {
        set(pack, word, |entry| entry.role = Role::Asks(kind));
    }
    let words = &mut pack.words;
    let marks = &mut pack.marks;
    marks.questions = asks.iter().map(|(word, _)| words.learn(word)).collect();
    for word in
        ["if", "whether", "is", "are", "can", "do", "does", "did", "should", "will", "would", "was", "were"]
    {
        marks.questions.push(words.learn(word));
    }
    marks.be = [
        "is", "are", "was", "were", "be", "been", "being", "am", "have", "has", "had", "having", "did", "do",
        "does", "get", "gets",
    ]
    .iter()
    .map(|word| words.learn(word))
    .collect();
    marks.from = words.learn("from");
    marks.please = words.learn("please");
    marks.to = words.learn("to");
    marks.not = words.learn("not");
    marks.less = words.learn("less");
    marks.more = words.learn("more");
    marks.of = words.learn("of");
    marks.and = words.learn("and");
    marks.or = words.learn("or");
    marks.how = words.learn("how");
    marks.one = words.learn("one");
    marks.this = ["this", "these"].map(|word| words.learn(word));
}
