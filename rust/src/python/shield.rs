//! The shield as Python sees it: rules in, one frozen verdict out.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::engine::KEEP_LOCK_BYTES;
use crate::shield::{BadRules, Channel};

pyo3::create_exception!(
    neuralrouting._core,
    RejectedRules,
    PyValueError,
    "A rule pack was refused. `args` is (message: str, line: int | None, rule: str | None)."
);

impl From<BadRules> for PyErr {
    fn from(bad: BadRules) -> Self {
        RejectedRules::new_err((bad.message, bad.line, bad.rule))
    }
}

fn read_channel(name: &str) -> PyResult<Channel> {
    let known = [Channel::User, Channel::Tool, Channel::Assistant];
    let found = known.into_iter().find(|channel| channel.as_str() == name);
    found.ok_or_else(|| PyValueError::new_err("channel must be user, tool or assistant"))
}

/// One finding of the shield.
#[pyclass(frozen, module = "neuralrouting._core")]
pub(super) struct Hit(crate::Hit);

#[pymethods]
impl Hit {
    #[getter]
    fn rule(&self) -> &str {
        &self.0.rule
    }

    #[getter]
    fn tier(&self) -> &'static str {
        self.0.tier.as_str()
    }

    #[getter]
    fn category(&self) -> &str {
        &self.0.category
    }

    #[getter]
    fn weight(&self) -> f64 {
        self.0.weight
    }

    #[getter]
    fn via(&self) -> &str {
        self.0.via
    }

    #[getter]
    fn channel(&self) -> &'static str {
        self.0.channel.as_str()
    }

    #[getter]
    fn message(&self) -> Option<usize> {
        self.0.message
    }

    #[getter]
    fn start(&self) -> usize {
        self.0.start
    }

    #[getter]
    fn end(&self) -> usize {
        self.0.end
    }

    #[getter]
    fn excerpt(&self) -> &str {
        &self.0.excerpt
    }
}

/// What one scan found. Read-only.
#[pyclass(frozen, module = "neuralrouting._core")]
pub(super) struct Verdict(crate::Verdict);

impl Verdict {
    pub(super) fn new(found: crate::Verdict) -> Self {
        Self(found)
    }
}

#[pymethods]
impl Verdict {
    #[getter]
    fn risk(&self) -> f64 {
        self.0.risk
    }

    /// Tier of the strongest finding.
    #[getter]
    fn tier(&self) -> Option<&'static str> {
        self.0.hits.first().map(|hit| hit.tier.as_str())
    }

    /// Category of the strongest finding.
    #[getter]
    fn category(&self) -> Option<&str> {
        self.0.hits.first().map(|hit| &*hit.category)
    }

    /// Channel of the strongest finding.
    #[getter]
    fn channel(&self) -> Option<&'static str> {
        self.0.hits.first().map(|hit| hit.channel.as_str())
    }

    /// Ids of the rules that fired, strongest first.
    #[getter]
    fn rules(&self) -> Vec<&str> {
        self.0.hits.iter().map(|hit| &*hit.rule).collect()
    }

    #[getter]
    fn hits(&self) -> Vec<Hit> {
        self.0.hits.iter().cloned().map(Hit).collect()
    }

    #[getter]
    fn model(&self) -> f64 {
        self.0.model
    }

    /// The highest risk of any text in a channel: user, tool or assistant.
    fn risk_in(&self, channel: &str) -> PyResult<f64> {
        Ok(self.0.risk_in(read_channel(channel)?))
    }

    #[getter]
    fn truncated(&self) -> bool {
        self.0.truncated
    }

    #[getter]
    fn text_sha256<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0.text_sha256.map(|digest| PyBytes::new(py, &digest))
    }
}

/// A compiled rule pack: the built-in rules, changed by an operator's, and the linear model.
#[pyclass(frozen, module = "neuralrouting._core")]
pub(super) struct Shield(pub(super) crate::Shield);

#[pymethods]
impl Shield {
    /// Compile the rules; each of `rules` is TOML that adds, disables and re-weights. Raises `RejectedRules`.
    #[new]
    #[pyo3(signature = (*rules, model=true))]
    #[expect(clippy::needless_pass_by_value, reason = "extracted from Python arguments")]
    fn new(py: Python<'_>, rules: Vec<String>, model: bool) -> PyResult<Self> {
        let overlays: Vec<&str> = rules.iter().map(String::as_str).collect();
        Ok(Self(py.detach(|| crate::Shield::new(&overlays, model))?))
    }

    /// Scan one text; `channel` is user, tool or assistant.
    #[pyo3(signature = (text, *, channel="user"))]
    fn scan(&self, py: Python<'_>, text: &str, channel: &str) -> PyResult<Verdict> {
        let channel = read_channel(channel)?;
        let scan = || self.0.scan(text, channel);
        Ok(Verdict(if text.len() > KEEP_LOCK_BYTES { py.detach(scan) } else { scan() }))
    }

    /// The rules that count, as (id, tier, category, weight), in the order in which they are read.
    fn rules(&self) -> Vec<(&str, &'static str, &str, f64)> {
        let told =
            |(id, tier, category, weight): (_, crate::Tier, _, _)| (id, tier.as_str(), category, weight);
        self.0.rules().map(told).collect()
    }

    #[getter]
    fn hash(&self) -> &str {
        self.0.hash()
    }
}
