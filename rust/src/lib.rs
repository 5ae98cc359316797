//! The native core of NeuralRouting: one pass over one request.
//!
//! [`Engine::inspect`] parses a body once, refuses what is not acceptable, computes the key of the exact
//! cache and looks it up. Nothing here knows Python; the feature `python` adds the glue in `python/`.

mod chunk;
pub mod classify;
mod digest;
mod engine;
mod error;
mod exact;
mod fields;
mod json;
pub mod limits;
#[cfg(feature = "python")]
mod python;
mod request;
mod shield;
mod tokens;
mod upstream;

pub use chunk::{PlainChunk, plain_chunk};
pub use classify::{Classification, Classifier, Domain, Stakes, Task};
pub use digest::{Key, hex};
pub use engine::{Engine, Hints, Inspection};
pub use error::{Fault, Rejection};
pub use exact::{Clock, ExactCache, StoredReply};
pub use json::{Children, Kind, MAX_DEPTH, MAX_NUMBER_BYTES, MAX_STRUCTURAL, Members, Tree, Value};
pub use request::{JsonMode, Request, RoutingMode};
pub use shield::training as shield_training;
pub use shield::{BadRules, Channel, FLAG_RISK, Hit, Shield, Tier, Verdict};
pub use tokens::estimate_tokens;
pub use upstream::Upstream;
