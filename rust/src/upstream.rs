//! The body a provider gets: the client's own bytes, with only the members changed that are ours to change.

#[cfg(test)]
mod tests;

use crate::json::{Kind, Value, write_string};

/// Members that speak to the gateway: they never reach a provider as they are.
const OURS: [&str; 7] =
    ["model", "routing_mode", "cascade", "session_id", "feature", "stream", "stream_options"];

/// Members that bound the length of the answer, the one to add first: `max_tokens` is the older name.
const BOUNDS: [&str; 2] = ["max_completion_tokens", "max_tokens"];

/// How one provider wants its body.
#[derive(Debug, Clone, Copy, Default)]
pub struct Upstream<'a> {
    /// The provider's name of the model.
    pub model: &'a str,
    /// Ask for a stream, its usage included, or for a whole answer: the endpoint decides, not the client's body.
    pub stream: bool,
    /// Members the provider calls otherwise, as (client's name, provider's name).
    pub rename: &'a [(&'a str, &'a str)],
    /// Members the provider does not take.
    pub drop: &'a [&'a str],
    /// The answer may have so many tokens at most, whatever the client asks for.
    pub max_output_tokens: Option<u64>,
}

impl Upstream<'_> {
    /// Splice the body for the provider. Values and unchanged keys keep their bytes and their order.
    #[must_use]
    pub fn splice(&self, root: Value<'_>) -> Vec<u8> {
        let mut out = Vec::with_capacity(root.raw().len() + 64);
        out.extend_from_slice(b"{\"model\":");
        write_string(&mut out, self.model);
        let added = self.max_output_tokens.and_then(|most| self.added_bound(root, most));
        for (key, value) in root.members() {
            let name = key.text().unwrap_or_default();
            let to = self.name_of(&name);
            let replaced = value.is_null() && added.is_some_and(|(bound, _)| bound == to);
            if !self.is_sent(&name) || replaced || self.is_outranked(root, &name, to, value) {
                continue;
            }
            out.push(b',');
            if to == name {
                out.extend_from_slice(key.raw().as_bytes());
            } else {
                write_string(&mut out, to);
            }
            out.push(b':');
            match self.max_output_tokens.filter(|_| self.is_bound(to)) {
                Some(most) => write_bounded(&mut out, value, most),
                None => out.extend_from_slice(value.raw().as_bytes()),
            }
        }
        if let Some((bound, most)) = added {
            out.push(b',');
            write_string(&mut out, bound);
            out.push(b':');
            out.extend_from_slice(most.to_string().as_bytes());
        }
        if self.stream {
            self.stream_members(&mut out, root);
        }
        out.push(b'}');
        out
    }

    /// What the provider calls the member `name`.
    fn name_of<'n>(&'n self, name: &'n str) -> &'n str {
        self.rename.iter().find(|(from, _)| *from == name).map_or(name, |(_, to)| to)
    }

    fn is_sent(&self, name: &str) -> bool {
        !OURS.contains(&name) && !OURS.contains(&self.name_of(name)) && !self.drop.contains(&name)
    }

    /// Does the provider's member `to` bound the answer?
    fn is_bound(&self, to: &str) -> bool {
        BOUNDS.iter().any(|bound| self.is_sent(bound) && self.name_of(bound) == to)
    }

    /// The provider's name of a bound that the client did not give, or gave under a name the provider does not take, and
    /// its value. None when a bound is sent anyway, or the provider takes none.
    fn added_bound(&self, root: Value<'_>, most: u64) -> Option<(&str, u64)> {
        let mut bound = most;
        for (key, value) in root.members().filter(|(_, value)| !value.is_null()) {
            let name = key.text().unwrap_or_default();
            if self.is_sent(&name) && self.is_bound(self.name_of(&name)) {
                return None;
            }
            if BOUNDS.contains(&&*name) {
                bound = bound.min(value.raw().parse().unwrap_or(bound));
            }
        }
        BOUNDS.iter().find(|bound| self.is_sent(bound)).map(|name| (self.name_of(name), bound))
    }

    /// Does another member go by the provider's name `to`, and before this one? A key may stand only once:
    /// a value goes before null, then the member whose own name it is, then the first renamed one.
    fn is_outranked(&self, root: Value<'_>, name: &str, to: &str, value: Value<'_>) -> bool {
        if !self.rename.iter().any(|(_, target)| *target == to) {
            return false;
        }
        let rank = |name: &str, value: Value<'_>| {
            let nth = self.rename.iter().position(|(from, _)| *from == name);
            (value.is_null(), name != to, nth)
        };
        root.members().any(|(key, other)| {
            let rival = key.text().unwrap_or_default();
            self.name_of(&rival) == to && self.is_sent(&rival) && rank(&rival, other) < rank(name, value)
        })
    }

    fn stream_members(&self, out: &mut Vec<u8>, root: Value<'_>) {
        out.extend_from_slice(b",\"stream\":true");
        if self.drop.contains(&"stream_options") {
            return;
        }
        let asked = root.get("stream_options");
        out.extend_from_slice(b",\"stream_options\":{\"include_usage\":true");
        for (key, value) in
            asked.filter(|asked| asked.kind() == Kind::Object).into_iter().flat_map(Value::members)
        {
            if !key.is("include_usage") {
                member(out, key.raw(), value);
            }
        }
        out.push(b'}');
    }
}

/// A client's bound keeps its bytes unless it is larger. Whole numbers are all that the parser of requests lets through.
fn write_bounded(out: &mut Vec<u8>, value: Value<'_>, most: u64) {
    if value.is_null() || value.raw().parse().is_ok_and(|given: u64| given <= most) {
        out.extend_from_slice(value.raw().as_bytes());
    } else {
        out.extend_from_slice(most.to_string().as_bytes());
    }
}

fn member(out: &mut Vec<u8>, key: &str, value: Value<'_>) {
    out.push(b',');
    out.extend_from_slice(key.as_bytes());
    out.push(b':');
    out.extend_from_slice(value.raw().as_bytes());
}
