use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::plain_chunk;

fn chunk(delta: &Json) -> Json {
    json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
           "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": null}]})
}

fn text(chunk: &Json) -> Option<String> {
    plain_chunk(chunk.to_string().as_bytes()).map(|plain| plain.text)
}

#[test]
fn text_is_read_and_the_bytes_stay() {
    let data =
        br#" {"choices":[{"index":0,"delta":{"content":"a\n\u00e9"},"finish_reason":null}],"created":1.0} "#;
    let plain = plain_chunk(data).unwrap();
    assert_eq!(plain.text, "a\né");
    assert_eq!(plain.body, &data[1..data.len() - 1]);
}

#[test]
fn a_null_usage_and_obfuscation_are_taken_out() {
    let data = br#"{"usage": null, "obfuscation":"x\"y", "choices":[{"index":0,"delta":{"content":"x"}}],"model" : "m"}"#;
    let plain = plain_chunk(data).unwrap();
    assert_eq!(plain.body, br#"{"choices":[{"index":0,"delta":{"content":"x"}}],"model":"m"}"#);
}

#[test]
fn a_first_chunk_without_text_is_plain_and_empty() {
    assert_eq!(text(&chunk(&json!({"role": "assistant", "refusal": null}))), Some(String::new()));
}

#[test]
fn whatever_is_more_than_text_is_left_to_the_caller() {
    for delta in [
        json!({"content": null}),
        json!({"tool_calls": [{"index": 0}]}),
        json!({"content": "x", "refusal": "no"}),
        json!({"content": "x", "reasoning_content": "hm"}),
        json!("x"),
    ] {
        assert_eq!(text(&chunk(&delta)), None, "{delta}");
    }
    let plain = chunk(&json!({"content": "x"}));
    for (pointer, value) in [
        ("/choices/0/index", json!(1)),
        ("/choices/0/finish_reason", json!("stop")),
        ("/choices/0/logprobs", json!({"content": []})),
        ("/choices", json!([])),
        ("/choices", json!(null)),
    ] {
        let mut other = plain.clone();
        *other.pointer_mut(pointer).unwrap() = value;
        assert_eq!(text(&other), None, "{pointer}");
    }
    for (name, value) in
        [("usage", json!({"prompt_tokens": 1})), ("error", json!({})), ("padding", json!("ab"))]
    {
        let mut other = plain.clone();
        other[name] = value;
        assert_eq!(text(&other), None, "{name}");
    }
    assert_eq!(plain_chunk(b"[DONE]"), None);
    assert_eq!(plain_chunk(b"{\"choices\":"), None);
}

proptest! {
    #[test]
    fn any_text_comes_out_as_it_went_in(words in any::<String>()) {
        prop_assert_eq!(text(&chunk(&json!({"content": words}))), Some(words));
    }

    #[test]
    fn no_bytes_make_it_panic(data in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = plain_chunk(&data);
    }
}
