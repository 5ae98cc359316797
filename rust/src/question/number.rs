//! Number words as digits.

use super::pack::{Pack, Role};
use super::token::Token;

const SMALL: [&str; 18] = [
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

/// "twenty five" is 25. "One" is a number before a unit only: "which one" counts nothing.
pub(super) fn digits<'a>(tokens: &[Token<'a>], pack: &Pack) -> Vec<Token<'a>> {
    let mut plain: Vec<Token<'a>> = Vec::with_capacity(tokens.len());
    let mut tens = false;
    for (at, token) in tokens.iter().enumerate() {
        let value = if token.number == pack.marks.one {
            let unit = tokens.get(at + 1).is_some_and(|next| pack.entry(next.number).role == Role::Unit);
            (unit || tens).then_some(1)
        } else {
            value_of(&token.text)
        };
        match (value, plain.last_mut()) {
            (Some(value), Some(last)) if tens && value < 10 => {
                let sum = last.text.parse::<u32>().unwrap_or(0) + value;
                last.text = sum.to_string().into();
                tens = false;
            }
            (Some(value), _) => {
                plain.push(Token { text: value.to_string().into(), number: 0, flags: token.flags });
                tens = value >= 20;
            }
            (None, _) => {
                plain.push(token.clone());
                tens = false;
            }
        }
    }
    plain
}

fn value_of(word: &str) -> Option<u32> {
    let place =
        |list: &[&str]| list.iter().position(|&known| known == word).and_then(|at| u32::try_from(at).ok());
    if !word.bytes().next()?.is_ascii_lowercase() || word.len() > 9 {
        return None;
    }
    place(&SMALL).map(|at| at + 2).or_else(|| place(&TENS).map(|at| (at + 2) * 10))
}
