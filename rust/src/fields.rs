//! Readers of single fields: each takes a JSON value and gives a typed one, or refuses and names the field.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::error::Rejection;
use crate::json::{Kind, Value};

/// A field read as an optional value: `null` and absent are the same.
pub(crate) type Optional<T> = Result<Option<T>, Rejection>;

pub(crate) fn boolean(value: Value<'_>, param: &str) -> Optional<bool> {
    match value.kind() {
        Kind::True => Ok(Some(true)),
        Kind::False => Ok(Some(false)),
        Kind::Null => Ok(None),
        _ => Err(Rejection::field(param, "be true, false or null")),
    }
}

/// A literal without fraction or exponent: `1.0` and `1e3` are not integers on the wire.
pub(crate) fn integer(value: Value<'_>, param: &str, range: &RangeInclusive<i64>) -> Optional<i64> {
    within(value, param, range, "an integer")
}

pub(crate) fn number(value: Value<'_>, param: &str, range: &RangeInclusive<f64>) -> Optional<f64> {
    within(value, param, range, "a number")
}

fn within<T>(value: Value<'_>, param: &str, range: &RangeInclusive<T>, what: &str) -> Optional<T>
where
    T: FromStr + PartialOrd + Display,
{
    if value.is_null() {
        return Ok(None);
    }
    let read = if value.kind() == Kind::Number { value.raw().parse().ok() } else { None };
    match read.filter(|number| range.contains(number)) {
        Some(number) => Ok(Some(number)),
        None => Err(Rejection::field(param, &format!("be {what} from {} to {}", range.start(), range.end()))),
    }
}

/// An integer literal of any size, which is only passed on; false for none.
pub(crate) fn whole_number(value: Value<'_>, param: &str) -> Result<bool, Rejection> {
    let whole = value.kind() == Kind::Number && !value.raw().contains(['.', 'e', 'E']);
    if whole || value.is_null() { Ok(whole) } else { Err(Rejection::field(param, "be an integer or null")) }
}

/// A string of at most `max_chars` characters.
pub(crate) fn text(value: Value<'_>, param: &str, max_chars: usize) -> Optional<String> {
    if value.is_null() {
        return Ok(None);
    }
    match value.text().filter(|text| text.len() <= max_chars || text.chars().count() <= max_chars) {
        Some(text) => Ok(Some(text.into_owned())),
        None => Err(Rejection::field(param, &format!("be a string of at most {max_chars} characters"))),
    }
}

pub(crate) fn object(value: Value<'_>, param: &str) -> Result<(), Rejection> {
    one_of(value, param, &[Kind::Object, Kind::Null], "be an object or null")
}

pub(crate) fn array(value: Value<'_>, param: &str) -> Result<(), Rejection> {
    one_of(value, param, &[Kind::Array, Kind::Null], "be an array or null")
}

pub(crate) fn one_of(value: Value<'_>, param: &str, kinds: &[Kind], must: &str) -> Result<(), Rejection> {
    if kinds.contains(&value.kind()) { Ok(()) } else { Err(Rejection::field(param, must)) }
}

/// One to four places where the model stops, or one string.
pub(crate) fn stop(value: Value<'_>) -> Result<(), Rejection> {
    let list = value.kind() == Kind::Array
        && value.items().count() <= 4
        && value.items().all(|item| item.kind() == Kind::String);
    if list || matches!(value.kind(), Kind::String | Kind::Null) {
        return Ok(());
    }
    Err(Rejection::field("stop", "be a string, an array of at most 4 strings, or null"))
}

/// An array of at most 128 objects, each with a string `type`; true if there is at least one.
pub(crate) fn tools(value: Value<'_>) -> Result<bool, Rejection> {
    array(value, "tools")?;
    if value.items().count() > 128 {
        return Err(Rejection::field("tools", "hold at most 128 tools"));
    }
    for (nth, tool) in value.items().enumerate() {
        if !has_type(tool) {
            return Err(Rejection::field(format!("tools[{nth}]"), "be an object with a string `type`"));
        }
    }
    Ok(value.items().next().is_some())
}

/// Is it an object whose `type` is a string?
pub(crate) fn has_type(value: Value<'_>) -> bool {
    value.get("type").is_some_and(|kind| kind.kind() == Kind::String)
}
