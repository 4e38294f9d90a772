//! Everything a tunnel puts on this machine: applied as one transaction, removed without a trace.
//!
//! # Who owns what
//! Several tunnels can live on one machine, and a killed one leaves things behind. So nothing is remembered in files;
//! what is in the kernel tells by itself whose it is:
//! - addresses and routes belong to the interface they lead into, and vanish with it;
//! - a default route stands in a table of its own, number [`TUNNEL_MARK`](crate::TUNNEL_MARK) plus a slot, found by two rules whose
//!   priority follows from the slot. A tunnel takes the first free slot. A slot whose rules look up an empty table is
//!   dead (its interface is gone) and is cleared by whoever comes next;
//! - the packet filter's chains bear the name of the interface (see [`firewall`]).

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::firewall::State;
use crate::sysctl::Switch;
use crate::{Family, HostError, Link, Network, RouteSpec, firewall, lock, nft, slot, sysctl};

/// Smallest MTU with which the kernel runs IPv6 on an interface (RFC 8200 section 5).
const IPV6_MIN_MTU: u32 = 1280;

/// What a tunnel needs. It can be written and read as text, for a process that does this for another one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TunnelSpec {
    /// Name of the interface, which exists already: letters, digits, `_`, `.` and `-`.
    pub ifname: String,
    /// Inner addresses, each with the prefix that is reached directly.
    pub addresses: Vec<IpNet>,
    /// Largest inner packet in bytes.
    pub mtu: u32,
    /// What goes through the tunnel. A default route is installed beside the machine's own one, by policy routing:
    /// more specific routes of the main table win, and so does everything marked with [`TUNNEL_MARK`](crate::TUNNEL_MARK).
    pub routes: Vec<IpNet>,
    /// Let nothing leave this machine but through the tunnel, also after a crash of the program.
    pub kill_switch: bool,
    /// Translate what comes out of the tunnel to the machine's own address.
    pub nat: Option<NatSpec>,
    /// Let this machine forward packets, of the IP versions of `addresses`.
    pub forward: bool,
    /// Let nothing pass the interface but while its heart beats ([`DeadMan`](crate::DeadMan)); it does not at first.
    #[serde(default)]
    pub dead_man: bool,
    /// Several uplinks are used side by side: accept answers over each of them (sets a strict reverse-path filter to
    /// loose, where there is one).
    pub loose_reverse_path: bool,
}

/// Source address translation for a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NatSpec {
    /// Inner prefixes whose packets are translated.
    pub sources: Vec<IpNet>,
    /// Outgoing interface; any but the tunnel when absent.
    pub out_interface: Option<String>,
    /// Answer TCP connections that were translated elsewhere before with a reset, so that programs connect anew at once
    /// instead of waiting for minutes. For gateways whose sessions come from others.
    #[serde(default)]
    pub reset_unknown: bool,
}

/// What a tunnel has put on this machine; dropping it removes it (errors are then lost).
///
/// Drop it before the device, and on the thread (or at least in the network namespace) it was applied in. To replace a
/// spec without a gap in the kill switch, forget the old value (`std::mem::forget`) and apply the new spec.
#[derive(Debug)]
pub struct TunnelNetwork {
    ifname: String,
    /// The interface as it was found.
    found: Link,
    warnings: Vec<String>,
    removed: bool,
}

impl TunnelNetwork {
    /// Puts everything in place, or nothing. Leftovers of an earlier run are removed first; a kill switch that is
    /// still wanted stays closed meanwhile.
    ///
    /// # Errors
    /// The first thing that failed; what was done before is undone. A kill switch that was closed before and is still
    /// wanted stays closed then, until [`TunnelNetwork::sweep`].
    pub fn apply(spec: &TunnelSpec) -> Result<TunnelNetwork, HostError> {
        check(spec)?;
        let _lock = lock::take();
        let mut network = Network::open()?;
        let found = network.link(&spec.ifname)?;
        clear_interface(&mut network, &found)?;
        let stays_closed = spec.kill_switch && State::load()?.is_closed(&spec.ifname);
        sweep_shared(&mut network, &spec.ifname, !spec.kill_switch)?;
        let mut applied =
            TunnelNetwork { ifname: spec.ifname.clone(), found, warnings: Vec::new(), removed: false };
        // First what keeps packets in, then what lets them out.
        let result = applied
            .install_firewall(spec)
            .and_then(|()| applied.configure_interface(&mut network, spec))
            .and_then(|()| install_routes(&mut network, applied.found.index, &spec.routes));
        match result {
            Ok(()) => Ok(applied),
            Err(error) => {
                applied.take_away(&mut network, !stays_closed).ok(); // the first error is the one that explains
                applied.removed = true;
                Err(error)
            }
        }
    }

    /// What could not be done but is not fatal, one sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Takes everything away; what is gone already is no error.
    ///
    /// # Errors
    /// The first thing that failed, after everything was tried.
    pub fn remove(mut self) -> Result<(), HostError> {
        self.removed = true;
        let _lock = lock::take();
        self.take_away(&mut Network::open()?, true)
    }

    /// Removes what an earlier run with this interface name left behind, its kill switch included; nothing of other
    /// living tunnels.
    ///
    /// # Errors
    /// `Exists` when the interface is there and a program is behind it: that run is not over.
    pub fn sweep(ifname: &str) -> Result<(), HostError> {
        check_name(ifname)?;
        let _lock = lock::take();
        let mut network = Network::open()?;
        if let Some(link) = network.snapshot()?.link_named(ifname) {
            // A TUN device has a carrier exactly while a program has it open.
            if link.kind != "tun" || link.carrier {
                return Err(HostError::Exists { action: format!("clean up after {ifname} (it is in use)") });
            }
            network.delete_link(link.index)?;
        }
        sweep_shared(&mut network, ifname, true)
    }

    fn install_firewall(&mut self, spec: &TunnelSpec) -> Result<(), HostError> {
        let switches = switches_to_turn(spec)?;
        let guard = spec.routes.iter().any(|route| route.prefix_len() == 0);
        if !(guard || spec.kill_switch || spec.dead_man || spec.nat.is_some() || !switches.is_empty()) {
            return Ok(());
        }
        let script = firewall::script(spec, guard, &switches);
        match nft::apply(&script, "set up the packet filter of the tunnel") {
            Err(HostError::NftMissing { .. })
                if !(spec.kill_switch || spec.dead_man || spec.nat.is_some() || spec.forward) =>
            {
                self.warn_without_nft(guard, !switches.is_empty());
                return Ok(());
            }
            result => result?,
        }
        // Recorded first, then turned: a crash in between leaves a record that restores the same value.
        switches.iter().try_for_each(|(switch, _)| sysctl::set(switch.key(), switch.wanted()))
    }

    fn warn_without_nft(&mut self, guard: bool, reverse_path: bool) {
        if guard {
            let text = "the package `nftables` is not installed: neighbours on an uplink can send packets to the \
                        inner addresses of the tunnel";
            self.warnings.push(text.to_owned());
        }
        if reverse_path {
            let text = "the kernel drops answers over all uplinks but the best one (net.ipv4.conf.*.rp_filter is \
                        1); set net.ipv4.conf.all.rp_filter to 2, or install the package `nftables`";
            self.warnings.push(text.to_owned());
        }
    }

    fn configure_interface(&mut self, network: &mut Network, spec: &TunnelSpec) -> Result<(), HostError> {
        let index = self.found.index;
        // 1: no link-local address, so no router solicitations into the tunnel. Cosmetic, so no error without IPv6,
        // and not turned back: that would make the kernel invent an address at once.
        sysctl::write(&format!("net/ipv6/conf/{}/addr_gen_mode", spec.ifname), "1").ok();
        network.set_mtu(index, spec.mtu)?;
        for address in &spec.addresses {
            network.add_address(index, *address)?;
        }
        network.set_link_up(index)
    }

    /// Undoes everything, in reverse order; goes on after an error and returns the first.
    fn take_away(&mut self, network: &mut Network, kill_switch_too: bool) -> Result<(), HostError> {
        let (index, found) = (self.found.index, &self.found);
        let still_there = network.snapshot()?.link(index).is_some_and(|link| link.name == self.ifname);
        let mut results = Vec::new();
        if still_there {
            results.push(clear_interface(network, found));
            if !found.admin_up {
                results.push(network.set_link_down(index));
            }
            results.push(network.set_mtu(index, found.mtu));
        }
        results.push(sweep_shared(network, &self.ifname, kill_switch_too));
        results.into_iter().collect()
    }
}

impl Drop for TunnelNetwork {
    fn drop(&mut self) {
        if !self.removed {
            let _lock = lock::take();
            if let Ok(mut network) = Network::open() {
                self.take_away(&mut network, true).ok(); // nobody is left to tell; the next start sweeps
            }
        }
    }
}

/// Removes addresses, routes and rules of an interface, so that it is as bare as a new one.
fn clear_interface(network: &mut Network, link: &Link) -> Result<(), HostError> {
    let routes = network.routes()?;
    for route in routes.iter().filter(|route| route.oif == Some(link.index)) {
        match network.delete_route(route) {
            Ok(()) | Err(HostError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    network.flush_addresses(link.index)
}

/// Removes what a tunnel put where tunnels meet: rules of dead slots, kernel switches, the packet filter's chains.
fn sweep_shared(network: &mut Network, ifname: &str, kill_switch_too: bool) -> Result<(), HostError> {
    slot::clear_dead(network)?;
    let state = State::load()?;
    for (switch, before) in state.switches_to_restore(ifname) {
        // If somebody else set it to a third value since, that value is theirs.
        if sysctl::read(switch.key()).is_ok_and(|value| value == switch.wanted()) {
            sysctl::set(switch.key(), &before)?;
        }
    }
    match state.removal(ifname, kill_switch_too) {
        Some(script) => nft::apply(&script, "clear the packet filter of the tunnel"),
        None => Ok(()),
    }
}

fn install_routes(network: &mut Network, index: u32, routes: &[IpNet]) -> Result<(), HostError> {
    let present = network.routes()?;
    for destination in routes.iter().map(IpNet::trunc).filter(|route| route.prefix_len() > 0) {
        let route = RouteSpec::into_link(destination, index, crate::routing::MAIN_TABLE);
        // The prefix of an inner address brings its own route.
        let same = |other: &&RouteSpec| {
            other.destination == destination && other.table == route.table && other.oif == route.oif
        };
        if !present.iter().any(|other| same(&other)) {
            network.add_route(&route)?;
        }
    }
    let defaults: Vec<Family> = Family::BOTH
        .into_iter()
        .filter(|family| {
            routes.iter().any(|route| route.prefix_len() == 0 && Family::of(route.addr()) == *family)
        })
        .collect();
    slot::install(network, index, &defaults)
}

/// The switches that have to be turned or are held by another tunnel already, each with the value before.
fn switches_to_turn(spec: &TunnelSpec) -> Result<Vec<(Switch, String)>, HostError> {
    let wanted = wanted_switches(spec);
    let mut found = Vec::new();
    if wanted.is_empty() {
        return Ok(found);
    }
    let state = State::load()?;
    for switch in wanted {
        let satisfied =
            switch.is_satisfied().map_err(HostError::io(format!("read /proc/sys/{}", switch.key())))?;
        if state.is_recorded(switch) || !satisfied {
            found.push((switch, firewall::value_before(&state, switch)?));
        }
    }
    Ok(found)
}

fn wanted_switches(spec: &TunnelSpec) -> Vec<Switch> {
    let has = |family| spec.addresses.iter().any(|address| Family::of(address.addr()) == family);
    let mut switches = Vec::new();
    if spec.forward && has(Family::V4) {
        switches.push(Switch::Ipv4Forward);
    }
    if spec.forward && has(Family::V6) {
        switches.push(Switch::Ipv6Forward);
    }
    if spec.loose_reverse_path {
        switches.push(Switch::LooseReversePath);
    }
    switches
}

fn check(spec: &TunnelSpec) -> Result<(), HostError> {
    check_name(&spec.ifname)?;
    let out_interface = spec.nat.as_ref().and_then(|nat| nat.out_interface.as_deref());
    out_interface.map_or(Ok(()), check_name)?;
    let ipv6 = |net: &IpNet| matches!(net.addr(), IpAddr::V6(_));
    if spec.mtu < IPV6_MIN_MTU && spec.addresses.iter().chain(&spec.routes).any(ipv6) {
        return Err(HostError::Invalid(format!(
            "an MTU of {} is too small for IPv6, which needs {IPV6_MIN_MTU}: raise `mtu` or leave out the IPv6 \
             addresses and routes",
            spec.mtu
        )));
    }
    Ok(())
}

/// Names go into a script of the packet filter and into paths, so only harmless ones are taken.
pub(crate) fn check_name(ifname: &str) -> Result<(), HostError> {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    // 15: IFNAMSIZ without the terminating zero.
    let sound = (1..=15).contains(&ifname.len())
        && ifname.bytes().all(harmless)
        && ifname.starts_with(|first: char| first.is_ascii_alphanumeric());
    let text =
        || format!("{ifname:?} cannot be an interface name: use up to 15 letters, digits, `_`, `.` and `-`");
    if sound { Ok(()) } else { Err(HostError::Invalid(text())) }
}

#[cfg(test)]
mod tests;
