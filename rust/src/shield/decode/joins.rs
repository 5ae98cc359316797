//! Strings that a program would join: `"Ign" + "ore"`, `'a' 'b'`.

use super::{Budget, Decoded, is_text};

/// Longest string that is taken for a part, in bytes.
const PART: usize = 256;
/// Most blanks between a string and what joins it to the next.
const BLANKS: usize = 16;

/// Join the parts of each chain of strings.
pub(super) fn strings(text: &str, budget: &mut Budget, found: &mut Vec<Decoded>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(step) = bytes.get(at..).and_then(|rest| rest.iter().position(|byte| is_quote(*byte))) {
        let start = at + step;
        let (parts, end) = chain(text, start);
        if parts.len() < 2 {
            at = start + 1;
            continue;
        }
        at = end;
        let joined: String = parts.concat();
        if is_text(&joined) && budget.take(joined.len()) == joined.len() {
            found.push(Decoded { text: budget.give(joined), via: "concat", start, end });
        }
    }
}

const fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'')
}

/// The parts of the chain that starts at `start`, and where it ends.
fn chain(text: &str, start: usize) -> (Vec<&str>, usize) {
    let (mut parts, mut at, mut end) = (Vec::new(), start, start);
    while let Some((part, after)) = string(text, at) {
        parts.push(part);
        end = after;
        let Some(next) = next_string(text.as_bytes(), after) else { break };
        at = next;
    }
    (parts, end)
}

/// What stands between the quotes at `start`, and the place after them.
fn string(text: &str, start: usize) -> Option<(&str, usize)> {
    let bytes = text.as_bytes();
    let quote = bytes.get(start).filter(|byte| is_quote(**byte))?;
    let inside = bytes.get(start + 1..)?;
    let length = inside.iter().take(PART).position(|byte| byte == quote)?;
    Some((text.get(start + 1..start + 1 + length)?, start + length + 2))
}

/// Where the next string of the chain starts: after a plus sign, or after nothing but blanks.
fn next_string(bytes: &[u8], after: usize) -> Option<usize> {
    let skip = |at: usize| {
        let rest = bytes.get(at..).unwrap_or_default();
        at + rest.iter().take(BLANKS).take_while(|byte| byte.is_ascii_whitespace()).count()
    };
    let mut at = skip(after);
    if matches!(bytes.get(at), Some(b'+')) {
        at = skip(at + 1);
    } else if at == after {
        return None;
    }
    bytes.get(at).is_some_and(|byte| is_quote(*byte)).then_some(at)
}
