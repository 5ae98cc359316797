//! A strict JSON document as a flat list of nodes that borrow from the body.
//!
//! Our own parser rather than `jiter`'s iterator: splicing needs the span of each key and value, which the
//! iterator does not give for keys; it decodes strings into a shared buffer, so borrowing them needs a second
//! pass; and duplicate keys, depth, size and number bounds had to be watched from outside anyway.

mod parse;
mod scan;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::error::Rejection;

/// Arrays and objects may be nested this deep; the chat schema itself needs about 8.
pub const MAX_DEPTH: usize = 64;
/// Structural characters (`{}[],:`) allowed in one body; bounds the work and memory of a hostile one.
pub const MAX_STRUCTURAL: usize = 100_000;
/// Bytes allowed in one number literal; 64-bit integers and shortest doubles need at most 25.
pub const MAX_NUMBER_BYTES: usize = 32;

/// The type of a JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{...}`: children are key, value, key, value.
    Object,
    /// `[...]`.
    Array,
    /// A string, or the key of an object's member.
    String,
    /// A number, kept as it was written.
    Number,
    /// `true`.
    True,
    /// `false`.
    False,
    /// `null`.
    Null,
}

/// One value: where it stands in the body and where its subtree ends in the list.
#[derive(Debug, Clone, Copy)]
struct Node {
    kind: Kind,
    escaped: bool,
    start: u32,
    end: u32,
    next: u32,
}

/// A parsed document without its text; 16 bytes a value, in the order of the text.
#[derive(Debug, Clone)]
pub struct Tree {
    nodes: Vec<Node>,
}

impl Tree {
    /// Parse `body` strictly.
    ///
    /// # Errors
    /// A [`Rejection`] with status 400 for everything that is not one well-formed, bounded JSON value.
    pub fn parse(body: &[u8]) -> Result<(Self, &str), Rejection> {
        parse::parse(body)
    }

    /// The root value. `text` must be what this tree was parsed from.
    #[must_use]
    pub fn root<'a>(&'a self, text: &'a str) -> Value<'a> {
        Value { text, nodes: &self.nodes, index: 0 }
    }
}

/// A value inside a document; copying it is free.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    text: &'a str,
    nodes: &'a [Node],
    index: usize,
}

impl<'a> Value<'a> {
    const fn node(self) -> &'a Node {
        &self.nodes[self.index]
    }

    /// Its type.
    #[must_use]
    pub const fn kind(self) -> Kind {
        self.node().kind
    }

    /// Is it `null`?
    #[must_use]
    pub fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    /// Is it the very value `other`, in its place of the same document?
    pub(crate) fn is_at(self, other: Self) -> bool {
        self.index == other.index && std::ptr::eq(self.nodes, other.nodes)
    }

    /// Its own bytes in the body, quotes included.
    #[must_use]
    pub fn raw(self) -> &'a str {
        &self.text[self.node().start as usize..self.node().end as usize]
    }

    /// The decoded text of a string or key; borrowed unless it holds escapes. `None` for other kinds.
    #[must_use]
    pub fn text(self) -> Option<Cow<'a, str>> {
        let node = self.node();
        if node.kind != Kind::String {
            return None;
        }
        let inner = &self.text[node.start as usize + 1..node.end as usize - 1];
        Some(if node.escaped { Cow::Owned(scan::unescape(inner)) } else { Cow::Borrowed(inner) })
    }

    /// Is it the string `name`?
    #[must_use]
    pub fn is(self, name: &str) -> bool {
        self.text().is_some_and(|text| text == name)
    }

    /// Key and value of each member, in the order of the text; nothing for other kinds.
    #[must_use]
    pub fn members(self) -> Members<'a> {
        Members(self.children(Kind::Object))
    }

    /// The items of an array; nothing for other kinds.
    #[must_use]
    pub fn items(self) -> Children<'a> {
        self.children(Kind::Array)
    }

    /// The member called `name`.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Self> {
        self.members().find_map(|(key, value)| key.is(name).then_some(value))
    }

    fn children(self, kind: Kind) -> Children<'a> {
        let node = self.node();
        let end = if node.kind == kind { node.next as usize } else { 0 };
        Children { parent: self, at: self.index + 1, end }
    }

    const fn sibling(self, index: usize) -> Self {
        Self { text: self.text, nodes: self.nodes, index }
    }
}

/// The direct children of a value.
#[derive(Clone)]
pub struct Children<'a> {
    parent: Value<'a>,
    at: usize,
    end: usize,
}

impl<'a> Iterator for Children<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        if self.at >= self.end {
            return None;
        }
        let child = self.parent.sibling(self.at);
        self.at = child.node().next as usize;
        Some(child)
    }
}

/// The members of an object as (key, value).
#[derive(Clone)]
pub struct Members<'a>(Children<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = (Value<'a>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.0.next()?, self.0.next()?))
    }
}

/// Append `text` to `out` as a JSON string.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}
