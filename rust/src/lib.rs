//! The native core of NeuralRouting: one pass over one request.
//!
//! [`Engine::inspect`] parses a body once, refuses what is not acceptable, computes the key of the exact
//! cache and looks it up. Nothing here knows Python; the feature `python` adds the glue in `python/`.

mod chunk;
pub mod classify;
mod digest;
mod embed;
mod engine;
mod error;
mod exact;
mod fields;
mod json;
pub mod limits;
mod mapped;
pub mod metrics;
pub mod near;
#[expect(clippy::cast_precision_loss, reason = "counts, far below 2^24")]
pub mod predict;
#[cfg(feature = "python")]
mod python;
mod question;
mod request;
mod semantic;
mod shield;
mod tokens;
mod upstream;

pub use chunk::{PlainChunk, plain_chunk};
pub use classify::{Classification, Classifier, Domain, Stakes, Task};
pub use digest::{Key, hex};
pub use embed::{DIMENSIONS, Embedder, Embedding};
pub use engine::{Engine, Hints, Hit as CacheHit, Inspection, Level, Semantic, Spent};
pub use error::{Fault, Rejection};
pub use exact::{Clock, ExactCache, Purge, StoredReply};
pub use json::{Children, Kind, MAX_DEPTH, MAX_NUMBER_BYTES, MAX_STRUCTURAL, Members, Tree, Value};
pub use predict::{Prediction, Predictor};
pub use question::{Features, Likeness, Question, Rule, Verifier};
pub use request::{JsonMode, Request, RoutingMode};
pub use semantic::{Miss, Probe, Unfit};
pub use shield::training as shield_training;
pub use shield::{BadRules, Channel, FLAG_RISK, Hit, Shield, Tier, Verdict};
pub use tokens::estimate_tokens;
pub use upstream::Upstream;
