//! `jumpvpn gateway`: from a gateway's file to a running gateway.

use std::net::IpAddr;

use jumpvpn_config::{GatewayConfig, StoreConfig, key};
use jumpvpn_engine::gateway;
use jumpvpn_host::{NatSpec, TunnelSpec};
use jumpvpn_runtime::{DaemonOptions, GatewayOptions, run_gateway};
use jumpvpn_sandbox::CapabilitySet;
use jumpvpn_session::{PublicKey, SuiteSet};
use serde_json::{Value, json};

use crate::args::DaemonArgs;
use crate::confine::{self, Confinement};
use crate::daemon;
use crate::exit::{Failure, Outcome};
use crate::keeper;
use crate::list;
use crate::machine::Links;
use crate::store;

/// Sessions per peer that there is room for: its device, one that was replaced and not yet noticed, and spare.
const SESSIONS_PER_PEER: usize = 4;
/// Room on the smallest gateway; a table of that size costs next to nothing.
const CAPACITY_MIN: usize = 64;
/// Node number in route tokens: a gateway by itself is the first and only one.
const NODE: [u8; 4] = [0; 4];

/// Runs the verb.
pub(crate) fn run(args: &DaemonArgs) -> Outcome {
    let memory = jumpvpn_sandbox::protect_memory();
    daemon::check_room(args)?;
    let config = daemon::accepted(jumpvpn_config::load_gateway(&args.config))?;
    let mut keep = confine::to_listen(&config.listen);
    if config.flat_site.is_some() {
        keep |= CapabilitySet::NET_RAW;
    }
    let confinement = Confinement::begin(config.sandbox, config.user.as_deref(), keep, memory)?;
    let keeper = keeper::of_gateway(tunnel(&config), config.flat_site.clone(), config.sandbox)?;
    let mtu = config.mtu.unwrap_or(daemon::DEFAULT_MTU);
    let engine = engine(&config, mtu)?;
    let list = config.list.as_deref().map(list::offered).transpose()?;
    let options = GatewayOptions {
        store: store::open(&config.store, engine.private.public().0, &config.policy)?,
        engine,
        peers: config.peers.iter().map(peer_row).collect(),
        daemon: DaemonOptions {
            host: Box::new(keeper.host),
            confine: confinement.when_open(
                &config.control_socket,
                config.events.as_deref(),
                store::ports(&config.store),
                keeper.confinement,
            ),
            mtu,
            name: daemon::name(args),
            log_level: daemon::log_level(args),
            interface: config.interface,
            control_socket: config.control_socket,
            events: config.events,
        },
        listen: config.listen,
        list,
    };
    // The engine has its own copy of each key, and needs no second one beside it.
    drop((config.private_key, config.peers));
    daemon::outcome(run_gateway(options))
}

fn engine(config: &GatewayConfig, mtu: u16) -> Result<gateway::Config, Failure> {
    let room = (config.peers.len() * SESSIONS_PER_PEER).max(CAPACITY_MIN);
    Ok(gateway::Config {
        private: daemon::private(&config.private_key),
        peers: config.peers.iter().map(peer).collect(),
        networks: config.address.clone(),
        own: own_addresses()?,
        allow_local: false,
        suites: SuiteSet::ALL,
        policy: config.policy.clone(),
        capacity: config.sessions_max.map_or(room, |count| count as usize),
        node: NODE,
        cell: None,
        started_minute: 0,
        mtu,
    })
}

/// Our outer addresses.
fn own_addresses() -> Result<Vec<IpAddr>, Failure> {
    let interfaces = Links::new()?.interfaces()?;
    Ok(interfaces.into_iter().flat_map(|interface| interface.addresses).collect())
}

fn peer(peer: &jumpvpn_config::Peer) -> gateway::Peer {
    gateway::Peer {
        name: peer.name.clone(),
        public: PublicKey(peer.public_key),
        psk: daemon::preshared(peer.preshared_key.as_ref()),
        inner: peer.inner.clone(),
    }
}

fn peer_row(peer: &jumpvpn_config::Peer) -> Value {
    json!({
        "name": peer.name,
        "public_key": key::encode(&peer.public_key),
        "inner": peer.inner.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn tunnel(config: &GatewayConfig) -> TunnelSpec {
    let shared = matches!(config.store, StoreConfig::Etcd(_));
    let nat = config.nat.then(|| NatSpec {
        sources: config.address.iter().map(|network| network.trunc()).collect(),
        out_interface: config.uplink.clone(),
        reset_unknown: shared,
    });
    TunnelSpec {
        ifname: config.interface.clone(),
        addresses: config.address.clone(),
        forward: config.nat,
        dead_man: shared,
        nat,
        ..TunnelSpec::default()
    }
}
