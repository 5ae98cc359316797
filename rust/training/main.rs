//! Trains the weights that ship: `cargo run --release --example train -- shield DATA_DIR OUT_DIR`, the same for
//! `classify`.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rows and scores are far from the limits of their types"
)]

mod classify;
mod shield;
mod solver;

use std::path::Path;
use std::process::ExitCode;

const USAGE: &str =
    "usage: train classify|shield DATA_DIR OUT_DIR | train judge-classify|judge-shield DATA_DIR";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["shield", data, out] => shield::train(Path::new(data), Path::new(out)),
        ["judge-shield", data] => shield::judge(Path::new(data)),
        ["classify", data, out] => classify::train(Path::new(data), Path::new(out)),
        ["judge-classify", data] => classify::judge(Path::new(data)),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
