//! The lab against itself, without any VPN: what its network does and what its measurements say, with known answers.
//!
//! No test harness: the lab starts this program again inside its namespaces, so `main` must be able to be the lab.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failing step is a failing test")]

mod cases;
mod cell;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use jumpvpn_lab::{LabArgs, main_lab};

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Lab(LabArgs),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|first| first == "lab") {
        let Verb::Lab(args) = Cli::parse().verb;
        return main_lab(args);
    }
    if arguments.get(1).is_some_and(|first| first == cases::BENCH) {
        return jumpvpn_lab::inside(cases::bench_inside);
    }
    if arguments.get(1).is_some_and(|first| first == cell::FIRST) {
        return jumpvpn_lab::inside(|| cell::case_inside(&arguments[2..]));
    }
    let asked = |flag: &str| arguments[1..].iter().any(|argument| argument == flag);
    // `--format` is the only flag with a value of its own.
    let is_value = |at: usize| arguments[at - 1] == "--format";
    let mut words = (1..arguments.len()).filter(|at| !arguments[*at].starts_with('-') && !is_value(*at));
    let wanted = words.next().map(|at| &arguments[at]);
    let is_wanted = |name: &str| match wanted {
        Some(wanted) if asked("--exact") => name == wanted,
        Some(wanted) => name.contains(wanted.as_str()),
        None => true,
    };
    // What `cargo test` and `cargo nextest` ask of every test program; no case is ignored.
    let cases = || cases::ALL.iter().filter(|(name, _)| is_wanted(name) && !asked("--ignored"));
    if asked("--list") {
        cases().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    if !possible() {
        return ExitCode::SUCCESS;
    }
    for (name, case) in cases() {
        println!("test {name} ...");
        case();
    }
    ExitCode::SUCCESS
}

/// Whether this system allows a lab at all; says so if not.
fn possible() -> bool {
    let output = cases::program()
        .args(["lab", "shell", "server", "--no-vpn", "--out"])
        .arg(cases::folder("possible"))
        .args(["--", "true"])
        .output()
        .expect("start the lab");
    if output.status.code() == Some(4) {
        eprintln!("SKIPPED: {}", String::from_utf8_lossy(&output.stderr));
        return false;
    }
    assert!(output.status.success(), "{output:?}");
    true
}
