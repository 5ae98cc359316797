//! Rules as data: reads packs of TOML, lays an operator's over the built-in ones, refuses what cannot work.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use toml::Spanned;

use super::matcher::AT_START;
use super::normalise::normalise;
use super::{BadRules, Channel, Signal, Tier};

/// Examples and counter-examples each rule must bring, of each kind.
pub(super) const MIN_EXAMPLES: usize = 3;
/// Sequences of one rule.
const MAX_PARTS: usize = 64;
/// Ids stand in a response header.
const MAX_ID_BYTES: usize = 64;
const MAX_WORD_CHARS: usize = 80;
/// Words of all classes together; bounds the automaton of one account.
const MAX_WORDS: usize = 20_000;
const MAX_PATTERN_CHARS: usize = 512;
/// Tokens between two neighbours of a sequence.
const DEFAULT_GAP: u16 = 2;
const MAX_GAP: u16 = 32;

/// One rule as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    pub id: Spanned<String>,
    /// Line of the id in its file, from 1.
    #[serde(skip)]
    pub line: usize,
    pub tier: Tier,
    /// Rules of one category do not add up: the strongest of them counts.
    pub category: String,
    /// Evidence from 0 to 1 when the rule fires.
    pub weight: f64,
    /// Languages the rule is written for; for people.
    #[serde(default)]
    #[expect(dead_code, reason = "documents the rule, and is checked to be a list of texts")]
    pub lang: Vec<String>,
    /// Channels the rule looks at.
    #[serde(default = "every_channel")]
    pub channels: Vec<Channel>,
    /// Each a list of places; a place is a class, or several with `|` between.
    #[serde(default)]
    pub sequences: Vec<Vec<String>>,
    /// Tokens that may stand between two places.
    #[serde(default = "default_gap")]
    pub gap: u16,
    /// May the places come in any order?
    #[serde(default)]
    pub any_order: bool,
    /// A class that spares the text when it stands up to two tokens before.
    #[serde(default)]
    pub unless_before: Option<String>,
    /// A class that spares the text when it stands up to two tokens behind.
    #[serde(default)]
    pub unless_after: Option<String>,
    /// A class that spares the text when it stands inside the finding.
    #[serde(default)]
    pub unless_within: Option<String>,
    /// A regular expression instead of sequences, tried around each word of the class `anchor`.
    #[serde(default)]
    pub pattern: Option<String>,
    #[serde(default)]
    pub anchor: Option<String>,
    /// Something the engine finds itself, instead of sequences.
    #[serde(default)]
    pub signal: Option<Signal>,
    #[serde(default)]
    pub examples: Vec<String>,
    #[serde(default)]
    pub counter_examples: Vec<String>,
    /// Where the form is described; for people.
    #[serde(default)]
    #[expect(dead_code, reason = "documents the rule, and is checked to be a list of texts")]
    pub references: Vec<String>,
}

fn every_channel() -> Vec<Channel> {
    vec![Channel::User, Channel::Tool, Channel::Assistant]
}

const fn default_gap() -> u16 {
    DEFAULT_GAP
}

/// One file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    #[expect(dead_code, reason = "says which edition of the format a file is written for")]
    version: u32,
    /// Do its words help to read what is misspelt, run together or turned round?
    #[serde(default)]
    vocabulary: bool,
    #[serde(default)]
    disable: Vec<Spanned<String>>,
    #[serde(default)]
    weights: BTreeMap<String, Spanned<f64>>,
    #[serde(default)]
    classes: BTreeMap<String, Vec<Spanned<String>>>,
    #[serde(default)]
    rule: Vec<Rule>,
}

/// The text of one file, to tell lines.
struct Lines<'a>(&'a str);

impl Lines<'_> {
    fn of<T>(&self, place: &Spanned<T>) -> usize {
        line_of(self.0, place.span().start)
    }

    fn refuse<T>(&self, message: &str, place: &Spanned<T>, rule: Option<&String>) -> BadRules {
        BadRules::at(message, Some(self.of(place)), rule)
    }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|&byte| byte == b'\n').count()
}

impl BadRules {
    pub(super) fn at(message: &str, line: Option<usize>, rule: Option<&String>) -> Self {
        Self { message: message.to_owned(), line, rule: rule.cloned() }
    }
}

/// Every class and rule that is in force.
#[derive(Debug, Default)]
pub(crate) struct Pack {
    /// Words of the files that say so, each once.
    pub vocabulary: BTreeSet<String>,
    pub classes: BTreeMap<String, Vec<String>>,
    pub rules: Vec<Rule>,
}

impl Pack {
    /// Lay overlays over the built-in files: classes grow, rules are added, disabled and re-weighted. Also gives the
    /// place of the first rule that is not built in.
    ///
    /// # Errors
    /// [`BadRules`] with the line in its file.
    pub fn read(built_in: &[&str], overlays: &[&str]) -> Result<(Self, usize), BadRules> {
        let mut pack = Self::default();
        pack.lay(built_in)?;
        let known: Vec<String> = pack.rules.iter().map(|rule| rule.id.get_ref().clone()).collect();
        pack.lay(overlays)?;
        let own = pack.rules.iter().position(|rule| !known.contains(rule.id.get_ref()));
        let own = own.unwrap_or(pack.rules.len());
        Ok((pack, own))
    }

    fn lay(&mut self, texts: &[&str]) -> Result<(), BadRules> {
        let mut files = Vec::with_capacity(texts.len());
        for text in texts {
            let file: File = toml::from_str(text).map_err(|error| {
                BadRules::at(error.message(), error.span().map(|span| line_of(text, span.start)), None)
            })?;
            files.push((Lines(text), file));
        }
        // Rules may use the classes of any file.
        for (lines, file) in &mut files {
            let classes = std::mem::take(&mut file.classes);
            if file.vocabulary {
                let words = classes
                    .values()
                    .flatten()
                    .flat_map(|word| word.get_ref().split(|c: char| !c.is_alphanumeric()));
                self.vocabulary.extend(words.filter(|word| !word.is_empty()).map(str::to_lowercase));
            }
            self.add_classes(lines, classes)?;
        }
        for (lines, file) in files {
            self.add_rules(&lines, file)?;
        }
        Ok(())
    }

    fn add_classes(
        &mut self,
        lines: &Lines<'_>,
        classes: BTreeMap<String, Vec<Spanned<String>>>,
    ) -> Result<(), BadRules> {
        for (name, words) in classes {
            let class = self.classes.entry(name).or_default();
            for word in words {
                check_word(word.get_ref()).map_err(|message| lines.refuse(&message, &word, None))?;
                class.push(word.into_inner());
            }
        }
        if self.classes.values().map(Vec::len).sum::<usize>() > MAX_WORDS {
            return Err(BadRules::at(&format!("more than {MAX_WORDS} words in all classes"), None, None));
        }
        Ok(())
    }

    fn add_rules(&mut self, lines: &Lines<'_>, file: File) -> Result<(), BadRules> {
        for mut rule in file.rule {
            rule.line = lines.of(&rule.id);
            self.check(&rule).map_err(|message| lines.refuse(&message, &rule.id, Some(rule.id.get_ref())))?;
            self.rules.push(rule);
        }
        for (id, weight) in file.weights {
            let rule = self.find(&id).map_err(|message| lines.refuse(&message, &weight, Some(&id)))?;
            rule.weight = *weight.get_ref();
            check_weight(rule).map_err(|message| lines.refuse(&message, &weight, Some(&id)))?;
        }
        for id in file.disable {
            self.find(id.get_ref()).map_err(|message| lines.refuse(&message, &id, Some(id.get_ref())))?;
            self.rules.retain(|rule| rule.id.get_ref() != id.get_ref());
        }
        Ok(())
    }

    fn find(&mut self, id: &str) -> Result<&mut Rule, String> {
        self.rules
            .iter_mut()
            .find(|rule| rule.id.get_ref() == id)
            .ok_or_else(|| format!("there is no rule {id:?}"))
    }

    fn check(&self, rule: &Rule) -> Result<(), String> {
        if self.rules.iter().any(|known| known.id.get_ref() == rule.id.get_ref()) {
            return Err("the id is taken".into());
        }
        let id = rule.id.get_ref();
        if id.is_empty()
            || id.len() > MAX_ID_BYTES
            || !id.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-'))
        {
            return Err(format!("an id has 1 to {MAX_ID_BYTES} small letters, digits, dots and hyphens"));
        }
        check_weight(rule)?;
        for (name, list) in [("examples", &rule.examples), ("counter_examples", &rule.counter_examples)] {
            if list.len() < MIN_EXAMPLES {
                return Err(format!("`{name}` must hold at least {MIN_EXAMPLES}"));
            }
        }
        let named = rule
            .unless_before
            .iter()
            .chain(&rule.unless_after)
            .chain(&rule.unless_within)
            .chain(&rule.anchor);
        for class in rule
            .sequences
            .iter()
            .flatten()
            .flat_map(|place| place.trim_start_matches(AT_START).split('|'))
            .chain(named.map(String::as_str))
        {
            if !self.classes.contains_key(class) {
                return Err(format!("there is no class {class:?}"));
            }
        }
        match (&rule.pattern, &rule.anchor, rule.signal) {
            (None, None, None) => check_sequences(rule),
            (None, None, Some(_)) if rule.sequences.is_empty() => Ok(()),
            (Some(pattern), Some(_), None) if rule.sequences.is_empty() => check_pattern(pattern),
            _ => Err("give `sequences`, or `pattern` with `anchor`, or `signal`".into()),
        }
    }
}

fn check_weight(rule: &Rule) -> Result<(), String> {
    if (0.0..=0.99).contains(&rule.weight) {
        return Ok(());
    }
    Err("`weight` must be from 0 to 0.99".into())
}

fn check_word(word: &str) -> Result<(), String> {
    if normalise(word.trim_matches('*')).text.is_empty() || word.chars().count() > MAX_WORD_CHARS {
        return Err(format!("a word of a class has 1 to {MAX_WORD_CHARS} characters"));
    }
    Ok(())
}

fn check_sequences(rule: &Rule) -> Result<(), String> {
    let sizes = rule.sequences.iter().map(Vec::len);
    if rule.sequences.is_empty()
        || rule.sequences.len() > MAX_PARTS
        || sizes.clone().any(|size| size == 0 || size > 8)
    {
        return Err(format!("`sequences` must hold 1 to {MAX_PARTS} lists of 1 to 8 classes"));
    }
    if rule.any_order && sizes.clone().any(|size| size > 4) {
        return Err("`any_order` is for up to 4 classes".into());
    }
    if rule.gap > MAX_GAP {
        return Err(format!("`gap` must be at most {MAX_GAP} tokens"));
    }
    Ok(())
}

fn check_pattern(pattern: &str) -> Result<(), String> {
    if pattern.chars().count() > MAX_PATTERN_CHARS {
        return Err(format!("`pattern` must have at most {MAX_PATTERN_CHARS} characters"));
    }
    compile_pattern(pattern).map(drop)
}

/// Compile a rule's pattern; its size is bounded, and the regex crate runs in linear time by construction.
pub(super) fn compile_pattern(pattern: &str) -> Result<regex::Regex, String> {
    regex::RegexBuilder::new(pattern)
        .size_limit(256 * 1024)
        .dfa_size_limit(1024 * 1024)
        .build()
        .map_err(|error| format!("`pattern`: {error}"))
}
