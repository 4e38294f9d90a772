//! Attacks on the running program: builds it and its attacker, and hands the arguments on.

use std::process::Command;

use crate::run::{cargo, last_line_and_status, succeed, target};
use crate::stories::{NO_PERMISSION, Played};
use crate::{Outcome, pairs};

/// Arguments of the attacker.
const ARGUMENTS: &[&str] = &["--minutes", "--seed"];

/// Runs the command, optimised: floods are part of it. Where nothing can be attacked, nothing is proven.
pub(crate) fn run(rest: &[String]) -> Result<Outcome, String> {
    pairs(rest, ARGUMENTS)?;
    match attack(&["--release"], "release", rest)? {
        Played::Through(outcome) => Ok(outcome),
        Played::NotHere(why) => Err(why),
    }
}

/// Every attack once, with the program as the tests have built it.
pub(crate) fn short() -> Result<Played, String> {
    attack(&[], "debug", &[])
}

/// The attacker's last line is our figures; it fails when something was found.
fn attack(profile: &[&str], folder: &str, rest: &[String]) -> Result<Played, String> {
    let packages = ["--package", "jumpvpn", "--package", "jumpvpn-attack"];
    succeed(cargo().args(["build", "--quiet"]).args(packages).args(profile))?;
    let built = target().join(folder);
    let mut command = Command::new(built.join("jumpvpn-attack"));
    command.arg("--program").arg(built.join("jumpvpn")).arg("--out").arg(target().join("attack")).args(rest);
    let (figures, status) = last_line_and_status(&mut command)?;
    match status.code() {
        Some(0) => Ok(Played::Through(Outcome { figures, finding_count: 0 })),
        Some(NO_PERMISSION) => {
            Ok(Played::NotHere("this machine does not let its users build networks".into()))
        }
        _ => Err(format!("{figures} ({status})")),
    }
}
