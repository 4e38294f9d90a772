//! A cell of three gateways under faults: builds the program and lets its lab be the nemesis.
//!
//! The long form runs the test build (feature `planted`), which tells what its keys are used for; so does the control run,
//! whose gateways are given up too early, and which fails unless the judge finds that.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{build_program, last_line_and_status, target, tested_program};
use crate::stories::{NO_PERMISSION, Played};
use crate::{Outcome, pairs};

/// Length of the short form. A fault with its way back takes some 8 s, so this is one of each second kind.
const SHORT_SECONDS: u64 = 60;
/// Length when none is named.
const DEFAULT_MINUTES: u64 = 10;
/// Length of the control run: two faults or three, of which one would do.
const CONTROL_SECONDS: u64 = 12;

/// Runs the command, optimised. Where no networks can be built, nothing is proven.
pub(crate) fn run(rest: &[String]) -> Result<Outcome, String> {
    let control = rest.first().is_some_and(|first| first == "--control");
    let asked = pairs(&rest[usize::from(control)..], &["--minutes", "--seed"])?;
    let number = |name: &str, default: u64| match asked.get(name) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| format!("`{name} {text}`: not a number")),
    };
    let (minutes, seed) = (number("--minutes", DEFAULT_MINUTES)?, number("--seed", 1)?);
    let program = test_build(&["--release"], "release")?;
    let played = if control { play_control(&program, seed) } else { play(&program, minutes * 60, seed, &[]) };
    match played? {
        Played::Through(outcome) => Ok(outcome),
        Played::NotHere(why) => Err(why),
    }
}

/// The test build, under a name of its own: nobody shall find it where the program is looked for.
fn test_build(profile: &[&str], name: &str) -> Result<PathBuf, String> {
    let folder = target().join("cluster");
    let built = target().join(name).join("jumpvpn");
    let kept = folder.join(format!("jumpvpn-test-build-{name}"));
    build_program(&[profile, &["--features", "planted"]].concat())?;
    let moved = fs::create_dir_all(&folder).and_then(|()| fs::rename(&built, &kept));
    moved.map_err(|error| format!("cannot move {} to {}: {error}", built.display(), kept.display()))?;
    Ok(kept)
}

/// The short form, with the program as the tests have built it.
pub(crate) fn short() -> Result<Played, String> {
    play(&tested_program()?, SHORT_SECONDS, 1, &[])
}

/// The control run beside it.
pub(crate) fn short_control() -> Result<Played, String> {
    play_control(&test_build(&[], "debug")?, 1)
}

fn play_control(program: &Path, seed: u64) -> Result<Played, String> {
    play(program, CONTROL_SECONDS, seed, &["--control"])
}

/// The lab's last line is our figures; it fails when something was found, and the control run when nothing was.
fn play(program: &Path, seconds: u64, seed: u64, extra: &[&str]) -> Result<Played, String> {
    let mut command = Command::new(program);
    command.args(["lab", "nemesis", "--seconds", &seconds.to_string(), "--seed", &seed.to_string()]);
    command.args(extra).arg("--out").arg(target().join("cluster"));
    let (figures, status) = last_line_and_status(&mut command)?;
    match status.code() {
        Some(0) => Ok(Played::Through(Outcome { figures, finding_count: 0 })),
        Some(NO_PERMISSION) => {
            Ok(Played::NotHere("this machine does not let its users build networks".into()))
        }
        _ => Err(format!("{figures} ({status})")),
    }
}
