//! Worlds in virtual time: builds the simulator and hands the arguments on.

use crate::run::{cargo, last_line};
use crate::{Outcome, pairs};

/// Arguments of the simulator.
const ARGUMENTS: &[&str] = &["--seeds", "--hours", "--first", "--seed", "--seconds", "--out", "--plant"];

/// Arguments without a value.
const FLAGS: &[&str] = &["--trace", "--cell", "--table"];

/// Runs the command, optimised: the seeds are many.
pub(crate) fn run(rest: &[String]) -> Result<Outcome, String> {
    let valued: Vec<String> = rest.iter().filter(|word| !FLAGS.contains(&word.as_str())).cloned().collect();
    pairs(&valued, ARGUMENTS)?;
    simulate(&["--release"], rest)
}

/// Runs the simulator built with `profile`. Its last line is our figures; it fails when a world broke a promise.
pub(crate) fn simulate(profile: &[&str], rest: &[String]) -> Result<Outcome, String> {
    let mut command = cargo();
    command.args(["run", "--quiet", "--package", "jumpvpn-sim"]).args(profile).arg("--").args(rest);
    Ok(Outcome { figures: last_line(&mut command)?, finding_count: 0 })
}
