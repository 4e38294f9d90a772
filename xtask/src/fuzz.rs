//! Every parser and both engines against hostile bytes: builds the seeded runner of `fuzz/` and hands the arguments on.
//!
//! The same targets run under libFuzzer: `cargo +nightly fuzz run TARGET --features libfuzzer`.

use std::process::Command;

use crate::run::{cargo, last_line, root, succeed};
use crate::{Outcome, pairs};

/// Arguments of the runner that have a value.
const ARGUMENTS: &[&str] = &["--minutes", "--seconds", "--target", "--seed"];
/// Arguments of the runner that have none.
const FLAGS: &[&str] = &["--coverage", "--record", "--minimize", "--write-corpus"];

/// Our own crates among what is fuzzed.
const COUNTED: &[&str] = &[
    "config",
    "engine",
    "events",
    "host",
    "kem",
    "ownership",
    "policy",
    "runtime",
    "session",
    "transport",
    "tun",
    "wire",
];

/// Runs the command. Its profile keeps the checks of overflows.
pub(crate) fn run(rest: &[String]) -> Result<Outcome, String> {
    let (_, valued): (Vec<_>, Vec<_>) = rest.iter().cloned().partition(|word| FLAGS.contains(&word.as_str()));
    pairs(&valued, ARGUMENTS)?;
    let figures = last_line(in_fuzz("run").arg("--").args(rest))?;
    Ok(Outcome { figures: figures.trim_start_matches("fuzz: ").to_owned(), finding_count: 0 })
}

/// The tests of the targets themselves, in the build that the runner has.
pub(crate) fn test() -> Result<(), String> {
    succeed(&mut in_fuzz("test"))
}

/// Cargo in the workspace of the targets, where our own crates count the edges they take.
fn in_fuzz(verb: &str) -> Command {
    let mut command = cargo();
    command.args([verb, "--quiet", "--manifest-path", "fuzz/Cargo.toml"]);
    command.env("RUSTC_WRAPPER", root().join("fuzz/instrument.sh"));
    // What is kept for the next build decides how functions are put together, and so how many edges there are.
    command.env("CARGO_INCREMENTAL", "0");
    // Cargo does not see that the wrapper changes what comes out. A setting of their own keeps these crates apart from a
    // build without it; one unit, because how code is divided among several moves the edges of what nobody touched.
    for name in COUNTED {
        command.arg("--config").arg(format!("profile.dev.package.jumpvpn-{name}.codegen-units=1"));
    }
    // It is a workspace of its own; in the same folder it finds the cryptographic library already built.
    if std::env::var_os("CARGO_TARGET_DIR").is_none() {
        command.arg("--target-dir").arg(root().join("target"));
    }
    command
}
