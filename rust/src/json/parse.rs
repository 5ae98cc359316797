//! The strict parser: one pass, no recursion beyond [`MAX_DEPTH`], no allocation per value.

use std::collections::HashSet;

use super::scan::{hex4, number_length, plain_length};
use super::{Kind, MAX_DEPTH, MAX_NUMBER_BYTES, MAX_STRUCTURAL, Node, Tree, Value};
use crate::error::{Fault, Rejection};

/// Objects with at most this many members are searched for duplicates pairwise, larger ones by hashing.
const PAIRWISE_MEMBERS: usize = 16;

pub(super) fn parse(body: &[u8]) -> Result<(Tree, &str), Rejection> {
    if body.starts_with(b"\xef\xbb\xbf") {
        return Err(Rejection::body(
            Fault::UnexpectedBom,
            "the body starts with a byte order mark; send plain UTF-8",
        ));
    }
    let text = std::str::from_utf8(body).map_err(|error| {
        Rejection::body(Fault::NotUtf8, format!("the body is not UTF-8 at byte {}", error.valid_up_to()))
    })?;
    if u32::try_from(body.len()).is_err() {
        return Err(Rejection::body(Fault::TooComplex, "the body is over 4 GiB"));
    }
    let mut parser =
        Parser { text, at: 0, depth: 0, structural: 0, nodes: Vec::with_capacity(body.len() / 32 + 8) };
    parser.whole()?;
    Ok((Tree { nodes: parser.nodes }, text))
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    structural: usize,
    nodes: Vec<Node>,
}

impl Parser<'_> {
    fn whole(&mut self) -> Result<(), Rejection> {
        self.value()?;
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.malformed("there is more after the JSON value")),
        }
    }

    /// The next byte that is not white space; it is not consumed.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    fn value(&mut self) -> Result<(), Rejection> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'{') => self.nested(Kind::Object),
            Some(b'[') => self.nested(Kind::Array),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true", Kind::True),
            Some(b'f') => self.literal("false", Kind::False),
            Some(b'n') => self.literal("null", Kind::Null),
            Some(_) => Err(self.malformed("a value was expected")),
            None => Err(self.malformed("the body ends where a value was expected")),
        }
    }

    fn nested(&mut self, kind: Kind) -> Result<(), Rejection> {
        if self.depth == MAX_DEPTH {
            return Err(self.refuse(Fault::TooDeep, &format!("nested deeper than {MAX_DEPTH}")));
        }
        self.depth += 1;
        let index = self.nodes.len();
        self.push(kind, self.at, false);
        self.structural()?;
        if kind == Kind::Object { self.members(index) } else { self.items() }?;
        self.depth -= 1;
        let (end, next) = (self.at, self.nodes.len());
        let node = &mut self.nodes[index];
        node.end = narrow(end);
        node.next = narrow(next);
        Ok(())
    }

    fn items(&mut self) -> Result<(), Rejection> {
        if self.peek() == Some(b']') {
            return self.structural();
        }
        loop {
            self.value()?;
            if self.separator(b']', "`,` or `]` was expected")? {
                return Ok(());
            }
        }
    }

    fn members(&mut self, parent: usize) -> Result<(), Rejection> {
        if self.peek() == Some(b'}') {
            return self.structural();
        }
        let mut count = 0;
        loop {
            self.key()?;
            self.value()?;
            count += 1;
            if self.separator(b'}', "`,` or `}` was expected")? {
                return self.refuse_duplicates(parent, count);
            }
        }
    }

    fn key(&mut self) -> Result<(), Rejection> {
        if self.peek() != Some(b'"') {
            return Err(self.malformed("a key in double quotes was expected"));
        }
        let index = self.nodes.len();
        self.string()?;
        if self.nodes[index].escaped && self.decoded(index).contains('\0') {
            return Err(self.malformed("a key holds NUL"));
        }
        if self.peek() != Some(b':') {
            return Err(self.malformed("`:` was expected"));
        }
        self.structural()
    }

    /// Consume `,` (false) or `close` (true).
    fn separator(&mut self, close: u8, expected: &str) -> Result<bool, Rejection> {
        match self.peek() {
            Some(b',') => self.structural().map(|()| false),
            Some(byte) if byte == close => self.structural().map(|()| true),
            _ => Err(self.malformed(expected)),
        }
    }

    fn structural(&mut self) -> Result<(), Rejection> {
        self.at += 1;
        self.structural += 1;
        if self.structural > MAX_STRUCTURAL {
            return Err(self.refuse(Fault::TooComplex, "more than 100000 of {}[],: in one body"));
        }
        Ok(())
    }

    fn literal(&mut self, word: &str, kind: Kind) -> Result<(), Rejection> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.malformed("a value was expected"));
        }
        let start = self.at;
        self.at += word.len();
        self.push(kind, start, false);
        Ok(())
    }

    fn string(&mut self) -> Result<(), Rejection> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut escaped = false;
        self.at += 1;
        loop {
            self.at += plain_length(&bytes[self.at..]);
            match bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.malformed("a control character in a string must be escaped")),
                None => return Err(self.malformed("the body ends inside a string")),
            }
        }
        self.at += 1;
        self.push(Kind::String, start, escaped);
        Ok(())
    }

    fn escape(&mut self) -> Result<(), Rejection> {
        match self.text.as_bytes().get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => match self.unicode_escape(self.at) {
                Some(0xd800..0xdc00) => match self.unicode_escape(self.at + 6) {
                    Some(0xdc00..0xe000) => self.at += 12,
                    _ => return Err(self.malformed("lone surrogate")),
                },
                Some(0xdc00..0xe000) => return Err(self.malformed("lone surrogate")),
                Some(_) => self.at += 6,
                None => return Err(self.malformed("`\\u` needs four hex digits")),
            },
            _ => return Err(self.malformed("unknown escape")),
        }
        Ok(())
    }

    fn unicode_escape(&self, at: usize) -> Option<u32> {
        hex4(self.text.as_bytes().get(at..at + 6)?.strip_prefix(b"\\u")?)
    }

    fn number(&mut self) -> Result<(), Rejection> {
        let rest = &self.text.as_bytes()[self.at..];
        let (length, has_exponent) =
            number_length(rest).ok_or_else(|| self.malformed("a digit was expected"))?;
        if length > MAX_NUMBER_BYTES {
            let why = format!("a number is longer than {MAX_NUMBER_BYTES} bytes");
            return Err(self.refuse(Fault::NumberTooLong, &why));
        }
        let start = self.at;
        if has_exponent && !self.text[start..start + length].parse::<f64>().is_ok_and(f64::is_finite) {
            return Err(self.malformed("a number is too large for a double"));
        }
        self.at += length;
        self.push(Kind::Number, start, false);
        Ok(())
    }

    /// Append a node that ends here and has no children yet.
    fn push(&mut self, kind: Kind, start: usize, escaped: bool) {
        let next = narrow(self.nodes.len() + 1);
        self.nodes.push(Node { kind, escaped, start: narrow(start), end: narrow(self.at), next });
    }

    fn refuse_duplicates(&self, parent: usize, count: usize) -> Result<(), Rejection> {
        if count < 2 {
            return Ok(());
        }
        // The parent is still open: it ends at the last node so far.
        let first = parent + 1;
        let keys = Keys { parser: self, at: first };
        let twice = if count <= PAIRWISE_MEMBERS {
            keys.enumerate().find_map(|(nth, key)| {
                Keys { parser: self, at: first }
                    .take(nth)
                    .any(|earlier| self.same(earlier, key))
                    .then_some(key)
            })
        } else {
            let mut seen = HashSet::with_capacity(count);
            keys.into_iter().find(|&key| !seen.insert(self.decoded(key)))
        };
        twice.map_or(Ok(()), |key| Err(self.duplicate(key)))
    }

    fn same(&self, left: usize, right: usize) -> bool {
        let (a, b) = (&self.nodes[left], &self.nodes[right]);
        if a.escaped || b.escaped {
            return self.decoded(left) == self.decoded(right);
        }
        self.text.as_bytes()[a.start as usize..a.end as usize]
            == self.text.as_bytes()[b.start as usize..b.end as usize]
    }

    fn decoded(&self, index: usize) -> std::borrow::Cow<'_, str> {
        Value { text: self.text, nodes: &self.nodes, index }.text().unwrap_or_default()
    }

    fn duplicate(&self, key: usize) -> Rejection {
        let name: String = self.decoded(key).chars().take(64).collect();
        let at = self.nodes[key].start as usize;
        Rejection::body(
            Fault::DuplicateKey,
            format!("the key {name:?} stands twice in one object, {}", self.place(at)),
        )
    }

    fn malformed(&self, why: &str) -> Rejection {
        self.refuse(Fault::MalformedJson, why)
    }

    fn refuse(&self, fault: Fault, why: &str) -> Rejection {
        Rejection::body(fault, format!("the body is not acceptable JSON: {why}, {}", self.place(self.at)))
    }

    fn place(&self, at: usize) -> String {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        let line_start =
            before.iter().rposition(|&byte| byte == b'\n').map_or(0, |line_break| line_break + 1);
        let line = 1 + before[..line_start].iter().map(|&byte| usize::from(byte == b'\n')).sum::<usize>();
        let column = 1 + before.len() - line_start;
        format!("at line {line} column {column}")
    }
}

/// Indices of the keys of the object whose members start at `at` and reach to the last node.
struct Keys<'a> {
    parser: &'a Parser<'a>,
    at: usize,
}

impl Iterator for Keys<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let key = self.at;
        self.at = self.parser.nodes.get(key + 1)?.next as usize;
        Some(key)
    }
}

/// Positions fit: `parse` refuses larger bodies, and there are fewer nodes than bytes.
fn narrow(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}
