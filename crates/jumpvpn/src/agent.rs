//! `jumpvpn agent`: from an agent's file, and the signed list it believes, to a running agent.

mod gateways;

use jumpvpn_config::AgentConfig;
use jumpvpn_engine::agent;
use jumpvpn_host::TunnelSpec;
use jumpvpn_runtime::{AgentOptions, DaemonOptions, run_agent};
use jumpvpn_sandbox::CapabilitySet;
use jumpvpn_session::SuiteSet;

use crate::args::DaemonArgs;
use crate::confine::Confinement;
use crate::daemon;
use crate::exit::{Failure, Outcome};
use crate::keeper;
use crate::machine::Links;

/// Runs the verb.
pub(crate) fn run(args: &DaemonArgs) -> Outcome {
    let memory = jumpvpn_sandbox::protect_memory();
    daemon::check_room(args)?;
    let config = daemon::accepted(jumpvpn_config::load_agent(&args.config))?;
    let confinement =
        Confinement::begin(config.sandbox, config.user.as_deref(), CapabilitySet::empty(), memory)?;
    let begun = gateways::begin(&config);
    let keeper = keeper::of_agent(tunnel(&config), &config.uplinks, config.sandbox)?;
    let options = AgentOptions {
        engine: engine(&config, &begun.known)?,
        watch: Box::new(Links::new()?),
        uplinks: config.uplinks.clone(),
        sockets: Box::new(keeper.sockets),
        kill_switch: config.routes.kill_switch,
        gateways: begun.known.iter().map(gateways::row).collect(),
        list: begun.list,
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
    drop((config.private_key, config.gateways, begun.known));
    daemon::outcome(run_agent(options))
}

fn engine(config: &AgentConfig, known: &[gateways::Known]) -> Result<agent::Config, Failure> {
    let private = daemon::private(&config.private_key);
    Ok(agent::Config {
        gateways: gateways::peers(known, &private.public(), config.routes.kill_switch)?,
        private,
        suites: SuiteSet::ALL,
        policy: config.policy.clone(),
    })
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
