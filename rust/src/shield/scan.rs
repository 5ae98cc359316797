//! One scan: every reading of a text is swept, weighed and scored; the worst reading is the text's risk.

#[cfg(test)]
mod tests;

use sha2::{Digest, Sha256};

use super::context::{Quotes, looks_like_code};
use super::cut;
use super::decode::{Budget, DEPTH, Decoded, decode, written_out};
use super::matcher::Found;
use super::normalise::{Census, Normal, normalise};
use super::score::{self, Evidence};
use super::views::{View, WHOLE, reversed_order, views};
use super::{Channel, FLAG_RISK, Facts, Hit, Shield, Signal, Tier, Verdict};

/// What a finding keeps of its weight when it is only quoted, by somebody who talks about it.
const QUOTED: f64 = 0.6;
/// What a weak finding, and a template tag, keep of their weight in source code.
const IN_CODE: f64 = 0.5;
const TAG_IN_CODE: f64 = 0.35;
/// Findings from this weight on keep it in code: an order in a comment is an order.
const FIRM: f64 = 0.9;
/// What a finding keeps of its weight in a view or a decoded text, which can be chance.
const INDIRECT: f64 = 0.96;
/// From this risk on a text is worth reading in the reverse order of its words.
const HINT: f64 = 0.2;
/// Ordinary writing in source code.
const IN_CODE_TOO: [&str; 2] = ["concat", "escapes"];
/// Encodings that carry a payload; escapes and joined strings are ordinary writing.
const PAYLOADS: [&str; 4] = ["base64", "base32", "hex", "binary"];
/// Weight of a finding from which on decoded text counts as an instruction.
const DECODED_WEIGHT: f64 = 0.25;
const EXCERPT_CHARS: usize = 160;

/// Where a text stands in the request.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub channel: Channel,
    pub message: Option<usize>,
}

/// What is known of one text.
#[derive(Default)]
struct Look {
    risk: f64,
    model: f64,
    hits: Vec<Hit>,
}

impl Look {
    /// Take in another reading of the same text: the worst one counts.
    fn add(&mut self, other: Self) {
        if other.risk > self.risk {
            self.risk = other.risk;
            self.model = other.model;
        }
        self.hits.extend(other.hits);
    }

    /// A finding of the engine itself, on top of what this reading holds.
    fn signal(&mut self, signal: Option<Hit>) {
        if let Some(hit) = signal {
            let risk = 1.0 - (1.0 - self.risk) * (1.0 - hit.weight);
            // That a text was hidden makes no block of weak cues in it.
            let firm = self.hits.iter().any(|hit| hit.weight >= FLAG_RISK && hit.tier > Tier::Medium);
            self.risk = if firm { risk } else { risk.min(score::MEDIUM_MOST).max(self.risk) };
            self.hits.push(hit);
        }
    }
}

/// One reading of a text: normalised, and how to get back to what the client sent, where that is possible.
struct Reading<'a> {
    text: &'a str,
    via: &'static str,
    source: Option<(&'a Normal, &'a str)>,
    /// What it was taken from is source code.
    code: bool,
}

impl Verdict {
    /// Take in one more text of the request.
    pub(super) fn add(&mut self, shield: &Shield, text: &str, place: Place, budget: &mut Budget) {
        let look = shield.look(text, place, budget);
        self.truncated |= budget.exhausted;
        let of_channel = &mut self.by_channel[place.channel as usize];
        *of_channel = of_channel.max(look.risk);
        let mut hits = look.hits;
        hits.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        keep_strongest(&mut hits);
        if look.risk > self.risk {
            self.risk = look.risk;
            self.model = look.model;
            self.text_sha256 = (look.risk >= FLAG_RISK).then(|| Sha256::digest(text).into());
            hits.append(&mut self.hits);
            self.hits = hits;
        } else {
            self.hits.append(&mut hits);
        }
    }
}

/// One hit per rule: the first, which is the strongest.
fn keep_strongest(hits: &mut Vec<Hit>) {
    let mut kept = Vec::with_capacity(hits.len());
    for hit in hits.drain(..) {
        if !kept.iter().any(|known: &Hit| known.rule == hit.rule) {
            kept.push(hit);
        }
    }
    *hits = kept;
}

impl Shield {
    fn look(&self, text: &str, place: Place, budget: &mut Budget) -> Look {
        let text = &*written_out(text);
        let normal = normalise(text);
        let code = looks_like_code(&normal.text);
        let mut look = self
            .read(&Reading { text: &normal.text, via: "plain", source: Some((&normal, text)), code }, place);
        if !normal.hidden.is_empty() {
            look.add(self.hidden(&normal.hidden, place, code));
        }
        self.viewed(&normal, (place, code), &mut look);
        budget.exhausted |= normal.text.len() > WHOLE;
        self.decoded(text, &normal.census, (place, code, 1), budget, &mut look);
        look
    }

    /// The text read otherwise, where something speaks for it.
    fn viewed(&self, normal: &Normal, (place, code): (Place, bool), look: &mut Look) {
        let odd = if look.risk >= HINT { reversed_order(&normal.text) } else { None };
        for View { text, via } in views(normal, &self.vocabulary).into_iter().chain(odd) {
            look.add(self.read(&Reading { text: &text, via, source: None, code }, place));
        }
    }

    /// Text in invisible characters: a signal itself, and read like any other.
    fn hidden(&self, hidden: &str, place: Place, code: bool) -> Look {
        let inner = normalise(hidden);
        let mut look = self.read(&Reading { text: &inner.text, via: "hidden", source: None, code }, place);
        look.signal(self.signal(Signal::Hidden, place, "hidden", &inner.text));
        look
    }

    /// What is encoded in a text, read like any other; what looks like an order in it is a signal, too.
    fn decoded(
        &self,
        text: &str,
        census: &Census,
        (place, code, depth): (Place, bool, usize),
        budget: &mut Budget,
        look: &mut Look,
    ) {
        for Decoded { text, via, .. } in decode(text, census, budget) {
            let text = written_out(&text);
            let inner = normalise(&text);
            // Strings and escapes in code are code; other encodings are what they turn out to be.
            let code = looks_like_code(&inner.text) || code && IN_CODE_TOO.contains(&via);
            let mut found = self.read(&Reading { text: &inner.text, via, source: None, code }, place);
            self.viewed(&inner, (place, code), &mut found);
            if PAYLOADS.contains(&via) && found.hits.iter().any(|hit| hit.weight >= DECODED_WEIGHT) {
                found.signal(self.signal(Signal::Decoded, place, via, &inner.text));
            }
            if depth < DEPTH {
                self.decoded(&text, &inner.census, (place, code, depth + 1), budget, &mut found);
            }
            look.add(found);
        }
    }

    fn signal(&self, signal: Signal, place: Place, via: &'static str, text: &str) -> Option<Hit> {
        let (nth, _) = self.signals.iter().find(|(_, known)| *known == signal)?;
        let excerpt: String = text.chars().take(EXCERPT_CHARS).collect();
        let end = excerpt.chars().count();
        Some(self.hit(*nth, place, via, (0, end), excerpt))
    }

    fn read(&self, reading: &Reading<'_>, place: Place) -> Look {
        let found = self.matcher.sweep(reading.text);
        let context = self.context(reading, &found, place.channel);
        let margin = self.model.as_ref().map(|model| model.evidence(model.margin(reading.text)));
        let model = margin.unwrap_or_default() * context.model_keeps();
        let mut hits = Vec::new();
        let mut evidence = Vec::new();
        let mut characters = Characters::default();
        for found in &found {
            let facts = &self.facts[found.rule as usize];
            let weight =
                facts.weight * context.keeps(facts) * if reading.via == "plain" { 1.0 } else { INDIRECT };
            if facts.category.starts_with(CONTEXT) || !facts.channels.contains(&place.channel) {
                continue;
            }
            evidence.push(Evidence {
                start: found.start,
                end: found.end,
                category: &facts.category,
                tier: facts.tier,
                weight,
            });
            let (span, excerpt) = excerpt(reading, *found, &mut characters);
            hits.push(Hit { weight, ..self.hit(found.rule, place, reading.via, span, excerpt) });
        }
        Look { risk: score::risk(evidence, model), model, hits }
    }

    fn hit(
        &self,
        rule: u16,
        place: Place,
        via: &'static str,
        (start, end): (usize, usize),
        excerpt: String,
    ) -> Hit {
        let facts = &self.facts[rule as usize];
        Hit {
            rule: facts.id.clone(),
            tier: facts.tier,
            category: facts.category.clone(),
            weight: facts.weight,
            via,
            channel: place.channel,
            message: place.message,
            start,
            end,
            excerpt,
        }
    }

    /// What stands round the findings of a text, and so how much each keeps of its weight.
    fn context(&self, reading: &Reading<'_>, found: &[Found], channel: Channel) -> Context {
        if found.is_empty() {
            return Context { quoted: false, mention: false, code: reading.code };
        }
        let quotes = Quotes::read(reading.text);
        let id = |found: &&Found| &*self.facts[found.rule as usize].id;
        let (about, real): (Vec<&Found>, Vec<&Found>) =
            found.iter().partition(|found| self.facts[found.rule as usize].category.starts_with(CONTEXT));
        let inside: Vec<_> = real.iter().filter_map(|found| quotes.around(found.start, found.end)).collect();
        // "explain" and a quoted order may look like one order to explain; then the quotation decides.
        let in_quotes = |found: &&Found| inside.iter().any(|&(from, to)| from < found.end && found.end <= to);
        let talks = about
            .iter()
            .any(|found| id(found) == "context.meta" && quotes.around(found.start, found.end).is_none());
        Context {
            quoted: talks && !real.is_empty() && real.iter().all(in_quotes),
            mention: channel == Channel::Tool && about.iter().any(|found| id(found) == "context.mention"),
            code: reading.code,
        }
    }
}

/// What kind of text findings stand in.
struct Context {
    /// Everything found is quoted by somebody who talks about it.
    quoted: bool,
    /// A tool's text about attacks on models.
    mention: bool,
    /// Source code.
    code: bool,
}

impl Context {
    /// What anything keeps of its weight where the text is about attacks.
    const fn spoken(&self) -> f64 {
        if self.quoted || self.mention { QUOTED } else { 1.0 }
    }

    /// What a finding keeps of its weight.
    fn keeps(&self, facts: &Facts) -> f64 {
        self.spoken()
            * match (self.code, &*facts.category) {
                (true, "delimiter") => TAG_IN_CODE,
                (true, _) if facts.weight < FIRM => IN_CODE,
                _ => 1.0,
            }
    }

    /// What the model keeps of its evidence.
    fn model_keeps(&self) -> f64 {
        if self.code { self.spoken() * IN_CODE } else { self.spoken() }
    }
}

/// Rules of this category find nothing bad; they say what kind of text this is.
const CONTEXT: &str = "context";

/// Counts the characters before one place after the other: findings lie near each other, texts are long.
#[derive(Default)]
struct Characters {
    byte: usize,
    before: usize,
}

impl Characters {
    /// Characters before a byte, which is a boundary; all calls are about one text.
    fn before(&mut self, text: &str, byte: usize) -> usize {
        if byte >= self.byte {
            self.before += text[self.byte..byte].chars().count();
        } else {
            self.before -= text[byte..self.byte].chars().count();
        }
        self.byte = byte;
        self.before
    }
}

/// The finding's characters in the client's text, or in the reading where there is no way back.
fn excerpt(reading: &Reading<'_>, found: Found, characters: &mut Characters) -> ((usize, usize), String) {
    let (text, start, end) = match reading.source {
        Some((normal, text)) => (text, normal.origin(found.start), normal.origin(found.end)),
        None => (reading.text, found.start, found.end),
    };
    let (start, end) = (cut::floor(text, start), cut::floor(text, end.max(start)));
    let first = characters.before(text, start);
    let matched = &text[start..end];
    ((first, first + matched.chars().count()), matched.trim_end().chars().take(EXCERPT_CHARS).collect())
}
