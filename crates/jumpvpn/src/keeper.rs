//! The keeper's process: this program again, with one order and two streams to the daemon that started it.
//!
//! Started anew rather than forked: it has none of the daemon's memory, so no keys.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use jumpvpn_config::Sandbox;
use jumpvpn_host::{FlatSite, TUNNEL_MARK, TunnelSpec};
use jumpvpn_runtime::keeper::{self, KeeperHost, KeeperSockets, MarkedSockets};
use jumpvpn_sandbox::{CapabilitySet, Files, is_readable, protect_memory, restrain};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::args::KeeperArgs;
use crate::confine;
use crate::exit::{Code, Failure, Outcome};
use crate::machine::Machine;

/// Where programs and their libraries lie, on distributions old and new. `nft` is one of them.
const PROGRAM_FOLDERS: [&str; 9] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/nix/store",
    "/gnu/store",
];
/// Kernel switches: forwarding, and the filter of reverse paths.
const SWITCHES: &str = "/proc/sys/net";

/// What a keeper is for, fixed before the daemon reads its first packet.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    tunnel: TunnelSpec,
    /// Interface whose neighbours are told of sessions.
    flat_site: Option<String>,
    /// One of the names of [`Sandbox`].
    sandbox: String,
    /// Devices that sockets may be bound to; any if it is empty.
    uplinks: Vec<String>,
}

/// A keeper that is ready.
pub(crate) struct Keeper {
    pub(crate) host: KeeperHost,
    pub(crate) sockets: KeeperSockets,
    /// What it has given up, for `status`.
    pub(crate) confinement: Value,
}

/// Starts a gateway's keeper, which tells the neighbours on `flat_site` of sessions. It opens no sockets of paths: a
/// gateway's are opened before it gives up its rights.
pub(crate) fn of_gateway(
    tunnel: TunnelSpec,
    flat_site: Option<String>,
    sandbox: Sandbox,
) -> Result<Keeper, Failure> {
    start(&Order { tunnel, flat_site, sandbox: sandbox.as_str().to_owned(), uplinks: Vec::new() })
}

/// Starts an agent's keeper, which opens sockets on these uplinks alone, on all links if there are none.
pub(crate) fn of_agent(tunnel: TunnelSpec, uplinks: &[String], sandbox: Sandbox) -> Result<Keeper, Failure> {
    let (sandbox, uplinks) = (sandbox.as_str().to_owned(), uplinks.to_vec());
    start(&Order { tunnel, flat_site: None, sandbox, uplinks })
}

fn start(order: &Order) -> Result<Keeper, Failure> {
    let failed = |error: io::Error| Failure::new(Code::Failed, format!("cannot start the keeper: {error}"));
    let (changes, its_changes) = UnixStream::pair().map_err(failed)?;
    let (sockets, its_sockets) = UnixStream::pair().map_err(failed)?;
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("jumpvpn")
        .arg("keeper")
        .arg(serde_json::to_string(order).map_err(io::Error::from).map_err(failed)?);
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.stdin(OwnedFd::from(its_changes)).stdout(OwnedFd::from(its_sockets)).stderr(Stdio::inherit());
    // It ends when the streams do; nobody waits for it.
    command.current_dir("/").spawn().map_err(failed)?;
    // It holds the keeper's ends of the streams, whose end could not be seen while we have them.
    drop(command);
    let (mut host, sockets) = keeper::connect(changes, sockets, keeper::PATIENCE).map_err(failed)?;
    let confinement = host.confinement().map_err(|error| Failure::new(Code::Failed, error.message))?;
    Ok(Keeper { host, sockets, confinement })
}

/// Runs the verb.
pub(crate) fn run(args: &KeeperArgs) -> Outcome {
    let order: Order = serde_json::from_str(&args.order)
        .map_err(|error| Failure::new(Code::Usage, format!("not the order of a daemon: {error}")))?;
    protect_memory();
    rustix::thread::set_name(c"jumpvpn-keeper").map_err(io::Error::from)?;
    let [changes, sockets] = [stream(io::stdin().as_fd())?, stream(io::stdout().as_fd())?];
    keeper::outlive_signals()?;
    // Its sockets take a right that is given up next.
    let site = order.flat_site.as_deref().map(FlatSite::open).transpose();
    let site = site.map_err(|error| Failure::new(Code::Permission, error.to_string()))?;
    let sandbox =
        Sandbox::ALL.iter().find(|(name, _)| *name == order.sandbox).map_or(Sandbox::On, |(_, found)| *found);
    let mut report = None;
    if let Some(demand) = confine::demand(sandbox) {
        let files = Files {
            execute: PROGRAM_FOLDERS.map(PathBuf::from).to_vec(),
            change: vec![PathBuf::from(SWITCHES)],
            ..Files::default()
        };
        // What the kernel lacks is said by the daemon, which looks for more.
        let restrained = restrain(CapabilitySet::NET_ADMIN, &files, demand);
        let failed = |error| Failure::new(Code::Failed, format!("the keeper: {error}"));
        report = Some(restrained.map_err(failed)?);
    }
    let confinement = confine::described(report.as_ref(), is_readable())
        .map_err(|error| Failure::new(Code::Failed, format!("the keeper: {error}")))?;
    let mut machine = Machine::new(order.tunnel, site);
    let opener = MarkedSockets { mark: TUNNEL_MARK, devices: order.uplinks };
    let served = keeper::serve(changes, sockets, &mut machine, opener, &confinement);
    // The daemon took away what was to be taken away; a kill switch whose daemon was killed stays closed.
    machine.bereave();
    served.map_err(Failure::from)
}

/// One of the streams to the daemon. By hand there is none.
fn stream(given: impl AsFd) -> Result<UnixStream, Failure> {
    let stream = UnixStream::from(given.as_fd().try_clone_to_owned()?);
    let by_hand = |_| Failure::new(Code::Usage, "a keeper is started by its daemon alone");
    stream.peer_addr().map_err(by_hand)?;
    Ok(stream)
}
