//! `jumpvpn bench NAME`: what the engines and the whole program cost on this machine, without privileges.
//!
//! What needs only engines is measured in this process, each in its file; [`world`] is the ground they stand on. What
//! needs packets on a link is measured by the lab ([`network`]). [`report`] is the shape of what all of them say.

mod cell;
mod client;
mod events;
mod handshake;
mod lookup;
mod machine;
mod memory;
mod meter;
mod mover;
mod network;
mod progress;
mod reattach;
mod reject;
mod report;
mod storm;
mod takeover;
mod world;

use std::io::Write;
use std::process::ExitCode;

use jumpvpn_lab::bench::Measurement;

use crate::args::{BenchArgs, BenchName};
use crate::exit::{self, Failure, Outcome, say};
use progress::Progress;
use report::{Figure, Report};

/// Runs the verb. The process must have one thread: what the lab measures starts it again inside namespaces.
pub(crate) fn run(args: &BenchArgs) -> ExitCode {
    let by_lab = |measurement| {
        let measure = |progress: &mut Progress| network::measure(measurement, progress);
        jumpvpn_lab::inside(|| Ok(exit::finish(tell(args, network::note(measurement), measure))))
    };
    let outcome = match args.name {
        BenchName::Throughput => return by_lab(Measurement::Throughput),
        BenchName::Pps => return by_lab(Measurement::Pps),
        BenchName::Latency => return by_lab(Measurement::Latency),
        BenchName::Memory => {
            tell(args, memory::NOTE, |progress| memory::measure(&memory::Size::DEFAULT, progress))
        }
        BenchName::Handshake => {
            tell(args, handshake::NOTE, |progress| handshake::measure(&handshake::Size::DEFAULT, progress))
        }
        BenchName::Reattach => {
            tell(args, reattach::NOTE, |progress| reattach::measure(&reattach::Size::DEFAULT, progress))
        }
        BenchName::Reject => {
            tell(args, reject::NOTE, |progress| reject::measure(&reject::Size::DEFAULT, progress))
        }
        BenchName::Lookup => {
            tell(args, lookup::NOTE, |progress| lookup::measure(&lookup::Size::DEFAULT, progress))
        }
        BenchName::Takeover => tell(args, takeover::TAKEOVER_NOTE, |progress| {
            takeover::measure_takeover(&takeover::Size::TAKEOVER, progress)
        }),
        BenchName::Drain => tell(args, takeover::DRAIN_NOTE, |progress| {
            takeover::measure_drain(&takeover::Size::DRAIN, progress)
        }),
        BenchName::Events => {
            tell(args, events::NOTE, |progress| events::measure(&events::Size::DEFAULT, progress))
        }
    };
    exit::finish(outcome)
}

/// Measures and prints. `note` is what a person has to know to read the figures.
fn tell(
    args: &BenchArgs,
    note: &'static str,
    measure: impl FnOnce(&mut Progress) -> Result<Vec<Figure>, Failure>,
) -> Outcome {
    if cfg!(debug_assertions) {
        say("jumpvpn: this build is not optimised, its figures say little");
    }
    let bench = name(args.name);
    let mut progress = Progress::new(bench);
    let measured = measure(&mut progress);
    progress.end();
    let report = Report { bench, figures: measured?, note };
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
        BenchName::Takeover => "takeover",
        BenchName::Drain => "drain",
        BenchName::Events => "events",
        BenchName::Throughput => "throughput",
        BenchName::Pps => "pps",
        BenchName::Latency => "latency",
    }
}

#[cfg(test)]
mod tests;
