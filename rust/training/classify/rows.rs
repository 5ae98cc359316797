//! Reads labelled prompts and says which of them may teach weights that ship.

use std::error::Error;
use std::fs;
use std::path::Path;

use _core::{Domain, Task};
use serde_json::Value;

/// Sources with a plainly permissive licence for prompts and labels, each with that licence.
pub const PERMISSIVE: [(&str, &str); 12] = [
    ("ailuminate-1.0-demo", "CC BY 4.0"),
    ("arena-hard-v2", "Apache-2.0"),
    ("bbh", "MIT"),
    ("clinc150", "CC BY 3.0"),
    ("clinc150-smalltalk", "CC BY 3.0"),
    ("counsel-chat", "MIT"),
    ("gsm8k-train", "MIT"),
    ("healthsearchqa", "CC BY 4.0"),
    ("mbpp-plus", "CC BY 4.0, Apache-2.0"),
    ("medicationqa", "CC BY 4.0"),
    ("mt_bench", "Apache-2.0"),
    ("vicuna_bench", "Apache-2.0"),
];

/// One labelled prompt.
#[derive(Clone)]
pub struct Row {
    pub prompt: String,
    pub source: String,
    pub task: Option<Task>,
    pub high_risk: Option<bool>,
    pub domain: Option<Domain>,
    pub is_human: bool,
    pub weight: f32,
}

impl Row {
    /// May it teach weights that ship?
    pub fn is_permissive(&self) -> bool {
        self.source.starts_with("own") || PERMISSIVE.iter().any(|(source, _)| *source == self.source)
    }
}

/// Rows of the two files of prompts.
pub fn read(data: &Path) -> Result<Vec<Row>, Box<dyn Error>> {
    let mut rows = Vec::new();
    for name in ["a_task_types.jsonl", "c_high_risk.jsonl"] {
        let path = data.join(name);
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        for line in text.lines() {
            rows.push(row_of(&serde_json::from_str(line)?));
        }
    }
    Ok(rows)
}

fn row_of(value: &Value) -> Row {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    Row {
        prompt: text("prompt").to_owned(),
        source: text("source").to_owned(),
        task: Task::ALL.into_iter().find(|task| task.as_str() == text("label")),
        high_risk: value.get("high_risk").and_then(Value::as_bool),
        domain: domain_of(text("domain")),
        is_human: text("label_kind") == "human",
        weight: 1.0,
    }
}

/// The domain called `name`; harm to oneself is a matter of mental health.
pub fn domain_of(name: &str) -> Option<Domain> {
    let name = if name == "self_harm" { "mental_health" } else { name };
    Domain::ALL.into_iter().find(|domain| domain.as_str() == name)
}
