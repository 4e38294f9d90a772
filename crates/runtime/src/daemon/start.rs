//! Starting: everything that can fail does so here, before the service manager is told that the daemon is ready.

use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use jumpvpn_engine::gateway::Cell;
use jumpvpn_engine::{Agent, Gateway, SocketKey};
use jumpvpn_events::Time;
use jumpvpn_ownership::Ledger;
use jumpvpn_session::StoreKeys;
use jumpvpn_transport::{BindError, BindOptions, UdpBinding};
use jumpvpn_wire::Kind;
use mio::Waker;

use super::ground::Site;
use super::{AgentOptions, DaemonError, Durable, Ended, GatewayOptions, StoreOptions, Word, room};
use crate::agent::listing::{self, ListReport};
use crate::agent::{AgentConsole, AgentLoop, LinkRules};
use crate::door::Door;
use crate::gateway::registry::{self, RegistryDoor};
use crate::gateway::{GatewayConsole, Records, Shard, Side};
use crate::machine::TunnelSettings;
use crate::pump::{Pump, SORTED_COUNT};
use crate::telemetry::Telemetry;
use crate::{SystemRandom, clock};

/// Kernel buffers of a gateway's socket, bytes: all clients share it. 8 MiB are 60 ms at 1 Gbit/s.
const GATEWAY_BUFFER_LEN: usize = 8 << 20;
/// Messages with a queue of their own; those about paths (PATH_PROBE, REATTACH, CLOSE) and everything else share another
/// one. Whoever floods a gateway with handshakes or with invented route tokens fills that queue alone: packets of live
/// sessions do not wait behind it.
const QUEUES: [Kind; SORTED_COUNT - 1] = [Kind::Data, Kind::HsInit];
/// Places of the store beyond the sessions that live: tombstones stay as long as their sessions could have lived, and an
/// agent that comes and goes leaves one each time. A record has about 250 bytes, taken only when it is there.
pub(super) const TOMBSTONE_COUNT: usize = 1 << 18;
/// Fencing number of this incarnation. A store in memory knows no other one.
const FIRST_EPOCH: u64 = 1;

/// How long a gateway may take to join its cell beyond the time after which an earlier life of it is given up: a store that is
/// asked once more after a request that was lost.
const JOIN_MARGIN: Duration = Duration::from_secs(5);

/// Runs an agent until it is told to stop, or refused for good.
///
/// # Errors
/// Why it did not start, or could not go on.
pub fn run_agent(options: AgentOptions) -> Result<Ended, DaemonError> {
    let AgentOptions { daemon, engine, watch, uplinks, sockets, kill_switch, gateways, list } = options;
    let mut site = Site::prepare(daemon)?;
    let tun = site.create_tun()?;
    let tunnel = site.interface.clone();
    let mut ground = site.confine()?;
    if kill_switch {
        ground.apply(TunnelSettings { addresses: Vec::new(), mtu: ground.mtu })?;
    }
    let rules = LinkRules {
        uplinks,
        tunnel,
        ipv4: engine.endpoints().any(|endpoint| endpoint.is_ipv4()),
        ipv6: engine.endpoints().any(|endpoint| endpoint.is_ipv6()),
    };
    let policy = engine.policy.clone();
    let mut engine = Agent::new(engine, Box::new(SystemRandom), clock::now());
    let pump = Pump::new(tun, ground.telemetry().feed(0)).map_err(no_pump)?;
    let (door, questions) = Door::new(pump.waker());
    let mut lists = None;
    let report = list.map(|options| (ListReport::new(Mutex::new(options.report)), options.follow));
    let list = report.as_ref().map(|(report, _)| Arc::clone(report));
    if let Some((report, Some((serial, keep)))) = report {
        engine.follow_list(serial);
        lists = Some(listing::start(keep, report, door.clone()).map_err(no_thread)?);
    }
    let words = ground.words.clone();
    let settling = Arc::clone(&ground.settling);
    let (confined, telemetry) = (ground.confined.clone(), ground.telemetry().clone());
    let settled = Arc::clone(&settling);
    let console =
        AgentConsole { door: door.clone(), settling: settled, confined, policy, gateways, list, telemetry };
    let agent = AgentLoop { pump, engine, watch, rules, sockets, questions, words, settling, lists };
    spawn_engine(0, ground.words.clone(), move || agent.run())?;
    ground.supervise(Box::new(console), vec![Box::new(door)], None)
}

/// Runs a gateway until it is told to stop.
///
/// # Errors
/// Why it did not start, or could not go on.
pub fn run_gateway(options: GatewayOptions) -> Result<Ended, DaemonError> {
    let GatewayOptions { daemon, mut engine, listen, peers, store, list } = options;
    room::check_tables(engine.capacity)?;
    let mut site = Site::prepare(daemon)?;
    let mut sockets = Vec::new();
    for local in listen {
        sockets.extend(bind(local)?);
    }
    let tun = site.create_tun()?;
    let mut ground = site.confine()?;
    let addresses = engine.networks.iter().map(|network| (network.addr(), network.prefix_len())).collect();
    ground.apply(TunnelSettings { addresses, mtu: ground.mtu })?;
    let policy = engine.policy.clone();
    let mut pump = Pump::new(tun, ground.telemetry().feed(0)).map_err(no_pump)?;
    let opened = open_records(store, &mut engine, pump.waker(), ground.telemetry())?;
    let bound = listen_on(&mut pump, sockets)?;
    let mut engine = gateway_engine(engine)?;
    if let Some((serial, bytes)) = list {
        engine.offer_list(serial, bytes);
    }
    let Opened { kind: store_kind, records, registry, dead_man } = opened;
    let side = Side { engine, records, bound, words: ground.words.clone(), dead_man, armed: Time::ZERO };
    let (door, questions) = Door::new(pump.waker());
    let shard = Shard { pump, side, questions };
    spawn_engine(0, ground.words.clone(), move || shard.run())?;
    let (doors, confined, telemetry) =
        (vec![door.clone()], ground.confined.clone(), ground.telemetry().clone());
    let will = registry.clone();
    let console = GatewayConsole { doors, confined, policy, peers, store_kind, registry, telemetry };
    ground.supervise(Box::new(console), vec![Box::new(door)], will)
}

/// The records of ownership, ready.
struct Opened {
    /// Kind of the store, for people.
    kind: &'static str,
    records: Records,
    /// A way to the thread that owns the store, if it has one.
    registry: Option<RegistryDoor>,
    dead_man: bool,
}

fn open_records(
    store: StoreOptions,
    config: &mut jumpvpn_engine::gateway::Config,
    engine: Arc<Waker>,
    telemetry: &Telemetry,
) -> Result<Opened, DaemonError> {
    let StoreOptions::Durable(durable) = store else {
        let records = Records::Memory(Box::new(Ledger::new(config.capacity + TOMBSTONE_COUNT, FIRST_EPOCH)));
        return Ok(Opened { kind: "memory", records, registry: None, dead_man: false });
    };
    let Durable { kind, member, key, store, memory, dead_man } = *durable;
    let patience = member.profile.death + JOIN_MARGIN;
    let opened = registry::open(store).map_err(DaemonError::failed)?;
    let (opened, secret) = opened.with_secret(key).map_err(DaemonError::failed)?;
    let keys = StoreKeys::from_secret(&secret)
        .map_err(|_| DaemonError::failed("the key of the store is all zero: make another one"))?;
    config.node = registry::node_id(&member.name);
    config.cell = Some(Cell { name: format!("cell {}", member.cell), keys, others: Vec::new() });
    let hint = memory.as_ref().map(|memory| memory.hint.clone()).unwrap_or_default();
    let (registry, door) =
        opened.start(&member, memory, engine, telemetry.clone()).map_err(DaemonError::failed)?;
    let right = registry::joined(&registry, &door, patience, &hint).map_err(DaemonError::failed)?;
    let records = Records::Registry { registry, right };
    Ok(Opened { kind, records, registry: Some(door), dead_man })
}

fn gateway_engine(mut config: jumpvpn_engine::gateway::Config) -> Result<Gateway, DaemonError> {
    config.started_minute = clock::minutes_since_2026();
    Gateway::new(config, Box::new(SystemRandom), clock::now()).map_err(|error| {
        DaemonError::failed(format!("the random numbers of this machine are unusable: {error}"))
    })
}

/// Hands the sockets to the pump; answers the address each is bound to.
fn listen_on(pump: &mut Pump, sockets: Vec<UdpBinding>) -> Result<Vec<(SocketKey, IpAddr)>, DaemonError> {
    let mut bound = Vec::new();
    for (key, socket) in (1..).map(SocketKey).zip(sockets) {
        bound.push((key, socket.local_addr().ip()));
        pump.sockets().open(key, socket).map_err(no_pump)?;
    }
    Ok(bound)
}

fn bind(local: SocketAddr) -> Result<Vec<UdpBinding>, DaemonError> {
    let options = BindOptions { mark: None, reuse_port: false, buffer_len: Some(GATEWAY_BUFFER_LEN) };
    let classes = QUEUES.map(Kind::code);
    UdpBinding::bind_sorted(local, &classes, &options).map_err(|error| {
        let permission = matches!(error, BindError::NoRights { .. });
        DaemonError { message: format!("cannot listen: {error}"), permission }
    })
}

fn no_pump(error: std::io::Error) -> DaemonError {
    DaemonError::failed(format!("cannot poll the interface and the sockets: {error}"))
}

/// Runs an engine on a thread of its own. However it ends, the supervisor is told.
fn spawn_engine(
    number: usize,
    words: Sender<Word>,
    run: impl FnOnce() -> Result<Ended, String> + Send + 'static,
) -> Result<(), DaemonError> {
    let thread = thread::Builder::new().name(format!("jumpvpn-engine-{number}"));
    let spawned = thread.spawn(move || {
        // What the panic left behind is not looked at again: the process ends.
        let outcome = catch_unwind(AssertUnwindSafe(run));
        let ended = outcome.unwrap_or_else(|_| Err("a fault of this program, see the lines above".into()));
        words.send(Word::Ended(ended)).ok();
    });
    spawned.map(drop).map_err(no_thread)
}

fn no_thread(error: std::io::Error) -> DaemonError {
    DaemonError::failed(format!("cannot start a thread: {error}"))
}

#[cfg(test)]
mod tests;
