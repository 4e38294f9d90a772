//! Developer commands: `cargo xtask tidy | ci | stories | attack | cluster | sim | fuzz | mutants | miri |
//! memcheck | timing | docs | setup`.
//!
//! Each prints one closing line with its figures and exits non-zero on any finding. There is no argument parser and
//! hardly a dependency here, because this is built before everything else.

mod attack;
mod ci;
mod cluster;
mod docs;
mod fuzz;
mod memory;
mod model;
mod mutants;
mod run;
mod setup;
mod sim;
mod stories;
mod tidy;
mod timing;
mod tree;
mod units;

use std::process::ExitCode;

/// What a command answers: its closing line, and whether it found nothing.
pub(crate) struct Outcome {
    /// Figures in one line, without the name of the command.
    pub(crate) figures: String,
    /// Number of findings; 0 is success.
    pub(crate) finding_count: usize,
}

/// Name, parameters and meaning of every command, in the order of the help.
const COMMANDS: &[(&str, &str, &str)] = &[
    ("tidy", "", "layers, bans, lengths, generated documents"),
    ("ci", "[--fast]", "everything a change must pass; --fast leaves out stories, simulation and fuzzing"),
    ("stories", "", "the lab's stories, each once: session, TCP and audit"),
    ("attack", "[--minutes M] [--seed N]", "hostile traffic against the running program, each attack once"),
    (
        "cluster",
        "[--control] [--minutes M] [--seed N]",
        "three gateways, a store and a router under faults: never two owners; --control plants some, which must be found",
    ),
    (
        "sim",
        "[--cell] [--seeds N | --hours H] [--first SEED] [--table] | --seed S [--trace]",
        "worlds in virtual time: one gateway, or with --cell several and their store",
    ),
    (
        "model",
        "[--depth N] [--requests N] [--ownership N]",
        "every order of events up to a bound; the short form are tests",
    ),
    (
        "fuzz",
        "[--minutes M | --seconds S] [--target NAME] [--seed N] [--coverage | --record] [--minimize]",
        "every parser and both engines against hostile bytes, guided by coverage",
    ),
    ("mutants", "[--file PATH]", "does a test notice when a check is gone? hours"),
    ("miri", "", "unit tests of rooms with unsafe, interpreted; needs a nightly toolchain"),
    ("memcheck", "", "tests of rooms with unsafe, under valgrind"),
    ("timing", "[--samples N]", "secret comparisons: instructions and time must not depend on the content"),
    ("units", "", "how exposed the services of packaging/systemd are, and whether they are well-formed"),
    (
        "services",
        "",
        "boots a systemd in namespaces and sees the services start, be killed, hang and stop; needs root",
    ),
    ("docs", "[--check]", "write the generated documents, or compare them"),
    ("setup", "", "look for the tools and system packages that tests use"),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, rest)) = arguments.split_first() else {
        return usage("no command");
    };
    let started = std::time::Instant::now();
    let outcome = match command.as_str() {
        "tidy" => no_arguments(rest).and_then(|()| tidy::run()),
        "ci" => ci::run(rest),
        "stories" => no_arguments(rest).and_then(|()| stories::run()),
        "attack" => attack::run(rest),
        "cluster" => cluster::run(rest),
        "sim" => sim::run(rest),
        "model" => model::run(rest),
        "fuzz" => fuzz::run(rest),
        "mutants" => mutants::run(rest),
        "miri" => no_arguments(rest).and_then(|()| memory::miri()),
        "memcheck" => no_arguments(rest).and_then(|()| memory::memcheck()),
        "timing" => timing::run(rest),
        "units" => no_arguments(rest).and_then(|()| units::run()),
        "services" => no_arguments(rest).and_then(|()| units::services()),
        "docs" => docs::run(rest),
        "setup" => no_arguments(rest).and_then(|()| setup::run()),
        "help" | "--help" | "-h" => {
            print!("{}", help());
            return ExitCode::SUCCESS;
        }
        other => return usage(&format!("`{other}` is not a command")),
    };
    let seconds = started.elapsed().as_secs_f64();
    match outcome {
        Ok(Outcome { figures, finding_count: 0 }) => {
            println!("{command}: ok, {figures}, {seconds:.1} s");
            ExitCode::SUCCESS
        }
        Ok(Outcome { figures, finding_count }) => {
            println!("{command}: FAILED, {finding_count} finding(s), {figures}, {seconds:.1} s");
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("{command}: FAILED, {error}, {seconds:.1} s");
            ExitCode::FAILURE
        }
    }
}

fn help() -> String {
    let mut text = String::from("Developer commands.\n\nUsage: cargo xtask COMMAND\n\n");
    for (name, parameters, meaning) in COMMANDS {
        text.push_str(&format!("  {:<59} {meaning}\n", format!("{name} {parameters}")));
    }
    text
}

fn usage(complaint: &str) -> ExitCode {
    eprint!("{complaint}\n\n{}", help());
    ExitCode::from(2)
}

/// Refuses any argument.
fn no_arguments(rest: &[String]) -> Result<(), String> {
    rest.first().map_or(Ok(()), |argument| Err(format!("unknown argument `{argument}`")))
}

/// Splits `--name value` pairs, of which every name must be among `names`.
pub(crate) fn pairs<'a>(
    rest: &'a [String],
    names: &[&str],
) -> Result<std::collections::BTreeMap<&'a str, &'a str>, String> {
    let mut found = std::collections::BTreeMap::new();
    for pair in rest.chunks(2) {
        let name = pair[0].as_str();
        if !names.contains(&name) {
            return Err(format!("unknown argument `{name}`; there are: {}", names.join(", ")));
        }
        let value = pair.get(1).ok_or_else(|| format!("`{name}` has no value"))?;
        found.insert(name, value.as_str());
    }
    Ok(found)
}
