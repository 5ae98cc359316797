//! Levels 1.5 and 2 of the cache: which requests take part, and what of them is compared.

#[cfg(test)]
mod tests;

use crate::digest::{self, Key, Policy};
use crate::embed::{DIMENSIONS, Embedder, Embedding};
use crate::json::Value;
use crate::near::Row;
use crate::question::{self, Features, Question, Rule};
use crate::request::{self, JsonMode, Request};

/// Above this the caller wants answers to differ. A request that names no temperature takes part.
const TEMPERATURE: f64 = 0.3;
/// First byte of a probe's bytes; raise it when what follows changes its meaning.
const VERSION: u8 = 1;
const KEY_BYTES: usize = size_of::<Key>();

/// Why a request is answered by the exact level or by a model, and nothing between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// The operator, or the account, wants no semantic cache.
    Off,
    /// It has tools, or speaks of what tools returned.
    Tools,
    /// It is a conversation: what its last text means depends on what was said before.
    Turns,
    /// It has images or sound.
    Media,
    /// Its answer must follow a schema.
    Schema,
    /// Its answers are meant to differ.
    Temperature,
    /// It asks for several answers.
    Choices,
    /// It asks for one answer in particular.
    Seed,
    /// It asks how sure the model is.
    Logprobs,
    /// Its text is of a kind that cannot be compared.
    Text(question::Unfit),
}

impl Unfit {
    /// Its name in headers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Tools => "tools",
            Self::Turns => "turns",
            Self::Media => "media",
            Self::Schema => "schema",
            Self::Temperature => "temperature",
            Self::Choices => "choices",
            Self::Seed => "seed",
            Self::Logprobs => "logprobs",
            Self::Text(why) => why.as_str(),
        }
    }
}

/// Why no earlier answer was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss {
    /// The request takes no part.
    Unfit(Unfit),
    /// The likeliest candidate asks something else.
    Unlike(Rule),
    /// Nothing comes near.
    Nothing,
    /// The second embedder has to say, and did not, or said no.
    Undecided,
}

impl Miss {
    /// Its name in headers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unfit(why) => why.as_str(),
            Self::Unlike(rule) => rule.as_str(),
            Self::Nothing => "none",
            Self::Undecided => "undecided",
        }
    }
}

/// What is compared of a request whose last text may be asked in other words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Everything else of the request: only requests with one scope are compared.
    pub scope: Key,
    /// Hash of the text without case, courtesies and the like.
    pub canonical: Key,
    /// The text as a direction; zero where only the canonical level applies.
    pub embedding: Embedding,
    /// What the verifier compares; none where only the canonical level applies.
    pub features: Option<Features>,
}

impl Probe {
    /// Read what is compared of a request.
    pub(crate) fn read(request: &Request, root: Value<'_>, policy: Policy<'_>) -> Result<Self, Unfit> {
        if let Some(why) = unfit(request, root) {
            return Err(why);
        }
        let message = request::last_user_message(root).ok_or(Unfit::Turns)?;
        let content = message.get("content").ok_or(Unfit::Turns)?;
        let question = Question::read(&request::text_of(message)).map_err(Unfit::Text)?;
        let embedding = match question.features {
            Some(_) => Embedder::shared().embed(&question.plain),
            None => Embedding([0; DIMENSIONS]),
        };
        let scope = digest::scope_of(root, policy, content);
        Ok(Self { scope, canonical: question.canonical, embedding, features: question.features })
    }

    /// All but the scope, as bytes for a database: version, canonical hash, embedding, features.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let features = self.features.as_ref().map_or(&[][..], Features::as_bytes);
        let mut bytes = Vec::with_capacity(1 + KEY_BYTES + DIMENSIONS + features.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.canonical);
        bytes.extend_from_slice(&self.embedding.as_bytes());
        bytes.extend_from_slice(features);
        bytes
    }

    /// From what [`Self::to_bytes`] gave; none if this version did not write it.
    #[must_use]
    pub fn from_bytes(scope: Key, bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (canonical, rest) = rest.split_first_chunk::<KEY_BYTES>()?;
        let (embedding, rest) = rest.split_at_checked(DIMENSIONS)?;
        let features = if rest.is_empty() { None } else { Some(Features::from_bytes(rest)?) };
        let embedding = Embedding::from_bytes(embedding)?;
        (*version == VERSION).then_some(Self { scope, canonical: *canonical, embedding, features })
    }

    /// As a row of the index.
    pub(crate) fn into_row(self, key: Key, expires_s: u64) -> Row {
        let Self { scope: _, canonical, embedding, features } = self;
        Row { key, canonical, embedding, features, expires_s }
    }
}

fn unfit(request: &Request, root: Value<'_>) -> Option<Unfit> {
    let rules = [
        (request.has_tools || root.get("web_search_options").is_some(), Unfit::Tools),
        (request.turn_count != 1, Unfit::Turns),
        (request.has_images || request.has_audio, Unfit::Media),
        (request.json_mode == JsonMode::Schema, Unfit::Schema),
        (request.temperature.is_some_and(|degree| degree > TEMPERATURE), Unfit::Temperature),
        (request.n.is_some_and(|choices| choices > 1), Unfit::Choices),
        (request.has_seed, Unfit::Seed),
        (request.logprobs, Unfit::Logprobs),
    ];
    rules.into_iter().find_map(|(applies, why)| applies.then_some(why))
}
