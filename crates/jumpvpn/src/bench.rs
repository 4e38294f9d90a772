//! `jumpvpn bench NAME`: what the engines cost on this machine, measured without sockets, devices or privileges.
//!
//! Each measurement has its file; [`world`] is the ground they stand on, [`report`] the shape of what they say.
//! Deliberately not here: anything that needs packets on real links; that is the lab's.

mod handshake;
mod lookup;
mod machine;
mod memory;
mod meter;
mod progress;
mod reattach;
mod reject;
mod report;
mod world;

use std::io::Write;

use crate::args::{BenchArgs, BenchName};
use crate::exit::Outcome;
use progress::Progress;
use report::Report;

/// Runs the verb.
pub(crate) fn run(args: &BenchArgs) -> Outcome {
    if cfg!(debug_assertions) {
        eprintln!("jumpvpn: this build is not optimised, its figures say little");
    }
    let mut progress = Progress::new(name(args.name));
    let measured = match args.name {
        BenchName::Memory => memory::measure(&memory::Size::DEFAULT, &mut progress),
        BenchName::Handshake => handshake::measure(&handshake::Size::DEFAULT, &mut progress),
        BenchName::Reattach => reattach::measure(&reattach::Size::DEFAULT, &mut progress),
        BenchName::Reject => reject::measure(&reject::Size::DEFAULT, &mut progress),
        BenchName::Lookup => lookup::measure(&lookup::Size::DEFAULT, &mut progress),
    };
    progress.end();
    let report = Report { bench: name(args.name), figures: measured?, note: note(args.name) };
    let machine = machine::Machine::here();
    let text = if args.json { format!("{}\n", report.as_json(&machine)) } else { report.as_text(&machine) };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn name(bench: BenchName) -> &'static str {
    match bench {
        BenchName::Memory => "memory",
        BenchName::Handshake => "handshake",
        BenchName::Reattach => "reattach",
        BenchName::Reject => "reject",
        BenchName::Lookup => "lookup",
    }
}

/// What a person has to know to read the figures.
fn note(bench: BenchName) -> &'static str {
    match bench {
        BenchName::Memory => memory::NOTE,
        BenchName::Handshake => handshake::NOTE,
        BenchName::Reattach => reattach::NOTE,
        BenchName::Reject => reject::NOTE,
        BenchName::Lookup => lookup::NOTE,
    }
}

#[cfg(test)]
mod tests;
