//! The command line of `jumpvpn lab`: what a person or a script may ask for.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::cluster::drill::Drill;

/// One command: two uplinks, two NAT routers, an internet, a gateway and a server, on this machine, without root.
///
/// Without a verb it opens the live view, in which single keys cause faults.
#[derive(Debug, Clone, Args)]
pub struct LabArgs {
    /// What to do; the live view when absent.
    #[command(subcommand)]
    pub verb: Option<LabVerb>,
    /// Directory that receives events.jsonl, the daemons' logs and configurations [default: ./jumpvpn-lab].
    #[arg(long, global = true, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Seed of every random choice of the links (loss, jitter, NAT ports).
    #[arg(long, global = true, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Name of the agent's policy.
    #[arg(long, global = true, value_name = "NAME", default_value = "laptop")]
    pub policy: String,
    /// Gateways: 1, or 3 that share a store of three etcd members and are followed by a router with BIRD.
    #[arg(long, value_name = "1 or 3", default_value_t = 1, value_parser = gateways)]
    pub gateways: u8,
    /// Let the streams cross the Wi-Fi link without a tunnel: shows what the apparatus itself measures.
    #[arg(long, global = true, hide = true)]
    pub no_vpn: bool,
}

/// The verbs below `jumpvpn lab`.
#[derive(Debug, Clone, Subcommand)]
pub enum LabVerb {
    /// Play a scripted story and judge it; exits non-zero when its expectations fail.
    Run {
        /// File of a story, or the name of a built-in one (see `lab stories`).
        story: String,
        /// Print one JSON object (schema jumpvpn.lab/1) instead of a table.
        #[arg(long)]
        json: bool,
        /// How often to repeat the story, instead of what the story says.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
        runs: Option<u32>,
        /// Speak IPv6 outside of the tunnel, which nobody translates: there is no story of a router's NAT then.
        #[arg(long)]
        ipv6: bool,
    },
    /// Open a shell (or run a command) in a node: laptop, internet, gateway or server.
    ///
    /// Joins the lab that is running; starts one for the time of the shell when there is none.
    Shell {
        /// The node.
        node: String,
        /// A command instead of a shell.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// List the built-in stories.
    Stories,
    /// Let faults happen to a cell of three gateways, one after the other, and judge from what was written down and seen
    /// on the wire whether a session ever had two owners; exits non-zero when it had, or when the run does not count.
    Nemesis {
        /// For how long.
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        seconds: u64,
        /// Plant gateways that are given up too early, and fail unless the judge finds it: works with the test build alone.
        #[arg(long, hide = true)]
        control: bool,
    },
    /// Measure how long traffic stands still when gateways die, restart and are drained, in a cell of three.
    Drill {
        /// Which drills; all of them when none is named.
        #[arg(value_enum)]
        drills: Vec<Drill>,
        /// How fast a silent gateway is given up.
        #[arg(long, value_enum, default_value = "fast")]
        pace: DrillPace,
        /// One gateway with an embedded store, instead of a cell.
        #[arg(long)]
        alone: bool,
        /// How often each.
        #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
        runs: u32,
    },
    /// Run a program as an ordinary user of a user namespace (for sshd).
    #[command(hide = true)]
    AsPlainUser {
        /// The program and its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<OsString>,
    },
}

/// How fast a silent gateway is given up, as in a gateway's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DrillPace {
    /// Others act after 3.6 s.
    Fast,
    /// After 7 s.
    Default,
    /// After 17 s.
    Calm,
}

impl DrillPace {
    /// As it is written there.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            DrillPace::Fast => "fast",
            DrillPace::Default => "default",
            DrillPace::Calm => "calm",
        }
    }
}

fn gateways(text: &str) -> Result<u8, &'static str> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("a lab has 1 gateway, or 3"),
    }
}
