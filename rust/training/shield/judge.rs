//! What the shield is worth on families of attacks, and on sources of ordinary text, that its model never saw.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use _core::shield_training::with_weights;
use _core::{Channel, FLAG_RISK, Shield};
use serde_json::{Value, json};

use super::{FOLDS, Lesson, fold, gather, read, sources, weights};

/// Risk that blocks by default.
const BLOCK_RISK: f64 = 0.85;

/// Rows, and how many of them were blocked and flagged.
#[derive(Default, Clone, Copy)]
struct Count {
    rows: usize,
    blocked: usize,
    flagged: usize,
}

impl Count {
    fn see(&mut self, shield: &Shield, row: &Value) {
        let channel = if row["channel"] == "tool" { Channel::Tool } else { Channel::User };
        let risk = shield.scan(row["text"].as_str().unwrap_or_default(), channel).risk;
        self.rows += 1;
        self.blocked += usize::from(risk >= BLOCK_RISK);
        self.flagged += usize::from(risk >= FLAG_RISK);
    }

    fn told(self) -> Value {
        let share = |count: usize| (10_000.0 * count as f64 / self.rows.max(1) as f64).round() / 10_000.0;
        json!({"n": self.rows, "block": share(self.blocked), "flag": share(self.flagged)})
    }
}

/// Print, as JSON, block and flag rates of each family of attacks and of ordinary text: with the rules alone, with a
/// model that never saw the family (for ordinary text: the source), and with all lessons.
pub fn judge(data: &Path) -> Result<(), Box<dyn Error>> {
    let rows = read(data)?;
    let lessons = gather(&rows);
    let bare = Shield::new(&[], false)?;
    let full = with_weights(weights(&lessons, |_| true))?;
    let mut told = BTreeMap::new();
    for family in families(&rows) {
        let unseen = with_weights(weights(&lessons, |lesson: &Lesson| lesson.family != family))?;
        let of_family = |row: &&Value| row["scope"] == "form" && row["family"] == *family;
        let mut counts = [Count::default(); 3];
        for row in rows.iter().filter(of_family) {
            counts.iter_mut().zip([&bare, &unseen, &full]).for_each(|(count, shield)| count.see(shield, row));
        }
        told.insert(format!("form/{family}"), counts);
    }
    told.insert("benign".to_owned(), benign(&rows, &lessons, &bare, &full)?);
    let named = |counts: [Count; 3]| {
        let [bare, unseen, full] = counts.map(Count::told);
        json!({"rules_alone": bare, "left_out": unseen, "all": full})
    };
    let told: BTreeMap<String, Value> =
        told.into_iter().map(|(name, counts)| (name, named(counts))).collect();
    println!("{}", serde_json::to_string_pretty(&told)?);
    Ok(())
}

fn families(rows: &[Value]) -> Vec<String> {
    let of_form = rows.iter().filter(|row| row["scope"] == "form");
    let mut families: Vec<String> =
        of_form.filter_map(|row| Some(row["family"].as_str()?.to_owned())).collect();
    families.sort_unstable();
    families.dedup();
    families
}

/// Ordinary text, each row judged by a model that saw nothing of its source.
fn benign(
    rows: &[Value],
    lessons: &[Lesson],
    bare: &Shield,
    full: &Shield,
) -> Result<[Count; 3], Box<dyn Error>> {
    let sources = sources(lessons);
    let mut counts = [Count::default(); 3];
    for nth in 0..FOLDS {
        let unseen = with_weights(weights(lessons, |lesson| fold(&sources, &lesson.source) != nth))?;
        let of_fold = |row: &&Value| {
            row["scope"] == "benign"
                && row["channel"] != "system"
                && fold(&sources, row["source"].as_str().unwrap_or_default()) == nth
        };
        for row in rows.iter().filter(of_fold) {
            counts.iter_mut().zip([bare, &unseen, full]).for_each(|(count, shield)| count.see(shield, row));
        }
    }
    Ok(counts)
}
