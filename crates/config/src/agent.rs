//! An agent's file: the validated types, and how they come from the tables.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use jumpvpn_policy::Policy;

use crate::context::{self, Context, Source};
use crate::key::{self, KEY_LEN, SecretKey};
use crate::keys::{GATEWAYS_MAX, MTU_MAX, MTU_MIN};
use crate::reader::{Placed, Section};
use crate::report::Notes;
use crate::value::{self, Endpoint, Sandbox, Scheme};

/// Preset of an agent that names no policy.
const DEFAULT_POLICY: &str = "laptop";

/// A validated file of an agent.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// Its static private key.
    pub private_key: SecretKey,
    /// Name of the tunnel's interface.
    pub interface: String,
    /// Path of the control socket.
    pub control_socket: PathBuf,
    /// File for the event log.
    pub events: Option<PathBuf>,
    /// User to become.
    pub user: Option<String>,
    /// What is given up after the start.
    pub sandbox: Sandbox,
    /// When to jump, and when not to.
    pub policy: Policy,
    /// Preset the policy came from; its keys may have been changed since.
    pub policy_name: String,
    /// Interfaces that may carry paths; empty: every link with a default route.
    pub uplinks: Vec<String>,
    /// The gateways to connect to, best first; at least one, all different.
    pub gateways: Vec<RemoteGateway>,
    /// Whose lists of gateways are believed, if anybody's.
    pub list: Option<ListConfig>,
    /// What goes through the tunnel.
    pub routes: RoutesConfig,
}

/// Whose signed lists of gateways are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListConfig {
    /// Public key of who signs.
    pub key: [u8; KEY_LEN],
    /// Name of the cell.
    pub cell: String,
    /// A signed list to begin with.
    pub file: Option<PathBuf>,
    /// Folder for the newest one.
    pub state: PathBuf,
}

/// A gateway as its agents know it.
#[derive(Clone, Debug)]
pub struct RemoteGateway {
    /// Its static public key.
    pub public_key: [u8; KEY_LEN],
    /// A key shared with it alone.
    pub preshared_key: Option<SecretKey>,
    /// Where it listens, in the order of preference; at least one, all of scheme `udp`.
    pub endpoints: Vec<Endpoint>,
}

/// What goes through the tunnel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutesConfig {
    /// Destinations that lead into the tunnel, as networks without host bits.
    pub allowed_ips: Vec<IpNet>,
    /// Name servers to use while connected.
    pub dns: Vec<IpAddr>,
    /// Whether packets that do not go through the tunnel are dropped.
    pub kill_switch: bool,
    /// Largest inner packet in bytes; to be found out if none is named.
    pub mtu: Option<u16>,
}

/// Reads an agent's file; nothing if it is unusable, which is then noted.
pub(crate) fn read(source: &Source<'_>, notes: &mut Notes) -> Option<AgentConfig> {
    let context = Context::new(source, &crate::keys::AGENT, notes);
    let gateways = remote_gateways(&context, notes);
    let routes = context.sections("routes").first().map(|section| routes(section, notes));
    let list = context.only("gateway_list").map(|section| list(&context, section, notes));
    let agent = context.only("agent")?;
    let private_key = context.key_file(agent, "private_key_file", notes);
    let (policy, policy_name) = context.policy(agent, DEFAULT_POLICY, notes);
    let uplinks = agent.list("uplinks", notes, value::interface).unwrap_or_default();
    let uplinks = without_repeats(uplinks, notes);
    let interface = context.interface(agent, notes);
    let control_socket = context.control_socket(agent, notes);
    let events = context.path(agent, "events", notes);
    let user = agent.text("user", notes, value::user).map(|user| user.value);
    let sandbox = agent.text("sandbox", notes, value::sandbox).map_or(Sandbox::On, |sandbox| sandbox.value);
    // Everything has been looked at and noted; only now may a missing part end the reading.
    Some(AgentConfig {
        private_key: private_key?,
        interface,
        control_socket: control_socket?,
        events,
        user,
        sandbox,
        policy,
        policy_name,
        uplinks,
        gateways: (!gateways.is_empty()).then_some(gateways)?,
        // A table that is unusable is not one that is missing.
        list: match list {
            Some(list) => Some(list?),
            None => None,
        },
        routes: routes.unwrap_or_default(),
    })
}

fn without_repeats(listed: Vec<Placed<String>>, notes: &mut Notes) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for Placed { value, span } in listed {
        if names.contains(&value) {
            notes.error(&span, format!("`{value}` is listed twice"));
        } else {
            names.push(value);
        }
    }
    names
}

/// The gateways that are usable; one whose key another has too is noted.
fn remote_gateways(context: &Context<'_>, notes: &mut Notes) -> Vec<RemoteGateway> {
    let sections = context.sections("gateway");
    if let Some(section) = sections.get(GATEWAYS_MAX) {
        notes.error(&section.span, format!("more than {GATEWAYS_MAX} gateways: a cell has no more"));
    }
    let mut gateways: Vec<RemoteGateway> = Vec::new();
    for section in sections {
        let Some(gateway) = remote_gateway(context, section, notes) else { continue };
        if gateways.iter().any(|known| known.public_key == gateway.public_key) {
            let hint = "endpoints of one gateway go into its list";
            notes.error_hint(&section.span, "two gateways with the same public key", hint);
        } else {
            gateways.push(gateway);
        }
    }
    gateways
}

fn remote_gateway(context: &Context<'_>, section: &Section<'_>, notes: &mut Notes) -> Option<RemoteGateway> {
    let public_key = section.text("public_key", notes, key::public);
    let preshared_key = context.key_file(section, "preshared_key_file", notes);
    let endpoints = endpoints(section, notes);
    Some(RemoteGateway { public_key: public_key?.value, preshared_key, endpoints: endpoints? })
}

fn list(context: &Context<'_>, section: &Section<'_>, notes: &mut Notes) -> Option<ListConfig> {
    let key = section.text("key", notes, key::public);
    let cell = section.text("cell", notes, value::cell_name);
    let file = context.path(section, "file", notes);
    let state = match section.value("state") {
        Some(_) => context.path(section, "state", notes)?,
        None => context::agent_state_folder(),
    };
    Some(ListConfig { key: key?.value, cell: cell?.value, file, state })
}

/// The endpoints this version can use; at least one, or nothing.
pub(crate) fn endpoints(section: &Section<'_>, notes: &mut Notes) -> Option<Vec<Endpoint>> {
    let mut endpoints: Vec<Endpoint> = Vec::new();
    let noted_before = notes.error_count();
    for Placed { value: endpoint, span } in section.list("endpoints", notes, value::endpoint)? {
        if endpoint.scheme != Scheme::Udp {
            notes.warning(&span, format!("endpoint {endpoint} is skipped"), crate::UDP_ONLY);
        } else if endpoints.contains(&endpoint) {
            notes.error(&span, format!("{endpoint} is listed twice"));
        } else {
            endpoints.push(endpoint);
        }
    }
    if endpoints.is_empty() && notes.error_count() == noted_before {
        let span = section.value("endpoints")?.span();
        notes.error_hint(&span, "no endpoint is left", "add one like \"udp://192.0.2.10:4747\"");
    }
    (!endpoints.is_empty()).then_some(endpoints)
}

fn routes(section: &Section<'_>, notes: &mut Notes) -> RoutesConfig {
    let networks = section.list("allowed_ips", notes, value::network).unwrap_or_default();
    for Placed { value: network, span } in networks.iter().filter(|net| net.value != net.value.trunc()) {
        let message = format!("{network} has bits behind its prefix; {} is meant", network.trunc());
        notes.warning(span, message, format!("write \"{}\"", network.trunc()));
    }
    let mut allowed_ips: Vec<IpNet> = networks.iter().map(|network| network.value.trunc()).collect();
    allowed_ips.sort();
    allowed_ips.dedup();
    let dns = section.list("dns", notes, value::address).unwrap_or_default();
    if let Some(first) = dns.first() {
        notes.warning(&first.span, "name servers are not set up by this version", "set them by hand");
    }
    RoutesConfig {
        allowed_ips,
        dns: dns.into_iter().map(|address| address.value).collect(),
        kill_switch: section.flag("kill_switch", notes).unwrap_or(false),
        mtu: section.auto_or_number("mtu", MTU_MIN, MTU_MAX, notes),
    }
}
