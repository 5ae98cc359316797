use super::{JsonMode, Request};
use crate::error::{Fault, Rejection};
use crate::json::Tree;

const MESSAGES: &str = r#""messages":[{"role":"user","content":"Hi"}]"#;

fn read(body: &str) -> Result<Request, Rejection> {
    let (tree, text) = Tree::parse(body.as_bytes())?;
    Request::read(tree.root(text))
}

fn with(members: &str) -> Result<Request, Rejection> {
    read(&format!("{{{MESSAGES},{members}}}"))
}

fn of_messages(messages: &str) -> Result<Request, Rejection> {
    read(&format!(r#"{{"messages":{messages}}}"#))
}

#[track_caller]
fn refused(read: Result<Request, Rejection>, param: &str) {
    let rejection = read.expect_err(param);
    assert_eq!((rejection.fault, rejection.param.as_deref()), (Fault::InvalidField, Some(param)));
    assert!(rejection.message.contains(param));
}

#[test]
fn the_body_must_be_an_object() {
    for body in ["[]", "1", "null", r#""x""#] {
        let rejection = read(body).unwrap_err();
        assert_eq!((rejection.fault, rejection.fault.status()), (Fault::MalformedJson, 400));
        assert_eq!(rejection.message, "the body must be a JSON object");
    }
}

#[test]
fn there_must_be_messages() {
    for body in [
        "{}",
        r#"{"messages":[]}"#,
        r#"{"messages":null}"#,
        r#"{"messages":"Hi"}"#,
        r#"{"messages":{"a":1}}"#,
    ] {
        refused(read(body), "messages");
    }
    let many = |count: usize| format!("[{}]", vec![r#"{"role":"user","content":""}"#; count].join(","));
    assert_eq!(of_messages(&many(2048)).unwrap().message_count, 2048);
    refused(of_messages(&many(2049)), "messages");
}

#[test]
fn a_wrong_message_is_named_by_its_place() {
    let cases = [
        ("[1]", "messages[0]"),
        ("[{}]", "messages[0].role"),
        (r#"[{"role":"king","content":""}]"#, "messages[0].role"),
        (r#"[{"role":1,"content":""}]"#, "messages[0].role"),
        (r#"[{"role":"user"}]"#, "messages[0].content"),
        (r#"[{"role":"system","content":null}]"#, "messages[0].content"),
        (r#"[{"role":"tool"}]"#, "messages[0].content"),
        (r#"[{"role":"user","content":"a"},{"role":"assistant","content":7}]"#, "messages[1].content"),
        (r#"[{"role":"user","content":{"type":"text"}}]"#, "messages[0].content"),
        (r#"[{"role":"user","content":["a"]}]"#, "messages[0].content[0]"),
        (r#"[{"role":"user","content":[{"type":"text"},{"type":1}]}]"#, "messages[0].content[1]"),
    ];
    for (messages, param) in cases {
        refused(of_messages(messages), param);
    }
    for role in ["assistant", "function"] {
        assert!(of_messages(&format!(r#"[{{"role":"{role}"}}]"#)).is_ok());
    }
}

#[test]
fn each_field_takes_its_range_and_nothing_else() {
    let long = format!("\"{}\"", "x".repeat(513));
    let tools = format!("[{}]", vec![r#"{"type":"function"}"#; 129].join(","));
    let cases: [(&str, &[&str], &[&str]); 27] = [
        ("model", &["\"gpt-4o\""], &["null", "\"\"", "1", &long]),
        ("stream", &["true", "null"], &["1", "\"true\""]),
        ("stream_options", &["null", "{}", "{\"x\":1}"], &["true", "[]"]),
        ("temperature", &["0", "2", "2.0", "1e-3", "null"], &["-0.1", "2.1", "9e99", "true", "\"1\""]),
        ("top_p", &["0", "1.0", "null"], &["1.1", "-1", "false"]),
        ("presence_penalty", &["-2", "2", "null"], &["2.5", "[]"]),
        ("frequency_penalty", &["-2", "2", "null"], &["-3", "{}"]),
        ("n", &["1", "8", "null"], &["0", "9", "true", "1.0", "1e0", "-1", "\"1\""]),
        (
            "max_tokens",
            &["1", "2147483647", "null"],
            &["0", "-1", "1.0", "1e25", "2147483648", "99999999999999999999999"],
        ),
        ("max_completion_tokens", &["1", "null"], &["0", "true"]),
        ("seed", &["-5", "12345678901234567890123", "null"], &["1.0", "1e3", "true"]),
        (
            "stop",
            &["\"a\"", "[]", "[\"a\",\"b\",\"c\",\"d\"]", "null"],
            &["1", "[1]", "[\"a\",\"a\",\"a\",\"a\",\"a\"]", "{}"],
        ),
        ("tools", &["[]", "[{\"type\":\"function\"}]", "null"], &["{}", &tools, "true"]),
        ("tool_choice", &["\"auto\"", "{\"type\":\"function\"}", "null"], &["1", "[]"]),
        ("parallel_tool_calls", &["false", "null"], &["0"]),
        ("response_format", &["{\"type\":\"text\"}", "null"], &["{}", "\"json\"", "{\"type\":1}"]),
        ("logprobs", &["true", "null"], &["1"]),
        ("top_logprobs", &["0", "20", "null"], &["21", "-1", "5.0"]),
        ("logit_bias", &["{\"50256\":-100}", "null"], &["[]", "1"]),
        ("user", &["\"u\"", "null"], &[&long, "1"]),
        ("session_id", &["\"s\"", "null"], &[&long, "1"]),
        ("feature", &["\"f\"", "null"], &[&long, "{}"]),
        ("cascade", &["true", "false", "null"], &["1", "\"true\"", "{}"]),
        ("routing_mode", &["\"auto\"", "\"cost\"", "\"quality\"", "\"speed\"", "null"], &["\"fast\"", "1"]),
        ("metadata", &["{}", "{\"feature\":1}", "null"], &["[]", "\"x\""]),
        ("modalities", &["[\"text\"]", "null"], &["\"text\""]),
        ("no_such_field", &["1", "[[]]", "{\"a\":{}}", "null"], &[]),
    ];
    for (name, good, bad) in cases {
        for value in good {
            assert!(with(&format!("\"{name}\":{value}")).is_ok(), "{name}: {value}");
        }
        for value in bad {
            refused(with(&format!("\"{name}\":{value}")), name);
        }
    }
    refused(with(r#""tools":[{"type":"function"},{}]"#), "tools[1]");
    refused(with(r#""stream_options":{"include_usage":1}"#), "stream_options.include_usage");
    refused(with(&format!(r#""metadata":{{"feature":{long}}}"#)), "metadata.feature");
}

#[test]
fn lengths_are_counted_in_characters() {
    assert!(with(&format!("\"user\":\"{}\"", "\u{e9}".repeat(512))).is_ok());
    refused(with(&format!("\"model\":\"{}\"", "\u{e9}".repeat(257))), "model");
}

#[test]
fn the_gateway_learns_what_it_needs() {
    let request = with(
        r#""model":"m","stream":true,"stream_options":{"include_usage":true},"user":"u","session_id":"s","n":2,
        "max_tokens":10,"max_completion_tokens":20,"logprobs":true,"routing_mode":"cost""#,
    )
    .unwrap();
    assert_eq!(request.model.as_deref(), Some("m"));
    assert!(request.stream && request.include_usage && request.logprobs);
    assert_eq!((request.user.as_deref(), request.session_id.as_deref()), (Some("u"), Some("s")));
    assert_eq!((request.n, request.max_output_tokens(), request.message_count), (Some(2), Some(20), 1));
    assert!(!request.has_tools && !request.has_images && !request.has_audio);
}

#[test]
fn who_spends_may_stand_in_metadata_and_yields_to_the_fields_of_that_name() {
    let told = with(r#""metadata":{"user":"anna","session_id":"s1"}"#).unwrap();
    assert_eq!((told.user.as_deref(), told.session_id.as_deref()), (Some("anna"), Some("s1")));
    let both =
        with(r#""metadata":{"user":"anna","session_id":"s1"},"user":"bert","session_id":"s2""#).unwrap();
    assert_eq!((both.user.as_deref(), both.session_id.as_deref()), (Some("bert"), Some("s2")));
}

#[test]
fn a_feature_in_metadata_yields_to_one_at_the_top() {
    assert_eq!(with(r#""metadata":{"feature":"m"}"#).unwrap().feature.as_deref(), Some("m"));
    assert_eq!(with(r#""metadata":{"feature":"m"},"feature":"t""#).unwrap().feature.as_deref(), Some("t"));
    assert_eq!(with(r#""metadata":{"feature":"m"},"feature":null"#).unwrap().feature.as_deref(), Some("m"));
}

#[test]
fn json_modes_are_told_apart() {
    let mode = |kind: &str| with(&format!(r#""response_format":{{"type":"{kind}"}}"#)).unwrap().json_mode;
    assert_eq!(
        [mode("text"), mode("json_object"), mode("json_schema")],
        [JsonMode::None, JsonMode::Object, JsonMode::Schema]
    );
}

#[test]
fn tools_are_seen_wherever_they_stand() {
    let user = r#"{"role":"user","content":"Hi"}"#;
    assert!(with(r#""tools":[{"type":"function"}]"#).unwrap().has_tools);
    assert!(with(r#""functions":[{"name":"f"}]"#).unwrap().has_tools);
    assert!(of_messages(&format!(r#"[{user},{{"role":"tool","content":"1"}}]"#)).unwrap().has_tools);
    assert!(
        of_messages(&format!(r#"[{user},{{"role":"assistant","tool_calls":[{{"id":"1"}}]}}]"#))
            .unwrap()
            .has_tools
    );
    assert!(!with(r#""tools":[],"functions":[]"#).unwrap().has_tools);
    assert!(
        !of_messages(&format!(r#"[{user},{{"role":"assistant","content":"x","tool_calls":null}}]"#))
            .unwrap()
            .has_tools
    );
}

#[test]
fn images_and_audio_are_seen_and_counted() {
    let part = |part: &str| of_messages(&format!(r#"[{{"role":"user","content":[{part}]}}]"#)).unwrap();
    let high = part(r#"{"type":"image_url","image_url":{"url":"data:"}}"#);
    assert!(high.has_images && !high.has_audio);
    assert_eq!(high.prompt_tokens, 4 + 3 + 765);
    assert_eq!(
        part(r#"{"type":"image_url","image_url":{"url":"data:","detail":"low"}}"#).prompt_tokens,
        4 + 3 + 85
    );
    assert_eq!(part(r#"{"type":"input_image","detail":"low"}"#).prompt_tokens, 4 + 3 + 85);
    assert!(part(r#"{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}"#).has_audio);
}

#[test]
fn prompt_tokens_grow_with_text_messages_and_tools() {
    let one = of_messages(r#"[{"role":"user","content":"Hi there"}]"#).unwrap().prompt_tokens;
    assert_eq!(one, 2 + 4 + 3);
    let parts = of_messages(r#"[{"role":"user","content":[{"type":"text","text":"Hi there"}]}]"#).unwrap();
    assert_eq!(parts.prompt_tokens, one);
    let two = of_messages(r#"[{"role":"system","content":"Hi there"},{"role":"user","content":"Hi there"}]"#)
        .unwrap();
    assert_eq!(two.prompt_tokens, 2 * one - 3);
    assert!(
        with(r#""tools":[{"type":"function","function":{"name":"weather"}}]"#).unwrap().prompt_tokens > one
    );
}
