//! Every parser against hostile bytes: builds the seeded runner of `fuzz/` and hands the arguments on.
//!
//! The same targets run under libFuzzer: `cargo +nightly fuzz run TARGET --features libfuzzer`.

use crate::run::{cargo, last_line};
use crate::{Outcome, pairs};

/// Arguments of the runner.
const ARGUMENTS: &[&str] = &["--minutes", "--target", "--seed"];

/// Runs the command. Not optimised by `--release`, so that overflows are found.
pub(crate) fn run(rest: &[String]) -> Result<Outcome, String> {
    pairs(rest, ARGUMENTS)?;
    let mut command = cargo();
    command.args(["run", "--quiet", "--package", "jumpvpn-fuzz", "--"]).args(rest);
    Ok(Outcome { figures: last_line(&mut command)?, finding_count: 0 })
}
