//! The files of the rules as they are written.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::question::Unfit;

const FILES: [&str; 8] = [
    include_str!("../../../rules/question/classes.toml"),
    include_str!("../../../rules/question/spelling.toml"),
    include_str!("../../../rules/question/forms.toml"),
    include_str!("../../../rules/question/synonyms.toml"),
    include_str!("../../../rules/question/antonyms.toml"),
    include_str!("../../../rules/question/courtesies.toml"),
    include_str!("../../../rules/question/refusals.toml"),
    include_str!("../../../rules/question/frames.toml"),
];

/// Pairs of questions that a rule must find alike, or tell apart; these run as tests.
#[cfg_attr(not(test), expect(dead_code, reason = "examples run as tests"))]
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Check {
    pub rule: String,
    #[serde(default)]
    pub same: Vec<(String, String)>,
    #[serde(default)]
    pub different: Vec<(String, String)>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FrameText {
    pub(super) to: String,
    pub(super) from: Vec<String>,
    #[serde(default)]
    pub(super) unless: String,
    #[serde(default)]
    pub(super) only: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) map: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) sort: bool,
    #[serde(default)]
    pub(super) participle: bool,
    #[serde(default)]
    pub(super) same: Vec<(String, String)>,
    #[serde(default)]
    pub(super) different: Vec<(String, String)>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RefusalText {
    pub(super) unfit: Unfit,
    pub(super) patterns: Vec<String>,
    #[serde(default)]
    pub(super) except: Vec<String>,
    #[serde(default)]
    pub(super) examples: Vec<String>,
    #[serde(default)]
    pub(super) counter_examples: Vec<String>,
}

/// All files together; each fills some of it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct File {
    pub(super) version: u32,
    pub(super) light: String,
    pub(super) emphasis: String,
    pub(super) generic: String,
    pub(super) negation: String,
    pub(super) denial: String,
    pub(super) prepositions: String,
    pub(super) relation: String,
    pub(super) logic: String,
    pub(super) units: Vec<String>,
    pub(super) time: String,
    pub(super) pronouns: Vec<String>,
    pub(super) gender: Vec<String>,
    pub(super) quantity: String,
    pub(super) past: String,
    pub(super) future: String,
    pub(super) can: String,
    pub(super) should: String,
    pub(super) must: String,
    pub(super) would: String,
    pub(super) may: String,
    pub(super) mentions: String,
    pub(super) turning: String,
    pub(super) placing: String,
    pub(super) holders: String,
    pub(super) english: String,
    pub(super) foreign: String,
    pub(super) contractions: Vec<String>,
    pub(super) acronyms: Vec<String>,
    pub(super) variants: String,
    pub(super) misspelt: String,
    pub(super) verbs: String,
    pub(super) nouns: String,
    pub(super) whole: String,
    pub(super) adjectives: String,
    pub(super) sets: Vec<String>,
    pub(super) pairs: String,
    pub(super) complements: String,
    pub(super) scales: String,
    pub(super) openings: String,
    pub(super) requests: String,
    pub(super) sentences: String,
    pub(super) closings: String,
    pub(super) spoken_about: String,
    pub(super) refusal: Vec<RefusalText>,
    pub(super) shared: String,
    pub(super) frame: Vec<FrameText>,
    pub(super) check: Vec<Check>,
}

impl File {
    /// Those that ship.
    ///
    /// # Panics
    /// If one cannot be read: it is part of the program, and without its rules wrong answers would be served.
    #[expect(clippy::panic, reason = "a program whose own rules are broken must not start")]
    pub(crate) fn shipped() -> Vec<Self> {
        let read = |text: &&str| {
            toml::from_str(text).unwrap_or_else(|error| panic!("a file of rules cannot be read: {error}"))
        };
        FILES.iter().map(read).collect()
    }

    /// Say what is wrong with those that ship.
    #[cfg(test)]
    pub(crate) fn each(refuse: impl Fn(toml::de::Error)) {
        FILES.iter().filter_map(|text| toml::from_str::<Self>(text).err()).for_each(refuse);
    }
}
