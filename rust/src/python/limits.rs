//! The rate limits as Python sees them: a permit or a refusal, both values.

use std::path::Path;

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use rustix::io::Errno;

use crate::limits::{self, Ask, Entry, LimitError};
use crate::mapped::MapError;

impl From<MapError> for PyErr {
    fn from(error: MapError) -> Self {
        let message = error.to_string();
        let (errno, path) = match error {
            MapError::Io { path, source, .. } => (source.raw_os_error(), path),
            MapError::Damaged { path, .. } => (Some(Errno::IO.raw_os_error()), path),
            MapError::NotOurs { path } => (Some(Errno::PERM.raw_os_error()), path),
        };
        let errno = errno.unwrap_or(Errno::IO.raw_os_error());
        PyOSError::new_err((errno, message, path.display().to_string()))
    }
}

impl From<LimitError> for PyErr {
    fn from(error: LimitError) -> Self {
        let message = error.to_string();
        match error {
            LimitError::Map(error) => error.into(),
            LimitError::TooManyProcesses { .. } => PyOSError::new_err(message),
            LimitError::TooLarge { .. } => PyValueError::new_err(message),
        }
    }
}

/// A limit from Python, where a number may be negative.
fn limit(given: Option<i64>) -> PyResult<Option<u64>> {
    let natural = |limit| u64::try_from(limit).map_err(|_| PyValueError::new_err("a limit is not negative"));
    given.map(natural).transpose()
}

fn tokens(given: i64) -> PyResult<u64> {
    u64::try_from(given).map_err(|_| PyValueError::new_err("tokens are not negative"))
}

/// A request that was let in. It gives its places back when it leaves or is collected.
#[pyclass(frozen, module = "neuralrouting._core")]
pub(super) struct Permit(limits::Permit);

#[pymethods]
impl Permit {
    #[getter]
    fn limit_requests(&self) -> Option<u64> {
        self.0.requests.map(|room| room.limit)
    }

    #[getter]
    fn remaining_requests(&self) -> Option<u64> {
        self.0.requests.map(|room| room.remaining)
    }

    #[getter]
    fn reset_requests_ms(&self) -> Option<u64> {
        self.0.requests.map(|room| room.reset_ms)
    }

    #[getter]
    fn limit_tokens(&self) -> Option<u64> {
        self.0.tokens().map(|room| room.limit)
    }

    #[getter]
    fn remaining_tokens(&self) -> Option<u64> {
        self.0.tokens().map(|room| room.remaining)
    }

    #[getter]
    fn reset_tokens_ms(&self) -> Option<u64> {
        self.0.tokens().map(|room| room.reset_ms)
    }

    /// Give the places back, and correct reserved tokens to those that were used. Only the first time.
    #[pyo3(signature = (tokens=None))]
    fn leave(&self, tokens: Option<i64>) -> PyResult<()> {
        self.0.leave(tokens.map(self::tokens).transpose()?);
        Ok(())
    }
}

/// A request that was not let in: whose limit it was, and when to come back.
#[pyclass(frozen, module = "neuralrouting._core")]
pub(super) struct Refusal(limits::Refusal);

#[pymethods]
impl Refusal {
    #[getter]
    fn subject(&self) -> &str {
        &self.0.subject
    }

    #[getter]
    fn limit(&self) -> &'static str {
        self.0.limit.as_str()
    }

    #[getter]
    fn allowed(&self) -> u64 {
        self.0.allowed
    }

    #[getter]
    fn retry_after_ms(&self) -> Option<u64> {
        self.0.retry_after_ms
    }

    #[getter]
    fn limit_requests(&self) -> Option<u64> {
        self.0.requests.map(|room| room.limit)
    }

    #[getter]
    fn remaining_requests(&self) -> Option<u64> {
        self.0.requests.map(|room| room.remaining)
    }

    #[getter]
    fn reset_requests_ms(&self) -> Option<u64> {
        self.0.requests.map(|room| room.reset_ms)
    }

    #[getter]
    fn limit_tokens(&self) -> Option<u64> {
        self.0.tokens.map(|room| room.limit)
    }

    #[getter]
    fn remaining_tokens(&self) -> Option<u64> {
        self.0.tokens.map(|room| room.remaining)
    }

    #[getter]
    fn reset_tokens_ms(&self) -> Option<u64> {
        self.0.tokens.map(|room| room.reset_ms)
    }
}

/// What `enter` returns.
#[derive(IntoPyObject)]
pub(super) enum Answer {
    Permit(Permit),
    Refusal(Refusal),
}

/// The rate limits of one worker, shared with all workers that name the same directory.
#[pyclass(frozen, module = "neuralrouting._core")]
pub(super) struct Limits(limits::Limits);

impl Limits {
    /// Opening files is left to other threads to wait for; a call without it takes less time than handing over the
    /// interpreter's lock.
    fn run<'a, T: Send>(
        &self,
        py: Python<'_>,
        mut names: impl Iterator<Item = &'a str>,
        call: impl FnOnce() -> Result<T, LimitError> + Send,
    ) -> PyResult<T> {
        let ready = names.all(|name| self.0.is_open(name));
        Ok(if ready { call() } else { py.detach(call) }?)
    }
}

#[pymethods]
impl Limits {
    /// Make or find the shared folder. Raises `OSError`.
    #[new]
    fn new(directory: &str) -> PyResult<Self> {
        Ok(Self(limits::Limits::open(Path::new(directory))?))
    }

    /// Let a request in, if every (subject, `requests_per_minute`, parallel) has room. Raises `OSError`, `ValueError`.
    #[expect(clippy::needless_pass_by_value, reason = "extracted from Python sequences")]
    fn enter(
        &self,
        py: Python<'_>,
        subjects: Vec<(PyBackedStr, Option<i64>, Option<i64>)>,
    ) -> PyResult<Answer> {
        let mut asks = Vec::with_capacity(subjects.len());
        for (subject, requests, parallel) in &subjects {
            asks.push(Ask { subject, requests_per_minute: limit(*requests)?, parallel: limit(*parallel)? });
        }
        let names = asks.iter().map(|ask| ask.subject);
        Ok(match self.run(py, names, || self.0.enter(&asks))? {
            Entry::Admitted(permit) => Answer::Permit(Permit(permit)),
            Entry::Refused(refusal) => Answer::Refusal(Refusal(refusal)),
        })
    }

    /// Requests of the last 60 seconds, as (SHA-256 of the subject in hex, requests) of all that have any. Raises
    /// `OSError`.
    fn tally(&self, py: Python<'_>) -> PyResult<Vec<(String, u64)>> {
        Ok(py.detach(|| self.0.tally())?)
    }

    /// Reserve tokens, if every (subject, `tokens_per_minute`) has room for them. Raises `OSError`, `ValueError`.
    #[expect(clippy::needless_pass_by_value, reason = "extracted from Python sequences")]
    fn take_tokens(
        &self,
        py: Python<'_>,
        permit: &Bound<'_, Permit>,
        subjects: Vec<(PyBackedStr, Option<i64>)>,
        tokens: i64,
    ) -> PyResult<Option<Refusal>> {
        let (permit, tokens) = (&permit.get().0, self::tokens(tokens)?);
        let mut asks = Vec::with_capacity(subjects.len());
        for (subject, given) in &subjects {
            asks.push((&**subject, limit(*given)?));
        }
        let names = asks.iter().map(|(name, _)| *name);
        Ok(self.run(py, names, || self.0.take_tokens(permit, &asks, tokens))?.map(Refusal))
    }
}
