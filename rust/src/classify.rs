//! Layer 2: what kind of task a prompt is, how hard it is, and whether a wrong answer could hurt someone.

#[expect(clippy::cast_precision_loss, reason = "counts, far below 2^24")]
mod complexity;
mod conversation;
#[expect(clippy::cast_precision_loss, reason = "counts, far below 2^24")]
mod features;
#[expect(clippy::cast_possible_truncation, reason = "a hash is cut to an index")]
mod lexicon;
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "counts far below 2^24; weights were scaled to one byte"
)]
mod model;
mod reading;
#[expect(clippy::cast_possible_truncation, reason = "a hash is cut to an index")]
mod scan;
#[expect(clippy::cast_precision_loss, reason = "counts, far below 2^24")]
mod shape;
#[cfg(test)]
mod tests;
#[doc(hidden)]
#[expect(clippy::cast_possible_truncation, reason = "buckets are few")]
pub mod training;
mod words;

use std::sync::LazyLock;

use crate::json::Value;
use conversation::Conversation;
use features::{Features, Vocabulary};
use lexicon::Lexicon;
use model::{Model, PLANES, RISK_PLANE, Scores};
use scan::Scan;

pub(crate) use features::NAMED;
pub(crate) use reading::Reading;
pub(crate) use scan::{BUCKETS, ends};

static WEIGHTS: &[u8] = include_bytes!("../weights/classify.bin");
/// Contributions that are kept for an explanation.
const EXPLAINED: usize = 12;

/// What a prompt asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Task {
    Coding,
    Summarization,
    Reasoning,
    Creative,
    Qa,
    Extraction,
    Classification,
    Translation,
    Rewriting,
    Chat,
    Other,
}

impl Task {
    /// All task types, in the order of the model's planes.
    pub const ALL: [Self; 11] = [
        Self::Coding,
        Self::Summarization,
        Self::Reasoning,
        Self::Creative,
        Self::Qa,
        Self::Extraction,
        Self::Classification,
        Self::Translation,
        Self::Rewriting,
        Self::Chat,
        Self::Other,
    ];

    /// Its name in rows, headers and the matrix.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Coding => "coding",
            Self::Summarization => "summarization",
            Self::Reasoning => "reasoning",
            Self::Creative => "creative",
            Self::Qa => "qa",
            Self::Extraction => "extraction",
            Self::Classification => "classification",
            Self::Translation => "translation",
            Self::Rewriting => "rewriting",
            Self::Chat => "chat",
            Self::Other => "other",
        }
    }
}

/// Where a wrong answer could hurt someone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Domain {
    /// The body and its medicines.
    Medical,
    /// The mind; harm to oneself belongs here.
    MentalHealth,
    /// Rights, duties, contracts.
    Legal,
    /// Money, taxes, insurance.
    Financial,
    /// Electricity, chemicals, structures and machines.
    SafetyCritical,
    /// Requests to do harm: a matter of policy rather than of quality, kept apart.
    Harmful,
    /// Votes and how they are won.
    Elections,
}

impl Domain {
    /// All domains, in the order of the model's planes.
    pub const ALL: [Self; 7] = [
        Self::Medical,
        Self::MentalHealth,
        Self::Legal,
        Self::Financial,
        Self::SafetyCritical,
        Self::Harmful,
        Self::Elections,
    ];

    /// Its name in rows, headers and audit.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Medical => "medical",
            Self::MentalHealth => "mental_health",
            Self::Legal => "legal",
            Self::Financial => "financial",
            Self::SafetyCritical => "safety_critical",
            Self::Harmful => "harmful",
            Self::Elections => "elections",
        }
    }
}

/// Could a wrong answer hurt someone?
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stakes {
    /// Is the probability above the shipped threshold?
    pub high: bool,
    /// From 0 to 1; the threshold lies at one half.
    pub probability: f64,
    /// The likeliest domain, if the stakes are high.
    pub domain: Option<Domain>,
}

/// What the classifier says about one prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Classification {
    /// The likeliest task type.
    pub task: Task,
    /// Probability of each task type, in the order of [`Task::ALL`].
    pub probabilities: [f64; Task::ALL.len()],
    /// Too uncertain to be relied on.
    pub abstained: bool,
    /// From 0 to 10, one decimal: how likely a cheap model fails.
    pub complexity: f64,
    /// Could a wrong answer hurt someone?
    pub stakes: Stakes,
    /// Is the request one step of a tool loop?
    pub tool_loop: bool,
    /// Tool results since the last user turn that report an error.
    pub tool_errors: usize,
    evidence: Vec<(Evidence, f32)>,
}

/// A piece of evidence for the task type.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Evidence {
    Named(u16),
    Words,
}

impl Classification {
    /// Probability of the likeliest task type.
    #[must_use]
    pub fn confidence(&self) -> f64 {
        self.probabilities.iter().copied().fold(0.0, f64::max)
    }

    /// Every task type with its probability, likeliest first.
    #[must_use]
    pub fn ranked(&self) -> [(Task, f64); Task::ALL.len()] {
        let mut ranked = Task::ALL.map(|task| (task, self.probabilities[task as usize]));
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        ranked
    }

    /// What spoke for the task type and what against it, strongest first.
    #[must_use]
    pub fn contributions(&self) -> Vec<(String, f64)> {
        let name = |evidence: &Evidence| match evidence {
            Evidence::Named(index) => features::name_of(*index, &CLASSIFIER.vocabulary.lexicon),
            Evidence::Words => "words".to_owned(),
        };
        self.evidence.iter().map(|(evidence, value)| (name(evidence), f64::from(*value))).collect()
    }
}

/// Numbers beside the weights, in the order of the file.
#[derive(Debug, Clone, Copy)]
struct Tuning {
    /// Multiplies task scores before they become probabilities.
    sharpness: f32,
    /// Below this confidence the classifier abstains.
    abstain_below: f32,
    /// Multiplies the risk score above its threshold.
    risk_slope: f32,
    /// Risk score at the threshold.
    risk_threshold: f32,
}

/// SHA-256 of the word lists: what is learned on named features fits one version of them.
pub(crate) fn fingerprint() -> [u8; 32] {
    Lexicon::fingerprint()
}

/// Word lists and weights: everything that decides.
pub struct Classifier {
    vocabulary: Vocabulary,
    model: Option<Model>,
}

static CLASSIFIER: LazyLock<Classifier> = LazyLock::new(|| Classifier::with(WEIGHTS));

impl Classifier {
    /// The classifier of this process; compiled when it is first asked for.
    #[must_use]
    pub fn shared() -> &'static Self {
        &CLASSIFIER
    }

    /// Weights that do not fit the features are not used: every classification abstains then.
    fn with(weights: &'static [u8]) -> Self {
        Self { vocabulary: Vocabulary::new(), model: Model::read(weights) }
    }

    /// Classify a bare text as if it were the only message.
    #[must_use]
    pub fn classify_text(&self, text: &str) -> Classification {
        self.classify(text, &Conversation::default())
    }

    /// Classify a chat request by its last user turn, in the light of what was said before.
    #[must_use]
    pub fn classify_request(&self, root: Value<'_>) -> Classification {
        self.classify_reading(&self.read(&crate::request::last_user_text(root)), root)
    }

    /// The same where the last user turn has been read.
    pub(crate) fn classify_reading(&self, reading: &Reading, root: Value<'_>) -> Classification {
        self.judge(reading, &Conversation::read(root))
    }

    /// Scan a text, once for all that learn from its words.
    pub(crate) fn read(&self, text: &str) -> Reading {
        let scan = self.vocabulary.scan(text);
        let features = self.vocabulary.features(&scan);
        let math_terms = scan.hits(self.vocabulary.hard.terms);
        Reading { scan, features, math_terms }
    }

    fn classify(&self, text: &str, conversation: &Conversation) -> Classification {
        self.judge(&self.read(text), conversation)
    }

    fn judge(&self, reading: &Reading, conversation: &Conversation) -> Classification {
        let Reading { scan, features, .. } = reading;
        let (scores, tuning) = self.model.as_ref().map_or(([0.0; PLANES], Tuning::NONE), |model| {
            (model.scores(features, &scan.ngrams), Tuning::of(model))
        });
        let probabilities = softmax(&scores, tuning.sharpness);
        let best = best_of(&probabilities);
        let weights = self.model.as_ref().map_or([0.0; complexity::FACTORS], complexity::weights);
        let factors = complexity::factors(scan, &self.vocabulary.hard, conversation);
        let material = complexity::material(&probabilities);
        Classification {
            task: Task::ALL[best],
            probabilities,
            abstained: probabilities[best] < f64::from(tuning.abstain_below),
            complexity: complexity::of(&complexity::without_material(factors, material), &weights),
            stakes: stakes(&scores, tuning),
            tool_loop: conversation.tool_loop,
            tool_errors: conversation.tool_errors,
            evidence: self.evidence(features, scan, best),
        }
    }

    fn evidence(&self, features: &Features, scan: &Scan, plane: usize) -> Vec<(Evidence, f32)> {
        let Some(model) = &self.model else { return Vec::new() };
        let named = features.named.iter();
        let mut evidence: Vec<_> = named
            .map(|&(index, value)| (Evidence::Named(index), model.contribution(index, value, plane)))
            .collect();
        evidence.push((Evidence::Words, model.gram_contribution(features, &scan.ngrams, plane)));
        let by_size = |a: &(Evidence, f32), b: &(Evidence, f32)| b.1.abs().total_cmp(&a.1.abs());
        if evidence.len() > EXPLAINED {
            evidence.select_nth_unstable_by(EXPLAINED, by_size);
            evidence.truncate(EXPLAINED);
        }
        evidence.sort_by(by_size);
        evidence
    }
}

impl Tuning {
    const NONE: Self = Self { sharpness: 1.0, abstain_below: 2.0, risk_slope: 1.0, risk_threshold: 1.0 };

    fn of(model: &Model) -> Self {
        let [sharpness, abstain_below, risk_slope, risk_threshold, ..] = model.tuning;
        Self { sharpness, abstain_below, risk_slope, risk_threshold }
    }
}

fn softmax(scores: &Scores, sharpness: f32) -> [f64; Task::ALL.len()] {
    let mut values = [0.0; Task::ALL.len()];
    let most = scores[..values.len()].iter().copied().fold(f32::MIN, f32::max);
    for (value, score) in values.iter_mut().zip(scores) {
        *value = f64::from((score - most) * sharpness).exp();
    }
    let sum: f64 = values.iter().sum();
    values.map(|value| value / sum)
}

fn best_of(probabilities: &[f64; Task::ALL.len()]) -> usize {
    (0..probabilities.len())
        .fold(0, |best, nth| if probabilities[nth] > probabilities[best] { nth } else { best })
}

fn stakes(scores: &Scores, tuning: Tuning) -> Stakes {
    let above = scores[RISK_PLANE] - tuning.risk_threshold;
    let probability = 1.0 / (1.0 + f64::from(-above * tuning.risk_slope).exp());
    let domains = &scores[RISK_PLANE + 1..];
    let best =
        (0..Domain::ALL.len()).fold(0, |best, nth| if domains[nth] > domains[best] { nth } else { best });
    let high = above > 0.0;
    Stakes { high, probability, domain: high.then_some(Domain::ALL[best]) }
}
