//! Does a test notice when a check is gone? Changes one place after the other in the verifier and in the order of checks,
//! and runs the tests of the room each time (cargo-mutants). What is changed, and what may survive, is in
//! `.cargo/mutants.toml`.

use crate::run::{cargo, cargo_has, last_line, root};
use crate::{Outcome, pairs};

/// Runs the command; `--file` restricts it to one file.
pub(crate) fn run(rest: &[String]) -> Result<Outcome, String> {
    let file = pairs(rest, &["--file"])?.get("--file").copied();
    if !cargo_has("mutants") {
        return Err("cargo-mutants is not here: cargo install --locked cargo-mutants".into());
    }
    let mut command = cargo();
    command.args(["mutants", "--colors", "never", "--no-shuffle", "--output"]).arg(root().join("target"));
    if let Some(file) = file {
        command.args(["--file", file]);
    }
    // The program ends with an error when a change was not noticed.
    Ok(Outcome { figures: last_line(&mut command)?, finding_count: 0 })
}
