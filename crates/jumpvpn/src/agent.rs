//! `jumpvpn agent`: from an agent's file to a running agent.

use std::net::SocketAddr;

use jumpvpn_config::{AgentConfig, Endpoint, RemoteGateway, key};
use jumpvpn_engine::agent::{self, GatewayPeer};
use jumpvpn_host::TunnelSpec;
use jumpvpn_runtime::{AgentOptions, DaemonOptions, run_agent};
use jumpvpn_sandbox::CapabilitySet;
use jumpvpn_session::{PublicKey, SuiteSet};
use serde_json::{Value, json};

use crate::args::DaemonArgs;
use crate::confine::Confinement;
use crate::daemon;
use crate::exit::{Code, Failure, Outcome, say};
use crate::keeper;
use crate::machine::Links;

/// Endpoints the engine tries: each is a path of every link, and all of them are probed.
const ENDPOINTS_MAX: usize = 4;

/// Runs the verb.
pub(crate) fn run(args: &DaemonArgs) -> Outcome {
    let memory = jumpvpn_sandbox::protect_memory();
    daemon::check_room(args)?;
    let config = daemon::accepted(jumpvpn_config::load_agent(&args.config))?;
    let confinement =
        Confinement::begin(config.sandbox, config.user.as_deref(), CapabilitySet::empty(), memory)?;
    let keeper = keeper::of_agent(tunnel(&config), &config.uplinks, config.sandbox)?;
    let options = AgentOptions {
        engine: engine(&config)?,
        watch: Box::new(Links::new()?),
        uplinks: config.uplinks.clone(),
        sockets: Box::new(keeper.sockets),
        kill_switch: config.routes.kill_switch,
        gateways: config.gateways.iter().map(gateway_row).collect(),
        daemon: DaemonOptions {
            host: Box::new(keeper.host),
            confine: confinement.when_open(
                &config.control_socket,
                config.events.as_deref(),
                Vec::new(),
                keeper.confinement,
            ),
            mtu: config.routes.mtu.unwrap_or(daemon::DEFAULT_MTU),
            name: daemon::name(args),
            log_level: daemon::log_level(args),
            interface: config.interface,
            control_socket: config.control_socket,
            events: config.events,
        },
    };
    // The engine has its own copy of each key, and needs no second one beside it.
    drop((config.private_key, config.gateways));
    daemon::outcome(run_agent(options))
}

fn engine(config: &AgentConfig) -> Result<agent::Config, Failure> {
    Ok(agent::Config {
        private: daemon::private(&config.private_key),
        gateways: gateways(config)?,
        suites: SuiteSet::ALL,
        policy: config.policy.clone(),
    })
}

/// The gateways with their addresses. One that cannot be found is left out as long as another one is known.
fn gateways(config: &AgentConfig) -> Result<Vec<GatewayPeer>, Failure> {
    let mut gateways = Vec::new();
    let mut failure = None;
    for gateway in &config.gateways {
        match resolved(&gateway.endpoints) {
            Ok(endpoints) => gateways.push(GatewayPeer {
                public: PublicKey(gateway.public_key),
                psk: daemon::preshared(gateway.preshared_key.as_ref()),
                endpoints,
            }),
            Err(error) => {
                if let Some(earlier) = failure.replace(error) {
                    say(format_args!("jumpvpn: warning: {earlier}"));
                }
            }
        }
    }
    match failure {
        Some(failure) if gateways.is_empty() => Err(failure),
        Some(failure) => {
            say(format_args!("jumpvpn: warning: {failure}"));
            Ok(gateways)
        }
        None => Ok(gateways),
    }
}

/// A gateway as `show peers` tells it.
fn gateway_row(gateway: &RemoteGateway) -> Value {
    json!({
        "public_key": key::encode(&gateway.public_key),
        "endpoints": gateway.endpoints.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// The addresses of all endpoints. A name that cannot be resolved is left out as long as another endpoint is known.
fn resolved(endpoints: &[Endpoint]) -> Result<Vec<SocketAddr>, Failure> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    let mut failure = None;
    for endpoint in endpoints {
        match endpoint.resolve() {
            Ok(found) => addresses.extend(found),
            Err(error) => {
                let message = format!("cannot find the address of the gateway {endpoint}: {error}");
                let hint = "check the name and the name servers, or write an address";
                failure = Some(Failure::new(Code::Failed, message).hint(hint));
            }
        }
    }
    addresses.truncate(ENDPOINTS_MAX);
    match failure {
        Some(failure) if addresses.is_empty() => Err(failure),
        Some(failure) => {
            say(format_args!("jumpvpn: warning: {failure}"));
            Ok(addresses)
        }
        None => Ok(addresses),
    }
}

fn tunnel(config: &AgentConfig) -> TunnelSpec {
    TunnelSpec {
        ifname: config.interface.clone(),
        routes: config.routes.allowed_ips.clone(),
        kill_switch: config.routes.kill_switch,
        loose_reverse_path: true,
        ..TunnelSpec::default()
    }
}
