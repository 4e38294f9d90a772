//! The lab against itself: what its network and its measurements do without any VPN.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use jumpvpn_lab::{LabArgs, main_lab};

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    Lab(LabArgs),
}

fn main() -> ExitCode {
    match Cli::parse().verb {
        Some(Verb::Lab(args)) => main_lab(args),
        None => ExitCode::SUCCESS,
    }
}
