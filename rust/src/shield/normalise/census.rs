//! Counts of what a text is made of, so that a caller knows in constant time which readings to try.
//!
//! Sixty-four bytes at a time become eight bit masks, one for each class of byte; every count is then a few
//! operations on masks. Only runs of sixteen characters or more that could be an encoding are looked at
//! byte by byte.

#[cfg(test)]
mod tests;

/// Bytes that are classified at once: the bits of a mask.
const BLOCK: usize = 64;
/// Shortest run in the alphabet of base64 that is looked at, in characters.
pub(crate) const RUN: usize = 16;

/// What a text is made of. Counts of encodings are of the text as it came, counts of words as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Census {
    /// Length of the text as it came, in bytes.
    pub bytes: usize,
    /// Characters beyond ASCII.
    pub non_ascii: usize,
    /// Runs of letters and digits.
    pub words: usize,
    /// Words of one letter.
    pub singles: usize,
    /// Letters that stand alone and are followed by one separator and another lone letter: `i g`, `i.g`.
    pub spaced: usize,
    /// Digits beside a letter, and `@ $ ! + |` before one.
    pub leet: usize,
    /// Longest run in the alphabets of base64, in characters; below [`RUN`] it is given as zero, and so are
    /// the next four.
    pub longest_base64: usize,
    /// Longest run of letters.
    pub longest_letters: usize,
    /// Longest run of hexadecimal digits.
    pub longest_hex: usize,
    /// Longest run in the alphabet of base32.
    pub longest_base32: usize,
    /// Longest run of `0` and `1`.
    pub longest_binary: usize,
    /// Words of a digit and one more character, such as `6f`.
    pub pairs: usize,
    /// Words of exactly eight digits.
    pub octets: usize,
    /// `%` before two hexadecimal digits.
    pub percent: usize,
    /// `\x` and `\u`.
    pub escapes: usize,
    /// Other backslashes.
    pub backslashes: usize,
    /// `&` before `#` or a letter.
    pub entities: usize,
    /// `0x` at the start of a word.
    pub hex_prefixes: usize,
    /// A quote, ` + ` or a blank, and another quote.
    pub joins: usize,
    /// Zero-width characters that were taken out.
    pub zero_width: usize,
    /// Combining marks that were taken out.
    pub combining: usize,
    /// Other characters without a glyph: tags, variation selectors, bidi controls, control characters.
    pub invisible: usize,
}

impl Census {
    /// Count `text`, and say where its plain parts end.
    pub(super) fn of(text: &str) -> (Self, Stops) {
        let mut count = Count { bytes: text.as_bytes(), ..Count::default() };
        count.census.bytes = text.len();
        count.stops.0.reserve(text.len() / BLOCK + 1);
        count.all();
        (count.census, count.stops)
    }

    /// Take the counts of words from a census of the text as it was read.
    pub(crate) fn words_of(&mut self, read: &Self) {
        self.words = read.words;
        self.singles = read.singles;
        self.spaced = read.spaced;
        self.leet = read.leet;
        self.longest_letters = read.longest_letters;
    }
}

/// A bit for each byte at which a plain copy has to stop: marks, control characters, what is beyond ASCII,
/// and a blank before another.
#[derive(Debug, Default)]
pub(super) struct Stops(Vec<u64>);

impl Stops {
    /// The first stop at or after `at`.
    pub(super) fn next(&self, at: usize) -> Option<usize> {
        let first = self.0.get(at / BLOCK)? & (u64::MAX << (at % BLOCK));
        let rest = self.0.iter().enumerate().skip(at / BLOCK + 1);
        let (index, mask) =
            std::iter::once((at / BLOCK, &first)).chain(rest).find(|(_, mask)| **mask != 0)?;
        Some(index * BLOCK + mask.trailing_zeros() as usize)
    }
}

/// One mask for each class: bit `i` is set if byte `i` of the block belongs to it.
#[derive(Debug, Clone, Copy, Default)]
struct Masks {
    letter: u64,
    digit: u64,
    wide: u64,
    blank: u64,
    base64: u64,
    leet: u64,
    rare: u64,
    quote: u64,
    stop: u64,
}

impl Masks {
    const fn word(self) -> u64 {
        self.letter | self.digit | self.wide
    }

    fn of(block: &[u8; BLOCK]) -> Self {
        let mut rows = [[0_u8; 8]; 8];
        for (at, octet) in block.chunks_exact(8).enumerate() {
            let mut classes = 0;
            for byte in octet.iter().rev() {
                classes = classes << 8 | u64::from(CLASS[usize::from(*byte)]);
            }
            for (row, bits) in rows.iter_mut().zip(transpose(classes).to_le_bytes()) {
                if let Some(cell) = row.get_mut(at) {
                    *cell = bits;
                }
            }
        }
        let [letter, digit, blank, base64, leet, rare, quote, stop] = rows.map(u64::from_le_bytes);
        // Nothing is a letter and a digit, so both bits together are one more class.
        let wide = letter & digit;
        Self { letter: letter & !wide, digit: digit & !wide, wide, blank, base64, leet, rare, quote, stop }
    }
}

/// Turn eight bytes of eight bits around their diagonal (Hacker's Delight, 7-3).
const fn transpose(mut bits: u64) -> u64 {
    let mut swap = (bits ^ (bits >> 7)) & 0x00aa_00aa_00aa_00aa;
    bits ^= swap ^ (swap << 7);
    swap = (bits ^ (bits >> 14)) & 0x0000_cccc_0000_cccc;
    bits ^= swap ^ (swap << 14);
    swap = (bits ^ (bits >> 28)) & 0x0000_0000_f0f0_f0f0;
    bits ^ swap ^ (swap << 28)
}

const CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    loop {
        table[byte as usize] = match byte {
            b'a'..=b'z' | b'A'..=b'Z' => 1,
            b'0'..=b'9' => 2,
            0x80.. => 1 | 2 | 128,
            b' ' | b'\n' => 4,
            0..=0x1f => 4 | 128,
            b'/' | b'=' | b'-' => 8,
            b'_' => 8 | 128,
            b'@' | b'$' | b'!' | b'|' => 16,
            b'+' => 8 | 16 | 32,
            b'%' | b'\\' | b'&' => 32,
            b'"' | b'\'' => 64,
            b'*' | b'~' | b'`' | b'<' | 0x7f => 128,
            _ => 0,
        };
        if byte == u8::MAX {
            return table;
        }
        byte += 1;
    }
}

#[derive(Default)]
struct Count<'a> {
    bytes: &'a [u8],
    census: Census,
    stops: Stops,
    /// Where the run in the alphabet of base64 that reaches into the current block starts.
    run_start: usize,
}

impl Count<'_> {
    fn all(&mut self) {
        let mut rest = self.bytes;
        let (mut before, mut now, mut base) = (Masks::default(), Self::next(&mut rest), 0);
        while base < self.bytes.len() {
            let after = Self::next(&mut rest);
            self.block(base, before, now, after);
            (before, now) = (now, after);
            base += BLOCK;
        }
        // A run that ends with the text ends at the blank that is thought to follow.
        self.runs(base, 0);
    }

    /// The masks of the next block of `rest`, which is thought to end in blanks.
    fn next(rest: &mut &[u8]) -> Masks {
        if let Some((block, tail)) = rest.split_first_chunk::<BLOCK>() {
            *rest = tail;
            return Masks::of(block);
        }
        let mut block = [b' '; BLOCK];
        for (to, from) in block.iter_mut().zip(std::mem::take(rest)) {
            *to = *from;
        }
        Masks::of(&block)
    }

    fn block(&mut self, base: usize, before: Masks, now: Masks, after: Masks) {
        let next = |of: fn(Masks) -> u64, by: u32| of(now) >> by | of(after) << (64 - by);
        let previous = |of: fn(Masks) -> u64| of(now) << 1 | of(before) >> 63;
        let letter: fn(Masks) -> u64 = |masks| masks.letter;
        let starts = now.word() & !previous(Masks::word);
        let ends = !next(Masks::word, 1);
        let singles = now.letter & starts & ends;
        let spaced = singles & next(letter, 2) & !next(Masks::word, 3);
        let leet = now.digit & (previous(letter) | next(letter, 1)) | now.leet & next(letter, 1);
        let joins = now.quote & next(|masks| masks.blank, 1) & next(|masks| masks.quote, 2);
        self.stops.0.push(now.stop | now.blank & next(|masks| masks.blank, 1));
        let census = &mut self.census;
        census.words += ones(starts);
        census.singles += ones(singles);
        census.spaced += ones(spaced);
        census.leet += ones(leet);
        census.joins += ones(joins);
        if now.wide != 0 {
            let block = self.bytes.get(base..).unwrap_or_default().iter().take(BLOCK);
            census.non_ascii += block.filter(|byte| **byte >= 0xc0).count();
        }
        if now.digit != 0 {
            let pairs = starts & now.digit & next(Masks::word, 1) & !next(Masks::word, 2);
            let digits = u128::from(now.digit) | u128::from(after.digit) << 64;
            let twos = digits & digits >> 1;
            let fours = twos & twos >> 2;
            let eights = fours & fours >> 4 & !(digits >> 8) & u128::from(starts);
            census.pairs += ones(pairs);
            census.octets += eights.count_ones() as usize;
            let prefixes = starts & now.digit & next(letter, 1);
            census.hex_prefixes += bits(prefixes)
                .filter(|at| matches!(self.bytes.get(base + at..base + at + 2), Some(b"0x" | b"0X")))
                .count();
        }
        for at in bits(now.rare) {
            self.rare(base + at);
        }
        self.runs(base, now.letter | now.digit | now.base64);
    }

    fn rare(&mut self, at: usize) {
        let next = |by: usize| self.bytes.get(at + by).copied().unwrap_or_default();
        let census = &mut self.census;
        match self.bytes.get(at) {
            Some(b'%') => {
                census.percent += usize::from(next(1).is_ascii_hexdigit() && next(2).is_ascii_hexdigit());
            }
            Some(b'\\') if matches!(next(1), b'x' | b'u' | b'X' | b'U') => census.escapes += 1,
            Some(b'\\') => census.backslashes += 1,
            Some(b'&') => census.entities += usize::from(next(1) == b'#' || next(1).is_ascii_alphabetic()),
            _ => {
                let (left, right) = self.bytes.split_at_checked(at).unwrap_or_default();
                let quoted = |byte: Option<&u8>| matches!(byte, Some(b'"' | b'\''));
                // A few blanks are enough; more would make a text of blanks and plus signs quadratic.
                let left = left.iter().rev().take(8).find(|byte| !byte.is_ascii_whitespace());
                let right = right.iter().skip(1).take(8).find(|byte| !byte.is_ascii_whitespace());
                census.joins += usize::from(quoted(left) && quoted(right));
            }
        }
    }

    /// Look at every run of the alphabet of base64 that ends in this block and is long enough.
    fn runs(&mut self, base: usize, alphabet: u64) {
        if alphabet == u64::MAX {
            return;
        }
        let lead = alphabet.trailing_ones() as usize;
        self.run(self.run_start, base + lead);
        let twos = alphabet & alphabet >> 1;
        let fours = twos & twos >> 2;
        let eights = fours & fours >> 4;
        if eights & eights >> 8 != 0 {
            let mut at = lead;
            while at < BLOCK {
                let rest = alphabet >> at;
                let zeros = rest.trailing_zeros();
                let length = rest.checked_shr(zeros).unwrap_or(0).trailing_ones() as usize;
                at += zeros as usize;
                // The run that reaches the next block is seen there.
                if at > lead && at + length < BLOCK {
                    self.run(base + at, base + at + length);
                }
                at += length;
            }
        }
        self.run_start = base + BLOCK - alphabet.leading_ones() as usize;
    }

    fn run(&mut self, start: usize, end: usize) {
        let run = self.bytes.get(start..end).unwrap_or_default();
        if run.len() < RUN {
            return;
        }
        let census = &mut self.census;
        census.longest_base64 = census.longest_base64.max(run.len());
        for (longest, belongs) in [
            (&mut census.longest_letters, u8::is_ascii_alphabetic as fn(&u8) -> bool),
            (&mut census.longest_hex, u8::is_ascii_hexdigit),
            (&mut census.longest_base32, |byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7' | b'=')),
            (&mut census.longest_binary, |byte| matches!(byte, b'0' | b'1')),
        ] {
            let part = run.split(|byte| !belongs(byte)).map(<[u8]>::len).max().unwrap_or(0);
            if part >= RUN {
                *longest = part.max(*longest);
            }
        }
    }
}

const fn ones(mask: u64) -> usize {
    mask.count_ones() as usize
}

/// Places of the bits that are set.
fn bits(mut mask: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let at = mask.trailing_zeros() as usize;
        mask &= mask.wrapping_sub(1);
        (at < BLOCK).then_some(at)
    })
}
