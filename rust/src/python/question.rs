//! Two questions side by side, for `neuralrouting cache explain`.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::{Embedder, Likeness, Question, Rule, Verifier};

/// What the semantic levels make of two texts.
#[pyclass(frozen, module = "neuralrouting._core")]
pub(super) struct Comparison {
    unfit: Option<&'static str>,
    canonical: bool,
    similarity: Option<f32>,
    likeness: Option<Likeness>,
    words: Vec<String>,
}

#[pymethods]
impl Comparison {
    /// Why one of the texts takes no part; None when both do.
    #[getter]
    const fn unfit(&self) -> Option<&'static str> {
        self.unfit
    }

    /// Whether they are one text but for case, punctuation, courtesies and the like.
    #[getter]
    const fn canonical(&self) -> bool {
        self.canonical
    }

    /// Their cosine by the built-in embedder; None where there are no rules for their language.
    #[getter]
    const fn similarity(&self) -> Option<f32> {
        self.similarity
    }

    /// What the verifier says: same, close or differs; None where it has no rules.
    #[getter]
    fn likeness(&self) -> Option<&'static str> {
        self.likeness.map(|likeness| match likeness {
            Likeness::Same => "same",
            Likeness::Close(_) => "close",
            Likeness::Differs(_) => "differs",
        })
    }

    /// The rule that tells them apart; None where none does.
    #[getter]
    fn rule(&self) -> Option<&'static str> {
        match self.likeness? {
            Likeness::Same => None,
            Likeness::Close(rule) | Likeness::Differs(rule) => Some(Rule::as_str(rule)),
        }
    }

    /// What is embedded of each text, as far as they take part.
    #[getter]
    fn words(&self) -> Vec<String> {
        self.words.clone()
    }
}

/// Compare two texts as the semantic levels do. Raises `ValueError` for a verifier other than strict, std and off.
#[pyfunction]
#[pyo3(signature = (first, second, *, verifier="strict"))]
pub(super) fn compare_questions(first: &str, second: &str, verifier: &str) -> PyResult<Comparison> {
    let verifier = Verifier::read(verifier)
        .ok_or_else(|| PyValueError::new_err(format!("no verifier is called {verifier:?}")))?;
    let (first, second) = (Question::read(first), Question::read(second));
    let unfit = first.as_ref().err().or(second.as_ref().err()).map(|why| why.as_str());
    let words = [&first, &second].into_iter().flatten().map(|question| question.plain.clone()).collect();
    let (Ok(first), Ok(second)) = (first, second) else {
        return Ok(Comparison { unfit, canonical: false, similarity: None, likeness: None, words });
    };
    let canonical = first.canonical == second.canonical;
    let (Some(ours), Some(theirs)) = (&first.features, &second.features) else {
        return Ok(Comparison { unfit, canonical, similarity: None, likeness: None, words });
    };
    let embedder = Embedder::shared();
    let similarity = Some(embedder.embed(&first.plain).cosine(&embedder.embed(&second.plain)));
    Ok(Comparison { unfit, canonical, similarity, likeness: Some(ours.compare(theirs, verifier)), words })
}
