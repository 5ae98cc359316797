//! What single characters are read as: nothing, a plainer form of themselves, or the Latin letter they resemble.

use unicode_normalization::char::{decompose_compatible, is_combining_mark};

/// How a character without a glyph is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unseen {
    /// It has no width and joins or parts letters.
    ZeroWidth,
    /// It selects, tags, directs or controls.
    Control,
}

/// Is this character taken out of every text?
pub(super) const fn unseen(letter: char) -> Option<Unseen> {
    match letter {
        '\u{ad}'
        | '\u{34f}'
        | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200d}'
        | '\u{2060}'..='\u{2064}'
        | '\u{3164}'
        | '\u{feff}'
        | '\u{ffa0}' => Some(Unseen::ZeroWidth),
        '\0'..='\u{8}'
        | '\u{e}'..='\u{1f}'
        | '\u{7f}'..='\u{84}'
        | '\u{86}'..='\u{9f}'
        | '\u{61c}'
        | '\u{200e}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2065}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}' => Some(Unseen::Control),
        _ => None,
    }
}

/// White space, and the blank Braille cell that passes for it.
pub(super) fn blank(letter: char) -> bool {
    letter.is_whitespace() || letter == '\u{2800}'
}

/// Characters that end a line.
pub(super) const fn line_break(letter: char) -> bool {
    matches!(letter, '\n'..='\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Marks that carry meaning: vowels and tones of Indic and South-East Asian scripts, and the voicing of kana.
/// Accents, points of Hebrew and short vowels of Arabic are not needed to read a word.
const fn keeps_marks(mark: char) -> bool {
    matches!(mark,
        '\u{900}'..='\u{1099}' | '\u{1700}'..='\u{1aad}' | '\u{1b00}'..='\u{1bff}' | '\u{3099}'..='\u{309a}'
        | '\u{a8e0}'..='\u{abff}' | '\u{11000}'..='\u{11fff}')
}

/// The small form of a letter that needs nothing else: most letters of most scripts, without a search.
pub(super) fn simple(letter: char) -> Option<char> {
    match letter {
        'а'..='и' | 'к'..='я' | 'α'..='ρ' | 'σ'..='ω' | 'א'..='ת' | 'ا'..='غ' | 'ف'..='ي' => {
            Some(letter)
        }
        'А'..='И' | 'К'..='Я' | 'Α'..='Ρ' | 'Σ'..='Ω' => char::from_u32(u32::from(letter) + 32),
        '\u{3041}'..='\u{3096}'
        | '\u{30a1}'..='\u{30fa}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7a3}' => Some(letter),
        _ => None,
    }
}

/// The plain forms of one character: compatibility forms, small letters, no accents. Marks that fall away
/// are counted in `combining`. Each form comes with the part of `letter`, capital or small, that it stems from.
pub(super) fn plain(letter: char, combining: &mut usize, mut give: impl FnMut(char, char)) {
    match letter {
        // Ligatures that are whole phrases, up to eighteen letters: more room than they deserve.
        '\u{fdf0}'..='\u{fdff}' => return give(letter, letter),
        // Enclosed letters whose decomposition keeps the brackets, or that have none.
        '\u{249c}'..='\u{24b5}' => return give(nth_letter(letter, '\u{249c}'), letter),
        '\u{1f110}'..='\u{1f129}' => return give(nth_letter(letter, '\u{1f110}'), letter),
        '\u{1f150}'..='\u{1f169}' => return give(nth_letter(letter, '\u{1f150}'), letter),
        '\u{1f170}'..='\u{1f189}' => return give(nth_letter(letter, '\u{1f170}'), letter),
        '\u{1f1e6}'..='\u{1f1ff}' => return give(nth_letter(letter, '\u{1f1e6}'), letter),
        // Spacing accents stand in for an apostrophe; they would decompose to a blank and a mark.
        '\u{b4}' | '\u{2b9}'..='\u{2bc}' | '\u{1fbd}' | '\u{1fbf}' | '\u{384}' => return give('\'', letter),
        _ => {}
    }
    decompose_compatible(letter, |part| {
        if is_combining_mark(part) && !keeps_marks(part) {
            *combining += 1;
            return;
        }
        for small in part.to_lowercase() {
            match fold(small) {
                Fold::One(plain) => give(plain, part),
                Fold::Two(letters) => letters.into_iter().for_each(|plain| give(plain, part)),
                Fold::Nothing => {}
            }
        }
    });
}

fn nth_letter(letter: char, first: char) -> char {
    let nth = u32::from(letter).wrapping_sub(u32::from(first)) % 26;
    char::from_u32(u32::from(b'a') + nth).unwrap_or(letter)
}

enum Fold {
    Nothing,
    One(char),
    Two([char; 2]),
}

/// What neither decomposition nor small letters reach.
const fn fold(letter: char) -> Fold {
    Fold::One(match letter {
        'ß' => return Fold::Two(['s', 's']),
        'æ' => return Fold::Two(['a', 'e']),
        'œ' => return Fold::Two(['o', 'e']),
        'þ' => return Fold::Two(['t', 'h']),
        // The stretching stroke of Arabic, and the dot that is left of a small dotted capital I.
        'ـ' | '\u{307}' => return Fold::Nothing,
        'ı' => 'i',
        'ł' => 'l',
        'ø' => 'o',
        'đ' | 'ð' => 'd',
        'ħ' => 'h',
        'ŧ' => 't',
        'ς' => 'σ',
        '‘' | '’' | '‚' | '‛' | '′' | '‵' | '‹' | '›' | 'ʻ' | 'ʼ' => '\'',
        '“' | '”' | '„' | '‟' | '«' | '»' | '〝' | '〞' => '"',
        '‐'..='―' | '−' | '⁃' => '-',
        '⁄' | '∕' => '/',
        other => match latin_shape(other) {
            Some(latin) => latin,
            None => other,
        },
    })
}

/// The small ASCII letter that `letter`, as it came, looks like.
pub(super) fn latin(letter: char) -> Option<char> {
    match letter {
        '\u{370}'..='\u{3ff}' | '\u{400}'..='\u{52f}' | '\u{531}'..='\u{587}' => european(letter),
        // Scripts whose words nobody takes for Latin: spared the search.
        '\u{590}'..='\u{109f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7ff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}' => None,
        _ => skeleton(letter),
    }
}

/// Greek, Cyrillic and Armenian letters; by eye as much as by Unicode's list, which has no `η` for `n`.
const fn european(letter: char) -> Option<char> {
    Some(match letter {
        'Α' | 'α' | 'А' | 'а' => 'a',
        'Β' | 'β' | 'В' | 'Ь' | 'ь' => 'b',
        'С' | 'с' | 'ϲ' | 'Ϲ' | 'ҫ' | 'ς' => 'c',
        'ԁ' | 'Ԁ' | 'ժ' => 'd',
        'Ε' | 'ε' | 'Е' | 'е' | 'є' | 'ҽ' | 'ϵ' => 'e',
        'ғ' | 'Ғ' | 'ք' | 'Ϝ' => 'f',
        'ԍ' | 'Ԍ' | 'ց' | 'Ց' => 'g',
        'Η' | 'Н' | 'һ' | 'Һ' | 'հ' | 'ի' | 'ћ' => 'h',
        'Ι' | 'ι' | 'І' | 'і' | 'Ӏ' => 'i',
        'Ј' | 'ј' | 'ϳ' | 'Ϳ' | 'յ' => 'j',
        'Κ' | 'κ' | 'К' | 'к' | 'қ' | 'ϰ' => 'k',
        'ӏ' | 'լ' | 'Լ' => 'l',
        'Μ' | 'М' | 'м' | 'ϻ' | 'Ϻ' => 'm',
        'Ν' | 'η' | 'ո' | 'ռ' | 'п' | 'ղ' => 'n',
        'Ο' | 'ο' | 'О' | 'о' | 'օ' | 'Օ' | 'σ' | 'Ө' | 'ө' => 'o',
        'Ρ' | 'ρ' | 'Р' | 'р' | 'ϱ' | 'ҏ' => 'p',
        'ԛ' | 'Ԛ' | 'զ' | 'գ' | 'ϙ' => 'q',
        'г' | 'Г' | 'ր' => 'r',
        'Ѕ' | 'ѕ' | 'Տ' => 's',
        'Τ' | 'τ' | 'Т' | 'т' => 't',
        'υ' | 'ս' | 'Ս' | 'ц' | 'μ' => 'u',
        'ν' | 'ѵ' | 'Ѵ' => 'v',
        'ω' | 'ѡ' | 'ԝ' | 'Ԝ' | 'ա' => 'w',
        'Χ' | 'χ' | 'Х' | 'х' | 'ҳ' => 'x',
        'Υ' | 'γ' | 'У' | 'у' | 'ү' | 'Ү' | 'վ' => 'y',
        'Ζ' | 'ζ' => 'z',
        _ => return None,
    })
}

/// Small capitals, turned letters and hooked ones.
const fn latin_shape(letter: char) -> Option<char> {
    Some(match letter {
        'ᴀ' | 'ɐ' | 'ɑ' | 'ɒ' => 'a',
        'ʙ' | 'ɓ' | 'ƀ' | 'ƅ' => 'b',
        'ᴄ' | 'ɔ' | 'ƈ' | 'ȼ' | 'ɕ' => 'c',
        'ᴅ' | 'ɖ' | 'ɗ' => 'd',
        'ᴇ' | 'ǝ' | 'ə' | 'ɛ' | 'ɘ' | 'ɇ' | 'ɜ' | '℮' => 'e',
        'ꜰ' | 'ɟ' | 'ƒ' => 'f',
        'ɢ' | 'ɡ' | 'ƃ' | 'ɠ' | 'ǥ' => 'g',
        'ʜ' | 'ɥ' | 'ɦ' => 'h',
        'ɪ' | 'ᴉ' | 'ɨ' | 'ɩ' => 'i',
        'ᴊ' | 'ɾ' | 'ɉ' | 'ʝ' => 'j',
        'ᴋ' | 'ʞ' | 'ƙ' => 'k',
        'ʟ' | 'ɭ' | 'ɫ' | 'ƚ' | 'ɬ' => 'l',
        'ᴍ' | 'ɯ' | 'ɱ' => 'm',
        'ɴ' | 'ɲ' | 'ƞ' | 'ɳ' | 'ŋ' => 'n',
        'ᴏ' | 'ɵ' => 'o',
        'ᴘ' | 'ƥ' => 'p',
        'ꞯ' | 'ɋ' | 'ʠ' => 'q',
        'ʀ' | 'ɹ' | 'ɍ' | 'ɼ' | 'ɽ' | 'ʁ' => 'r',
        'ꜱ' | 'ʂ' | 'ƨ' => 's',
        'ᴛ' | 'ʇ' | 'ƭ' | 'ʈ' => 't',
        'ᴜ' | 'ʉ' | 'ʋ' => 'u',
        'ᴠ' | 'ʌ' => 'v',
        'ᴡ' | 'ʍ' | 'ɰ' => 'w',
        'ʏ' | 'ʎ' | 'ƴ' | 'ɏ' => 'y',
        'ᴢ' | 'ʐ' | 'ʑ' | 'ƶ' | 'ȥ' => 'z',
        _ => return None,
    })
}

/// Unicode's own list of lookalikes (UTS 39), for every other script.
fn skeleton(letter: char) -> Option<char> {
    let letter_of = |form: char| {
        let mut buffer = [0; 4];
        let mut shape = unicode_security::skeleton(form.encode_utf8(&mut buffer));
        match (shape.next(), shape.next(), shape.next()) {
            // The list writes `m` as `rn`.
            (Some('r'), Some('n'), None) => Some('m'),
            (Some(one), None, None) if one.is_ascii_alphabetic() => Some(one),
            _ => None,
        }
    };
    // `l` stands for a capital I as well, so the small form decides there.
    let small = letter.to_lowercase().next()?;
    let shape = letter_of(letter).filter(|shape| *shape != 'l').or_else(|| letter_of(small));
    shape.map(|shape| shape.to_ascii_lowercase())
}
