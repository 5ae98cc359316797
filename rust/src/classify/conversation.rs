//! What the messages say about a request beside the words of its last user turn.

#[cfg(test)]
mod tests;

use crate::json::Value;

/// Tool results are searched for a report of failure in their first bytes only.
const ERROR_WITHIN: usize = 300;
const ERROR_SIGNS: [&str; 9] = [
    "\"error\"",
    "error:",
    "exception",
    "traceback",
    "failed",
    "failure",
    "\"is_error\":true",
    "permission denied",
    "not found",
];

/// Facts about a conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Conversation {
    /// User turns before the last one.
    pub(super) earlier_turns: usize,
    /// Bytes of everything but the last user turn.
    pub(super) context_bytes: usize,
    /// Do tool calls or results follow the last user turn?
    pub(super) tool_loop: bool,
    /// Tool results after it that report an error.
    pub(super) tool_errors: usize,
    /// Steps of the loop so far.
    pub(super) tool_steps: usize,
    /// Tools the model may call.
    pub(super) tools: usize,
}

impl Conversation {
    /// Read the facts from a chat body.
    pub(super) fn read(root: Value<'_>) -> Self {
        let mut facts = Self::default();
        let (mut user_turns, mut last_user_bytes) = (0_usize, 0);
        for (key, value) in root.members() {
            if key.is("tools") || key.is("functions") {
                facts.tools = value.items().count();
                facts.context_bytes += value.raw().len();
            } else if key.is("messages") {
                for message in value.items() {
                    let content = message.get("content").map_or(0, |content| content.raw().len());
                    facts.context_bytes += content;
                    if message.get("role").is_some_and(|role| role.is("user")) {
                        user_turns += 1;
                        last_user_bytes = content;
                        (facts.tool_loop, facts.tool_errors, facts.tool_steps) = (false, 0, 0);
                    } else {
                        facts.step(message);
                    }
                }
            }
        }
        facts.earlier_turns = user_turns.saturating_sub(1);
        facts.context_bytes = facts.context_bytes.saturating_sub(last_user_bytes);
        facts
    }

    fn step(&mut self, message: Value<'_>) {
        let is_result = message.get("role").is_some_and(|role| role.is("tool") || role.is("function"));
        let calls = message.get("tool_calls").is_some_and(|calls| calls.items().next().is_some())
            || message.get("function_call").is_some_and(|call| !call.is_null());
        self.tool_loop |= is_result || calls;
        self.tool_steps += usize::from(is_result);
        self.tool_errors += usize::from(is_result && message.get("content").is_some_and(reports_error));
    }
}

fn reports_error(content: Value<'_>) -> bool {
    let raw = content.raw();
    let end = (0..=ERROR_WITHIN.min(raw.len())).rev().find(|&at| raw.is_char_boundary(at)).unwrap_or(0);
    let head = raw.get(..end).unwrap_or_default().to_ascii_lowercase().replace('\\', "");
    ERROR_SIGNS.iter().any(|sign| head.contains(sign))
}
