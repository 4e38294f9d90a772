//! What tunnels put into the packet filter: one table, `inet jumpvpn`, shared by all tunnels of the machine.
//!
//! Each tunnel has its own chains, which bear the name of its interface. Sets are shared and hold interface names:
//! `tunnels` (what the kill switches let out), and one for each kernel switch that was turned (see [`Switch`]). So the
//! table alone tells what belongs to whom, also after a crash, and removing one tunnel leaves the others as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use ipnet::IpNet;

use crate::dead_man::stop_script;
use crate::sysctl::{self, Switch};
use crate::{HostError, TUNNEL_MARK, TunnelSpec, nft};

/// The table of all tunnels.
const TABLE: &str = "jumpvpn";
/// The set of interfaces that kill switches let traffic out of.
const TUNNELS: &str = "tunnels";

/// The set of interfaces whose heart beats: each element vanishes by itself ([`DeadMan`](crate::DeadMan)).
const BEATING: &str = "beating";

const BEATS: [&str; 3] = ["beat_input_", "beat_forward_", "beat_output_"];
const KILL_OUTPUT: &str = "kill_output_";
const KILL_FORWARD: &str = "kill_forward_";
const GUARD: &str = "guard_";
const NAT: &str = "nat_";
const RESET: &str = "reset_";

/// What the table holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    chains: BTreeSet<String>,
    sets: BTreeMap<String, BTreeSet<String>>,
}

impl State {
    /// Reads the table; empty when there is none, or no `nft` that could have made one.
    pub fn load() -> Result<State, HostError> {
        match nft::list_table(TABLE) {
            Ok(text) => Ok(State::parse(&text.unwrap_or_default())),
            Err(HostError::NftMissing { .. }) => Ok(State::default()),
            Err(error) => Err(error),
        }
    }

    /// Finds the names of chains and sets, and the elements of sets, in what `nft list table` prints.
    fn parse(text: &str) -> State {
        let mut state = State::default();
        let mut set = String::new();
        let mut in_elements = false;
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("chain"), Some(name)) => {
                    state.chains.insert(name.to_owned());
                }
                (Some("set"), Some(name)) => {
                    name.clone_into(&mut set);
                    state.sets.entry(set.clone()).or_default();
                }
                (Some("elements"), _) => in_elements = true,
                _ => {}
            }
            if in_elements {
                // Elements are quoted interface names, which hold no quotes.
                let names = line.split('"').skip(1).step_by(2).map(str::to_owned);
                state.sets.entry(set.clone()).or_default().extend(names);
                in_elements = !line.contains('}');
            }
        }
        state
    }

    /// The sets of a kernel switch, each with the value before.
    fn sets_of(&self, switch: Switch) -> impl Iterator<Item = (&str, &BTreeSet<String>)> {
        self.sets.iter().filter_map(move |(name, elements)| {
            name.strip_prefix(switch.set_prefix()).map(|before| (before, elements))
        })
    }

    /// Whether the kill switch of a tunnel is closed.
    pub fn is_closed(&self, ifname: &str) -> bool {
        self.chains.contains(&format!("{KILL_OUTPUT}{ifname}"))
    }

    fn has_beats(&self, ifname: &str) -> bool {
        BEATS.iter().any(|prefix| self.chains.contains(&format!("{prefix}{ifname}")))
    }

    /// Whether some tunnel turned the switch.
    pub fn is_recorded(&self, switch: Switch) -> bool {
        self.sets_of(switch).next().is_some()
    }

    /// Which switches are to be turned back when this tunnel goes, and to what.
    pub fn switches_to_restore(&self, ifname: &str) -> Vec<(Switch, String)> {
        let mut found = Vec::new();
        for switch in Switch::ALL {
            for (before, elements) in self.sets_of(switch) {
                if elements.len() == 1 && elements.contains(ifname) {
                    found.push((switch, before.to_owned()));
                }
            }
        }
        found
    }

    /// The script that removes what belongs to a tunnel, its kill switch only if asked; none if there is nothing.
    pub fn removal(&self, ifname: &str, kill_switch_too: bool) -> Option<String> {
        let mut left = self.clone();
        let mut script = String::new();
        let kill: &[&str] = if kill_switch_too { &[KILL_OUTPUT, KILL_FORWARD] } else { &[] };
        let prefixes = kill.iter().chain(&[GUARD, NAT, RESET]).chain(&BEATS);
        for chain in prefixes.map(|prefix| format!("{prefix}{ifname}")) {
            if left.chains.remove(&chain) {
                line(&mut script, &format!("flush chain inet {TABLE} {chain}"));
                line(&mut script, &format!("delete chain inet {TABLE} {chain}"));
            }
        }
        if self.has_beats(ifname) {
            // It may vanish at any moment, so it has to be there to be deleted.
            script.push_str(&stop_script(&beating(), ifname));
            if !left.chains.iter().any(|chain| BEATS.iter().any(|prefix| chain.starts_with(prefix))) {
                line(&mut script, &format!("delete set inet {TABLE} {BEATING}"));
                left.sets.remove(BEATING);
            }
        }
        for (set, elements) in self.sets.iter().filter(|(set, _)| *set != BEATING) {
            if !elements.contains(ifname) || (set == TUNNELS && !kill_switch_too) {
                continue;
            }
            line(&mut script, &format!("delete element inet {TABLE} {set} {{ \"{ifname}\" }}"));
            if elements.len() == 1 {
                line(&mut script, &format!("delete set inet {TABLE} {set}"));
                left.sets.remove(set);
            }
        }
        if left == State::default() && *self != left {
            script = format!("delete table inet {TABLE}\n");
        }
        (!script.is_empty()).then_some(script)
    }
}

/// The script that installs what a tunnel needs, replacing its chains of an earlier run without a gap.
///
/// `switches`: those to record, with the value before. `guard`: whether to install [`push_guard`].
pub fn script(spec: &TunnelSpec, guard: bool, switches: &[(Switch, String)]) -> String {
    let mut script = String::new();
    let ifname = &spec.ifname;
    line(&mut script, &format!("add table inet {TABLE}"));
    for (switch, before) in switches {
        push_element(&mut script, &format!("{}{before}", switch.set_prefix()), ifname);
    }
    if spec.kill_switch {
        push_kill_switch(&mut script, ifname);
    }
    if spec.dead_man {
        push_dead_man(&mut script, ifname);
    }
    if guard {
        push_guard(&mut script, spec);
    }
    if let Some(nat) = &spec.nat {
        let out = match &nat.out_interface {
            Some(out) => format!("oifname \"{out}\""),
            None => format!("oifname != \"{ifname}\""),
        };
        let mut rules = Vec::new();
        for source in &nat.sources {
            rules.push(format!("{} saddr {} {out} masquerade", version(source), source.trunc()));
        }
        push_chain(&mut script, NAT, ifname, "type nat hook postrouting priority srcnat;", &rules);
        if nat.reset_unknown {
            push_reset(&mut script, ifname);
        }
    }
    script
}

/// The value before that is already recorded for a switch some tunnel turned, or the present one.
pub fn value_before(state: &State, switch: Switch) -> Result<String, HostError> {
    if let Some((before, _)) = state.sets_of(switch).next() {
        return Ok(before.to_owned());
    }
    sysctl::read(switch.key()).map_err(HostError::io(format!("read /proc/sys/{}", switch.key())))
}

/// Nothing leaves but through tunnels and from the tunnels' own sockets, for our own packets and forwarded ones.
///
/// Also let out is what a link needs to come up at all: DHCP (RFC 2131, RFC 8415), neighbour and
/// router discovery (RFC 4861, hop limit 255) and multicast listener reports, without which switches drop the former.
/// Programs are told at once (ICMP "administratively prohibited") instead of running into timeouts.
fn push_kill_switch(script: &mut String, ifname: &str) {
    push_element(script, TUNNELS, ifname);
    let tunnels = format!("oifname @{TUNNELS} accept");
    let mark = format!("meta mark {TUNNEL_MARK:#x} accept");
    let output = [
        "oifname \"lo\" accept",
        &tunnels,
        &mark,
        "udp sport 68 udp dport 67 accept",
        "ip6 daddr { fe80::/10, ff02::1:2 } udp sport 546 udp dport 547 accept",
        "ip6 hoplimit 255 icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } accept",
        "ip6 daddr ff02::/16 icmpv6 type { mld-listener-report, mld-listener-done, mld2-listener-report } accept",
        "reject with icmpx admin-prohibited",
    ];
    let hook = "type filter hook output priority filter; policy drop;";
    push_chain(script, KILL_OUTPUT, ifname, hook, &output.map(str::to_owned));
    let forward = [tunnels.clone(), format!("iifname @{TUNNELS} accept")];
    push_chain(
        script,
        KILL_FORWARD,
        ifname,
        "type filter hook forward priority filter; policy drop;",
        &forward,
    );
}

/// A TCP packet out of the tunnel that begins nothing and belongs to nothing we know is of a connection that another gateway
/// translated: its far end would never hear of it again under our address. The client is told at once.
///
/// It is taken for new by connection tracking (which picks connections up in the middle), so looking at its flags
/// does what turning that off for the whole machine would do.
fn push_reset(script: &mut String, ifname: &str) {
    let rule = format!(
        "iifname \"{ifname}\" ct state new tcp flags & (fin | syn | rst | ack) != syn reject with tcp reset"
    );
    push_chain(script, RESET, ifname, "type filter hook forward priority filter;", &[rule]);
}

/// The set of [`BEATING`] with its table.
pub fn beating() -> String {
    format!("inet {TABLE} {BEATING}")
}

/// Nothing passes the tunnel's interface, in or out, while its heart does not beat.
fn push_dead_man(script: &mut String, ifname: &str) {
    line(script, &format!("add set inet {TABLE} {BEATING} {{ type ifname; flags timeout; }}"));
    let inbound = format!("iifname \"{ifname}\" iifname != @{BEATING} drop");
    let outbound = format!("oifname \"{ifname}\" oifname != @{BEATING} drop");
    let rules = [vec![inbound.clone()], vec![inbound, outbound.clone()], vec![outbound]];
    for ((prefix, hook), rules) in BEATS.into_iter().zip(["input", "forward", "output"]).zip(rules) {
        push_chain(script, prefix, ifname, &format!("type filter hook {hook} priority filter;"), &rules);
    }
}

/// Keeps the tunnel's inner addresses out of reach for the uplinks (a neighbour who guesses an inner address could
/// otherwise probe connections through it: CVE-2019-14899), and spoofed sources out of the tunnel.
fn push_guard(script: &mut String, spec: &TunnelSpec) {
    let ifname = &spec.ifname;
    let mut rules = vec![format!("iifname \"{ifname}\" fib saddr . iif oif missing drop")];
    for address in &spec.addresses {
        rules.push(format!(
            "iifname != \"{ifname}\" {} daddr {} fib saddr type != local drop",
            version(address),
            address.addr()
        ));
    }
    push_chain(script, GUARD, ifname, "type filter hook prerouting priority raw;", &rules);
}

fn push_chain(script: &mut String, prefix: &str, ifname: &str, hook: &str, rules: &[String]) {
    let chain = format!("inet {TABLE} {prefix}{ifname}");
    line(script, &format!("add chain {chain} {{ {hook} }}"));
    line(script, &format!("flush chain {chain}"));
    for rule in rules {
        line(script, &format!("add rule {chain} {rule}"));
    }
}

fn push_element(script: &mut String, set: &str, ifname: &str) {
    line(script, &format!("add set inet {TABLE} {set} {{ type ifname; }}"));
    line(script, &format!("add element inet {TABLE} {set} {{ \"{ifname}\" }}"));
}

fn version(net: &IpNet) -> &'static str {
    if net.addr().is_ipv4() { "ip" } else { "ip6" }
}

fn line(script: &mut String, text: &str) {
    // invariant: writing to a String cannot fail
    writeln!(script, "{text}").unwrap_or_default();
}

#[cfg(test)]
mod tests;
