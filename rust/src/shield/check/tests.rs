use super::super::matcher::Matcher;
use super::super::pack::{Pack, Rule};
use super::super::{Channel, Shield, Tier, built_in};
use super::fires;

/// Rules that block alone.
const FIRM: f64 = 0.85;

fn rules(texts: &[&str]) -> Vec<Rule> {
    let (pack, _) = Pack::read(texts, &[]).expect("the built-in rules are sound");
    pack.rules.into_iter().filter(|rule| rule.category != "context").collect()
}

fn shield() -> Shield {
    Shield::new(&[], true).expect("the built-in rules compile")
}

/// Every rule that does not do what its examples say, all at once.
#[test]
fn every_built_in_rule_fires_on_its_examples_and_on_no_counter_example() {
    let shield = shield();
    let mut wrong = Vec::new();
    for rule in rules(&built_in()) {
        let id = rule.id.get_ref();
        let silent = rule.examples.iter().filter(|text| !fires(&shield, &rule, text));
        wrong.extend(silent.map(|text| format!("{id} is silent on {text:?}")));
        let wild = rule.counter_examples.iter().filter(|text| fires(&shield, &rule, text));
        wrong.extend(wild.map(|text| format!("{id} fires on {text:?}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// One way to hide a text, and the percentage of hidden examples that must still be flagged.
type Disguise = (&'static str, usize, fn(&str) -> String);

const DISGUISES: [Disguise; 9] = [
    ("capitals", 100, str::to_uppercase),
    ("zero-width characters", 100, |text| text.chars().flat_map(|c| [c, '\u{200b}']).collect()),
    ("full-width letters", 100, |text| text.chars().map(full_width).collect()),
    ("percent escapes", 99, |text| {
        text.bytes().fold(String::new(), |out, byte| out + &format!("%{byte:02X}"))
    }),
    ("hexadecimal", 99, |text| crate::hex(text.as_bytes())),
    ("entities", 99, |text| text.chars().fold(String::new(), |out, c| out + &format!("&#{};", u32::from(c)))),
    ("rot13", 90, |text| text.chars().map(rot13).collect()),
    ("letters in reverse", 90, |text| text.chars().rev().collect()),
    ("spaced letters", 90, |text| {
        let words = text.split(' ').map(|word| word.chars().map(String::from).collect::<Vec<_>>().join(" "));
        words.collect::<Vec<_>>().join("   ")
    }),
];

fn full_width(letter: char) -> char {
    if letter.is_ascii_graphic() {
        char::from_u32(u32::from(letter) + 0xfee0).unwrap_or(letter)
    } else {
        letter
    }
}

fn rot13(letter: char) -> char {
    let shift = |first: u8| char::from(first + (letter as u8 - first + 13) % 26);
    match letter {
        'a'..='z' => shift(b'a'),
        'A'..='Z' => shift(b'A'),
        _ => letter,
    }
}

#[test]
fn examples_of_firm_rules_are_found_behind_disguises() {
    let shield = shield();
    let firm = rules(&super::super::ENGLISH);
    let firm = firm
        .iter()
        .filter(|rule| rule.weight >= FIRM && rule.tier > Tier::Medium && rule.category != "delimiter");
    let texts: Vec<&String> = firm.flat_map(|rule| &rule.examples).collect();
    assert!(texts.len() > 40);
    for (name, wanted, disguise) in DISGUISES {
        let found = texts.iter().filter(|text| shield.scan(&disguise(text), Channel::User).risk >= 0.5);
        let found = found.count();
        assert!(found * 100 >= wanted * texts.len(), "{name}: {found} of {}", texts.len());
    }
}

/// Ten texts that are nasty to a matcher, to be repeated.
const NASTY: [&str; 10] = [
    "ignore all previous ",
    "your your ",
    "reveal your prompt ",
    "you are now ",
    "<|im_start|>",
    "\"' ` ",
    "= ( _ { ",
    "a.b.c ",
    "\u{e9} ",
    "你的指令",
];

#[test]
fn no_rule_takes_more_than_twice_the_steps_for_twice_the_text() {
    let (pack, _) = Pack::read(&built_in(), &[]).expect("the built-in rules are sound");
    let matcher = Matcher::new(&pack).expect("they compile");
    let examples = pack.rules.iter().map(|rule| rule.examples[0].as_str());
    for text in NASTY.into_iter().chain(examples) {
        let once = super::super::normalise::normalise(&format!("{text} ").repeat(2_000)).text;
        let twice = format!("{once} {once}");
        let (single, double) = (matcher.work(&once), matcher.work(&twice));
        assert!(double <= 2 * single + 2_000, "{text:?}: {single} steps, then {double}");
    }
}
