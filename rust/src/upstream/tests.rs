use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::{BOUNDS as OUR_BOUNDS, OURS, Upstream};
use crate::json::Tree;

fn splice(body: &str, upstream: &Upstream<'_>) -> String {
    let (tree, text) = Tree::parse(body.as_bytes()).unwrap();
    String::from_utf8(upstream.splice(tree.root(text))).unwrap()
}

fn gpt<'a>() -> Upstream<'a> {
    Upstream { model: "gpt", ..Upstream::default() }
}

fn streaming<'a>() -> Upstream<'a> {
    Upstream { stream: true, ..gpt() }
}

#[test]
fn unknown_members_keep_their_bytes_and_order() {
    let body = r#" { "z" : 123456789012345678901234567890 , "messages":[ {"role":"user", "content":"\u0041\ud83d\ude00"} ],
        "\u0061":1.50E+01, "model":"auto" } "#;
    let expected = r#"{"model":"gpt","z":123456789012345678901234567890,"messages":[ {"role":"user", "content":"\u0041\ud83d\ude00"} ],"\u0061":1.50E+01}"#;
    assert_eq!(splice(body, &gpt()), expected);
}

#[test]
fn our_own_members_never_reach_a_provider() {
    let body = r#"{"model":"m","routing_mode":"cost","cascade":true,"session_id":"s","feature":"f","\u0066eature_x":1,"user":"u"}"#;
    assert_eq!(splice(body, &gpt()), r#"{"model":"gpt","\u0066eature_x":1,"user":"u"}"#);
    assert_eq!(splice(r#"{"\u006dodel":"m"}"#, &gpt()), r#"{"model":"gpt"}"#);
}

#[test]
fn a_stream_is_always_asked_for_its_usage() {
    let asked = r#"{"model":"gpt","stream":true,"stream_options":{"include_usage":true}}"#;
    for body in ["{}", r#"{"stream":true}"#, r#"{"stream":false,"stream_options":null}"#] {
        assert_eq!(splice(body, &streaming()), asked);
    }
    for options in ["{}", r#"{"include_usage":false}"#, r#"{"include_usage":null}"#] {
        assert_eq!(splice(&format!(r#"{{"stream_options":{options}}}"#), &streaming()), asked);
    }
    let body = r#"{"stream_options":{"x": [1 ],"include_usage":false,"y":2.0}}"#;
    assert_eq!(
        splice(body, &streaming()),
        r#"{"model":"gpt","stream":true,"stream_options":{"include_usage":true,"x":[1 ],"y":2.0}}"#
    );
}

#[test]
fn a_whole_answer_is_asked_for_whatever_the_body_says() {
    let body = r#"{"stream":true,"stream_options":{"include_usage": true},"a":1}"#;
    assert_eq!(splice(body, &gpt()), r#"{"model":"gpt","a":1}"#);
}

#[test]
fn stream_options_are_left_out_for_providers_that_do_not_take_them() {
    let upstream = Upstream { drop: &["stream_options"], ..streaming() };
    assert_eq!(splice("{}", &upstream), r#"{"model":"gpt","stream":true}"#);
}

#[test]
fn dropped_members_are_left_out() {
    let upstream = Upstream { drop: &["seed", "logprobs"], ..gpt() };
    assert_eq!(splice(r#"{"seed":1,"a":2,"logprobs":true}"#, &upstream), r#"{"model":"gpt","a":2}"#);
}

#[test]
fn renamed_members_never_stand_twice() {
    let upstream = Upstream { rename: &[("max_completion_tokens", "max_tokens")], ..gpt() };
    let cases = [
        (r#"{"max_completion_tokens":5,"a":1}"#, r#"{"model":"gpt","max_tokens":5,"a":1}"#),
        (r#"{"max_completion_tokens":5,"max_tokens":6}"#, r#"{"model":"gpt","max_tokens":6}"#),
        (r#"{"max_tokens":6,"max_completion_tokens":5}"#, r#"{"model":"gpt","max_tokens":6}"#),
        (r#"{"max_completion_tokens":null,"max_tokens":null}"#, r#"{"model":"gpt","max_tokens":null}"#),
        (r#"{"max_tokens":null,"max_completion_tokens":5}"#, r#"{"model":"gpt","max_tokens":5}"#),
    ];
    for (body, expected) in cases {
        assert_eq!(splice(body, &upstream), expected, "{body}");
    }
}

#[test]
fn a_model_name_is_escaped() {
    let upstream = Upstream { model: "a\"b\\c\u{1}", ..gpt() };
    assert_eq!(splice("{}", &upstream), r#"{"model":"a\"b\\c\u0001"}"#);
}

#[test]
fn the_bound_of_the_answer_is_the_clients_or_ours_whichever_is_smaller() {
    let old_name = [("max_completion_tokens", "max_tokens")];
    let own_name = [("max_completion_tokens", "limit"), ("max_tokens", "limit")];
    let plain = Upstream { max_output_tokens: Some(9), ..gpt() };
    let renamed = Upstream { rename: &old_name, ..plain };
    let own = Upstream { rename: &own_name, ..plain };
    let dropped = Upstream { drop: &["max_completion_tokens"], ..plain };
    let without = Upstream { drop: &["max_completion_tokens", "max_tokens"], ..plain };
    let cases = [
        (plain, r#"{"max_tokens":5,"a":1}"#, r#","max_tokens":5,"a":1"#),
        (plain, r#"{"max_tokens": 10,"a":1}"#, r#","max_tokens":9,"a":1"#),
        (plain, r#"{"max_completion_tokens":99999999999999999999999}"#, r#","max_completion_tokens":9"#),
        (
            plain,
            r#"{"max_completion_tokens":10,"max_tokens":4}"#,
            r#","max_completion_tokens":9,"max_tokens":4"#,
        ),
        (plain, r#"{"a":1}"#, r#","a":1,"max_completion_tokens":9"#),
        (plain, r#"{"max_completion_tokens":null,"a":1}"#, r#","a":1,"max_completion_tokens":9"#),
        (plain, r#"{"max_tokens":null}"#, r#","max_tokens":null,"max_completion_tokens":9"#),
        (
            plain,
            r#"{"max_tokens":10,"max_completion_tokens":null}"#,
            r#","max_tokens":9,"max_completion_tokens":null"#,
        ),
        (renamed, "{}", r#","max_tokens":9"#),
        (renamed, r#"{"max_completion_tokens":10,"max_tokens":null}"#, r#","max_tokens":9"#),
        (renamed, r#"{"max_completion_tokens":10,"max_tokens":11}"#, r#","max_tokens":9"#),
        (renamed, r#"{"max_completion_tokens":null,"max_tokens":null}"#, r#","max_tokens":9"#),
        (own, r#"{"max_tokens":10}"#, r#","limit":9"#),
        (own, r#"{"limit":10}"#, r#","limit":9"#),
        (own, "{}", r#","limit":9"#),
        (dropped, "{}", r#","max_tokens":9"#),
        (dropped, r#"{"max_tokens":10}"#, r#","max_tokens":9"#),
        (dropped, r#"{"max_completion_tokens":5}"#, r#","max_tokens":5"#),
        (dropped, r#"{"max_completion_tokens":10,"max_tokens":null}"#, r#","max_tokens":9"#),
        (without, r#"{"max_tokens":10}"#, ""),
    ];
    for (upstream, body, expected) in cases {
        assert_eq!(splice(body, &upstream), format!(r#"{{"model":"gpt"{expected}}}"#), "{body}");
    }
}

fn any_body() -> impl Strategy<Value = Map<String, Json>> {
    let value = prop_oneof![
        Just(json!(null)),
        any::<i64>().prop_map(|it| json!(it)),
        any::<String>().prop_map(|it| json!([it]))
    ];
    let name = prop_oneof![
        "[a-d]",
        prop::sample::select(vec!["model", "feature", "stream_options", "session_id"])
            .prop_map(str::to_owned)
    ];
    prop::collection::btree_map(name, value, 0..8).prop_map(|it| it.into_iter().collect())
}

proptest! {
    #[test]
    fn what_is_sent_parses_and_holds_all_that_is_not_ours(body in any_body(), streams in any::<bool>()) {
        let sent = splice(&Json::Object(body.clone()).to_string(), &if streams { streaming() } else { gpt() });
        let (tree, text) = Tree::parse(sent.as_bytes()).unwrap();
        for (name, value) in body.iter().filter(|(name, _)| !OURS.contains(&name.as_str())) {
            prop_assert_eq!(tree.root(text).get(name).unwrap().raw(), value.to_string());
        }
        prop_assert!(tree.root(text).get("model").unwrap().is("gpt"));
    }

    #[test]
    fn no_renaming_makes_a_body_that_is_refused(
        body in any_body(), rename in prop::collection::vec(("[a-e]", "[a-e]|model|stream_options"), 0..5),
    ) {
        let rename: Vec<_> = rename.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
        let sent = splice(&Json::Object(body).to_string(), &Upstream { rename: &rename, ..streaming() });
        prop_assert!(Tree::parse(sent.as_bytes()).is_ok(), "{}", sent);
    }
    #[test]
    fn a_bound_is_sent_once_and_never_exceeded(
        body in any_body(), new in prop::option::of(prop::option::of(1_u64..20)), old in prop::option::of(1_u64..20),
        rename in prop::collection::vec(("max_completion_tokens|max_tokens|a", "max_tokens|limit|a"), 0..3),
        drop_new in any::<bool>(), most in 1_u64..20,
    ) {
        let mut body = body;
        body.extend(new.map(|it| ("max_completion_tokens".to_owned(), json!(it))));
        body.extend(old.map(|it| ("max_tokens".to_owned(), json!(it))));
        let rename: Vec<_> = rename.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
        let drop: &[&str] = if drop_new { &["max_completion_tokens"] } else { &[] };
        let upstream = Upstream { rename: &rename, drop, max_output_tokens: Some(most), ..gpt() };
        let sent = splice(&Json::Object(body).to_string(), &upstream);
        prop_assert!(Tree::parse(sent.as_bytes()).is_ok(), "{}", sent);
        let sent: Map<String, Json> = serde_json::from_str(&sent).unwrap();
        let bounds = OUR_BOUNDS.iter().filter(|name| upstream.is_sent(name)).map(|name| upstream.name_of(name));
        let values: Vec<_> = bounds.filter_map(|name| sent.get(name)?.as_u64()).collect();
        prop_assert!(!values.is_empty() && values.iter().all(|value| *value <= most), "{:?}", sent);
    }
}
