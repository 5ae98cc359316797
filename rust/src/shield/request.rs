//! Which texts of a request are scanned, and where each stands.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::json::{Kind, Value};
use crate::request::text_of;

use super::Channel;
use super::scan::Place;

/// Adjacent user messages are also read as one, up to this size: an attack may be split over them.
const JOINED_BYTES: usize = 16 * 1024;

/// Call `see` with each text: user, tool and assistant turns, and tool definitions.
///
/// System and developer messages are the operator's own words and are left out.
pub(super) fn texts<'a>(root: Value<'a>, mut see: impl FnMut(&str, Place)) {
    let mut joined: Vec<Cow<'a, str>> = Vec::new();
    for (index, message) in root.get("messages").into_iter().flat_map(Value::items).enumerate() {
        let role = message.get("role").and_then(Value::text);
        let channel = match role.as_deref() {
            Some("user") => Channel::User,
            Some("tool" | "function") => Channel::Tool,
            Some("assistant") => Channel::Assistant,
            _ => continue,
        };
        let place = Place { channel, message: Some(index) };
        let text = text_of(message);
        if !text.is_empty() {
            see(&text, place);
        }
        if channel == Channel::User {
            joined.push(text);
        } else {
            see_joined(&mut joined, &mut see);
        }
    }
    see_joined(&mut joined, &mut see);
    for tool in [root.get("tools"), root.get("functions")].into_iter().flatten().flat_map(Value::items) {
        let mut text = String::new();
        gather(tool, &mut text);
        see(&text, Place { channel: Channel::Tool, message: None });
    }
}

fn see_joined(parts: &mut Vec<Cow<'_, str>>, see: &mut impl FnMut(&str, Place)) {
    if parts.len() > 1 && parts.iter().map(|part| part.len()).sum::<usize>() <= JOINED_BYTES {
        see(&parts.join(" "), Place { channel: Channel::User, message: None });
    }
    parts.clear();
}

/// Append every string below a value, a line each; names of members are not read.
fn gather(value: Value<'_>, lines: &mut String) {
    match value.kind() {
        Kind::String => {
            lines.push_str(&value.text().unwrap_or_default());
            lines.push('\n');
        }
        Kind::Array => value.items().for_each(|item| gather(item, lines)),
        Kind::Object => value.members().for_each(|(_, member)| gather(member, lines)),
        _ => {}
    }
}
