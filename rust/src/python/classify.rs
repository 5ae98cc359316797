//! The classifier as Python sees it: text in, one frozen classification out.

use pyo3::prelude::*;

use crate::{Classifier, Domain, Task};

/// Texts up to this size take less time than giving the interpreter's lock away and getting it back.
const KEEP_LOCK_BYTES: usize = 4 * 1024;

/// What kind of task a prompt is, how hard it is, and whether a wrong answer could hurt someone. Read-only.
#[pyclass(frozen, module = "neuralrouting._core")]
pub(super) struct Classification(crate::Classification);

impl Classification {
    pub(super) fn new(found: crate::Classification) -> Self {
        Self(found)
    }
}

#[pymethods]
impl Classification {
    #[getter]
    fn task(&self) -> &'static str {
        self.0.task.as_str()
    }

    #[getter]
    fn confidence(&self) -> f64 {
        self.0.confidence()
    }

    #[getter]
    fn abstained(&self) -> bool {
        self.0.abstained
    }

    /// Every task type with its probability, likeliest first.
    #[getter]
    fn probabilities(&self) -> Vec<(&'static str, f64)> {
        self.0
            .ranked()
            .into_iter()
            .map(|(task, probability): (Task, f64)| (task.as_str(), probability))
            .collect()
    }

    #[getter]
    fn complexity(&self) -> f64 {
        self.0.complexity
    }

    #[getter]
    fn high_risk(&self) -> bool {
        self.0.stakes.high
    }

    #[getter]
    fn risk_probability(&self) -> f64 {
        self.0.stakes.probability
    }

    #[getter]
    fn risk_domain(&self) -> Option<&'static str> {
        self.0.stakes.domain.map(Domain::as_str)
    }

    /// What spoke for the task type and against it, strongest first.
    #[getter]
    fn contributions(&self) -> Vec<(String, f64)> {
        self.0.contributions()
    }

    #[getter]
    fn tool_loop(&self) -> bool {
        self.0.tool_loop
    }

    #[getter]
    fn tool_errors(&self) -> usize {
        self.0.tool_errors
    }
}

/// Classify one text as if it were the only message.
#[pyfunction]
pub(super) fn classify(py: Python<'_>, text: &str) -> Classification {
    let classifier = Classifier::shared();
    Classification(if text.len() > KEEP_LOCK_BYTES {
        py.detach(|| classifier.classify_text(text))
    } else {
        classifier.classify_text(text)
    })
}
