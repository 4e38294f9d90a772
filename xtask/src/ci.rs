//! Everything a change must pass, in the order of what fails fastest.
//!
//! Every step runs even if an earlier one failed: one round of corrections is cheaper than five.

use std::time::Instant;

use crate::run::{cargo, cargo_has, succeed};
use crate::stories::{self, Played};
use crate::{Outcome, attack, cluster, fuzz, sim, tidy, timing, units};

/// Worlds of the short simulation, optimised: at 26 ms of processor time each (3,000 worlds on a loaded machine), two idle
/// cores need little more than two minutes for them, and less than five with the build.
const SHORT_SIM_SEEDS: &str = "10000";

/// Cells of the short simulation: at 105 ms of processor time each (400 cells on a loaded machine), two idle cores need little more than
/// 20 s for them. A batch of as many is asked whether everything has happened in it.
const SHORT_SIM_CELLS: &str = "400";

/// Seconds of the short fuzzing, all targets together: enough for a million inputs.
const SHORT_FUZZ_SECONDS: &str = "40";

/// How a step ended.
enum Ended {
    Passed(String),
    Failed(String),
    Skipped(String),
}

type Step = (&'static str, fn() -> Ended);

const FAST: &[Step] = &[
    ("fmt", format),
    ("tidy", tidy_step),
    ("units", units_step),
    ("clippy", clippy),
    ("test", tests),
    ("deny", deny),
];

const SLOW: &[Step] = &[
    ("stories", short_stories),
    ("services", services),
    ("attack", short_attack),
    ("cluster", short_cluster),
    ("control", short_control),
    ("sim", short_sim),
    ("fuzz", short_fuzz),
    ("timing", short_timing),
];

/// Runs the command.
pub(crate) fn run(rest: &[String]) -> Result<Outcome, String> {
    let slow: &[Step] = match rest {
        [] => SLOW,
        [flag] if flag == "--fast" => &[],
        [other, ..] => return Err(format!("unknown argument `{other}`; there is: --fast")),
    };
    let mut figures = Vec::new();
    let mut finding_count = 0;
    for (name, step) in FAST.iter().chain(slow) {
        println!("\n=== {name}");
        let started = Instant::now();
        let ended = step();
        let seconds = started.elapsed().as_secs_f64();
        match ended {
            Ended::Passed(words) => {
                println!("--- {name}: ok{words}, {seconds:.1} s");
                figures.push(format!("{name} {seconds:.0} s"));
            }
            Ended::Skipped(why) => {
                println!("--- {name}: skipped, {why}");
                figures.push(format!("{name} skipped"));
            }
            Ended::Failed(why) => {
                println!("--- {name}: FAILED, {why}, {seconds:.1} s");
                figures.push(format!("{name} FAILED"));
                finding_count += 1;
            }
        }
    }
    println!();
    Ok(Outcome { figures: figures.join(", "), finding_count })
}

fn ended(result: Result<(), String>) -> Ended {
    result.map_or_else(Ended::Failed, |()| Ended::Passed(String::new()))
}

fn judged(result: Result<Outcome, String>) -> Ended {
    match result {
        Ok(Outcome { figures, finding_count: 0 }) => Ended::Passed(format!(", {figures}")),
        Ok(Outcome { figures, finding_count }) => {
            Ended::Failed(format!("{finding_count} finding(s), {figures}"))
        }
        Err(error) => Ended::Failed(error),
    }
}

fn format() -> Ended {
    ended(succeed(cargo().args(["fmt", "--all", "--check"])))
}

fn tidy_step() -> Ended {
    judged(tidy::run())
}

fn units_step() -> Ended {
    judged(units::run())
}

fn clippy() -> Ended {
    ended(succeed(cargo().args([
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ])))
}

/// All tests; those in documentation need cargo's own runner.
fn tests() -> Ended {
    if !cargo_has("nextest") {
        return ended(succeed(cargo().args(["test", "--workspace", "--no-fail-fast"])));
    }
    let all = succeed(cargo().args(["nextest", "run", "--workspace", "--no-fail-fast"]));
    ended(all.and(documented_examples()))
}

/// Examples in documentation; their output matters only if one fails, because most rooms have none.
fn documented_examples() -> Result<(), String> {
    let output = cargo()
        .args(["test", "--quiet", "--workspace", "--doc", "--no-fail-fast"])
        .output()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    print!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err("an example in the documentation fails".into())
}

/// Licences, sources and bans; advisories only where their list can be had.
fn deny() -> Ended {
    if !cargo_has("deny") {
        return Ended::Skipped("cargo-deny is not installed".into());
    }
    let local =
        succeed(cargo().args(["deny", "--log-level", "error", "check", "bans", "licenses", "sources"]));
    let fetched = cargo().args(["deny", "fetch", "db"]).output().is_ok_and(|output| output.status.success());
    if !fetched {
        println!("the list of advisories cannot be fetched here; they were not checked");
        return ended(local);
    }
    ended(local.and(succeed(cargo().args(["deny", "--log-level", "error", "check", "advisories"]))))
}

fn played(played: Result<Played, String>) -> Ended {
    match played {
        Ok(Played::Through(outcome)) => judged(Ok(outcome)),
        Ok(Played::NotHere(why)) => Ended::Skipped(why),
        Err(error) => Ended::Failed(error),
    }
}

fn short_stories() -> Ended {
    played(stories::play())
}

fn services() -> Ended {
    played(units::boot())
}

fn short_attack() -> Ended {
    played(attack::short())
}

fn short_cluster() -> Ended {
    played(cluster::short())
}

fn short_control() -> Ended {
    played(cluster::short_control())
}

/// Worlds of one gateway, and cells of several; the simulator is built once for both.
fn short_sim() -> Ended {
    let worlds = sim::simulate(&["--release"], &["--seeds".into(), SHORT_SIM_SEEDS.into()]);
    let cells = sim::simulate(&["--release"], &["--cell".into(), "--seeds".into(), SHORT_SIM_CELLS.into()]);
    match (worlds, cells) {
        (Ok(worlds), Ok(cells)) => Ended::Passed(format!(", {}; {}", worlds.figures, cells.figures)),
        (worlds, cells) => {
            let words = [worlds.err(), cells.err()].into_iter().flatten().collect::<Vec<_>>();
            Ended::Failed(words.join("; "))
        }
    }
}

/// The tests of the targets, then mutations; what the corpora reach must not fall.
fn short_fuzz() -> Ended {
    if let Err(error) = fuzz::test() {
        return Ended::Failed(error);
    }
    judged(fuzz::run(&["--seconds".into(), SHORT_FUZZ_SECONDS.into(), "--coverage".into()]))
}

/// Instructions of the secret comparisons.
fn short_timing() -> Ended {
    if !timing::valgrind() {
        return Ended::Skipped("valgrind is not installed".into());
    }
    judged(timing::short())
}
