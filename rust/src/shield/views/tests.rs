use proptest::prelude::*;

use super::super::normalise::normalise;
use super::{COMMON_WORDS, Vocabulary, WINDOW, reversed_order, views};

fn vocabulary() -> Vocabulary {
    Vocabulary::new(["harbour", "captain", "lantern"].into_iter(), COMMON_WORDS.lines())
}

fn reading(text: &str, via: &str) -> Option<String> {
    views(&normalise(text), &vocabulary()).into_iter().find(|view| view.via == via).map(|view| view.text)
}

/// Assert that one way to read `text` gives `expected`.
fn reads(text: &str, via: &str, expected: &str) {
    assert_eq!(reading(text, via).as_deref(), Some(expected), "{text}");
}

#[test]
fn digits_and_symbols_are_letters() {
    reads("T3ll th3 c4pt41n 4bout +he h@rb0ur", "leet", "tell the captain about the harbour");
    reads("$he wi1l s@y it, 1n 1ine!", "leet", "she will say it, in line!");
    reads("70 7h3 c4p741n 15 4 l4n73rn", "leet", "to the captain is a lantern");
    assert_eq!(reading("I paid 20 for 3 of 1999", "leet"), None);
}

#[test]
fn lone_letters_are_joined() {
    reads("T e l l   t h e   c a p t a i n !", "spaced", "tell the captain!");
    reads("t e l l t h e c a p t a i n", "spaced", "tell the captain");
    reads("T.e.l.l t.h.e c.a.p.t.a.i.n, m.e", "spaced", "tell the captain, me");
    reads("t-e-l-l t-h-e c-a-p-t-a-i-n", "spaced", "tell the captain");
    reads("Now: t_e_l_l m_e ok", "spaced", "now: tell me ok");
    reads("t\ne\nl\nl\nm\ne\nn\no\nw\n", "spaced", "tell me now");
    assert_eq!(reading("a plan is a plan, i.e. an idea", "spaced"), None);
}

#[test]
fn runs_of_letters_are_cut_into_words() {
    reads(
        "Tellthecaptainabouttheharbour.Thankyou",
        "nospace",
        "tell the captain about the harbour.thank you",
    );
    assert_eq!(reading("internationalization matters", "nospace"), None);
}

#[test]
fn misspelt_words_are_put_right() {
    reads("tell the cpatain", "typos", "tell the captain");
    reads("tell the cpatain at the hruobax", "typos", "tell the captain at the hruobax");
    reads("the hbarour lnatren", "typos", "the harbour lantern");
    reads("the habour and the lanttern", "typos", "the harbour and the lantern");
    reads("ahrbour", "typos", "harbour");
    assert_eq!(reading("the form from a cap", "typos"), None);
}

#[test]
fn shifted_and_turned_text_is_read() {
    reads("Gryy gur pncgnva nobhg vg", "rot13", "tell the captain about it");
    reads("ti tuoba niatpac eht lleT", "reversed", "tell the captain about it");
    reads("lleT eht niatpac tuoba ti", "mirrored", "tell the captain about it");
    let turned = reversed_order("it about captain the tell").map(|view| view.text);
    assert_eq!(turned.as_deref(), Some("tell the captain about it"));
    for via in ["rot13", "reversed", "mirrored", "leet", "spaced", "nospace", "typos"] {
        assert_eq!(reading("Tell the captain about it, and the whole story.", via), None, "{via}");
    }
}

#[test]
fn long_texts_are_read_at_both_ends() {
    let hidden = "gryy gur pncgnva nobhg vg ";
    let filler = "the story goes on ".repeat(WINDOW / 6);
    let found = |text: String| views(&normalise(&text), &vocabulary()).len();
    assert_eq!(found(format!("{hidden}{filler}")), 1);
    assert_eq!(found(format!("{filler}{hidden}")), 1);
    assert_eq!(found(filler), 0);
}

#[test]
fn common_words_are_plain_and_unique() {
    let words: Vec<&str> = COMMON_WORDS.lines().collect();
    let unique: std::collections::HashSet<&&str> = words.iter().collect();
    assert!(words.len() > 600 && unique.len() == words.len());
    assert!(words.iter().all(|word| normalise(word).text == **word && !word.is_empty()));
}

proptest! {
    #[test]
    fn anything_can_be_read(pieces in prop::collection::vec(prop_oneof![
        "[a-z0-9@$!+|]{1,30}", "([a-z][ .-]){1,20}", "([a-zé] {1,3}){1,20}", "[a-z]{20,60}", any::<String>(),
    ], 0..9)) {
        let normal = normalise(&pieces.concat());
        let all = views(&normal, &vocabulary());
        prop_assert!(all.len() <= 10);
        for view in all {
            prop_assert!(view.text.len() <= 3 * normal.text.len(), "{}", view.via);
        }
    }

    #[test]
    fn one_swap_inside_is_put_right(at in 1_usize..5) {
        let mut word = *b"captain";
        word.swap(at, at + 1);
        let word = String::from_utf8_lossy(&word).into_owned();
        prop_assert!(word == "captain" || vocabulary().repair(word.as_bytes()) == Some("captain"));
    }
}
