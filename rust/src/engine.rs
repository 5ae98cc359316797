//! The engine owns the parts; `inspect` is one pass over one request.

mod decider;
mod inspection;
mod spent;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::classify::{Classification, Classifier};
use crate::digest::{self, Key, Policy};
use crate::error::Rejection;
use crate::exact::{ExactCache, StoredReply};
use crate::json::{Tree, Value};
use crate::predict::{Prediction, Predictor};
use crate::question::{self, Likeness, Rule, Verifier};
use crate::request::{self, Request, RoutingMode};
use crate::semantic::{Miss, Probe, Unfit};
use crate::shield::{Shield, Verdict};
use decider::{cosine, decider_of};
use spent::Laps;
pub use spent::Spent;

/// The least cosine of the built-in embedder at which the second embedder is asked.
///
/// Of public pairs that it serves less than one in 200 lies below 0.75, and a search for less costs more.
const NOMINATED: f32 = 0.75;
/// The least cosine of the second embedder where the verifier has a doubt, by the doubt; see docs/cache-rules.md.
const fn doubted(rule: Rule) -> f32 {
    match rule {
        Rule::Order | Rule::Tense | Rule::Modality | Rule::Wh | Rule::Content => 0.95,
        _ => 0.96,
    }
}

/// What the request's headers ask for, beside its body.
#[derive(Clone, Copy)]
pub struct Hints<'a> {
    /// The rules to scan with; none scans nothing.
    pub shield: Option<&'a Shield>,
    /// Replaces the body's `model`.
    pub model: Option<&'a str>,
    /// Replaces the body's `routing_mode`.
    pub routing_mode: Option<&'a str>,
    /// May an earlier answer be given again?
    pub read_cache: bool,
    /// May that be the answer to a question in other words?
    pub semantic: bool,
    /// The least cosine of such a question; counts where it is above the engine's own.
    pub threshold: f32,
    /// The end user, where the body names none.
    pub user: Option<&'a str>,
    /// The account's heads; none predicts with the shipped ones alone.
    pub predictor: Option<&'a Predictor>,
}

/// How the semantic level works in one gateway.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Semantic {
    /// The least cosine of a question that counts as the same.
    pub threshold: f32,
    /// How much is compared beside the cosine.
    pub verifier: Verifier,
    /// Is there a second embedder, which decides where the built-in one only comes near?
    pub decides: bool,
    /// Are answers kept apart by end user?
    pub per_user: bool,
}

impl Default for Semantic {
    fn default() -> Self {
        Self { threshold: 0.92, verifier: Verifier::Strict, decides: false, per_user: false }
    }
}

/// Which level found an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The same request.
    Exact,
    /// The same text but for case, punctuation and courtesies.
    Canonical,
    /// A text that means the same.
    Semantic,
}

impl Level {
    /// Its name in headers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Canonical => "canonical",
            Self::Semantic => "semantic",
        }
    }
}

/// An earlier answer that may be given again.
#[derive(Debug, Clone)]
pub struct Hit {
    /// Under which key it is stored.
    pub key: Key,
    /// The answer.
    pub reply: Arc<StoredReply>,
    /// How it was found.
    pub level: Level,
    /// The cosine of both questions; 1 unless the level is semantic.
    pub similarity: f32,
}

/// A candidate that waits for the second embedder.
#[derive(Debug, Clone)]
struct Nominee {
    key: Key,
    /// The least cosine of the second embedder, whatever the threshold.
    least: f32,
}

/// What looking for questions in other words came to.
enum Search {
    Found(Hit),
    Nominated(Vec<Nominee>),
    Missed(Miss),
}

/// What one pass found out. It does not hold the body: who asks for text hands it in again.
pub struct Inspection {
    /// Key of the exact cache.
    pub key: Key,
    /// The typed body; model and routing mode are the effective ones.
    pub request: Request,
    /// An earlier answer.
    pub hit: Option<Hit>,
    /// By what the answer can be found from another question; none when the request takes no part in that.
    pub probe: Option<Probe>,
    /// Why no answer to another question was given; none when one was, or nobody looked.
    pub miss: Option<Miss>,
    /// What the shield found; none when it was off.
    pub verdict: Option<Verdict>,
    /// Task type, complexity and stakes; none when an earlier answer was found, which needs no route.
    pub classification: Option<Classification>,
    /// How cheaper models would fare; none when an earlier answer was found.
    pub prediction: Option<Prediction>,
    /// How long each part took.
    pub spent: Spent,
    threshold: f32,
    nominees: Vec<Nominee>,
    tenant: Box<str>,
    tree: Tree,
}

/// The native core of one worker: request parser, cache and classifier.
pub struct Engine {
    /// The cache.
    pub cache: ExactCache,
    semantic: Semantic,
    classifier: &'static Classifier,
    /// Of an account that has learned nothing yet.
    predictor: Predictor,
}

impl Engine {
    /// An engine round a cache.
    #[must_use]
    pub fn new(cache: ExactCache, semantic: Semantic) -> Self {
        question::prepare();
        Self { cache, semantic, classifier: Classifier::shared(), predictor: Predictor::default() }
    }

    /// Parse a body, compute its key for `tenant` and look for an answer.
    ///
    /// # Errors
    /// A [`Rejection`] with status 400 for bad JSON and 422 for a bad field or hint.
    pub fn inspect(&self, body: &[u8], tenant: &str, hints: Hints<'_>) -> Result<Inspection, Rejection> {
        let (mut laps, mut spent) = (Laps::start(), Spent::default());
        let (tree, text) = Tree::parse(body)?;
        let root = tree.root(text);
        let mut request = Request::read(root)?;
        apply(hints, &mut request)?;
        let user = request.user.as_deref().or(hints.user).filter(|_| self.semantic.per_user);
        let policy = Policy {
            tenant,
            user: user.unwrap_or_default(),
            model: request.model.as_deref(),
            routing_mode: request.routing_mode.map(RoutingMode::as_str),
        };
        let key = digest::key_of(root, policy);
        spent.read_ns = laps.lap();
        let verdict = hints.shield.map(|shield| shield.scan_request(root));
        spent.shield_ns = laps.lap();
        let mut hit = if hints.read_cache { self.exact(&key) } else { None };
        let probe = match &hit {
            Some(_) => None,
            None if hints.semantic => Some(Probe::read(&request, root, policy)),
            None => Some(Err(Unfit::Off)),
        };
        let threshold = hints.threshold.max(self.semantic.threshold);
        let (mut nominees, mut miss) = (Vec::new(), None);
        match probe.as_ref() {
            Some(Ok(probe)) if hints.read_cache => match self.search(probe, threshold) {
                Search::Found(found) => hit = Some(found),
                Search::Nominated(found) => (nominees, miss) = (found, Some(Miss::Undecided)),
                Search::Missed(why) => miss = Some(why),
            },
            Some(Err(why)) => miss = Some(Miss::Unfit(*why)),
            _ => {}
        }
        spent.cache_ns = laps.lap();
        let judged = hit.is_none().then(|| self.judge(root, hints.predictor, (&mut laps, &mut spent)));
        let (classification, prediction) = judged.unzip();
        let probe = probe.and_then(Result::ok);
        let tenant = tenant.into();
        Ok(Inspection {
            key,
            request,
            hit,
            probe,
            miss,
            verdict,
            classification,
            prediction,
            spent,
            threshold,
            nominees,
            tenant,
            tree,
        })
    }

    /// Classify and predict with one scan of the last user turn, which counts as classification.
    fn judge(
        &self,
        root: Value<'_>,
        predictor: Option<&Predictor>,
        (laps, spent): (&mut Laps, &mut Spent),
    ) -> (Classification, Prediction) {
        let text = request::last_user_text(root);
        let reading = self.classifier.read(&text);
        let classification = self.classifier.classify_reading(&reading, root);
        spent.classify_ns = laps.lap();
        let prediction = predictor.unwrap_or(&self.predictor).predict(&text, &reading);
        spent.predict_ns = laps.lap();
        (classification, prediction)
    }

    /// Look for an answer once more, after others were stored.
    #[must_use]
    pub fn look_again(&self, inspection: &Inspection) -> Option<Hit> {
        self.exact(&inspection.key).or_else(|| {
            match self.search(inspection.probe.as_ref()?, inspection.threshold) {
                Search::Found(hit) => Some(hit),
                Search::Nominated(_) | Search::Missed(_) => None,
            }
        })
    }

    /// Let the second embedder decide: `vector` is its embedding of the question.
    #[must_use]
    pub fn decide(&self, inspection: &Inspection, decider: &str, vector: &[i8]) -> Option<Hit> {
        let scope = &inspection.probe.as_ref()?.scope;
        let threshold = self.threshold(scope, inspection.threshold);
        let decider = decider_of(decider);
        let likeness = |nominee: &Nominee| {
            let stored = self.cache.near.decided(scope, &nominee.key, decider)?;
            let similarity = cosine(vector, &stored)?;
            (similarity >= threshold.max(nominee.least)).then_some((similarity, nominee.key))
        };
        let best = inspection.nominees.iter().filter_map(likeness).max_by(|a, b| a.0.total_cmp(&b.0));
        best.and_then(|(similarity, key)| self.hit(key, Level::Semantic, similarity))
    }

    /// Keep the second embedder's vector of a stored answer's question.
    pub fn attach(&self, key: &Key, decider: &str, vector: &[i8]) -> bool {
        self.cache.attach(key, decider_of(decider), vector.into())
    }

    /// Drop an answer that was wrong for a question alike, and ask for more likeness in its scope from now on.
    pub fn retire(&self, scope: &Key, key: &Key, similarity: f32) -> bool {
        self.cache.near.tighten(scope, similarity);
        self.cache.forget(key)
    }

    fn exact(&self, key: &Key) -> Option<Hit> {
        self.hit(*key, Level::Exact, 1.0)
    }

    fn hit(&self, key: Key, level: Level, similarity: f32) -> Option<Hit> {
        self.cache.get(&key).map(|reply| Hit { key, reply, level, similarity })
    }

    fn threshold(&self, scope: &Key, asked: f32) -> f32 {
        self.cache.near.threshold(scope).map_or(asked, |tightened| tightened.max(asked))
    }

    fn search(&self, probe: &Probe, asked: f32) -> Search {
        let near = &self.cache.near;
        let threshold = self.threshold(&probe.scope, asked);
        let now_s = self.cache.now_s();
        let canonical = near.canonical(&probe.scope, &probe.canonical, now_s);
        if let Some(hit) = canonical.and_then(|key| self.hit(key, Level::Canonical, 1.0)) {
            return Search::Found(hit);
        }
        let Some(features) = &probe.features else { return Search::Missed(Miss::Nothing) };
        let floor = if self.semantic.decides { NOMINATED.min(threshold) } else { threshold };
        let (mut nominees, mut refused) = (Vec::new(), None);
        for candidate in near.nearest(&probe.scope, &probe.embedding, floor, now_s) {
            let likeness = features.compare(&candidate.features, self.semantic.verifier);
            if let Likeness::Close(rule) | Likeness::Differs(rule) = likeness {
                refused = refused.or(Some(rule));
            }
            match likeness {
                Likeness::Same if candidate.similarity >= threshold => {
                    if let Some(hit) = self.hit(candidate.key, Level::Semantic, candidate.similarity) {
                        return Search::Found(hit);
                    }
                }
                Likeness::Same => nominees.push(Nominee { key: candidate.key, least: 0.0 }),
                Likeness::Close(rule) => nominees.push(Nominee { key: candidate.key, least: doubted(rule) }),
                Likeness::Differs(_) => {}
            }
        }
        if self.semantic.decides && !nominees.is_empty() {
            return Search::Nominated(nominees);
        }
        Search::Missed(refused.map_or(Miss::Nothing, Miss::Unlike))
    }
}

fn apply(hints: Hints<'_>, request: &mut Request) -> Result<(), Rejection> {
    if let Some(name) = hints.model {
        request::check_model(name, "X-Force-Model")?;
        request.model = Some(name.to_owned());
    }
    if let Some(name) = hints.routing_mode {
        request.routing_mode = Some(RoutingMode::read(name, "X-Routing-Mode")?);
    }
    Ok(())
}
