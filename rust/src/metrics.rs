//! Metrics that all workers of a machine count together, in one file that each of them maps.
//!
//! A counter is one word that everybody adds to, so it survives the death of whoever added and never goes down. A
//! gauge has a word for each worker; those of the dead do not count. There are no locks: a worker may be stopped or
//! killed at any instruction, which at worst leaves a few words of the file unused. [`table`] finds the words of a
//! series by its text, [`workers`] says whose gauges count, [`text`] writes what Prometheus reads.

mod table;
#[cfg(test)]
mod tests;
mod text;
mod workers;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::mapped::{Folder, MapError, Process, Shared};
use table::Table;

/// Series that are kept, besides one for each family that takes what comes beyond.
pub const MAX_SERIES: u64 = 4096;

/// Value of every label of the series that takes what comes beyond.
pub const OTHER: &str = "other";

/// What the file is, and in which version.
const MAGIC: [u8; 8] = *b"nr-met-1";
const FILE: &str = "metrics-1";

/// How the gauges of several workers become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Across {
    /// Their sum.
    Sum,
    /// The largest.
    Most,
    /// The smallest.
    Least,
}

/// What a family's series are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Only ever grows.
    Counter,
    /// One value for each worker.
    Gauge(Across),
    /// Counts of observations up to each of these bounds, which rise, and beyond the last.
    Histogram(Box<[u64]>),
}

/// Series of one name, which differ in the values of their labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// As it is written, with the unit; a counter's ends in `_total`.
    pub name: String,
    /// What it counts, in one line.
    pub help: String,
    /// The names of its labels.
    pub labels: Vec<String>,
    /// What its series are.
    pub kind: Kind,
    /// How many of what is counted make up one of the unit in its name: 1,000,000 for microseconds as seconds.
    pub per: u64,
}

impl Family {
    fn words(&self) -> usize {
        match &self.kind {
            Kind::Counter => 1,
            Kind::Gauge(_) => workers::WORDS,
            Kind::Histogram(bounds) => bounds.len() + 2,
        }
    }
}

/// Why there are no metrics.
#[derive(Debug, thiserror::Error)]
pub enum MetricError {
    /// The file could not be made, found or mapped.
    #[error(transparent)]
    Map(#[from] MapError),
    /// A family that cannot be written, or labels that are not its own.
    #[error("{0}")]
    Wrong(String),
}

/// The metrics of one worker. Make it after the worker has forked.
pub struct Metrics {
    core: Arc<Core>,
    families: Box<[Arc<Family>]>,
}

struct Core {
    shared: Shared,
    /// This worker's place among the gauges; none where all are taken by the living.
    place: Option<usize>,
}

impl Core {
    fn table(&self) -> Table<'_> {
        Table::new(self.shared.words())
    }
}

/// Where one series is counted.
#[derive(Clone)]
pub struct Series {
    core: Arc<Core>,
    family: Arc<Family>,
    /// Its first word; none where even the series for what comes beyond had no room.
    first: Option<usize>,
}

impl Metrics {
    /// Share the metrics with all workers that name the same directory. All must bring the same families.
    ///
    /// # Errors
    /// When the file cannot be made or used, or a family cannot be written.
    pub fn open(directory: &Path, families: Vec<Family>) -> Result<Self, MetricError> {
        families.iter().try_for_each(check)?;
        let me = Process::current();
        let shared = Folder::open(directory, me)?.map(FILE, MAGIC, table::WORDS, table::lay_out)?;
        let names: Vec<&str> = families
            .iter()
            .filter(|each| matches!(each.kind, Kind::Gauge(_)))
            .map(|each| &*each.name)
            .collect();
        let place = workers::take_place(&Table::new(shared.words()), me, &names);
        let families = families.into_iter().map(Arc::new).collect();
        Ok(Self { core: Arc::new(Core { shared, place }), families })
    }

    /// Find, or begin, the series of a family (by its place in the list) with these values of its labels.
    ///
    /// # Errors
    /// When there is no such family, or it has more or fewer labels.
    pub fn series(&self, family: usize, values: &[&str]) -> Result<Series, MetricError> {
        let Some(family) = self.families.get(family) else {
            return Err(MetricError::Wrong(format!("there is no family {family}")));
        };
        if values.len() != family.labels.len() {
            let (name, labels, given) = (&family.name, family.labels.len(), values.len());
            return Err(MetricError::Wrong(format!("{name} has {labels} labels, not {given}")));
        }
        let table = self.core.table();
        let first =
            table.find(&text::key(family, values), family.words(), table::Room::Usual).or_else(|| {
                table.turned_away();
                table.find(&text::key(family, &vec![OTHER; values.len()]), family.words(), table::Room::Last)
            });
        Ok(Series { core: Arc::clone(&self.core), family: Arc::clone(family), first })
    }

    /// How often a series was not kept, because there are too many or its labels are too long.
    #[must_use]
    pub fn turned_away(&self) -> u64 {
        self.core.table().times_turned_away()
    }

    /// Write all series as Prometheus reads them: text format 0.0.4, or `OpenMetrics` 1.0.
    #[must_use]
    pub fn render(&self, format: text::Format) -> String {
        text::render(&self.core.table(), &self.families, format)
    }
}

pub use text::Format;

impl Series {
    /// Count `n` more; for counters.
    pub fn add(&self, n: u64) {
        if let (Some(first), Kind::Counter) = (self.first, &self.family.kind) {
            self.core.shared.words()[first].fetch_add(n, Relaxed);
        }
    }

    /// Count one observation; for histograms.
    pub fn observe(&self, value: u64) {
        if let (Some(first), Kind::Histogram(bounds)) = (self.first, &self.family.kind) {
            let words = self.core.shared.words();
            let bucket = bounds.partition_point(|bound| *bound < value);
            words[first + bucket].fetch_add(1, Relaxed);
            words[first + bounds.len() + 1].fetch_add(value, Relaxed);
        }
    }

    /// Say what it is in this worker now; for gauges.
    pub fn set(&self, value: i64) {
        if let (Some(first), Some(place), Kind::Gauge(_)) = (self.first, self.core.place, &self.family.kind) {
            self.core.shared.words()[first + place].store(workers::word_of(value), Relaxed);
        }
    }
}

/// What Prometheus allows, and what can be divided without a remainder of its decimals.
fn check(family: &Family) -> Result<(), MetricError> {
    let wrong = |what: &str| Err(MetricError::Wrong(format!("{:?}: {what}", family.name)));
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.chars().all(|each| each.is_ascii_lowercase() || each.is_ascii_digit() || each == '_')
    };
    if !is_name(&family.name) || !family.labels.iter().all(|label| is_name(label)) {
        return wrong("names are of a-z, 0-9 and _");
    }
    if (family.kind == Kind::Counter) != family.name.ends_with("_total") {
        return wrong("counters, and only they, end in _total");
    }
    if !matches!(family.per, 1 | 1_000_000 | 1_000_000_000) {
        return wrong("what is counted is whole, millionths or billionths");
    }
    if family.help.contains(['\n', '\\']) {
        return wrong("its help is one plain line");
    }
    match &family.kind {
        Kind::Histogram(bounds) if bounds.is_empty() || !bounds.is_sorted_by(|a, b| a < b) => {
            wrong("the bounds of a histogram rise")
        }
        _ => Ok(()),
    }
}
