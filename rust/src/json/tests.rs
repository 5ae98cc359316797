use proptest::prelude::*;
use serde_json::json;

use super::{Kind, MAX_DEPTH, MAX_STRUCTURAL, Tree, Value};
use crate::error::{Fault, Rejection};

fn refusal(body: impl AsRef<[u8]>) -> Option<Rejection> {
    Tree::parse(body.as_ref()).err()
}

fn fault(body: impl AsRef<[u8]>) -> Option<Fault> {
    refusal(body).map(|rejection| rejection.fault)
}

/// Rebuild what we parsed as a value of the oracle.
fn rebuilt(value: Value<'_>) -> serde_json::Value {
    match value.kind() {
        Kind::Object => {
            value.members().map(|(key, value)| (key.text().unwrap().into_owned(), rebuilt(value))).collect()
        }
        Kind::Array => value.items().map(rebuilt).collect(),
        Kind::String => json!(value.text().unwrap()),
        Kind::Number | Kind::True | Kind::False | Kind::Null => serde_json::from_str(value.raw()).unwrap(),
    }
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|it| json!(it)),
        any::<i64>().prop_map(|it| json!(it)),
        (-1e300..1e300).prop_map(|it: f64| json!(it)),
        any::<String>().prop_map(|it| json!(it)),
    ];
    leaf.prop_recursive(5, 60, 20, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..20).prop_map(|it| json!(it)),
            prop::collection::btree_map("[^\0]{0,6}", inner, 0..20).prop_map(|it| json!(it)),
        ]
    })
}

#[test]
fn what_is_not_json_is_refused() {
    let bodies = [
        "",
        " ",
        "{",
        "[",
        "\"",
        "[1,]",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{1:1}",
        "[1 2]",
        "1 2",
        "01",
        "-",
        "+1",
        "1.",
        ".5",
        "1e",
        "1e+",
        "0x1",
        "NaN",
        "Infinity",
        "-Infinity",
        "nul",
        "truex",
        "True",
        "'a'",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\n\"",
        "\"\t\"",
        "[]]",
        "{}}",
        "// a\n1",
        "1e999",
        "-1e999",
        "\u{a0}1",
    ];
    for body in bodies {
        assert_eq!(fault(body), Some(Fault::MalformedJson), "{body:?}");
    }
}

#[test]
fn every_prefix_of_a_document_is_refused() {
    let body = r#"{"a":[1.5e3,"x\u00e9\ud83d\ude00",true,null],"b":{"c":-0}}"#;
    for length in 0..body.len() {
        assert_eq!(fault(&body[..length]), Some(Fault::MalformedJson), "{}", &body[..length]);
    }
    assert_eq!(fault(body), None);
}

#[test]
fn surrogates_must_come_in_pairs() {
    for lone in [
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\ud800\ud800""#,
        r#""\ud800x""#,
        r#""\ud800\n""#,
        r#""\ude00\ud83d""#,
    ] {
        assert_eq!(fault(lone), Some(Fault::MalformedJson), "{lone}");
    }
    let (tree, text) = Tree::parse(br#""\ud83d\uDE00""#).unwrap();
    assert_eq!(tree.root(text).text().unwrap(), "\u{1f600}");
}

#[test]
fn bytes_that_are_not_utf8_are_refused() {
    for body in [&b"\"\xff\""[..], b"\xc3", b"\"\xed\xa0\x80\"", b"\"\xc0\xaf\""] {
        assert_eq!(fault(body), Some(Fault::NotUtf8), "{body:?}");
    }
    assert_eq!(fault(b"\xef\xbb\xbf{}"), Some(Fault::UnexpectedBom));
}

#[test]
fn the_same_key_twice_is_refused_at_any_level_and_however_it_is_written() {
    let many = (0..40).map(|nth| format!("\"k{nth}\":{nth},")).collect::<Vec<_>>().concat();
    let bodies = [
        r#"{"a":1,"a":1}"#.to_owned(),
        r#"{"b":{"a":1,"c":[{}],"a":2}}"#.to_owned(),
        r#"[{"a":1,"\u0061":2}]"#.to_owned(),
        format!("{{{many}\"k7\":0}}"),
        format!("{{{many}\"\\u006b7\":0}}"),
    ];
    for body in &bodies {
        assert_eq!(fault(body), Some(Fault::DuplicateKey), "{body}");
    }
    assert_eq!(fault(format!("{{{many}\"k\":{{\"k\":1}}}}")), None);
    assert_eq!(fault(r#"{"a":{"a":{"a":[{"a":1},{"a":1}]}}}"#), None);
}

#[test]
fn a_key_must_not_hold_nul() {
    assert_eq!(fault(r#"{"a\u0000b":1}"#), Some(Fault::MalformedJson));
    assert_eq!(fault(r#"{"a":"\u0000"}"#), None);
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert_eq!(fault(nested(MAX_DEPTH)), None);
    assert_eq!(fault(nested(MAX_DEPTH + 1)), Some(Fault::TooDeep));
    assert_eq!(fault("[".repeat(1 << 20)), Some(Fault::TooDeep));
    assert_eq!(fault("{\"a\":".repeat(1 << 20)), Some(Fault::TooDeep));
}

#[test]
fn structural_characters_are_bounded_and_those_in_strings_are_free() {
    // n items have n - 1 commas between two brackets.
    let list = |items: usize| format!("[{}1]", "1,".repeat(items - 1));
    assert_eq!(fault(list(MAX_STRUCTURAL - 1)), None);
    assert_eq!(fault(list(MAX_STRUCTURAL)), Some(Fault::TooComplex));
    assert_eq!(fault(format!("\"{}\"", "[],{}:".repeat(MAX_STRUCTURAL))), None);
}

#[test]
fn number_literals_are_bounded() {
    assert_eq!(fault("1".repeat(32)), None);
    assert_eq!(fault("1".repeat(33)), Some(Fault::NumberTooLong));
    assert_eq!(fault(format!("0.{}", "1".repeat(31))), Some(Fault::NumberTooLong));
    assert_eq!(fault("1e308"), None);
}

#[test]
fn a_refusal_says_where() {
    let rejection = refusal("{\n  \"a\": 1,\n  \"b\": nope\n}").unwrap();
    assert!(rejection.message.ends_with("at line 3 column 8"), "{}", rejection.message);
    let rejection = refusal(r#"{"a":1,"a":2}"#).unwrap();
    assert!(rejection.message.ends_with("at line 1 column 8"), "{}", rejection.message);
}

#[test]
fn numbers_keep_the_bytes_they_came_with() {
    let (tree, text) = Tree::parse(b"[12345678901234567890123, 1.50, -0, 1E2]").unwrap();
    let raw: Vec<_> = tree.root(text).items().map(Value::raw).collect();
    assert_eq!(raw, ["12345678901234567890123", "1.50", "-0", "1E2"]);
}

#[test]
fn a_value_of_another_kind_has_no_children() {
    let (tree, text) = Tree::parse(br#"{"a":[1],"b":"x"}"#).unwrap();
    let root = tree.root(text);
    assert_eq!(root.items().count(), 0);
    assert_eq!(root.get("a").unwrap().members().count(), 0);
    assert_eq!(root.get("b").unwrap().items().count(), 0);
    assert!(root.get("c").is_none());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Tree::parse(&body);
    }

    #[test]
    fn json_is_read_as_the_oracle_reads_it(value in any_json(), pretty in any::<bool>()) {
        let body = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let (tree, text) = Tree::parse(body.as_bytes()).unwrap();
        prop_assert_eq!(rebuilt(tree.root(text)), value);
    }

    /// JSON-like soup and damaged documents: we accept a part of what the oracle accepts, and say why not the rest.
    #[test]
    fn the_oracle_accepts_what_we_accept(
        soup in "([\\[\\]{},: \"\\\\tn0-9.eE+-]|true|null|\"a\"|\"b\":|\\\\u[d0][89c0]0[0-9a]){0,24}",
        value in any_json(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut damaged = serde_json::to_vec(&value).unwrap();
        let at = at.index(damaged.len());
        damaged[at] = byte;
        for body in [soup.into_bytes(), damaged] {
            let theirs = serde_json::from_slice::<serde_json::Value>(&body).is_ok();
            match fault(&body) {
                None => prop_assert!(theirs, "only we accept {:?}", String::from_utf8_lossy(&body)),
                Some(Fault::MalformedJson | Fault::NotUtf8) => {
                    prop_assert!(!theirs, "only we refuse {:?}", String::from_utf8_lossy(&body));
                }
                Some(_) => {}
            }
        }
    }

    #[test]
    fn escaped_text_decodes_to_itself(text in any::<String>()) {
        let escaped: Vec<_> = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        let body = format!("\"{}\"", escaped.concat());
        let (tree, parsed) = Tree::parse(body.as_bytes()).unwrap();
        prop_assert_eq!(tree.root(parsed).text().unwrap(), text.as_str());
        let mut written = Vec::new();
        super::write_string(&mut written, &text);
        prop_assert_eq!(serde_json::from_slice::<String>(&written).unwrap(), text);
    }
}
