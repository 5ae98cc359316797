//! Marks of Markdown and comments of HTML that split a word.

use super::{NEIGHBOUR, Reader};

/// Longest run of `*`, `~` or the like that is emphasis, in characters.
const EMPHASIS: usize = 3;

impl Reader<'_> {
    /// Leave out `**` and the like if it splits a word; `_` only after another that opened the word, since
    /// names such as `system_prompt` are words with a seam.
    pub(super) fn emphasis(&mut self) {
        let rest = self.rest();
        let Some(mark) = rest.chars().next() else { return };
        let length = rest.len() - rest.trim_start_matches(mark).len();
        let splits = length <= EMPHASIS
            && self.text.chars().next_back().is_some_and(char::is_alphabetic)
            && rest.get(length..).and_then(|rest| rest.chars().next()).is_some_and(char::is_alphabetic)
            && (mark != '_' || self.opened());
        let start = self.at;
        self.at += length;
        if !splits {
            self.offsets.mark(self.text.len(), start);
            self.text.push_str(self.source.get(start..self.at).unwrap_or_default());
        }
    }

    fn opened(&self) -> bool {
        let mut before = self.text.chars().rev().take(NEIGHBOUR).skip_while(|letter| letter.is_alphabetic());
        before.next() == Some('_') && !before.next().is_some_and(char::is_alphanumeric)
    }

    /// Leave out a comment of HTML that splits a word; what it says is kept as hidden text.
    pub(super) fn comment(&mut self) {
        let start = self.at;
        let opens =
            self.rest().starts_with("<!--") && self.text.chars().next_back().is_some_and(char::is_alphabetic);
        let end = opens.then(|| self.end_of_comment()).flatten();
        let splits = |end: &usize| {
            self.source.get(*end..).and_then(|rest| rest.chars().next()).is_some_and(char::is_alphabetic)
        };
        if let Some(end) = end.filter(splits) {
            self.hidden.say(self.source.get(start + 4..end - 3).unwrap_or_default().trim());
            self.at = end;
            return;
        }
        self.push('<', start);
        self.at += 1;
    }

    /// Where the comment that starts here ends. The place is kept, so that many openings cost one search.
    fn end_of_comment(&mut self) -> Option<usize> {
        let inside = self.at + 4;
        if self.comment_end.is_none_or(|end| end < inside + 3) {
            let found = self.source.get(inside..).and_then(|rest| rest.find("-->"));
            self.comment_end = Some(found.map_or(usize::MAX, |length| inside + length + 3));
        }
        self.comment_end.filter(|end| *end != usize::MAX)
    }
}
