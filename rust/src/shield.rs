//! Layer 1: does a text try to take the model over? Rules and a small linear model, no model call.

mod check;
mod context;
mod cut;
mod decode;
mod linear;
mod matcher;
mod normalise;
mod pack;
mod request;
mod scan;
mod score;
mod tokens;
pub mod training;
mod views;

use std::sync::Arc;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::digest::hex;
use crate::json::Value;
use decode::Budget;
use linear::Weights;
use matcher::Matcher;
use pack::Pack;
use scan::Place;
use views::{COMMON_WORDS, Vocabulary};

/// How bad a rule's finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Tier {
    /// Worth a look: never enough to block at the default threshold.
    Medium,
    /// Blocked: tags of chat templates, role override, prompt extraction.
    High,
    /// Blocked: jailbreaks, overrides of all instructions, smuggling.
    Critical,
}

impl Tier {
    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Medium => "MEDIUM",
            Self::High => "HIGH",
            Self::Critical => "CRITICAL",
        }
    }
}

/// Where a text stands. System and developer messages are the operator's own words and are not scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// What the user wrote.
    User,
    /// Results of tools, and definitions of tools.
    Tool,
    /// Turns that the client says the model wrote.
    Assistant,
}

impl Channel {
    /// Its name for Python and in rules.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Tool => "tool",
            Self::Assistant => "assistant",
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Id of the rule.
    pub rule: Arc<str>,
    /// The rule's tier.
    pub tier: Tier,
    /// The rule's category, such as `override`.
    pub category: Arc<str>,
    /// Evidence from 0 to 1, after context and view were taken into account.
    pub weight: f64,
    /// In which view of the text it was found: `plain`, `base64`, `leet`, ...
    pub via: &'static str,
    /// Where the text stands.
    pub channel: Channel,
    /// Index of the message; none for a tool's definition or a bare text.
    pub message: Option<usize>,
    /// First character of the finding in the message's text (for a decoded view: of what was decoded).
    pub start: usize,
    /// Character after the last.
    pub end: usize,
    /// The matched characters, at most 160 of them.
    pub excerpt: String,
}

/// What one scan found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verdict {
    /// From 0 to 1: one minus the product of what each piece of evidence leaves.
    pub risk: f64,
    /// Strongest first.
    pub hits: Vec<Hit>,
    /// The share of the linear model in the evidence.
    pub model: f64,
    /// A bound was met: something was only seen by the cheap pass.
    pub truncated: bool,
    /// SHA-256 of the text with the highest risk, once it is flagged.
    pub text_sha256: Option<[u8; 32]>,
    /// The highest risk of any text in each channel, in the order of [`Channel`].
    by_channel: [f64; 3],
}

impl Verdict {
    /// The highest risk of any text in a channel.
    #[must_use]
    pub const fn risk_in(&self, channel: Channel) -> f64 {
        self.by_channel[channel as usize]
    }
}

/// A rule pack that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct BadRules {
    /// What is wrong, for the operator who wrote it.
    pub message: String,
    /// Line in the operator's file, from 1.
    pub line: Option<usize>,
    /// Id of the rule.
    pub rule: Option<String>,
}

/// What the engine finds without a pattern; a rule gives it a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Signal {
    /// Text in characters that are not shown.
    Hidden,
    /// Encoded text that turns out to be instructions.
    Decoded,
}

/// From this risk on a text is flagged.
pub const FLAG_RISK: f64 = 0.5;
const WEIGHTS: &[u8] = include_bytes!("../weights/shield.bin");
const ENGLISH: [&str; 6] = [
    include_str!("../rules/context.toml"),
    include_str!("../rules/english.toml"),
    include_str!("../rules/override.toml"),
    include_str!("../rules/extraction.toml"),
    include_str!("../rules/persona.toml"),
    include_str!("../rules/channel.toml"),
];
const LANGUAGES: [&str; 3] = [
    include_str!("../rules/languages/asia-africa.toml"),
    include_str!("../rules/languages/cjk.toml"),
    include_str!("../rules/languages/europe.toml"),
];

/// The rules that ship.
fn built_in() -> Vec<&'static str> {
    [ENGLISH.as_slice(), &LANGUAGES].concat()
}

/// A compiled rule pack with its model.
pub struct Shield {
    matcher: Matcher,
    facts: Vec<Facts>,
    signals: Vec<(u16, Signal)>,
    model: Option<Weights>,
    vocabulary: Vocabulary,
    hash: String,
}

/// What scoring needs to know of a rule.
struct Facts {
    id: Arc<str>,
    tier: Tier,
    category: Arc<str>,
    weight: f64,
    channels: Vec<Channel>,
}

impl Shield {
    /// Compile the built-in rules with operators' `overlays` (TOML), each laid over those before it.
    ///
    /// # Errors
    /// [`BadRules`] that names line and rule.
    pub fn new(overlays: &[&str], model: bool) -> Result<Self, BadRules> {
        let built_in = built_in();
        let (pack, own) = Pack::read(&built_in, overlays)?;
        let shield = Self::compile(&pack, &[&built_in, overlays].concat(), model)?;
        // The built-in rules have passed when the crate was tested.
        check::examples(&shield, &pack.rules[own..])?;
        Ok(shield)
    }

    fn compile(pack: &Pack, texts: &[&str], model: bool) -> Result<Self, BadRules> {
        let matcher = Matcher::new(pack).map_err(|message| BadRules { message, line: None, rule: None })?;
        let facts = pack.rules.iter().map(|rule| Facts {
            id: rule.id.get_ref().as_str().into(),
            tier: rule.tier,
            category: rule.category.as_str().into(),
            weight: rule.weight,
            channels: rule.channels.clone(),
        });
        let signals = (0_u16..).zip(&pack.rules).filter_map(|(nth, rule)| Some((nth, rule.signal?)));
        let mut hash = Sha256::new();
        for text in texts {
            hash.update(text);
        }
        if model {
            hash.update(WEIGHTS);
        }
        Ok(Self {
            facts: facts.collect(),
            signals: signals.collect(),
            model: Weights::read(WEIGHTS).filter(|_| model),
            vocabulary: Vocabulary::new(pack.vocabulary.iter().map(String::as_str), COMMON_WORDS.lines()),
            hash: hex(&hash.finalize()),
            matcher,
        })
    }

    /// SHA-256 of everything that decides: built-in rules, overlays and model; 64 hex digits.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The rules that count: id, tier, category and weight, in the order in which they are read.
    pub fn rules(&self) -> impl Iterator<Item = (&str, Tier, &str, f64)> {
        self.facts.iter().map(|rule| (&*rule.id, rule.tier, &*rule.category, rule.weight))
    }

    /// Scan one text.
    #[must_use]
    pub fn scan(&self, text: &str, channel: Channel) -> Verdict {
        let mut verdict = Verdict::default();
        verdict.add(self, text, Place { channel, message: None }, &mut Budget::default());
        verdict
    }

    /// Scan what the client sent: user, tool and assistant turns, and tool definitions.
    #[must_use]
    pub fn scan_request(&self, root: Value<'_>) -> Verdict {
        let (mut verdict, mut budget) = (Verdict::default(), Budget::default());
        request::texts(root, |text, place| verdict.add(self, text, place, &mut budget));
        verdict
    }
}
