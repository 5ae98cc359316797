//! Questions as people ask them.

use super::pack::{File, Pack};
use super::{Features, Likeness, Question, Rule, Unfit, Verifier};
use proptest::prelude::*;

/// A few words by frequency, for tests.
fn known(word: &str) -> Option<u32> {
    const WORDS: &str = "make use take move change work freeze boil write love cook learn build receive school quality \
        sugar plant glass window before kitchen garden bottle market station admire break hire brown famous";
    WORDS.split_whitespace().position(|known| known == word).and_then(|rank| u32::try_from(rank).ok())
}

fn read(text: &str) -> Result<Question, Unfit> {
    Question::read_with(text, &known)
}

fn likeness(left: &str, right: &str) -> Likeness {
    let (Ok(left), Ok(right)) = (read(left), read(right)) else {
        return Likeness::Differs(Rule::Content);
    };
    if left.canonical == right.canonical {
        return Likeness::Same;
    }
    left.features.unwrap().compare(&right.features.unwrap(), Verifier::Strict)
}

#[test]
fn every_file_of_rules_can_be_read() {
    File::each(|error| panic!("{error}"));
}

#[test]
fn examples_and_counter_examples_of_every_rule_hold() {
    let mut wrong = Vec::new();
    for check in &Pack::shared().checks {
        let alone = |text: &String| read(text).err().map(Unfit::as_str) == Some(check.rule.as_str());
        for (left, right) in &check.same {
            let good = if right.is_empty() { !alone(left) } else { likeness(left, right) == Likeness::Same };
            if !good {
                wrong.push(format!("{}: not alike: {left:?} {right:?}", check.rule));
            }
        }
        for (left, right) in &check.different {
            let good = if right.is_empty() { alone(left) } else { likeness(left, right) != Likeness::Same };
            if !good {
                wrong.push(format!("{}: alike: {left:?} {right:?}", check.rule));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Is this what refuses it?
fn refused(text: &str) -> Option<Unfit> {
    read(text).err()
}

/// The rule that tells two apart.
fn rule(left: &str, right: &str) -> Option<Rule> {
    match likeness(left, right) {
        Likeness::Same => None,
        Likeness::Close(rule) | Likeness::Differs(rule) => Some(rule),
    }
}

#[test]
fn what_the_shape_forbids_is_refused_by_name() {
    for (text, unfit) in [
        ("Hello there!", Unfit::Short),
        ("Thanks a lot, please", Unfit::Short),
        ("What does ``` let x = 1; ``` print?", Unfit::Code),
        ("Why does my_list.append_all() fail in load_table()?", Unfit::Code),
        ("Traceback (most recent call last): what is wrong?", Unfit::Code),
        ("What is on https://example.org about cats?", Unfit::Link),
        ("Who is ana@example.org in real life?", Unfit::Link),
        ("What happened to order 48151623420 of Ben?", Unfit::Link),
        ("What is in /usr/share/dict on Debian?", Unfit::Link),
        ("What is in commit 9fceb02d0ae5 of git?", Unfit::Link),
    ] {
        assert_eq!(refused(text), Some(unfit), "{text}");
    }
}

#[test]
fn a_long_quotation_is_refused_and_a_short_one_is_not() {
    let long = format!("Who wrote \"{}\"?", "the sea and ".repeat(8));
    assert_eq!(refused(&long), Some(Unfit::Quote));
    assert_eq!(refused("Who wrote \"The Old Man and the Sea\"?"), None);
}

#[test]
fn a_long_text_is_refused() {
    assert_eq!(refused(&"Why do cats purr? ".repeat(60_000)), Some(Unfit::Long));
    assert_eq!(refused(&"a b c ".repeat(200)), Some(Unfit::Long));
    assert_eq!(refused(&"Why do cats purr at night? ".repeat(40)), None);
}

#[test]
fn each_rule_has_a_pair_that_it_tells_apart() {
    for (rule_of, left, right) in [
        (Rule::Number, "Is 20 a prime number?", "Is 21 a prime number?"),
        (Rule::Unit, "Is 20 miles far?", "Is 20 kilometres far?"),
        (Rule::Negation, "Why do cats like milk?", "Why do cats not like milk?"),
        (Rule::Antonym, "How do I import data into R?", "How do I export data into R?"),
        (Rule::Quote, "What does 'sonorous' mean?", "What does 'ominous' mean?"),
        (Rule::Entity, "How big is the harbour of Oslo?", "How big is the harbour of Bergen?"),
        (Rule::Wh, "Where was Mozart born?", "When was Mozart born?"),
        (Rule::Time, "Can I prune roses in winter?", "Can I prune roses in summer?"),
        (Rule::Tense, "Is Ana a judge?", "Was Ana a judge?"),
        (Rule::Modality, "Can Ana vote here?", "Must Ana vote here?"),
        (Rule::Direction, "How do I fly to Oslo?", "How do I fly from Oslo?"),
        (Rule::Direction, "How do I fly from Oslo to Bergen?", "How do I fly from Bergen to Oslo?"),
        (Rule::Logic, "Is Ana a judge or a poet?", "Is Ana a judge and a poet?"),
        (Rule::Gender, "Did he tell Ana?", "Did she tell Ana?"),
        (Rule::Pronoun, "Do you like plums?", "Do they like plums?"),
        (Rule::Quantity, "Do all birds fly?", "Do several birds fly?"),
        (Rule::Code, "How do I install node.js on Debian?", "How do I install on Debian?"),
        (Rule::Order, "Did Ana see Ben?", "Did Ben see Ana?"),
        (Rule::Added, "How do I cook rice?", "How do I cook brown rice?"),
        (Rule::Content, "How do I cook rice?", "How do I grow rice?"),
    ] {
        assert_eq!(rule(left, right), Some(rule_of), "{left} {right}");
    }
}

#[test]
fn what_turns_round_is_never_the_same() {
    for (left, right) in [
        ("Where can I see the Old Vic in Leeds?", "Where can I see the Old Leeds in Vic?"),
        ("How old is the lamp in the Egret?", "How old is the Egret in the lamp?"),
        ("What are jobs for Germans in Italy?", "What are jobs for Italians in Germany?"),
        ("How do I dry red apples or pears?", "How do I dry red pears or apples?"),
        ("No, that is not right", "that is right"),
        ("What does a rotor do?", "What is a rotor?"),
        ("What is in a pie crust?", "What is a pie crust?"),
        ("Is Ana admired by Ben?", "Is Ben admired by Ana?"),
        ("How do I get a glass of wine?", "How do I get a wine glass?"),
        ("How do I change your name?", "How do I change my name?"),
        ("How do I know if you love me?", "How do I know if I love you?"),
        ("What is the best shop for shoes in Oslo?", "What is the best Oslo in shop for shoes?"),
        ("What are songs of the 1980s?", "What are songs of 1980?"),
        ("What animals do big garden snakes eat?", "What animals eat big garden snakes?"),
        ("What is the best part of the worst day?", "What is the worst part of the best day?"),
        ("How do I motivate myself?", "How do I motivate them?"),
        ("What is C++ used for?", "What is C# used for?"),
        ("What is -5 plus 2?", "What is 5 plus 2?"),
        ("What is 5! divided by 3?", "What is 5 divided by 3?"),
    ] {
        assert_ne!(likeness(left, right), Likeness::Same, "{left} {right}");
    }
}

#[test]
fn what_is_put_in_other_words_is_the_same() {
    for (left, right) in [
        ("How do I cook 1,000 eggs?", "how can i cook 1000 eggs"),
        ("How do I cook twenty-five eggs?", "How to cook 25 eggs"),
        ("What colour is a plum?", "What color is a plum?"),
        ("How do I repair a leaking tap?", "How can I fix a leaking tap?"),
        ("What's the capital of France?", "WHAT IS THE CAPITAL OF FRANCE"),
        ("What is the sole of a shoe?", "What is a shoe's sole?"),
        ("Does the US export plums?", "Does the United States export plums?"),
        ("What does the plnat need to grow?", "What does the plant need to grow?"),
        ("What is the best shop for shoes in Oslo?", "What is the best shop in Oslo for shoes?"),
        ("What is dog and cat food?", "What is cat and dog food?"),
        ("What are the most famous songs of the 1980's?", "What are the most famous songs of the 1980s?"),
        ("How do I motivate myself?", "How can one motivate yourself?"),
        (
            "What are some cheap tools for a garden with roots?",
            "What are some cheap garden tools with roots?",
        ),
        ("How do I recieve a prize?", "How do I receive a prize?"),
    ] {
        assert_eq!(likeness(left, right), Likeness::Same, "{left} {right}");
    }
}

#[test]
fn one_word_more_is_close_and_a_name_more_is_not() {
    assert_eq!(likeness("How do I cook rice?", "How do I cook brown rice?"), Likeness::Close(Rule::Added));
    assert_eq!(
        likeness("How do I cook rice?", "How do I cook rice in Oslo?"),
        Likeness::Differs(Rule::Entity)
    );
    assert_eq!(likeness("Is Ana a judge?", "Is Ana a famous judge?"), Likeness::Differs(Rule::Added));
    assert_eq!(likeness("What is on a map?", "What was on a map?"), Likeness::Close(Rule::Tense));
}

#[test]
fn a_generic_word_more_is_nothing_in_a_longer_question_only() {
    let longer = ("How do I clean an old brass lamp?", "How do I specifically clean an old brass lamp?");
    assert_eq!(likeness(longer.0, longer.1), Likeness::Same);
    assert_ne!(likeness("What is a lamp?", "What is a specific lamp?"), Likeness::Same);
    assert_ne!(likeness("Is brass an old metal?", "Is brass an important old metal?"), Likeness::Same);
    assert_ne!(likeness("How many birds eat plums?", "How many people eat plums?"), Likeness::Same);
}

#[test]
fn names_are_not_mended_and_mends_are_unique() {
    assert_ne!(likeness("Who is Garde Plnat in fiction?", "Who is Garde Plant in fiction?"), Likeness::Same);
    assert!(read("why does a statin help people").unwrap().plain.contains("statin"));
}

#[test]
fn a_foreign_text_keeps_all_but_case_and_white_space() {
    let (left, right) =
        (read("¿Cómo puedo cocinar el arroz?").unwrap(), read("¿cómo  puedo COCINAR el arroz?").unwrap());
    assert_eq!(left.canonical, right.canonical);
    assert!(left.features.is_none());
    assert_ne!(left.canonical, read("¿Cómo puedo cocinar el arroz").unwrap().canonical);
}

#[test]
fn the_modes_go_from_strict_to_off() {
    let (is, was) = (
        read("Is Ana a judge?").unwrap().features.unwrap(),
        read("Was Ana a judge?").unwrap().features.unwrap(),
    );
    assert_eq!(is.compare(&was, Verifier::Strict), Likeness::Differs(Rule::Tense));
    assert_eq!(is.compare(&was, Verifier::Std), Likeness::Same);
    let number = read("Are 20 plums enough?").unwrap().features.unwrap();
    assert_eq!(is.compare(&number, Verifier::Off), Likeness::Same);
}

#[test]
fn features_of_a_usual_question_are_small() {
    let question =
        read("What are the best ways for a young teacher to learn Italian before the summer?").unwrap();
    assert!(question.features.unwrap().as_bytes().len() < 80);
}

#[test]
fn features_that_nobody_wrote_are_refused() {
    for bytes in [&b""[..], b"\x01", b"\x02\0\0\0", b"\x01\0\0\0abc", b"\x01\0\0\0abcde\xff"] {
        assert_eq!(Features::from_bytes(bytes), None, "{bytes:?}");
    }
}

/// Questions out of common words, so that rules meet.
fn question() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "how",
        "what",
        "is",
        "do",
        "i",
        "you",
        "not",
        "the",
        "a",
        "best",
        "way",
        "to",
        "from",
        "Oslo",
        "Leeds",
        "and",
        "or",
        "of",
        "in",
        "rice",
        "plums",
        "cook",
        "buy",
        "sell",
        "less",
        "insecure",
        "7",
        "9",
        "km",
        "who",
        "by",
        "was",
        "seen",
        "'s",
        ",",
        "?",
        "difference",
        "between",
        "please",
        "\"",
        "my",
        "your",
        "than",
        "better",
        "if",
        "before",
    ]);
    prop::collection::vec(word, 3..14).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = Question::read(&text);
    }

    #[test]
    fn reading_twice_gives_the_same(text in question()) {
        if let (Ok(first), Ok(second)) = (read(&text), read(&text)) {
            prop_assert_eq!(first.canonical, second.canonical);
            prop_assert_eq!(&first.features, &second.features);
            let features = first.features.unwrap();
            prop_assert_eq!(features.compare(&features, Verifier::Strict), Likeness::Same);
            prop_assert_eq!(Features::from_bytes(features.as_bytes()), Some(features));
        }
    }

    #[test]
    fn neither_side_comes_first(left in question(), right in question()) {
        if let (Ok(Question { features: Some(left), .. }), Ok(Question { features: Some(right), .. })) = (read(&left), read(&right)) {
            for verifier in [Verifier::Strict, Verifier::Std, Verifier::Off] {
                prop_assert_eq!(left.compare(&right, verifier), right.compare(&left, verifier));
            }
        }
    }

    #[test]
    fn another_number_is_never_the_same(text in question(), one in 10_u32..90, other in 100_u32..999) {
        let with = |number: u32| format!("How do I cook {number} plums ? {text}");
        prop_assert_ne!(likeness(&with(one), &with(other)), Likeness::Same);
    }

    #[test]
    fn the_roles_of_two_people_are_never_changed(verb in "see|hire|teach|follow|help", place in "in Oslo|at home|on a boat") {
        let asks = |left, right| format!("Does {left} {verb} {right} {place}?");
        prop_assert_ne!(likeness(&asks("Ana", "Ben"), &asks("Ben", "Ana")), Likeness::Same);
    }

    #[test]
    fn any_bytes_are_features_or_not(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Some(features) = Features::from_bytes(&bytes) {
            prop_assert_eq!(features.compare(&features, Verifier::Strict), Likeness::Same);
            let other = read("Why do cats purr?").unwrap().features.unwrap();
            prop_assert_eq!(features.compare(&other, Verifier::Strict), other.compare(&features, Verifier::Strict));
        }
    }
}
