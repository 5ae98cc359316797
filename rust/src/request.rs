//! The body of an OpenAI chat request, read once: what the gateway needs to know, typed.

mod labels;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::error::Rejection;
use crate::fields;
use crate::json::{Kind, Value};
use crate::tokens;

use labels::Labels;

/// Messages in one request; the longest agent runs seen stay below.
const MAX_MESSAGES: usize = 2048;
const MAX_MODEL_CHARS: usize = 256;
const MAX_LABEL_CHARS: usize = 512;
/// Some clients send the largest 32-bit integer to mean "no limit".
const MAX_OUTPUT_TOKENS: i64 = i32::MAX as i64;
const ROLES: [&str; 6] = ["system", "developer", "user", "assistant", "tool", "function"];

/// How the caller wants models to be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoutingMode {
    /// The router decides.
    Auto,
    /// Cheapest capable model.
    Cost,
    /// Best model.
    Quality,
    /// Fastest model.
    Speed,
}

impl RoutingMode {
    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cost => "cost",
            Self::Quality => "quality",
            Self::Speed => "speed",
        }
    }

    pub(crate) fn read(name: &str, param: &str) -> Result<Self, Rejection> {
        [Self::Auto, Self::Cost, Self::Quality, Self::Speed]
            .into_iter()
            .find(|mode| mode.as_str() == name)
            .ok_or_else(|| Rejection::field(param, "be one of auto, cost, quality, speed"))
    }
}

/// What form of JSON the answer must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum JsonMode {
    /// Any text.
    #[default]
    None,
    /// Some JSON object.
    Object,
    /// JSON that follows a schema.
    Schema,
}

impl JsonMode {
    /// Its name for Python.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Object => "object",
            Self::Schema => "schema",
        }
    }
}

/// What one reading of a chat body found out. Names are those of the wire.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent fact of the wire")]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct Request {
    pub model: Option<String>,
    pub routing_mode: Option<RoutingMode>,
    pub cascade: Option<bool>,
    pub stream: bool,
    pub include_usage: bool,
    pub user: Option<String>,
    pub session_id: Option<String>,
    pub feature: Option<String>,
    pub n: Option<i64>,
    pub max_tokens: Option<i64>,
    pub max_completion_tokens: Option<i64>,
    pub message_count: usize,
    /// Messages that are no instructions: of the user, the assistant or a tool.
    pub turn_count: usize,
    pub has_tools: bool,
    pub has_images: bool,
    pub has_audio: bool,
    pub json_mode: JsonMode,
    pub logprobs: bool,
    pub temperature: Option<f64>,
    pub has_seed: bool,
    /// Estimate over messages, tools and images.
    pub prompt_tokens: usize,
}

impl Request {
    /// Read the body's root.
    ///
    /// # Errors
    /// Status 400 if it is no object, 422 if a field has a wrong type or value.
    pub fn read(root: Value<'_>) -> Result<Self, Rejection> {
        if root.kind() != Kind::Object {
            return Err(Rejection::body(crate::Fault::MalformedJson, "the body must be a JSON object"));
        }
        let mut request = Self { prompt_tokens: tokens::PER_REPLY, ..Self::default() };
        let mut labels = Labels::default();
        for (key, value) in root.members() {
            let name = key.text().unwrap_or_default();
            match &*name {
                "metadata" => labels = Labels::read(value)?,
                "messages" => request.read_messages(value)?,
                name => request.read_field(name, value)?,
            }
        }
        if request.message_count == 0 {
            return Err(Rejection::field("messages", "be a non-empty array of messages"));
        }
        request.user = request.user.or(labels.user);
        request.session_id = request.session_id.or(labels.session_id);
        request.feature = request.feature.or(labels.feature);
        Ok(request)
    }

    /// Tokens the answer may have, if the caller said so.
    #[must_use]
    pub fn max_output_tokens(&self) -> Option<i64> {
        self.max_completion_tokens.or(self.max_tokens)
    }

    fn read_field(&mut self, name: &str, value: Value<'_>) -> Result<(), Rejection> {
        match name {
            "model" => self.model = Some(read_model(value)?),
            "routing_mode" => self.routing_mode = read_routing_mode(value)?,
            "cascade" => self.cascade = fields::boolean(value, name)?,
            "stream" => self.stream = fields::boolean(value, name)?.unwrap_or(false),
            "stream_options" => self.include_usage = read_stream_options(value)?,
            "user" => self.user = fields::text(value, name, MAX_LABEL_CHARS)?,
            "session_id" => self.session_id = fields::text(value, name, MAX_LABEL_CHARS)?,
            "feature" => self.feature = fields::text(value, name, MAX_LABEL_CHARS)?,
            "n" => self.n = fields::integer(value, name, &(1..=8))?,
            "max_tokens" => self.max_tokens = fields::integer(value, name, &(1..=MAX_OUTPUT_TOKENS))?,
            "max_completion_tokens" => {
                self.max_completion_tokens = fields::integer(value, name, &(1..=MAX_OUTPUT_TOKENS))?;
            }
            "tools" => self.read_tools(fields::tools(value)?, value),
            "functions" => self.read_tools(value.items().next().is_some(), value),
            "response_format" => self.read_response_format(value)?,
            "logprobs" => self.logprobs = fields::boolean(value, name)?.unwrap_or(false),
            "temperature" => self.temperature = fields::number(value, name, &(0.0..=2.0))?,
            "seed" => self.has_seed = fields::whole_number(value, name)?,
            _ => return check_passed_on(name, value),
        }
        Ok(())
    }

    fn read_tools(&mut self, any: bool, value: Value<'_>) {
        self.has_tools |= any;
        self.prompt_tokens += tokens::of_json(value.raw());
    }

    fn read_response_format(&mut self, value: Value<'_>) -> Result<(), Rejection> {
        if value.is_null() {
            return Ok(());
        }
        let kind = value.get("type").and_then(Value::text);
        self.json_mode = match kind.as_deref() {
            Some("json_object") => JsonMode::Object,
            Some("json_schema") => JsonMode::Schema,
            Some(_) => JsonMode::None,
            None => {
                return Err(Rejection::field(
                    "response_format",
                    "be an object with a string `type`, or null",
                ));
            }
        };
        if self.json_mode == JsonMode::Schema {
            self.prompt_tokens += tokens::of_json(value.raw());
        }
        Ok(())
    }

    fn read_messages(&mut self, value: Value<'_>) -> Result<(), Rejection> {
        for (nth, message) in value.items().enumerate() {
            if nth == MAX_MESSAGES {
                return Err(Rejection::field("messages", "hold at most 2048 messages"));
            }
            self.read_message(message)
                .map_err(|(suffix, must)| Rejection::field(format!("messages[{nth}]{suffix}"), must))?;
            self.message_count += 1;
        }
        Ok(())
    }

    /// The error is the rest of the field's path and what it must be.
    fn read_message(&mut self, message: Value<'_>) -> Result<(), (String, &'static str)> {
        if message.kind() != Kind::Object {
            return Err((String::new(), "be an object"));
        }
        let (mut role, mut content) = (None, None);
        for (key, value) in message.members() {
            match key.text().as_deref() {
                Some("role") => role = value.text(),
                Some("content") => content = Some(value),
                Some("tool_calls" | "function_call") if !value.is_null() => self.read_tools(true, value),
                _ => {}
            }
        }
        let Some(role) = role.filter(|role| ROLES.contains(&role.as_ref())) else {
            return Err((".role".into(), "be one of system, developer, user, assistant, tool, function"));
        };
        self.has_tools |= matches!(&*role, "tool" | "function");
        self.turn_count += usize::from(!matches!(&*role, "system" | "developer"));
        self.prompt_tokens += tokens::PER_MESSAGE;
        let content = content.filter(|content| !content.is_null());
        match content {
            Some(content) => self.read_content(content),
            None if matches!(&*role, "assistant" | "function") => Ok(()),
            None => Err((".content".into(), "be a string or an array of parts")),
        }
    }

    fn read_content(&mut self, content: Value<'_>) -> Result<(), (String, &'static str)> {
        match content.kind() {
            Kind::String => self.prompt_tokens += tokens_of(content),
            Kind::Array => {
                for (nth, part) in content.items().enumerate() {
                    self.read_part(part).map_err(|must| (format!(".content[{nth}]"), must))?;
                }
            }
            _ => return Err((".content".into(), "be a string, an array of parts, or null")),
        }
        Ok(())
    }

    fn read_part(&mut self, part: Value<'_>) -> Result<(), &'static str> {
        let kind = part.get("type").and_then(Value::text).ok_or("be an object with a string `type`")?;
        match &*kind {
            "image_url" | "input_image" => {
                self.has_images = true;
                self.prompt_tokens += tokens::of_image(low_detail(part));
            }
            "input_audio" => {
                self.has_audio = true;
                self.prompt_tokens += tokens::of_audio(part.raw());
            }
            _ => self.prompt_tokens += part.get("text").map_or(0, tokens_of),
        }
        Ok(())
    }
}

/// The text of the last user message. Empty if there is none.
pub(crate) fn last_user_text(root: Value<'_>) -> Cow<'_, str> {
    last_user_message(root).map_or(Cow::Borrowed(""), text_of)
}

/// The last user message.
pub(crate) fn last_user_message(root: Value<'_>) -> Option<Value<'_>> {
    let messages = root.get("messages").into_iter().flat_map(Value::items);
    messages.filter(|message| message.get("role").is_some_and(|role| role.is("user"))).last()
}

/// The text of a message; its text parts are joined by line breaks. Empty if there is none.
pub(crate) fn text_of(message: Value<'_>) -> Cow<'_, str> {
    let Some(content) = message.get("content") else { return Cow::Borrowed("") };
    if let Some(text) = content.text() {
        return text;
    }
    let parts: Vec<_> = content.items().filter_map(|part| part.get("text")?.text()).collect();
    Cow::Owned(parts.join("\n"))
}

/// Read a model's name from the body.
fn read_model(value: Value<'_>) -> Result<String, Rejection> {
    let name = value.text().unwrap_or_default().into_owned();
    check_model(&name, "model")?;
    Ok(name)
}

/// A model's name, from the body or a header, has 1 to 256 characters.
pub(crate) fn check_model(name: &str, param: &str) -> Result<(), Rejection> {
    if name.is_empty() || name.chars().count() > MAX_MODEL_CHARS {
        return Err(Rejection::field(param, "be a string of 1 to 256 characters"));
    }
    Ok(())
}

fn read_routing_mode(value: Value<'_>) -> fields::Optional<RoutingMode> {
    if value.is_null() {
        return Ok(None);
    }
    RoutingMode::read(&value.text().unwrap_or_default(), "routing_mode").map(Some)
}

fn read_stream_options(value: Value<'_>) -> Result<bool, Rejection> {
    fields::object(value, "stream_options")?;
    match value.get("include_usage") {
        Some(asked) => Ok(fields::boolean(asked, "stream_options.include_usage")?.unwrap_or(false)),
        None => Ok(false),
    }
}

/// Fields that only the provider reads, but whose types OpenAI fixes. Unknown ones pass untouched.
fn check_passed_on(name: &str, value: Value<'_>) -> Result<(), Rejection> {
    match name {
        "top_p" => fields::number(value, name, &(0.0..=1.0)).map(drop),
        "presence_penalty" | "frequency_penalty" => fields::number(value, name, &(-2.0..=2.0)).map(drop),
        "top_logprobs" => fields::integer(value, name, &(0..=20)).map(drop),
        "stop" => fields::stop(value),
        "tool_choice" => fields::one_of(
            value,
            name,
            &[Kind::String, Kind::Object, Kind::Null],
            "be a string, an object or null",
        ),
        "parallel_tool_calls" => fields::boolean(value, name).map(drop),
        "logit_bias" => fields::object(value, name),
        "modalities" => fields::array(value, name),
        _ => Ok(()),
    }
}

fn tokens_of(text: Value<'_>) -> usize {
    text.text().map_or(0, |text| tokens::estimate_tokens(&text))
}

fn low_detail(part: Value<'_>) -> bool {
    let detail = part.get("detail").or_else(|| part.get("image_url")?.get("detail"));
    detail.is_some_and(|detail| detail.is("low"))
}
