//! The key of the exact cache: SHA-256 over everything that can change the answer.

#[cfg(test)]
mod tests;

use sha2::{Digest, Sha256};

use crate::json::{Kind, Value};

/// The full SHA-256; never shortened, since a collision would serve one customer's answer to another question.
pub type Key = [u8; 32];

/// Part of every key; raise it when the encoding or the meaning of an entry changes.
const SCHEMA: &str = "neuralrouting-exact-2";

/// The same of every scope, so that none is ever a key.
const SCOPE: &str = "neuralrouting-scope-1";

/// Names under which the router itself is asked for; to the cache they are one model.
const VIRTUAL_MODELS: [&str; 3] = ["auto", "neural-router-v2", "neural-optimizer"];

/// Part of every fingerprint, so that none is ever the key of anything.
const FINGERPRINT: &str = "neuralrouting-request-1";

/// Part of what all requests of one conversation have in common.
const CONVERSATION: &str = "neuralrouting-conversation-1";

/// Top-level members that do not change the answer, or enter the key by their effective value. A `cascade` only ever
/// makes an answer better, so that it serves who asked without one as well.
/// Everything else does: a list of what to include would miss the parameter that comes next year.
const LEFT_OUT: [&str; 12] = [
    "model",
    "routing_mode",
    "cascade",
    "stream",
    "stream_options",
    "user",
    "session_id",
    "feature",
    "metadata",
    "safety_identifier",
    "prompt_cache_key",
    "store",
];

/// Pieces are gathered up to this size, since hashing many small ones one by one is slow.
const BUFFER_BYTES: usize = 4096;

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |hex, byte| hex + &format!("{byte:02x}"))
}

/// For whom a request is answered, and by which models: the same body of another tenant is another request.
#[derive(Clone, Copy)]
pub(crate) struct Policy<'a> {
    pub tenant: &'a str,
    /// Empty where the users of a tenant share their answers.
    pub user: &'a str,
    /// The effective one.
    pub model: Option<&'a str>,
    /// The effective one.
    pub routing_mode: Option<&'a str>,
}

/// Compute the key of a request, whose body is `root`.
pub(crate) fn key_of(root: Value<'_>, policy: Policy<'_>) -> Key {
    digest(SCHEMA, root, policy, None)
}

/// Compute what requests that differ in one text alone have in common: the key without the value `text`.
pub(crate) fn scope_of(root: Value<'_>, policy: Policy<'_>, text: Value<'_>) -> Key {
    digest(SCOPE, root, policy, Some(text))
}

fn digest<'a>(schema: &str, root: Value<'a>, policy: Policy<'_>, without: Option<Value<'a>>) -> Key {
    let mut encoder = Encoder::new(schema);
    encoder.without = without;
    encoder.text(policy.tenant);
    encoder.text(policy.user);
    encoder.text(policy.model.filter(|name| !VIRTUAL_MODELS.contains(name)).unwrap_or("auto"));
    encoder.text(policy.routing_mode.unwrap_or_default());
    encoder.object(root, &LEFT_OUT);
    encoder.finish()
}

/// Tell one request body from another: every member counts, the order of members and white space do not.
pub(crate) fn fingerprint_of(root: Value<'_>) -> Key {
    let mut encoder = Encoder::new(FINGERPRINT);
    encoder.object(root, &[]);
    encoder.finish()
}

/// Tell one conversation of a tenant from another: the instructions before its first user message, and that message.
///
/// It stays the same while a conversation grows. None where nothing comes from a user.
pub(crate) fn conversation_of(root: Value<'_>, tenant: &str) -> Option<Key> {
    let mut encoder = Encoder::new(CONVERSATION);
    encoder.text(tenant);
    for message in root.get("messages").into_iter().flat_map(Value::items) {
        let Some(role) = message.get("role") else { continue };
        let opens = role.is("user");
        if !(opens || role.is("system") || role.is("developer")) {
            continue;
        }
        encoder.text(if opens { "user" } else { "system" });
        if let Some(content) = message.get("content") {
            encoder.value(content);
        }
        if opens {
            return Some(encoder.finish());
        }
    }
    None
}

struct Encoder<'a> {
    hash: Sha256,
    buffer: Vec<u8>,
    /// Members of the objects being encoded, innermost last, each object's part sorted.
    order: Vec<(std::borrow::Cow<'a, str>, Value<'a>)>,
    /// The one value that does not count, only that it is there.
    without: Option<Value<'a>>,
}

impl<'a> Encoder<'a> {
    fn new(schema: &str) -> Self {
        let buffer = Vec::with_capacity(BUFFER_BYTES);
        let mut encoder = Self { hash: Sha256::new(), buffer, order: Vec::new(), without: None };
        encoder.text(schema);
        encoder
    }

    fn finish(mut self) -> Key {
        self.hash.update(&self.buffer);
        self.hash.finalize().into()
    }

    fn value(&mut self, value: Value<'a>) {
        if self.without.is_some_and(|left_out| left_out.is_at(value)) {
            return self.buffer.push(b'*');
        }
        match value.kind() {
            Kind::Object => self.object(value, &[]),
            Kind::Array => {
                self.buffer.push(b'[');
                value.items().for_each(|item| self.value(item));
                self.buffer.push(b']');
            }
            Kind::String => self.text(&value.text().unwrap_or_default()),
            Kind::Number => self.tagged(b'0', value.raw()),
            Kind::True => self.buffer.push(b't'),
            Kind::False => self.buffer.push(b'f'),
            Kind::Null => self.buffer.push(b'n'),
        }
    }

    /// Members sorted by decoded key, each as key then value. Depth is bounded by the parser.
    fn object(&mut self, value: Value<'a>, left_out: &[&str]) {
        let first = self.order.len();
        let members = value.members().filter_map(|(key, value)| Some((key.text()?, value)));
        self.order.extend(members.filter(|(key, _)| !left_out.contains(&key.as_ref())));
        self.order[first..].sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
        self.buffer.push(b'{');
        while self.order.len() > first {
            let Some((key, value)) = self.order.pop() else { break };
            self.text(&key);
            self.value(value);
        }
        self.buffer.push(b'}');
    }

    fn text(&mut self, text: &str) {
        self.tagged(b'"', text);
    }

    /// Tag, length, bytes: no two different values share an encoding.
    fn tagged(&mut self, tag: u8, text: &str) {
        self.buffer.push(tag);
        self.buffer.extend_from_slice(&(text.len() as u64).to_le_bytes());
        if self.buffer.len() + text.len() > BUFFER_BYTES {
            self.hash.update(&self.buffer);
            self.buffer.clear();
        }
        if text.len() > BUFFER_BYTES {
            self.hash.update(text);
        } else {
            self.buffer.extend_from_slice(text.as_bytes());
        }
    }
}
