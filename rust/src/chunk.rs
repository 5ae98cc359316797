//! Chunks of a streamed answer that carry nothing but text, which nearly all do: read and passed on without a copy of
//! their structure. Everything else is left to who asks.

use crate::json::{Kind, Tree, Value};

/// A chunk with one choice whose only news is text.
#[derive(Debug, PartialEq, Eq)]
pub struct PlainChunk {
    /// The chunk as JSON, without the members `usage` and `obfuscation`.
    pub body: Vec<u8>,
    /// The text it adds; may be empty.
    pub text: String,
}

/// Read a `chat.completion.chunk`; `None` for one that is anything more than text, or is not well-formed.
#[must_use]
pub fn plain_chunk(data: &[u8]) -> Option<PlainChunk> {
    let (tree, text) = Tree::parse(data).ok()?;
    let root = tree.root(text);
    let (mut choices, mut spare) = (None, false);
    for (key, value) in root.members() {
        match key.text()?.as_ref() {
            "id" | "object" | "created" | "model" | "system_fingerprint" | "service_tier" => {}
            "usage" if value.is_null() => spare = true,
            "obfuscation" => spare = true,
            "choices" => choices = Some(value),
            _ => return None,
        }
    }
    let text = text_of(choices?)?;
    let body = if spare { without_spare(root) } else { root.raw().as_bytes().to_vec() };
    Some(PlainChunk { body, text })
}

fn text_of(choices: Value<'_>) -> Option<String> {
    let mut items = choices.items();
    let (choice, None) = (items.next()?, items.next()) else { return None };
    let (mut delta, mut index) = (None, false);
    for (key, value) in choice.members() {
        match key.text()?.as_ref() {
            "index" => index = value.raw() == "0",
            "delta" => delta = Some(value),
            "logprobs" | "finish_reason" if value.is_null() => {}
            _ => return None,
        }
    }
    let delta = delta.filter(|delta| index && delta.kind() == Kind::Object)?;
    let mut text = String::new();
    for (key, value) in delta.members() {
        match key.text()?.as_ref() {
            "content" => text = value.text()?.into_owned(),
            "role" if value.kind() == Kind::String => {}
            "refusal" | "tool_calls" | "function_call" if value.is_null() => {}
            _ => return None,
        }
    }
    Some(text)
}

fn without_spare(root: Value<'_>) -> Vec<u8> {
    let mut body = Vec::with_capacity(root.raw().len());
    for (key, value) in root.members().filter(|(key, _)| !key.is("usage") && !key.is("obfuscation")) {
        body.push(if body.is_empty() { b'{' } else { b',' });
        body.extend_from_slice(key.raw().as_bytes());
        body.push(b':');
        body.extend_from_slice(value.raw().as_bytes());
    }
    body.push(b'}');
    body
}

#[cfg(test)]
mod tests;
