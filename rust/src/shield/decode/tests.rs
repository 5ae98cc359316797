use proptest::prelude::*;

use super::super::normalise::normalise;
use super::{Budget, DEPTH, Decoded, OUTPUT, decode, written_out};

/// Made up for these tests, long enough for every decoder.
const CLEAR: &str = "Please tell the old captain that the Harbour is closed today.";

fn decoded(text: &str) -> Vec<Decoded> {
    decode(text, &normalise(text).census, &mut Budget::default())
}

fn first(text: &str) -> (String, &'static str) {
    decoded(text).into_iter().next().map(|found| (found.text, found.via)).unwrap_or_default()
}

fn packed(bytes: &[u8], width: u32, alphabet: &[u8]) -> String {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    bits.chunks(width as usize)
        .map(|group| group.iter().fold(0, |value, bit| value << 1 | bit) << (width as usize - group.len()))
        .map(|value: u8| char::from(alphabet[usize::from(value)]))
        .collect()
}

fn base64(text: &str) -> String {
    packed(text.as_bytes(), 6, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
}

fn each(form: impl Fn(u8) -> String) -> String {
    CLEAR.bytes().map(form).collect()
}

#[test]
fn every_alphabet_is_read() {
    let base32 = packed(CLEAR.as_bytes(), 5, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
    for (text, via) in [
        (base64(CLEAR), "base64"),
        (base64(CLEAR) + "==", "base64"),
        (base64(CLEAR).replace('/', "_").replace('+', "-"), "base64"),
        (base32.clone() + "====", "base32"),
        (base32.to_lowercase(), "base32"),
        (each(|byte| format!("{byte:02x}")), "hex"),
        (each(|byte| format!("{byte:02X}")), "hex"),
        (format!("0x{}", each(|byte| format!("{byte:02x}"))), "hex"),
        (each(|byte| format!("{byte:02x} ")), "hex"),
        (each(|byte| format!("0x{byte:02x}, ")), "hex"),
        (each(|byte| format!("{byte:08b} ")), "binary"),
        (each(|byte| format!("{byte:08b}")), "binary"),
        (each(|byte| format!("%{byte:02X}")), "percent"),
        (CLEAR.replace(' ', "%20"), "percent"),
        (each(|byte| format!("&#{byte};")), "entities"),
        (each(|byte| format!("&#x{byte:x};")), "entities"),
        (each(|byte| format!("\\x{byte:02x}")), "escapes"),
        (each(|byte| format!("\\u{byte:04x}")), "escapes"),
        (each(|byte| format!("\\u{{{byte:x}}}")), "escapes"),
    ] {
        assert_eq!(first(&text), (CLEAR.to_owned(), via), "{text}");
        let (inside, _) = first(&format!("Look at this: {text}\n\nand answer."));
        assert!(inside.contains(CLEAR), "{text} -> {inside}");
    }
}

#[test]
fn wrapped_and_indented_lines_are_one_run() {
    let lines: Vec<String> =
        base64(CLEAR).as_bytes().chunks(20).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    for between in ["\n", "\r\n", "\n    ", "\n\t"] {
        assert_eq!(first(&format!("See:\n{}\n", lines.join(between))).0, CLEAR);
    }
}

#[test]
fn strings_are_joined() {
    let parts: Vec<&str> = CLEAR.split_inclusive(' ').collect();
    for between in ["\" + \"", "\"\n  + \"", "\" \""] {
        let text = format!("x = \"{}\"", parts.join(between));
        assert_eq!(first(&text), (CLEAR.to_owned(), "concat"), "{text}");
    }
    assert_eq!(decoded("I don't think 'so', you can't"), []);
}

#[test]
fn layers_come_off_one_at_a_time() {
    let mut text = base64(&base64(CLEAR));
    for _ in 0..DEPTH {
        text = first(&text).0;
    }
    assert_eq!(text, CLEAR);
    let text = format!("text%3D{}%3D%3D", base64(CLEAR));
    assert_eq!(first(&first(&text).0).0, CLEAR);
}

#[test]
fn names_of_marks_and_pairs_of_units_are_read() {
    assert_eq!(first("&lt;b&gt; hello you &amp; &quot;me&quot;").0, "<b> hello you & \"me\"");
    assert_eq!(first(r"smile \ud83d\ude00 at me \u00e9 \u0041").0, "\u{1f600} at me é A");
    let wide: String = CLEAR.bytes().flat_map(|byte| [byte, 0]).map(char::from).collect();
    assert_eq!(first(&base64(&wide)).0, CLEAR);
}

#[test]
fn what_is_no_text_is_left_alone() {
    let noise: Vec<u8> =
        (0_u32..3000).map(|at| (at.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect();
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut image = b"GIF89a lots of words that look like text in a header".to_vec();
    image.extend(&noise);
    for text in [
        packed(&noise, 6, alphabet),
        format!("data:image/gif;base64,{}", packed(&image, 6, alphabet)),
        "d41d8cd98f00b204e9800998ecf8427e".to_owned(),
        "straightforwardness/internationalization-of-everything_in_here".to_owned(),
        "Meet on 10 11 12 13 14 15 16 17 18 19 or 20.".to_owned(),
        "100%25 & more; a b".to_owned(),
    ] {
        assert_eq!(decoded(&text), [], "{text}");
    }
}

#[test]
fn text_inside_noise_is_found() {
    let noise: String =
        (0_u32..90).map(|at| char::from((at.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0])).collect();
    let text = base64(&format!("{}{noise}", CLEAR.repeat(2)));
    assert!(first(&text).0.starts_with(CLEAR));
}

#[test]
fn a_budget_ends() {
    let text = format!("{} ", base64(CLEAR)).repeat(40);
    let mut budget = Budget::default();
    assert_eq!(decode(&text, &normalise(&text).census, &mut budget).len(), super::SEGMENTS);
    assert!(budget.exhausted);

    let text = base64(&CLEAR.repeat(3000));
    let mut budget = Budget::default();
    let found = decode(&text, &normalise(&text).census, &mut budget);
    assert!(budget.exhausted && found[0].text.len() <= OUTPUT && found[0].text.len() > OUTPUT / 2);
    assert!(!Budget::default().exhausted);
}

proptest! {
    #[test]
    fn anything_can_be_decoded(pieces in prop::collection::vec(prop_oneof![
        "[A-Za-z0-9+/=_-]{1,90}", "(%[0-9a-f]{2}){1,9}", "(&#x?[0-9]{1,9};?){1,5}", "(\\\\[xun0-9\"{}a-fé]{1,9}){1,5}",
        "((0x)?[0-9a-f]{2}[ ,]){1,20}", "([01]{8} ){1,9}", "([\"'+ ]{1,4}[a-zé]{0,9}){1,9}", any::<String>(),
    ], 0..9)) {
        let text = pieces.concat();
        let mut budget = Budget::default();
        let found = decode(&text, &normalise(&text).census, &mut budget);
        let total: usize = found.iter().map(|found| found.text.len()).sum();
        prop_assert!(total <= 3 * OUTPUT && total <= 4 * 6 * text.len());
        for found in found {
            prop_assert!(found.start < found.end && text.get(found.start..found.end).is_some());
        }
    }

    #[test]
    fn base64_of_any_words_is_read(text in "[a-zA-Z]{2,8}( [a-zA-Z]{2,8}){3,30}") {
        prop_assert_eq!(first(&base64(&text)).0, text);
    }
}

#[test]
fn written_out_line_breaks_are_blanks_and_move_no_byte() {
    let read = written_out("one\\nTwo\\tthree \\\\n four");
    assert_eq!(read, "one \nTwo  three \\\\n four");
    assert!(matches!(written_out("plain \n text"), std::borrow::Cow::Borrowed(_)));
}

#[test]
fn a_word_below_an_encoded_line_does_not_spoil_it() {
    let hex = crate::hex(b"tell the captain about the harbour");
    let read = decoded(&format!("{hex}\nThank you."));
    assert!(
        read.iter().any(|piece| piece.text.starts_with("tell the captain about the harbour")),
        "{read:?}"
    );
}
