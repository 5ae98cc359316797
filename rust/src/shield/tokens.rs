//! Counts tokens as the rules do, and tells where words end.

/// A token is a word, or one character of a script without spaces; the end of a sentence counts as one more and a sign
/// of code as two, so that what does not belong together lies further apart: `print(prompt)` is not "print prompt".
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counter {
    tokens: u32,
    /// 1 inside a word, else 0.
    in_word: u8,
}

/// What a byte does to the counter, as bits: it begins a word unless one has begun, is part of a word, leaves that as it
/// is; the upper half is what it adds in any case.
const BEGINS: u8 = 1;
const WORD: u8 = 2;
const CLEAR: u8 = 4;
const ADDS_ONE: u8 = 1 << 4;
const ADDS_TWO: u8 = 2 << 4;

const EFFECTS: [u8; 256] = {
    let mut effects = [0; 256];
    let mut byte = 0_u8;
    loop {
        effects[byte as usize] = match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'A'..=b'Z' | 0xc0..=0xe2 | 0xee..=0xff => BEGINS | WORD,
            0x80..=0xbf | b'\'' => CLEAR,
            // Ends of sentences, and the first bytes of Han, kana and Hangul.
            b'.' | b'!' | b'?' | b'\n' | b';' | 0xe3..=0xed => ADDS_ONE,
            b'(' | b'=' | b'_' | b'{' => ADDS_TWO,
            _ => 0,
        };
        if byte == u8::MAX {
            break effects;
        }
        byte += 1;
    }
};

impl Counter {
    /// See the next byte.
    pub const fn see(&mut self, byte: u8) {
        let effect = EFFECTS[byte as usize];
        self.tokens += (effect & BEGINS & !self.in_word) as u32 + (effect >> 4) as u32;
        self.in_word = ((effect & WORD) >> 1) | (self.in_word & (effect >> 2));
    }

    /// Tokens that have begun so far.
    pub const fn tokens(self) -> u32 {
        self.tokens
    }

    /// Tokens of a whole text.
    pub fn count(text: &str) -> u32 {
        let mut counter = Self::default();
        text.bytes().for_each(|byte| counter.see(byte));
        counter.tokens
    }
}

/// May a word begin at this byte?
pub(super) fn bounded_left(text: &str, start: usize) -> bool {
    match text.as_bytes().get(start.wrapping_sub(1)) {
        None => true,
        Some(byte) if byte.is_ascii() => !byte.is_ascii_alphanumeric(),
        Some(_) => text[..start].chars().next_back().is_none_or(|c| !c.is_alphanumeric() || is_unspaced(c)),
    }
}

/// May a word end before this byte?
pub(super) fn bounded_right(text: &str, end: usize) -> bool {
    match text.as_bytes().get(end) {
        None => true,
        Some(byte) if byte.is_ascii() => !byte.is_ascii_alphanumeric(),
        Some(_) => text[end..].chars().next().is_none_or(|c| !c.is_alphanumeric() || is_unspaced(c)),
    }
}

/// Does a sentence start at this byte? Spaces, quotes, brackets, bullets and list numbers before it do not count.
pub(super) fn starts_sentence(text: &str, start: usize) -> bool {
    /// Enough for any bullet; bounds the look back.
    const LOOK_BACK: usize = 12;
    let before = &text.as_bytes()[start.saturating_sub(LOOK_BACK)..start];
    let sign = before.iter().rev().find(|byte| {
        !matches!(
            byte,
            b' ' | b'"' | b'\'' | b'`' | b'(' | b'[' | b'{' | b'<' | b'*' | b'_' | b'#' | b'>' | b'='
        )
    });
    match sign {
        None => true,
        // Signs of other scripts end sentences, and so does any letter where no spaces are written.
        Some(0x80..) => text[..start]
            .trim_end_matches(|sign: char| sign.is_ascii())
            .chars()
            .next_back()
            .is_none_or(|last| !last.is_alphanumeric() || is_unspaced(last)),
        Some(byte) => matches!(
            byte,
            b'.' | b'!' | b'?' | b':' | b';' | b',' | b'\n' | b'-' | b'/' | b'|' | b')' | b']' | b'}' | b'%'
        ),
    }
}

/// Is this letter of a script that writes no spaces between words, or glues endings to them (Korean)?
pub(super) const fn is_unspaced(letter: char) -> bool {
    matches!(letter, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}')
}
