//! The one binary: reads the command line, calls the verb, turns its outcome into an exit code.
//!
//! Deliberately not here: anything about packets or sessions. A verb is a thin file beside this one.

mod agent;
mod args;
mod audit;
mod bench;
mod bury;
mod check;
mod confine;
mod control;
mod daemon;
mod exit;
mod explain;
mod gateway;
mod generate;
mod keeper;
mod keys;
mod list;
mod machine;
#[cfg(feature = "planted")]
mod planted;
mod roster;
mod show;
mod status;
mod steer;
mod store;
mod store_key;
mod style;
mod table;

use std::process::ExitCode;

use args::{Cli, Verb};
use clap::Parser;

fn main() -> ExitCode {
    let verb = Cli::parse().verb;
    #[cfg(feature = "planted")]
    if let Err(failure) = planted::begin() {
        return exit::finish(Err(failure));
    }
    let outcome = match verb {
        // These start this program again inside the lab's namespaces, and pass on how that ended.
        Verb::Lab(args) => return jumpvpn_lab::main_lab(args),
        Verb::Bench(args) => return bench::run(&args),
        Verb::Gateway(args) => gateway::run(&args),
        Verb::Agent(args) => agent::run(&args),
        Verb::Keeper(args) => keeper::run(&args),
        Verb::Genkey => keys::genkey(),
        Verb::Pubkey => keys::pubkey(),
        Verb::Genpsk => keys::genpsk(),
        Verb::List(verb) => list::run(&verb),
        Verb::Check(args) => check::run(&args),
        Verb::Explain(args) => explain::run(&args),
        Verb::Status(args) => status::run(&args),
        Verb::Show(args) => show::run(&args),
        Verb::Jump(args) => steer::jump(&args),
        Verb::Pin(args) => steer::pin(&args),
        Verb::Unpin(args) => steer::unpin(&args),
        Verb::Drain(args) => steer::drain(&args),
        Verb::Undrain(args) => steer::undrain(&args),
        Verb::Handoff(args) => steer::handoff(&args),
        Verb::Bury(args) => bury::run(&args),
        Verb::Events(args) => audit::run(&args),
        Verb::Completions(args) => generate::completions(&args),
        Verb::Man(args) => generate::man(&args),
        Verb::Schema(args) => generate::schema(&args),
    };
    exit::finish(outcome)
}
