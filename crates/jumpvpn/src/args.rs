//! The command line. Every verb listed here works.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::exit::EXIT_CODES;

/// A VPN for networks that break: the session is the anchor, the transport is volatile.
#[derive(Debug, Parser)]
#[command(name = "jumpvpn", version, after_help = EXIT_CODES, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run a gateway in the foreground.
    Gateway(DaemonArgs),
    /// Run an agent in the foreground.
    Agent(DaemonArgs),
    /// Show in one screen how the session, or the gateway, is doing.
    Status(StatusArgs),
    /// Show details: paths, sessions, policy or peers.
    Show(ShowArgs),
    /// Move the session to another path now; the policy may refuse.
    Jump(JumpArgs),
    /// Keep the session on one path while that path is alive.
    Pin(PinArgs),
    /// Let the policy choose the path again.
    Unpin(UnpinArgs),
    /// Send the sessions of a gateway to the others of its cell, and take no new ones.
    Drain(DrainArgs),
    /// Let a gateway take sessions again.
    Undrain(UndrainArgs),
    /// Send one session of a gateway to another one.
    Handoff(HandoffArgs),
    /// Declare a gateway dead after its process has ended, so that the others of its cell need not wait.
    Bury(BuryArgs),
    /// Print events, or prove from event files that sessions behaved.
    Events(EventsArgs),
    /// Explain a reason code.
    Explain(ExplainArgs),
    /// Validate a configuration file; reports all findings with line and hint.
    Check(CheckArgs),
    /// Print a new private key.
    Genkey,
    /// Read a private key from standard input and print its public key.
    Pubkey,
    /// Print a new preshared key.
    Genpsk,
    /// Sign the list of a cell's gateways, or look at a signed one.
    #[command(subcommand)]
    List(ListVerb),
    /// Try it out: a whole roaming network on this machine, built by an ordinary user.
    Lab(jumpvpn_lab::LabArgs),
    /// Measure what the program costs on this machine; needs no privileges.
    Bench(BenchArgs),
    /// Print the completions for a shell.
    Completions(CompletionsArgs),
    /// Print the manual page, or write the pages of all verbs into a folder.
    Man(ManArgs),
    /// Print a JSON Schema.
    Schema(SchemaArgs),
    /// Change the machine for a daemon; started by it alone.
    #[command(hide = true)]
    Keeper(KeeperArgs),
}

/// What a keeper is started with.
#[derive(Debug, Args)]
pub(crate) struct KeeperArgs {
    /// The tunnel, as JSON.
    pub(crate) order: String,
}

/// What a daemon is started with.
#[derive(Debug, Args)]
pub(crate) struct DaemonArgs {
    /// Configuration file.
    #[arg(short, long, value_name = "FILE", env = "JUMPVPN_CONFIG")]
    pub(crate) config: PathBuf,
    /// Log everything; given neither this nor --quiet, debugging details are left out.
    #[arg(short, long, conflicts_with = "quiet")]
    pub(crate) verbose: bool,
    /// Log only what does not work.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// How to find the daemon.
#[derive(Debug, Args)]
pub(crate) struct SocketArgs {
    /// Control socket of the daemon [default: the only one in /run/jumpvpn].
    #[arg(short, long, value_name = "PATH", env = "JUMPVPN_SOCKET")]
    pub(crate) socket: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) socket: SocketArgs,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// Exit with 3 unless the session is in the state asked for; of a gateway, that it answers is enough.
    #[arg(long)]
    pub(crate) check: bool,
    /// State that --check asks for; implies --check.
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<StateName>,
}

/// States of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StateName {
    /// The first handshake is under way.
    Birth,
    /// Packets flow.
    Attached,
    /// The active path is in doubt.
    Volatile,
    /// A jump is under way.
    Recovering,
    /// No path works well enough.
    Degraded,
    /// Over.
    Terminated,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// What to show; everything when absent.
    pub(crate) what: Option<Subject>,
    #[command(flatten)]
    pub(crate) socket: SocketArgs,
    /// Print one JSON object (with --watch: one per line and second).
    #[arg(long)]
    pub(crate) json: bool,
    /// Show it again every second.
    #[arg(long)]
    pub(crate) watch: bool,
}

/// What `show` can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// Paths of an agent.
    Paths,
    /// Sessions of a gateway.
    Sessions,
    /// The policy in force.
    Policy,
    /// Peers of a gateway.
    Peers,
}

#[derive(Debug, Args)]
pub(crate) struct JumpArgs {
    /// Name of the path (as in `jumpvpn show paths`) or of its interface; the best one when absent.
    #[arg(long, value_name = "PATH")]
    pub(crate) to: Option<String>,
    #[command(flatten)]
    pub(crate) socket: SocketArgs,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PinArgs {
    /// Name of the path (as in `jumpvpn show paths`) or of its interface.
    pub(crate) path: String,
    #[command(flatten)]
    pub(crate) socket: SocketArgs,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UnpinArgs {
    #[command(flatten)]
    pub(crate) socket: SocketArgs,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    /// Over which time the moves are spread, like 30s or 5m: as long as the other gateways need to take them all.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = span)]
    pub(crate) over: Duration,
    #[command(flatten)]
    pub(crate) socket: SocketArgs,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UndrainArgs {
    #[command(flatten)]
    pub(crate) socket: SocketArgs,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct HandoffArgs {
    /// The session's id, as in `jumpvpn show sessions`.
    pub(crate) session: String,
    /// Public key of the gateway it goes to; its agent has to know it.
    pub(crate) gateway: String,
    #[command(flatten)]
    pub(crate) socket: SocketArgs,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BuryArgs {
    /// Configuration file of the gateway.
    #[arg(short, long, value_name = "FILE", env = "JUMPVPN_CONFIG")]
    pub(crate) config: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct EventsArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<EventsVerb>,
    #[command(flatten)]
    pub(crate) socket: SocketArgs,
    /// Go on printing events as they happen.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Shape of the output.
    #[arg(long, value_name = "FORMAT", default_value = "jsonl")]
    pub(crate) format: EventFormat,
}

/// Shapes of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EventFormat {
    /// One JSON object per line.
    Jsonl,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EventsVerb {
    /// Prove from event files that sessions behaved; give the files of both sides to prove that they agree.
    Verify {
        /// Event files, one JSON object per line.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ListVerb {
    /// Print a new private key to sign lists with; keep it where no gateway is.
    Genkey,
    /// Read a private key from standard input and print the public key for [gateway_list] in agents' files.
    Pubkey,
    /// Validate a list and print it with its signature.
    Sign {
        /// File with the private key, readable by its owner alone.
        #[arg(short, long, value_name = "KEYFILE")]
        key: PathBuf,
        /// The list, as in docs/config.md.
        file: PathBuf,
    },
    /// Check the signature of a list and print what it says.
    Verify {
        /// Public key of who signs.
        #[arg(short, long, value_name = "PUBLIC_KEY")]
        key: String,
        /// The signed list.
        file: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Code or number of a reason, like PATH_SILENT; all of them when absent.
    pub(crate) code: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Configuration file.
    pub(crate) file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// What to measure.
    pub(crate) name: BenchName,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchName {
    /// Memory of a session on a gateway.
    Memory,
    /// Births of sessions per second and core of a gateway.
    Handshake,
    /// Moves of sessions per second and core of a gateway.
    Reattach,
    /// Time a gateway spends on datagrams of strangers.
    Reject,
    /// Time per packet with many sessions over that with few.
    Lookup,
    /// Time in which another gateway takes over the sessions of one that died.
    Takeover,
    /// Time in which a gateway that is drained is empty.
    Drain,
    /// What an event costs the engine that tells it, with sinks that work, that fail, and with a full queue.
    Events,
    /// TCP through the tunnel between namespaces of this machine.
    Throughput,
    /// Small packets per second through it.
    Pps,
    /// Round trips through it.
    Latency,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Folder for the pages of all verbs; without it the main page is printed.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// Of what.
    #[arg(default_value = "config")]
    pub(crate) of: SchemaName,
}

/// Schemas the program has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaName {
    /// The configuration file.
    Config,
    /// One line of an event file.
    Events,
}

/// A time like 30s or 5m.
fn span(text: &str) -> Result<Duration, String> {
    jumpvpn_policy::value::parse_duration(text)
        .ok_or_else(|| format!("`{text}` is not a time, like 30s or 5m"))
}
