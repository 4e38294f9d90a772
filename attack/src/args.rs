//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Attacks the real program with its own wire format, in a network made for it on this machine.
#[derive(Debug, Clone, Parser)]
#[command(name = "jumpvpn-attack")]
pub(crate) struct Args {
    /// Scenarios to play; all when none is named.
    pub(crate) names: Vec<String>,
    /// Print the scenarios with the clauses they are about.
    #[arg(long)]
    pub(crate) list: bool,
    /// Play again and again with other parameters for this long, instead of once.
    #[arg(long, value_name = "M")]
    pub(crate) minutes: Option<f64>,
    /// Seed of every random choice.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// The program under test.
    #[arg(long, value_name = "FILE", env = "JUMPVPN_BIN")]
    pub(crate) program: PathBuf,
    /// Directory that receives configurations, logs and events [default: one under the system's for temporary files].
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}
