use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::{Key, LEFT_OUT, Policy, fingerprint_of, key_of, scope_of};
use crate::json::Tree;

fn key(body: &str, tenant: &str, model: Option<&str>, mode: Option<&str>) -> Key {
    let (tree, text) = Tree::parse(body.as_bytes()).unwrap();
    key_of(tree.root(text), Policy { tenant, user: "", model, routing_mode: mode })
}

/// The scope of a request without the content of its last message.
fn scope(body: &str) -> Key {
    let (tree, text) = Tree::parse(body.as_bytes()).unwrap();
    let root = tree.root(text);
    let policy = Policy { tenant: "t", user: "", model: None, routing_mode: None };
    let last = root.get("messages").and_then(|messages| messages.items().last()).unwrap();
    scope_of(root, policy, last.get("content").unwrap())
}

#[test]
fn a_scope_is_everything_but_the_text_that_is_left_out() {
    let body = |system: &str, user: &str, rest: &str| {
        format!(
            r#"{{"messages":[{{"role":"system","content":"{system}"}},{{"role":"user","content":"{user}"}}]{rest}}}"#
        )
    };
    let asked = scope(&body("Be brief.", "What is steel?", ""));
    assert_eq!(asked, scope(&body("Be brief.", "How is iron made?", "")));
    assert_eq!(asked, scope(&body("Be brief.", "What is steel?", r#","stream":true"#)));
    assert_ne!(asked, scope(&body("Be long.", "What is steel?", "")));
    assert_ne!(asked, scope(&body("Be brief.", "What is steel?", r#","max_tokens":9"#)));
    assert_ne!(asked, plain(&body("Be brief.", "*", "")), "no text makes a key of a scope");
}

#[test]
fn users_that_are_kept_apart_have_keys_of_their_own() {
    let (tree, text) = Tree::parse(br#"{"messages":[]}"#).unwrap();
    let key =
        |tenant, user| key_of(tree.root(text), Policy { tenant, user, model: None, routing_mode: None });
    assert_ne!(key("t", "anna"), key("t", "bert"));
    assert_ne!(key("ta", "b"), key("t", "ab"), "where one ends and the other begins counts");
}

fn plain(body: &str) -> Key {
    key(body, "t", None, None)
}

fn fingerprint(body: &str) -> Key {
    let (tree, text) = Tree::parse(body.as_bytes()).unwrap();
    fingerprint_of(tree.root(text))
}

/// The same value with the members of each object in another order and white space everywhere.
fn rewritten(value: &Json, space: &str) -> String {
    match value {
        Json::Object(members) => {
            let members: Vec<_> = members
                .iter()
                .rev()
                .map(|(key, value)| {
                    format!("{space}{}{space}:{space}{}", json!(key), rewritten(value, space))
                })
                .collect();
            format!("{{{}{space}}}", members.join(","))
        }
        Json::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| rewritten(item, space)).collect();
            format!("[{space}{}{space}]", items.join(&format!("{space},{space}")))
        }
        leaf => leaf.to_string(),
    }
}

fn any_member() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|it| json!(it)),
        any::<i32>().prop_map(|it| json!(it)),
        "\\PC{0,8}".prop_map(|it| json!(it)),
    ];
    leaf.prop_recursive(3, 20, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(|it| json!(it)),
            prop::collection::btree_map("[a-z]{1,3}", inner, 0..6).prop_map(|it| json!(it)),
        ]
    })
}

fn any_body() -> impl Strategy<Value = Map<String, Json>> {
    prop::collection::btree_map("[a-f]{1,2}", any_member(), 1..6).prop_map(|it| it.into_iter().collect())
}

#[test]
fn tenants_models_and_modes_do_not_share() {
    let keys = [
        key("{}", "a", None, None),
        key("{}", "b", None, None),
        key("{}", "a", Some("gpt-4o"), None),
        key("{}", "a", Some("gpt-4o-mini"), None),
        key("{}", "a", None, Some("cost")),
        key("{}", "a", None, Some("speed")),
        key("{}", "acost", None, None),
    ];
    for (nth, one) in keys.iter().enumerate() {
        assert!(!keys[..nth].contains(one), "{nth}");
    }
}

#[test]
fn all_names_of_the_router_are_one_model() {
    let absent = key("{}", "a", None, None);
    for name in ["auto", "neural-router-v2", "neural-optimizer"] {
        assert_eq!(key("{}", "a", Some(name), None), absent);
    }
}

#[test]
fn what_does_not_change_the_answer_is_left_out() {
    for name in LEFT_OUT {
        assert_eq!(plain(&format!(r#"{{"a":1,"{name}":true}}"#)), plain(r#"{"a":1}"#), "{name}");
        assert_ne!(plain(&format!(r#"{{"a":{{"{name}":true}}}}"#)), plain(r#"{"a":{}}"#), "nested {name}");
    }
}

#[test]
fn a_fingerprint_leaves_nothing_out() {
    for name in LEFT_OUT {
        assert_ne!(fingerprint(&format!(r#"{{"a":1,"{name}":true}}"#)), fingerprint(r#"{"a":1}"#), "{name}");
    }
    assert_ne!(
        fingerprint(r#"{"seed":12345678901234567890}"#),
        fingerprint(r#"{"seed":12345678901234567891}"#)
    );
}

#[test]
fn a_fingerprint_is_no_key() {
    assert_ne!(fingerprint("{}"), key("{}", "", None, None));
}

#[test]
fn values_that_look_alike_differ() {
    let bodies = [
        r#"["ab","c"]"#,
        r#"["a","bc"]"#,
        r#"["abc"]"#,
        r#"["ab",["c"]]"#,
        r#"[["ab"],"c"]"#,
        r#""1""#,
        "1",
        "1.0",
        "true",
        r#""true""#,
        "null",
        r#""null""#,
        "[]",
        "{}",
        r#""""#,
        "[[]]",
        r#"{"a":"b"}"#,
        r#"["a","b"]"#,
        r#"{"a":[]}"#,
        r#"{"a":{}}"#,
        r#"["",""]"#,
        r#"[""]"#,
    ];
    for (nth, one) in bodies.iter().enumerate() {
        for other in &bodies[..nth] {
            assert_ne!(
                plain(&format!(r#"{{"x":{one}}}"#)),
                plain(&format!(r#"{{"x":{other}}}"#)),
                "{one} {other}"
            );
        }
    }
}

#[test]
fn escapes_do_not_matter_and_long_texts_are_whole() {
    assert_eq!(plain(r#"{"a":"\u0041\/\n"}"#), plain("{\"\\u0061\":\"A/\\n\"}"));
    let long = |last: char| format!(r#"{{"a":"{}{last}","b":"{}"}}"#, "x".repeat(9000), "y".repeat(3000));
    assert_ne!(plain(&long('1')), plain(&long('2')));
}

proptest! {
    #[test]
    fn order_and_white_space_do_not_matter(body in any_body(), space in "[ \\n\\t\\r]{0,3}") {
        let body = Json::Object(body);
        prop_assert_eq!(plain(&body.to_string()), plain(&rewritten(&body, &space)));
        prop_assert_eq!(fingerprint(&body.to_string()), fingerprint(&rewritten(&body, &space)));
    }

    #[test]
    fn any_other_value_or_member_changes_the_key(body in any_body(), name in "[a-f]{1,2}", value in any_member()) {
        let mut changed = body.clone();
        let before = changed.insert(name, value.clone());
        let same = before == Some(value);
        prop_assert_eq!(plain(&Json::Object(body).to_string()) == plain(&Json::Object(changed).to_string()), same);
    }

    #[test]
    fn a_missing_member_changes_the_key(body in any_body()) {
        let mut fewer = body.clone();
        let name = body.keys().next().unwrap();
        fewer.remove(name);
        prop_assert_ne!(plain(&Json::Object(body).to_string()), plain(&Json::Object(fewer).to_string()));
    }
}
