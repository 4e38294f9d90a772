//! `jumpvpn agent`: from an agent's file to a running agent.

use std::net::SocketAddr;

use jumpvpn_config::{AgentConfig, Endpoint, key};
use jumpvpn_engine::agent::{self, GatewayPeer};
use jumpvpn_host::TunnelSpec;
use jumpvpn_runtime::{AgentOptions, DaemonOptions, run_agent};
use jumpvpn_session::{PublicKey, SuiteSet};
use serde_json::json;

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
    let confinement = Confinement::begin(config.sandbox, config.user.as_deref(), &[], memory)?;
    let keeper = keeper::start(&tunnel(&config), &config.uplinks, config.sandbox)?;
    let options = AgentOptions {
        engine: engine(&config)?,
        watch: Box::new(Links::new()?),
        uplinks: config.uplinks.clone(),
        sockets: Box::new(keeper.sockets),
        kill_switch: config.routes.kill_switch,
        gateway: json!({
            "public_key": key::encode(&config.gateway.public_key),
            "endpoints": config.gateway.endpoints.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }),
        daemon: DaemonOptions {
            host: Box::new(keeper.host),
            confine: confinement.when_open(
                &config.control_socket,
                config.events.as_deref(),
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
    drop((config.private_key, config.gateway));
    daemon::outcome(run_agent(options))
}

fn engine(config: &AgentConfig) -> Result<agent::Config, Failure> {
    Ok(agent::Config {
        private: daemon::private(&config.private_key),
        gateways: vec![GatewayPeer {
            public: PublicKey(config.gateway.public_key),
            psk: daemon::preshared(config.gateway.preshared_key.as_ref()),
            endpoints: resolved(&config.gateway.endpoints)?,
        }],
        suites: SuiteSet::ALL,
        policy: config.policy.clone(),
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
