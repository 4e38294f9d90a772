//! `jumpvpn-attack`: hostile traffic in the real wire format against the real program, in a network of its own.
//!
//! Gateway and agent run as processes in the lab's namespaces; the attacker has a machine of his own on the internet and
//! sits on every link, where he sees, holds, drops, copies and forges whatever he likes. Every scenario is one row of
//! [`table::SCENARIOS`]; what must hold after each of them is in [`judge`]. Attacks by number (floods, crowds, greedy
//! peers) have a network of their own and are the rows of [`load::TRIALS`]. Deliberately not here: anything that looks
//! into the program under test. What is known of it is what it sends, what its control socket answers, what it writes
//! and what `/proc` says.

mod arena;
mod args;
mod carrier;
mod datagram;
mod field;
mod flood;
mod hostile;
mod judge;
mod ledger;
mod load;
mod packet;
mod rogue;
mod scenarios;
mod siege;
mod snapshot;
mod swarm;
mod table;
mod wiretap;

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use clap::Parser;
use jumpvpn_lab::plan::{Family, is_here};

use arena::Arena;
use args::Args;
use field::Field;
use load::{TRIALS, Trial};
use siege::Effort;
use table::{SCENARIOS, Scenario};

/// Exit codes as those of the program: something was found, wrong usage.
const FOUND: u8 = 1;
const USAGE: u8 = 2;
/// Under which a hundred thousand agents fit a machine. When the GNU library's heap grows, by default it takes 128 KiB more than it was asked for, and
/// what was left of them is cleared for who asks next: so all of an agent's queue of 157 KB would be in memory, of which it uses
/// a page or two (145 KiB for each agent, 33 KiB with this).
pub(crate) const MALLOC: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.top_pad=0");

fn main() -> ExitCode {
    let args = Args::parse();
    if args.list {
        list();
        return ExitCode::SUCCESS;
    }
    match chosen(&args) {
        Ok(chosen) => {
            if args.minutes.is_some() && !chosen.trials.is_empty() && std::env::var_os(MALLOC.0).is_none() {
                // Where it cannot be started anew it goes on as it is, and needs more memory.
                let anew = Command::new("/proc/self/exe")
                    .args(std::env::args_os().skip(1))
                    .env(MALLOC.0, MALLOC.1)
                    .exec();
                eprintln!("jumpvpn-attack: {anew}");
            }
            jumpvpn_lab::inside(|| run(&args, &chosen))
        }
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
    for trial in TRIALS {
        let when = if trial.is_long { "; in the long form" } else { "" };
        println!("{:<22} {}{when} [{}]", trial.name, trial.how, trial.clauses.join(", "));
    }
}

/// What is to be played.
#[derive(Debug, Default)]
struct Chosen {
    scenarios: Vec<&'static Scenario>,
    trials: Vec<&'static Trial>,
}

/// What was named; everything when nothing was.
fn chosen(args: &Args) -> Result<Chosen, String> {
    if args.names.is_empty() {
        let has_time = |trial: &&Trial| args.minutes.is_some() || !trial.is_long;
        let trials = TRIALS.iter().filter(has_time).collect();
        return Ok(Chosen { scenarios: SCENARIOS.iter().collect(), trials });
    }
    let mut chosen = Chosen::default();
    for name in &args.names {
        let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name);
        let trial = TRIALS.iter().find(|trial| trial.name == name);
        chosen.scenarios.extend(scenario);
        chosen.trials.extend(trial);
        if scenario.is_none() && trial.is_none() {
            return Err(format!("no scenario {name:?}; there are those of --list"));
        }
    }
    Ok(chosen)
}

/// What was played, and what was found.
#[derive(Debug, Default)]
struct Tally {
    played_count: usize,
    finding_count: usize,
}

/// Plays everything once in the short form; in the long form the attacks by number once, as long as there is time, and
/// the others again and again with other parameters for as long as was asked.
fn run(args: &Args, chosen: &Chosen) -> io::Result<ExitCode> {
    let until = args.minutes.map(|minutes| Instant::now() + Duration::from_secs_f64(minutes * 60.0));
    let mut tally = Tally::default();
    play_trials(args, &chosen.trials, until, &mut tally)?;
    play_scenarios(args, &chosen.scenarios, until, &mut tally)?;
    println!("{} attacks, {} findings, seed {}", tally.played_count, tally.finding_count, args.seed);
    Ok(if tally.finding_count == 0 { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

fn play_trials(
    args: &Args,
    trials: &[&'static Trial],
    until: Option<Instant>,
    tally: &mut Tally,
) -> io::Result<()> {
    if trials.is_empty() {
        return Ok(());
    }
    let folder = field::folder_of(args).join("load");
    let mut arena = Arena::build(std::path::absolute(&args.program)?, &folder)?;
    let effort = if until.is_some() { Effort::Long } else { Effort::Short };
    for trial in trials {
        for family in trial.families.iter().filter(|family| is_here(**family)) {
            arena.family = *family;
            tally.finding_count += load::play(&arena, trial, effort);
            tally.played_count += 1;
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            break;
        }
    }
    Ok(())
}

fn play_scenarios(
    args: &Args,
    scenarios: &[&'static Scenario],
    until: Option<Instant>,
    tally: &mut Tally,
) -> io::Result<()> {
    if scenarios.is_empty() {
        return Ok(());
    }
    let field = Field::prepare(args)?;
    let effort = if until.is_some() { Effort::Long } else { Effort::Short };
    for round in 0.. {
        for (index, scenario) in scenarios.iter().enumerate() {
            // Each play has parameters of its own, and can be repeated alone with the seed that is printed.
            let seed = args.seed.wrapping_add(round * 1000 + if round == 0 { 0 } else { index as u64 });
            for family in families_of(scenario, effort) {
                tally.finding_count += judge::play(&field, scenario, family, effort, seed)?;
                tally.played_count += 1;
                if until.is_some_and(|until| Instant::now() >= until) {
                    return Ok(());
                }
            }
        }
        if until.is_none() {
            break;
        }
    }
    Ok(())
}

/// Over what a scenario is played: over both families when there is time, else over those of its row; where the kernel
/// has no IPv6, over IPv4.
fn families_of(scenario: &Scenario, effort: Effort) -> Vec<Family> {
    let wanted = if effort == Effort::Long { &Family::BOTH } else { scenario.short };
    let mut here: Vec<Family> = wanted.iter().copied().filter(|family| is_here(*family)).collect();
    if here.is_empty() {
        here.push(Family::V4);
    }
    here
}
