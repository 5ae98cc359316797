//! Text that is spelled out in characters without a glyph.

/// Most bytes of hidden text that are kept.
const KEPT: usize = 16 * 1024;
/// Fewer variation selectors in a row are typography.
const SELECTORS: usize = 8;
/// Fewer zero-width characters in a row spell no two letters.
const ZEROES: usize = 16;
/// Longest name of a region that tags after a black flag spell.
const REGION: usize = 6;

/// What was found so far.
#[derive(Default)]
pub(super) struct Hidden(String);

impl Hidden {
    /// Add what a comment said.
    pub(super) fn say(&mut self, said: &str) {
        if said.is_empty() {
            return;
        }
        if !self.0.is_empty() {
            self.add('\n');
        }
        said.chars().for_each(|letter| self.add(letter));
    }

    /// All that was hidden.
    pub(super) fn finish(self) -> String {
        self.0
    }

    fn add(&mut self, letter: char) {
        if self.0.len() + letter.len_utf8() <= KEPT {
            self.0.push(letter);
        }
    }

    /// The run of tags, selectors or zero-width characters of `source` that starts at `at`; what it spells
    /// is added. Empty if there is another character.
    pub(super) fn run<'a>(&mut self, source: &'a str, at: usize) -> &'a str {
        let Some((before, rest)) = source.split_at_checked(at) else { return "" };
        let Some(first) = rest.chars().next() else { return "" };
        let is_tag = tag(first).is_some();
        let end = |belongs: fn(char) -> bool| rest.find(|letter| !belongs(letter)).unwrap_or(rest.len());
        let length = match first {
            _ if is_tag => end(|letter| tag(letter).is_some()),
            _ if selector(first).is_some() => end(|letter| selector(letter).is_some()),
            _ if is_zero(first) => end(is_zero),
            _ => return "",
        };
        let run = rest.get(..length).unwrap_or_default();
        let flag = before.ends_with('\u{1f3f4}') && run.chars().count() <= REGION + 1;
        if is_tag && !flag {
            // They may be scattered one by one among visible letters; the others come as one run.
            tags(run).for_each(|letter| self.add(letter));
        } else if is_zero(first) {
            self.say(&zeroes(run));
        } else {
            self.say(&selectors(run));
        }
        run
    }
}

fn tag(letter: char) -> Option<u8> {
    let code = u32::from(letter).checked_sub(0xe_0000)?;
    u8::try_from(code).ok().filter(u8::is_ascii)
}

fn tags(run: &str) -> impl Iterator<Item = char> {
    run.chars().filter_map(tag).filter(|byte| (b' '..0x7f).contains(byte)).map(char::from)
}

/// The byte that a variation selector stands for: the first sixteen are a block of their own.
fn selector(letter: char) -> Option<u8> {
    match letter {
        '\u{fe00}'..='\u{fe0f}' => u8::try_from(u32::from(letter) - 0xfe00).ok(),
        '\u{e0100}'..='\u{e01ef}' => u8::try_from(u32::from(letter) - 0xe_0100 + 16).ok(),
        _ => None,
    }
}

/// Bytes, either counted over both blocks of selectors or within the second alone.
fn selectors(run: &str) -> String {
    let counted: Vec<u8> = run.chars().filter_map(selector).take(KEPT).collect();
    if counted.len() < SELECTORS {
        return String::new();
    }
    let within: Vec<u8> = counted.iter().map(|byte| byte.wrapping_sub(16)).collect();
    let best = if letters(&within) > letters(&counted) { within } else { counted };
    String::from_utf8_lossy(&best).into_owned()
}

fn letters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| byte.is_ascii_alphabetic() || **byte == b' ').count()
}

const fn is_zero(letter: char) -> bool {
    matches!(letter, '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

/// Bits of bytes: the smallest character of the run is nought, the greatest one; whatever is in between
/// parts letters. Kept only if it reads as text.
fn zeroes(run: &str) -> String {
    let (nought, one) = (run.chars().min(), run.chars().max());
    let bits: Vec<bool> = run
        .chars()
        .take(KEPT * 8)
        .filter(|letter| Some(*letter) == nought || Some(*letter) == one)
        .map(|letter| Some(letter) == one)
        .collect();
    if bits.len() < ZEROES || nought == one {
        return String::new();
    }
    [false, true]
        .into_iter()
        .map(|flipped| {
            bits.chunks_exact(8)
                .map(|eight| eight.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit != flipped)))
                .collect::<Vec<u8>>()
        })
        .find(|bytes| letters(bytes) * 4 >= bytes.len() * 3)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}
