//! Every parser against hostile bytes: builds the seeded runner of `fuzz/` and hands the arguments on.
//!
//! The same targets run under libFuzzer: `cargo +nightly fuzz run TARGET --features libfuzzer`.

use crate::run::{cargo, last_line, root};
use crate::{Outcome, pairs};

/// Arguments of the runner.
const ARGUMENTS: &[&str] = &["--minutes", "--seconds", "--target", "--seed"];

/// Runs the command. Its profile keeps the checks of overflows.
pub(crate) fn run(rest: &[String]) -> Result<Outcome, String> {
    pairs(rest, ARGUMENTS)?;
    let mut command = cargo();
    command.args(["run", "--quiet", "--manifest-path", "fuzz/Cargo.toml"]);
    // It is a workspace of its own; in the same folder it finds the cryptographic library already built.
    if std::env::var_os("CARGO_TARGET_DIR").is_none() {
        command.arg("--target-dir").arg(root().join("target"));
    }
    command.arg("--").args(rest);
    let figures = last_line(&mut command)?;
    Ok(Outcome { figures: figures.trim_start_matches("fuzz: ").to_owned(), finding_count: 0 })
}
