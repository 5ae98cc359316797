//! How a refusal looks in Python.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::error::Rejection;

pyo3::create_exception!(
    neuralrouting._core,
    RejectedBody,
    PyValueError,
    "The body was refused. `args` is (status: int, code: str, message: str, param: str | None)."
);

impl From<Rejection> for PyErr {
    fn from(rejection: Rejection) -> Self {
        let Rejection { fault, message, param } = rejection;
        RejectedBody::new_err((fault.status(), fault.code(), message, param))
    }
}
