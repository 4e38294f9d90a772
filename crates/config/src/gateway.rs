//! A gateway's file: the validated types, and how they come from the tables.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;

use ipnet::IpNet;
use jumpvpn_policy::Policy;

use crate::context::{Context, Source};
use crate::key::{KEY_LEN, SecretKey};
use crate::keys::{MTU_MAX, MTU_MIN, SESSIONS_MAX};
use crate::reader::{Placed, Section};
use crate::report::Notes;
use crate::store::{self, StoreConfig};
use crate::value::{self, Sandbox, Scheme};
use crate::{key, pool};

/// Preset of a gateway that names no policy.
const DEFAULT_POLICY: &str = "laptop";

/// A validated file of a gateway.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// Its static private key.
    pub private_key: SecretKey,
    /// UDP sockets to listen on; at least one.
    pub listen: Vec<SocketAddr>,
    /// Name of the tunnel's interface.
    pub interface: String,
    /// Inner addresses with their networks; at least one, at most one per family.
    pub address: Vec<IpNet>,
    /// Path of the control socket.
    pub control_socket: PathBuf,
    /// File for the event log.
    pub events: Option<PathBuf>,
    /// User to become.
    pub user: Option<String>,
    /// What is given up after the start.
    pub sandbox: Sandbox,
    /// What sessions may do.
    pub policy: Policy,
    /// Preset the policy came from; its keys may have been changed since.
    pub policy_name: String,
    /// Whether peers reach other networks behind the gateway's own address.
    pub nat: bool,
    /// Interface through which `nat` leads; the default route's if none is named.
    pub uplink: Option<String>,
    /// Interface whose neighbours are told where sessions are.
    pub flat_site: Option<String>,
    /// Largest inner packet in bytes; to be found out if none is named.
    pub mtu: Option<u16>,
    /// Most sessions at once; to be chosen by the number of peers if none is named.
    pub sessions_max: Option<u32>,
    /// Where ownership is kept.
    pub store: StoreConfig,
    /// File with the signed list that agents are offered.
    pub list: Option<PathBuf>,
    /// Agents that may connect; names, keys and inner addresses are unique.
    pub peers: Vec<Peer>,
}

/// What of a gateway's file can be known without a key.
#[derive(Clone, Debug)]
pub struct GatewayStore {
    /// User to become.
    pub user: Option<String>,
    /// Where ownership is kept; without the key that seals what is there.
    pub store: StoreConfig,
}

/// An agent that may connect.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its name in status and events.
    pub name: String,
    /// Its static public key.
    pub public_key: [u8; KEY_LEN],
    /// A key shared with it alone.
    pub preshared_key: Option<SecretKey>,
    /// Its inner addresses, from the gateway's networks; at least one, at most one per family.
    pub inner: Vec<IpAddr>,
}

/// A peer as it stands in the file, its addresses perhaps still to be chosen.
struct RawPeer {
    name: Option<Placed<String>>,
    public_key: Option<Placed<[u8; KEY_LEN]>>,
    preshared_key: Option<SecretKey>,
    inner: Option<Vec<Placed<IpAddr>>>,
    span: Range<usize>,
}

/// Reads a gateway's file; nothing if it is unusable, which is then noted.
pub(crate) fn read(source: &Source<'_>, notes: &mut Notes) -> Option<GatewayConfig> {
    let context = Context::new(source, &crate::keys::GATEWAY, notes);
    let gateway = context.only("gateway")?;
    let private_key = context.key_file(gateway, "private_key_file", notes);
    let listen = listeners(gateway, notes);
    let address = inner_networks(gateway, notes);
    let (policy, policy_name) = context.policy(gateway, DEFAULT_POLICY, notes);
    let nat = gateway.flag("nat", notes).unwrap_or(false);
    let uplink = gateway.text("uplink", notes, value::interface);
    if let (Some(uplink), false) = (&uplink, nat) {
        notes.warning(
            &uplink.span,
            "`uplink` without `nat = true` does nothing",
            "add nat = true, or remove it",
        );
    }
    let flat_site = gateway.text("flat_site", notes, value::interface);
    if context.sections("peer").is_empty() {
        notes.warning(&gateway.span, "no agent may connect", "add a table [[peer]] for each");
    }
    let peers = context.sections("peer").iter().map(|peer| raw_peer(&context, peer, notes)).collect();
    let peers = peers_with_addresses(peers, &address, notes);
    let interface = context.interface(gateway, notes);
    let store = store::read(&context, &interface, notes);
    if let (Some(site), Some(StoreConfig::Memory)) = (&flat_site, &store) {
        // There the inner addresses are not followed one by one.
        notes.error_hint(
            &site.span,
            "`flat_site` does nothing with a store in memory",
            "add [store] with kind = \"embedded\" or \"etcd\"",
        );
    }
    let control_socket = context.control_socket(gateway, notes);
    let events = context.path(gateway, "events", notes);
    let user = gateway.text("user", notes, value::user).map(|user| user.value);
    let sandbox = gateway.text("sandbox", notes, value::sandbox).map_or(Sandbox::On, |sandbox| sandbox.value);
    let mtu = gateway.auto_or_number("mtu", MTU_MIN, MTU_MAX, notes);
    let list = context.path(gateway, "list", notes);
    let sessions_max = gateway.auto_or_count("sessions_max", 1, SESSIONS_MAX, notes);
    // Everything has been looked at and noted; only now may a missing part end the reading.
    Some(GatewayConfig {
        private_key: private_key?,
        listen: listen?,
        interface,
        address,
        control_socket: control_socket?,
        events,
        user,
        sandbox,
        policy,
        policy_name,
        nat,
        uplink: uplink.map(|uplink| uplink.value),
        flat_site: flat_site.map(|site| site.value),
        mtu,
        sessions_max,
        store: store?,
        list,
        peers,
    })
}

/// Reads what [`GatewayStore`] has; nothing if that is unusable, which is then noted.
pub(crate) fn read_store(source: &Source<'_>, notes: &mut Notes) -> Option<GatewayStore> {
    if source.root.contains_key("agent") {
        notes.error(&(0..0), "this is the file of an agent");
        return None;
    }
    let context = Context::without_keys(source, &crate::keys::GATEWAY, notes);
    let gateway = context.only("gateway")?;
    let user = gateway.text("user", notes, value::user).map(|user| user.value);
    let interface = context.interface(gateway, notes);
    let store = store::read(&context, &interface, notes)?;
    Some(GatewayStore { user, store })
}

/// The listeners this version has; at least one, or nothing.
fn listeners(gateway: &Section<'_>, notes: &mut Notes) -> Option<Vec<SocketAddr>> {
    let mut listen: Vec<SocketAddr> = Vec::new();
    let noted_before = notes.error_count();
    for Placed { value: (scheme, address), span } in gateway.list("listen", notes, value::listener)? {
        if scheme != Scheme::Udp {
            let message = format!("listener {}://{address} is skipped", scheme.as_str());
            notes.warning(&span, message, crate::UDP_ONLY);
        } else if listen.contains(&address) {
            notes.error(&span, format!("udp://{address} is listed twice"));
        } else {
            listen.push(address);
        }
    }
    if listen.is_empty() && notes.error_count() == noted_before {
        let span = gateway.value("listen")?.span();
        notes.error_hint(&span, "no listener is left", "add one like \"udp://0.0.0.0:4747\"");
    }
    (!listen.is_empty()).then_some(listen)
}

/// The gateway's own inner addresses; none if one of them is wrong, so that no peer is judged by the others.
fn inner_networks(gateway: &Section<'_>, notes: &mut Notes) -> Vec<IpNet> {
    let mut networks: Vec<IpNet> = Vec::new();
    let noted_before = notes.error_count();
    let Some(listed) = gateway.list("address", notes, value::network) else { return networks };
    for Placed { value: network, span } in &listed {
        if networks.iter().any(|other| same_family(other.addr(), network.addr())) {
            notes.error(span, format!("{network}: only one address of each family is possible"));
        } else if network.prefix_len() == network.max_prefix_len() {
            let hint = format!("give the whole network, like {}/24", network.addr());
            notes.error_hint(span, format!("{network} leaves no address for a peer"), hint);
        } else if let Err(message) = pool::usable(network, network.addr()) {
            notes.error(span, message);
        } else {
            networks.push(*network);
        }
    }
    if let (true, Some(value)) = (listed.is_empty(), gateway.value("address")) {
        notes.error_hint(&value.span(), "no inner address", "add one like \"10.77.0.1/24\"");
    }
    if notes.error_count() == noted_before { networks } else { Vec::new() }
}

pub(crate) fn same_family(a: IpAddr, b: IpAddr) -> bool {
    a.is_ipv4() == b.is_ipv4()
}

fn raw_peer(context: &Context<'_>, peer: &Section<'_>, notes: &mut Notes) -> RawPeer {
    RawPeer {
        name: peer.text("name", notes, value::peer_name),
        public_key: peer.text("public_key", notes, key::public),
        preshared_key: context.key_file(peer, "preshared_key_file", notes),
        inner: peer.list("inner", notes, value::address),
        span: peer.span.clone(),
    }
}

/// Checks that nothing is given twice and every address is in a network, then gives addresses to the peers without.
fn peers_with_addresses(raw: Vec<RawPeer>, networks: &[IpNet], notes: &mut Notes) -> Vec<Peer> {
    let mut names = BTreeMap::new();
    let mut keys = BTreeMap::new();
    let mut pool = pool::Pool::new(networks);
    for peer in &raw {
        let shown = peer.name.as_ref().map_or("?", |name| &name.value);
        if let Some(name) = &peer.name {
            once(&mut names, &name.value, shown, "name", &name.span, notes);
        }
        if let Some(key) = &peer.public_key {
            once(&mut keys, &key.value, shown, "public key", &key.span, notes);
        }
        for address in peer.inner.iter().flatten() {
            if let Err(message) = pool.take(address.value, shown) {
                notes.error(&address.span, message);
            }
        }
    }
    raw.into_iter().filter_map(|peer| with_addresses(peer, &mut pool, notes)).collect()
}

/// Notes an error if `value` belongs to another peer already.
fn once<'a, T: Ord>(
    taken: &mut BTreeMap<&'a T, &'a str>,
    value: &'a T,
    peer: &'a str,
    noun: &str,
    span: &Range<usize>,
    notes: &mut Notes,
) {
    if let Some(other) = taken.insert(value, peer) {
        notes.error(span, format!("the {noun} of peer {peer} is that of peer {other} already"));
    }
}

fn with_addresses(peer: RawPeer, pool: &mut pool::Pool, notes: &mut Notes) -> Option<Peer> {
    let name = peer.name?.value;
    let inner = match peer.inner {
        Some(listed) => {
            check_families(&listed, &peer.span, notes);
            listed.into_iter().map(|address| address.value).collect()
        }
        None => pool.allot(&name).unwrap_or_else(|message| {
            notes.error(&peer.span, message);
            Vec::new()
        }),
    };
    Some(Peer { name, public_key: peer.public_key?.value, preshared_key: peer.preshared_key, inner })
}

/// One address of a family at most, and one at least.
fn check_families(listed: &[Placed<IpAddr>], span: &Range<usize>, notes: &mut Notes) {
    if listed.is_empty() {
        notes.error_hint(span, "`inner` is empty", "remove it to have an address chosen");
    }
    for (index, address) in listed.iter().enumerate() {
        if listed[..index].iter().any(|other| same_family(other.value, address.value)) {
            notes.error(&address.span, format!("{}: a peer has one address of each family", address.value));
        }
    }
}
