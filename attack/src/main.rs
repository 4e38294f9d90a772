//! `jumpvpn-attack`: hostile traffic in the real wire format against the real program, in a network of its own.
//!
//! Gateway and agent run as processes in the lab's namespaces; the attacker has a machine of his own on the internet and
//! sits on every link, where he sees, holds, drops, copies and forges whatever he likes. Every scenario is one row of
//! [`table::SCENARIOS`]; what must hold after each of them is in [`judge`]. Deliberately not here: anything that looks
//! into the program under test. What is known of it is what it sends, what its control socket answers, what it writes
//! and what `/proc` says.

mod args;
mod carrier;
mod datagram;
mod field;
mod judge;
mod ledger;
mod scenarios;
mod siege;
mod snapshot;
mod table;
mod wiretap;

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use args::Args;
use field::Field;
use siege::Effort;
use table::{SCENARIOS, Scenario};

/// Exit codes as those of the program: something was found, wrong usage.
const FOUND: u8 = 1;
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let args = Args::parse();
    if args.list {
        list();
        return ExitCode::SUCCESS;
    }
    match chosen(&args) {
        Ok(scenarios) => jumpvpn_lab::inside(|| run(&args, &scenarios)),
        Err(complaint) => {
            eprintln!("jumpvpn-attack: {complaint}");
            ExitCode::from(USAGE)
        }
    }
}

fn list() {
    for scenario in SCENARIOS {
        println!("{:<22} {} [{}]", scenario.name, scenario.how, scenario.clauses.join(", "));
    }
}

/// The scenarios that were named; all of them when none was.
fn chosen(args: &Args) -> Result<Vec<&'static Scenario>, String> {
    if args.names.is_empty() {
        return Ok(SCENARIOS.iter().collect());
    }
    let find = |name: &String| {
        let found = SCENARIOS.iter().find(|scenario| scenario.name == name);
        found.ok_or_else(|| format!("no scenario {name:?}; there are those of --list"))
    };
    args.names.iter().map(find).collect()
}

/// Plays the scenarios, once in the short form, or again and again with other parameters for as long as was asked.
fn run(args: &Args, scenarios: &[&'static Scenario]) -> io::Result<ExitCode> {
    let field = Field::prepare(args)?;
    let until = args.minutes.map(|minutes| Instant::now() + Duration::from_secs_f64(minutes * 60.0));
    let effort = if until.is_some() { Effort::Long } else { Effort::Short };
    let (mut played_count, mut finding_count) = (0, 0);
    for round in 0.. {
        for (index, scenario) in scenarios.iter().enumerate() {
            // Each play has parameters of its own, and can be repeated alone with the seed that is printed.
            let seed = args.seed.wrapping_add(round * 1000 + if round == 0 { 0 } else { index as u64 });
            let findings = judge::play(&field, scenario, effort, seed)?;
            played_count += 1;
            finding_count += findings;
            if until.is_some_and(|until| Instant::now() >= until) {
                break;
            }
        }
        if until.is_none_or(|until| Instant::now() >= until) {
            break;
        }
    }
    println!("{played_count} attacks, {finding_count} findings, seed {}", args.seed);
    Ok(if finding_count == 0 { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}
