//! Trains the classifier: task type, high risk, its domain, and complexity.

mod complexity;
mod fit;
mod grammar;
mod judge;
mod rows;

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use _core::classify::training::{DIMENSIONS, write};
use sha2::{Digest, Sha256};

use fit::Trained;
use rows::{PERMISSIVE, Row};

/// Prompts of the grammar: for each alternative, and at most for each rule.
const PER_ALTERNATIVE: usize = 24;
const PER_RULE: usize = 1400;
const SEED: u64 = 20_261_128;

/// Train on everything that may teach shipped weights and write the two files of weights.
pub fn train(data: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    let mut rows = rows::read(data)?;
    rows.retain(Row::is_permissive);
    let trained = Trained::fit(&with_own(&rows));
    let tuning = fit::tuning(&complexity::fit(data)?);
    let file = write(&trained.planes, &tuning);
    fs::write(out.join("classify.bin"), &file)?;
    fs::write(out.join("classify.toml"), provenance(&file, &rows))?;
    println!("{} features, {} bytes", DIMENSIONS, file.len());
    Ok(())
}

/// How well the method does on sources it has not seen.
pub fn judge(data: &Path) -> Result<(), Box<dyn Error>> {
    judge::report(&rows::read(data)?, data)
}

/// The rows together with prompts of our own.
fn with_own(rows: &[Row]) -> Vec<Row> {
    let mut all = grammar::prompts(PER_ALTERNATIVE, PER_RULE, SEED);
    all.extend_from_slice(rows);
    all
}

fn provenance(file: &[u8], rows: &[Row]) -> String {
    let hash = _core::hex(&Sha256::digest(file));
    let own = grammar::prompts(PER_ALTERNATIVE, PER_RULE, SEED).len();
    let mut text = format!(
        "# Where classify.bin comes from; written by the trainer.\nsha256 = \"{hash}\"\n\
         command = \"cargo run --release --example train -- classify DATA_DIR rust/weights\"\nseed = {SEED}\n\n\
         [[source]]\nname = \"own grammar (rust/training/classify/grammar)\"\nrows = {own}\nlicence = \"this project's\"\n"
    );
    for (source, licence) in PERMISSIVE {
        let count = rows.iter().filter(|row| row.source == source).count();
        let _ = write!(text, "\n[[source]]\nname = \"{source}\"\nrows = {count}\nlicence = \"{licence}\"\n");
    }
    for (source, licence) in complexity::SOURCES {
        let _ = write!(
            text,
            "\n[[source]]\nname = \"{source}\"\nuse = \"complexity\"\nlicence = \"{licence}\"\n"
        );
    }
    text
}
