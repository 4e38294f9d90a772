//! A cell of three gateways under faults: builds the program and lets its lab be the nemesis.

use std::path::PathBuf;
use std::process::Command;

use crate::run::{cargo, last_line_and_status, root, succeed};
use crate::stories::{NO_PERMISSION, Played};
use crate::{Outcome, pairs};

/// Length of the short form. A fault with its way back takes some 8 s, so this is one of each second kind.
const SHORT_SECONDS: u64 = 60;
/// Length when none is named.
const DEFAULT_MINUTES: u64 = 10;

/// Runs the command, optimised. Where no networks can be built, nothing is proven.
pub(crate) fn run(rest: &[String]) -> Result<Outcome, String> {
    let asked = pairs(rest, &["--minutes", "--seed"])?;
    let number = |name: &str, default: u64| match asked.get(name) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| format!("`{name} {text}`: not a number")),
    };
    let (minutes, seed) = (number("--minutes", DEFAULT_MINUTES)?, number("--seed", 1)?);
    match play(&["--release"], "release", minutes * 60, seed)? {
        Played::Through(outcome) => Ok(outcome),
        Played::NotHere(why) => Err(why),
    }
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The short form, with the program as the tests have built it.
pub(crate) fn short() -> Result<Played, String> {
    play(&[], "debug", SHORT_SECONDS, 1)
}

/// The lab's last line is our figures; it fails when something was found.
fn play(profile: &[&str], folder: &str, seconds: u64, seed: u64) -> Result<Played, String> {
    succeed(cargo().args(["build", "--quiet", "--package", "jumpvpn"]).args(profile))?;
    let mut command = Command::new(target().join(folder).join("jumpvpn"));
    command.args(["lab", "nemesis", "--seconds", &seconds.to_string(), "--seed", &seed.to_string(), "--out"]);
    command.arg(target().join("cluster"));
    let (figures, status) = last_line_and_status(&mut command)?;
    match status.code() {
        Some(0) => Ok(Played::Through(Outcome { figures, finding_count: 0 })),
        Some(NO_PERMISSION) => {
            Ok(Played::NotHere("this machine does not let its users build networks".into()))
        }
        _ => Err(format!("{figures} ({status})")),
    }
}
