//! The body a provider gets: the client's own bytes, with only the members changed that are ours to change.

use crate::json::{Kind, Value, write_string};

/// Members that speak to the gateway and never reach a provider.
const OURS: [&str; 5] = ["model", "routing_mode", "session_id", "feature", "stream_options"];

/// How one provider wants its body.
#[derive(Debug, Clone, Copy, Default)]
pub struct Upstream<'a> {
    /// The provider's name of the model.
    pub model: &'a str,
    /// Ask for the usage of a stream, whatever the client asked for.
    pub stream_usage: bool,
    /// Members the provider calls otherwise, as (client's name, provider's name).
    pub rename: &'a [(&'a str, &'a str)],
    /// Members the provider does not take.
    pub drop: &'a [&'a str],
}

impl Upstream<'_> {
    /// Splice the body for the provider. Values and unchanged keys keep their bytes and their order.
    #[must_use]
    pub fn splice(&self, root: Value<'_>, streams: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(root.raw().len() + 64);
        out.extend_from_slice(b"{\"model\":");
        write_string(&mut out, self.model);
        for (key, value) in root.members() {
            let name = key.text().unwrap_or_default();
            if OURS.contains(&name.as_ref()) || self.drop.contains(&name.as_ref()) {
                continue;
            }
            match self.rename.iter().find(|(from, _)| *from == name) {
                None if value.is_null() && self.is_taken(root, &name, "") => {}
                None => member(&mut out, key.raw(), value),
                Some((from, to)) if self.is_taken(root, to, from) => {}
                Some((_, to)) => {
                    out.push(b',');
                    write_string(&mut out, to);
                    out.push(b':');
                    out.extend_from_slice(value.raw().as_bytes());
                }
            }
        }
        self.stream_options(&mut out, root, streams);
        out.push(b'}');
        out
    }

    /// Does the provider's name `to` have a value already, its own or that of a rename before `from`?
    fn is_taken(&self, root: Value<'_>, to: &str, from: &str) -> bool {
        let is_set = |name: &str| root.get(name).is_some_and(|value| !value.is_null());
        let earlier = self.rename.iter().take_while(|(other, _)| *other != from);
        let renamed = earlier.filter(|(_, target)| *target == to).any(|(other, _)| is_set(other));
        renamed || OURS.contains(&to) || (!from.is_empty() && is_set(to))
    }

    fn stream_options(&self, out: &mut Vec<u8>, root: Value<'_>, streams: bool) {
        const NAME: &str = "stream_options";
        let asked = root.get(NAME);
        if self.drop.contains(&NAME) {
            return;
        }
        if !(streams && self.stream_usage) {
            if let Some(asked) = asked {
                member(out, "\"stream_options\"", asked);
            }
            return;
        }
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

fn member(out: &mut Vec<u8>, key: &str, value: Value<'_>) {
    out.push(b',');
    out.extend_from_slice(key.as_bytes());
    out.push(b':');
    out.extend_from_slice(value.raw().as_bytes());
}
