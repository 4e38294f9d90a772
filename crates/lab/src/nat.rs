//! A home router's or carrier's NAT, as a pure machine: endpoint-independent mapping, address-dependent filtering
//! (RFC 4787), UDP, TCP and ICMP echo over IPv4, and the fault that matters here: it forgets its mappings.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::packet::{self, Ipv4View};

/// External ports come from here up, as carriers' NATs do it (RFC 6056 section 3.2 names 1024 to 65535).
const FIRST_PORT: u16 = 1024;
/// More mappings than this are refused: a router's table is finite, and a leak in a test must show.
const MAX_MAPPING_COUNT: usize = 4096;

/// One router.
#[derive(Debug)]
pub struct Nat {
    public: Ipv4Addr,
    lan: Ipv4Net,
    random: ChaCha8Rng,
    by_inside: BTreeMap<Inside, u16>,
    by_outside: BTreeMap<(u8, u16), Mapping>,
}

/// Protocol, address and port (or echo identifier) of a host behind the router.
type Inside = (u8, Ipv4Addr, u16);

#[derive(Debug)]
struct Mapping {
    inside: Inside,
    /// Only these may answer.
    spoken_to: BTreeSet<Ipv4Addr>,
}

impl Nat {
    /// A router with this public address for the hosts of `lan`, and for no others (RFC 2827); equal seeds give equal
    /// ports.
    #[must_use]
    pub fn new(public: Ipv4Addr, lan: Ipv4Net, seed: u64) -> Nat {
        Nat {
            public,
            lan,
            random: ChaCha8Rng::seed_from_u64(seed),
            by_inside: BTreeMap::new(),
            by_outside: BTreeMap::new(),
        }
    }

    /// Rewrites a packet on its way out; false means it is dropped.
    #[must_use]
    pub fn translate_out(&mut self, packet: &mut [u8]) -> bool {
        let Some((view, port_at)) = self.translatable(packet, Side::Inside) else { return false };
        if !self.lan.contains(&view.source) {
            return false;
        }
        let Some(port) = packet::word(packet, port_at) else { return false };
        let inside = (view.protocol, view.source, port);
        let Some(outside) = self.outside_port(inside) else { return false };
        if let Some(mapping) = self.by_outside.get_mut(&(view.protocol, outside)) {
            mapping.spoken_to.insert(view.destination);
        }
        rewrite(packet, &view, SOURCE_AT, self.public, port_at, outside);
        true
    }

    /// Rewrites a packet on its way in; false means nobody asked for it and it is dropped.
    #[must_use]
    pub fn translate_in(&mut self, packet: &mut [u8]) -> bool {
        let Some((view, port_at)) = self.translatable(packet, Side::Outside) else { return false };
        let Some(port) = packet::word(packet, port_at) else { return false };
        let Some(mapping) = self.by_outside.get(&(view.protocol, port)) else { return false };
        if view.destination != self.public || !mapping.spoken_to.contains(&view.source) {
            return false;
        }
        let (_, address, inside_port) = mapping.inside;
        rewrite(packet, &view, DESTINATION_AT, address, port_at, inside_port);
        true
    }

    /// Forgets every mapping: what comes from outside is dropped, and what goes out gets new ports.
    pub fn rebind(&mut self) {
        self.by_inside.clear();
        self.by_outside.clear();
    }

    /// How many mappings there are.
    #[must_use]
    pub fn mapping_count(&self) -> usize {
        self.by_inside.len()
    }

    /// Where the port to translate is, if this packet can be translated at all.
    fn translatable(&self, packet: &[u8], side: Side) -> Option<(Ipv4View, usize)> {
        let view = Ipv4View::of(packet)?;
        if view.later_fragment {
            return None;
        }
        let offset = match (view.protocol, side) {
            (packet::TCP | packet::UDP, Side::Inside) => 0,
            (packet::TCP | packet::UDP, Side::Outside) => 2,
            (packet::ICMP, _) => {
                let kind = *packet.get(view.header_len)?;
                let echo = if matches!(side, Side::Inside) { ICMP_ECHO } else { ICMP_ECHO_REPLY };
                if kind != echo {
                    return None;
                }
                4
            }
            _ => return None,
        };
        Some((view, view.header_len + offset))
    }

    fn outside_port(&mut self, inside: Inside) -> Option<u16> {
        if let Some(port) = self.by_inside.get(&inside) {
            return Some(*port);
        }
        if self.by_inside.len() >= MAX_MAPPING_COUNT {
            return None;
        }
        let port = loop {
            let candidate = FIRST_PORT + (self.random.next_u32() % u32::from(u16::MAX - FIRST_PORT)) as u16;
            if !self.by_outside.contains_key(&(inside.0, candidate)) {
                break candidate;
            }
        };
        self.by_inside.insert(inside, port);
        self.by_outside.insert((inside.0, port), Mapping { inside, spoken_to: BTreeSet::new() });
        Some(port)
    }
}

#[derive(Clone, Copy)]
enum Side {
    Inside,
    Outside,
}

/// ICMP types (RFC 792).
const ICMP_ECHO: u8 = 8;
const ICMP_ECHO_REPLY: u8 = 0;
/// Offsets in the IPv4 header (RFC 791 section 3.1).
const CHECKSUM_AT: usize = 10;
const SOURCE_AT: usize = 12;
const DESTINATION_AT: usize = 16;

fn rewrite(
    packet: &mut [u8],
    view: &Ipv4View,
    address_at: usize,
    address: Ipv4Addr,
    port_at: usize,
    port: u16,
) {
    let transport_checksum_at = transport_checksum(packet, view);
    let octets = address.octets();
    for (index, new) in [[octets[0], octets[1]], [octets[2], octets[3]]].into_iter().enumerate() {
        let at = address_at + 2 * index;
        let Some(old) = packet::word(packet, at) else { return };
        let new = u16::from_be_bytes(new);
        packet::replace_word(packet, at, new, Some(CHECKSUM_AT));
        // The transport's checksum covers the addresses too (pseudo header); ICMP's does not.
        if view.protocol != packet::ICMP
            && let Some(checksum_at) = transport_checksum_at
        {
            mend(packet, checksum_at, old, new);
        }
    }
    packet::replace_word(packet, port_at, port, transport_checksum_at);
}

/// Where the transport's checksum is; none when UDP goes without (RFC 768).
fn transport_checksum(packet: &[u8], view: &Ipv4View) -> Option<usize> {
    let at = view.header_len
        + match view.protocol {
            packet::TCP => 16,
            packet::UDP => 6,
            _ => 2,
        };
    let checksum = packet::word(packet, at)?;
    (view.protocol != packet::UDP || checksum != 0).then_some(at)
}

/// Mends a checksum for a word that changed elsewhere.
fn mend(packet: &mut [u8], checksum_at: usize, old: u16, new: u16) {
    let mut pair = [0u8; 4];
    pair[..2].copy_from_slice(&old.to_be_bytes());
    pair[2..].copy_from_slice(&packet[checksum_at..checksum_at + 2]);
    packet::replace_word(&mut pair, 0, new, Some(2));
    packet[checksum_at..checksum_at + 2].copy_from_slice(&pair[2..]);
}

#[cfg(test)]
mod tests;
