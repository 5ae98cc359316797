//! Fits the planes of the model, and the numbers that turn scores into decisions.

use _core::classify::training::{DIMENSIONS, FIRST_BUCKET, Plane, Rows};
use _core::{Domain, Task};

use super::rows::Row;
use crate::solver::{Settings, Sparse, solve};

/// How one kind of plane is fitted; the numbers were found by leaving sources out.
#[derive(Clone, Copy)]
pub struct Recipe {
    /// What an error costs.
    cost: f64,
    /// Size of the words' features against the named ones while fitting.
    gain: f32,
    /// What the words' weights are multiplied by afterwards: rows without words teach the named features to
    /// decide alone, which leaves the words too little to say.
    boost: f64,
    /// Weight of a row of a data set against one of our own grammar: data sets have a style, tasks have none.
    data_weight: f32,
}

/// Weight of a row without its words against the row itself.
const BARE_WEIGHT: f32 = 0.5;
/// People ask for more kinds of things than a grammar can name, so `other` is likelier than its rows say.
const OTHER_PRIOR: f64 = 0.25;
const TASKS: Recipe = Recipe { cost: 0.001, gain: 4.0, boost: 2.0, data_weight: 0.2 };
const RISK: Recipe = Recipe { cost: 0.005, gain: 6.0, boost: 1.0, data_weight: 2.0 };

/// Numbers measured on sources left out of training (`train judge-classify`): under this sharpness and this
/// slope the labels are likeliest, below this confidence fewer than half of the answers are right, and above
/// this score lie five in a hundred calm prompts.
pub const SHARPNESS: f32 = 2.7;
const ABSTAIN_BELOW: f32 = 0.4;
const RISK_SLOPE: f32 = 3.0;
pub const RISK_THRESHOLD: f32 = 0.11;

/// The planes: task types, high risk, domains.
pub struct Trained {
    pub planes: Vec<Plane>,
}

/// Rows as the solver wants them.
pub struct Table {
    pub features: Vec<Sparse>,
    pub rows: Vec<Row>,
    recipe: Recipe,
}

impl Table {
    /// The features of each row, twice: with its words and without them.
    fn to_fit(rows: &[Row], recipe: Recipe) -> Self {
        let plain = Self::of(rows);
        let mut table = Self { features: Vec::new(), rows: Vec::new(), recipe };
        for (mut features, mut row) in plain.features.into_iter().zip(plain.rows) {
            let named = features.iter().take_while(|(feature, _)| (*feature as usize) < FIRST_BUCKET).count();
            features[named..].iter_mut().for_each(|(_, value)| *value *= recipe.gain);
            row.weight = if row.source.starts_with("own") { 1.0 } else { recipe.data_weight };
            let mut bare = row.clone();
            bare.weight *= BARE_WEIGHT;
            table.features.push(features[..named].to_vec());
            table.rows.push(bare);
            table.features.push(features);
            table.rows.push(row);
        }
        table
    }

    /// The features of each row.
    pub fn of(rows: &[Row]) -> Self {
        let reader = Rows::default();
        let features = rows.iter().map(|row| reader.row(&row.prompt)).collect();
        Self { features, rows: rows.to_vec(), recipe: TASKS }
    }

    /// One plane between the rows for which `side` says true and those for which it says false.
    fn plane(&self, side: impl Fn(&Row) -> Option<bool>) -> Plane {
        let sides: Vec<Option<bool>> = self.rows.iter().map(side).collect();
        let positive: Vec<bool> = sides.iter().map(|side| *side == Some(true)).collect();
        let weight_of = |wanted: bool| -> f32 {
            let rows = self.rows.iter().zip(&sides);
            rows.filter(|(_, side)| **side == Some(wanted)).map(|(row, _)| row.weight).sum()
        };
        // Both sides weigh in by the root of their odds, so that rare classes are not drowned.
        let balance = (weight_of(false) / weight_of(true).max(1.0)).sqrt();
        let importance = self.rows.iter().zip(&sides).map(|(row, side)| match side {
            Some(true) => row.weight * balance,
            Some(false) => row.weight,
            None => 0.0,
        });
        let importance: Vec<f32> = importance.collect();
        let settings = Settings::new(DIMENSIONS, self.recipe.cost);
        let plane = solve(&self.features, &positive, &importance, &settings);
        let mut weights = plane.weights;
        let scale = f64::from(self.recipe.gain) * self.recipe.boost;
        weights[FIRST_BUCKET..].iter_mut().for_each(|weight| *weight *= scale);
        Plane { weights, bias: plane.bias }
    }
}

impl Trained {
    /// Fit every plane.
    pub fn fit(rows: &[Row]) -> Self {
        let mut planes = task_planes(rows);
        planes.push(risk_plane(rows));
        planes.extend(domain_planes(rows));
        Self { planes }
    }
}

/// One plane for each task type.
pub fn task_planes(rows: &[Row]) -> Vec<Plane> {
    let table = Table::to_fit(rows, TASKS);
    let planes = Task::ALL.map(|task| {
        let mut plane = table.plane(|row| row.task.map(|label| label == task));
        plane.bias += if task == Task::Other { OTHER_PRIOR } else { 0.0 };
        plane
    });
    planes.to_vec()
}

/// The plane of high risk.
pub fn risk_plane(rows: &[Row]) -> Plane {
    Table::to_fit(rows, RISK).plane(|row| row.high_risk)
}

/// One plane for each domain, fitted among the rows of high risk.
pub fn domain_planes(rows: &[Row]) -> Vec<Plane> {
    let table = Table::to_fit(rows, RISK);
    Domain::ALL.iter().map(|&domain| table.plane(|row| row.domain.map(|label| label == domain))).collect()
}

/// The score of a row.
pub fn score(plane: &Plane, features: &[(u32, f32)]) -> f64 {
    let sum: f64 = features.iter().map(|&(at, value)| plane.weights[at as usize] * f64::from(value)).sum();
    plane.bias + sum
}

/// Sharpness, abstention, risk slope and threshold, then the weights of complexity.
pub fn tuning(complexity: &[f32]) -> Vec<f32> {
    let mut tuning = vec![SHARPNESS, ABSTAIN_BELOW, RISK_SLOPE, RISK_THRESHOLD, 0.0, 0.0, 0.0, 0.0];
    tuning.extend_from_slice(complexity);
    tuning
}
