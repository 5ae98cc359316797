//! Every way the core says no to a body.

use thiserror::Error;

/// What is wrong with a body; each fault has one HTTP status and one code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Not JSON, or JSON with strings that are not text (lone surrogates).
    MalformedJson,
    /// The same key twice in one object.
    DuplicateKey,
    /// Nested deeper than [`crate::MAX_DEPTH`].
    TooDeep,
    /// More structural characters than [`crate::MAX_STRUCTURAL`].
    TooComplex,
    /// A number longer than [`crate::MAX_NUMBER_BYTES`].
    NumberTooLong,
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// A byte order mark before the JSON.
    UnexpectedBom,
    /// JSON is fine, one field is not.
    InvalidField,
}

impl Fault {
    /// The HTTP status this fault is answered with.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidField => 422,
            _ => 400,
        }
    }

    /// The `code` of the error envelope.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::MalformedJson => "malformed_json",
            Self::DuplicateKey => "duplicate_key",
            Self::TooDeep => "too_deep",
            Self::TooComplex => "too_complex",
            Self::NumberTooLong => "number_too_long",
            Self::NotUtf8 => "not_utf8",
            Self::UnexpectedBom => "unexpected_bom",
            Self::InvalidField => "invalid_field",
        }
    }
}

/// A refused body: why, in words for its sender, and which field.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Rejection {
    /// What kind of wrong.
    pub fault: Fault,
    /// What was wrong and where, for the person who sent it.
    pub message: String,
    /// The field, as in `messages[2].content`; only for [`Fault::InvalidField`].
    pub param: Option<String>,
}

impl Rejection {
    /// A body that cannot be read.
    pub(crate) fn body(fault: Fault, message: impl Into<String>) -> Self {
        Self { fault, message: message.into(), param: None }
    }

    /// A field that cannot be accepted; `must` completes the sentence "`param` must ...".
    pub(crate) fn field(param: impl Into<String>, must: &str) -> Self {
        let param = param.into();
        Self { fault: Fault::InvalidField, message: format!("`{param}` must {must}"), param: Some(param) }
    }
}
