//! Who spends, where a client says it inside `metadata`.

use super::MAX_LABEL_CHARS;
use crate::error::Rejection;
use crate::fields;
use crate::json::{Kind, Value};

/// What spending is attributed to, as `metadata` tells it; a field of the same name beside it goes before.
#[derive(Default)]
pub(super) struct Labels {
    pub user: Option<String>,
    pub session_id: Option<String>,
    pub feature: Option<String>,
}

impl Labels {
    pub fn read(metadata: Value<'_>) -> Result<Self, Rejection> {
        fields::object(metadata, "metadata")?;
        let label = |name: &str| {
            let found = metadata.get(name).filter(|label| label.kind() == Kind::String);
            found.map_or(Ok(None), |label| fields::text(label, &format!("metadata.{name}"), MAX_LABEL_CHARS))
        };
        Ok(Self { user: label("user")?, session_id: label("session_id")?, feature: label("feature")? })
    }
}
