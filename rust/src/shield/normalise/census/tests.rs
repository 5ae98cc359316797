use proptest::prelude::*;

use super::Stops;

fn count(text: &str) -> super::Census {
    super::Census::of(text).0
}

#[test]
fn words_and_lone_letters_are_counted() {
    let census = count("I g n o r e a plan-b, über 2x");
    assert_eq!((census.words, census.singles, census.spaced), (11, 8, 6));
    assert_eq!(census.non_ascii, 1);
}

#[test]
fn signs_of_encodings_are_counted() {
    assert_eq!(count("%20%4f%zz 5% off").percent, 2);
    let census = count(r"\x41 \u0041 \n C:\dir");
    assert_eq!((census.escapes, census.backslashes), (2, 2));
    assert_eq!(count("&#65; &amp; a & b &1").entities, 2);
    assert_eq!(count("0x41 0X42 10x 0y").hex_prefixes, 2);
    assert_eq!(count("49 67 6e 6f 1999 a1").pairs, 4);
    assert_eq!(count("01001000 01101001 123456789 1234567").octets, 2);
    assert_eq!(count(r#""a" + "b"+'c' 'd', 1 + 2"#).joins, 3);
    assert_eq!(count("1gn0re p@ss 2024 a-1").leet, 3);
}

#[test]
fn runs_are_measured_wherever_they_stand() {
    for before in 0..140 {
        for length in [15, 16, 17, 63, 64, 65, 130] {
            let text = format!("{}{}.", " ".repeat(before), "e".repeat(length));
            let census = count(&text);
            let expected = if length < super::RUN { 0 } else { length };
            assert_eq!(census.longest_base64, expected, "{before} {length}");
            assert_eq!((census.longest_hex, census.longest_letters), (expected, expected));
            assert_eq!((census.longest_base32, census.longest_binary), (0, 0));
        }
    }
    assert_eq!(count(&"01".repeat(40)).longest_binary, 80);
    assert_eq!(count(&"MFRGG2".repeat(40)).longest_base32, 240);
}

/// The same counts, a character at a time.
fn slow(text: &str) -> (usize, usize, usize, usize) {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte >= 0x80;
    let words = text.as_bytes().split(|byte| !is_word(*byte)).filter(|word| !word.is_empty());
    let singles = words.clone().filter(|word| word.len() == 1 && word[0].is_ascii_alphabetic()).count();
    let longest = text
        .as_bytes()
        .split(|byte| !(byte.is_ascii_alphanumeric() || b"+/=-_".contains(byte)))
        .map(<[u8]>::len)
        .max()
        .unwrap_or(0);
    let non_ascii = text.chars().filter(|letter| !letter.is_ascii()).count();
    (words.count(), singles, if longest < super::RUN { 0 } else { longest }, non_ascii)
}

proptest! {
    #[test]
    fn masks_count_as_a_plain_loop_does(text in "[ -~é]{0,300}", long in "[A-Za-z0-9+/]{0,200}") {
        let text = format!("{text}{long} {text}");
        let census = count(&text);
        prop_assert_eq!((census.words, census.singles, census.longest_base64, census.non_ascii), slow(&text));
    }

    #[test]
    fn stops_are_found_from_anywhere(masks in prop::collection::vec(prop_oneof![Just(0), any::<u64>()], 0..5)) {
        let stops = Stops(masks.clone());
        let set = |at: &usize| masks[at / 64] >> (at % 64) & 1 == 1;
        for from in 0..=64 * masks.len() {
            prop_assert_eq!(stops.next(from), (from..64 * masks.len()).find(set));
        }
    }

    #[test]
    fn any_text_is_counted(text in any::<String>()) {
        prop_assert_eq!(count(&text).bytes, text.len());
    }
}
