//! The long form of the model checker: builds it and hands the arguments on. Its short form are tests.

use crate::run::{cargo, last_line};
use crate::{Outcome, pairs};

/// Runs the command, optimised: the states are many.
pub(crate) fn run(rest: &[String]) -> Result<Outcome, String> {
    pairs(rest, &["--depth", "--requests", "--ownership"])?;
    let mut command = cargo();
    command.args(["run", "--quiet", "--release", "--package", "jumpvpn-model", "--"]).args(rest);
    Ok(Outcome { figures: last_line(&mut command)?, finding_count: 0 })
}
