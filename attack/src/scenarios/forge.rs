//! Requests from addresses that are not the sender's: to make the gateway send where it must not.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use jumpvpn_lab::plan::{self, Family};
use jumpvpn_lab::story::Direction;
use jumpvpn_wire::{Cid, Kind, ObservedAddress, PathId};
use rand_core::Rng;

use crate::datagram::address;
use crate::field::Field;
use crate::rogue::Identity;
use crate::siege::Siege;
use crate::wiretap::{Fate, Seen};

/// Where a datagram shows that the gateway sent to itself or to the network behind it.
const PORT: u16 = 9;

/// Addresses that no answer may go to, whoever asks.
fn forbidden(family: Family) -> Vec<SocketAddr> {
    let mut found: Vec<IpAddr> = match family {
        Family::V4 => [
            [127, 0, 0, 1],
            [127, 9, 9, 9],
            [0, 0, 0, 0],
            [169, 254, 1, 1],
            [224, 0, 0, 1],
            [255, 255, 255, 255],
        ]
        .map(IpAddr::from)
        .to_vec(),
        // Besides what is local: addresses of IPv4 that stand for the machine itself, in the clothes of IPv6.
        Family::V6 => ["::1", "::", "fe80::1", "ff02::1", "ff0e::1", "::ffff:127.0.0.1", "::ffff:192.0.2.10"]
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect(),
    };
    let gateway = plan::gateway_of(family);
    found.push(gateway.ip());
    if family == Family::V4 {
        found.extend([plan::GATEWAY_INNER, plan::GATEWAY_LAN].map(IpAddr::V4));
    }
    let mut found: Vec<SocketAddr> = found.into_iter().map(|own| address(own, PORT)).collect();
    // The gateway as its own client: an answer to this would be a loop.
    found.push(gateway);
    found
}

/// Everything that is ever answered, from addresses of the gateway itself, of its networks, and of third parties.
pub(crate) fn sources(siege: &mut Siege<'_>) -> io::Result<()> {
    let anywhere: IpAddr = match siege.family {
        Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
    };
    let own = siege.field.world.gateway.run(|| UdpSocket::bind((anywhere, PORT)))??;
    own.set_nonblocking(true)?;
    let genuine = hold_back(siege)?;
    let seed = siege.rng.next_u64();
    let mut stranger = Identity::stranger(siege.field, seed)?;
    let mut friend = Identity::of(siege.field, 0, seed)?;
    let mut rogue = siege.rogue(1)?;
    let (ticket, cid) = rogue.ticket(PathId(1))?;
    let began = siege.field.trunk.look(<[Seen]>::len);
    let forbidden = forbidden(siege.family);
    let mut sources = forbidden.clone();
    let bystanders: Vec<SocketAddr> = (0..20).map(|_| siege.bystander()).collect();
    sources.extend(&bystanders);
    for source in &sources {
        for identity in [&mut stranger, &mut friend] {
            let (_, init) = identity.hello()?;
            siege.forge(*source, &init)?;
        }
        for datagram in &genuine {
            siege.forge(*source, datagram)?;
        }
        let probe = rogue.probe(PathId(2), Cid(7))?;
        siege.forge(*source, &probe)?;
        let named = |request: &mut jumpvpn_wire::ReattachPayload| {
            request.observed = ObservedAddress::new(*source);
        };
        let request = rogue.reattach(&ticket, cid, named)?;
        siege.forge(*source, &request)?;
        rogue.send(&request)?;
        siege.last(Duration::from_millis(20))?;
    }
    siege.last(Duration::from_millis(200))?;
    no_answer_to(siege, began, &forbidden);
    let mut bytes = [0; 2048];
    let reflected = own.recv_from(&mut bytes).is_ok();
    siege.require(!reflected, || "the gateway sent a datagram to its own machine".into());
    siege.field.trunk.let_pass();
    siege.settle()
}

/// Holds back authentic datagrams of the victim that the gateway has not seen, for a moment.
fn hold_back(siege: &mut Siege<'_>) -> io::Result<Vec<Vec<u8>>> {
    let start = siege.field.trunk.look(<[Seen]>::len);
    let mut data_count = 0;
    siege.field.trunk.meddle(move |seen| {
        if seen.direction == Direction::Down || !Field::is_laptop(&seen.datagram.source) {
            return Fate::Pass;
        }
        let is_probe = seen.datagram.first() == Kind::PathProbe.code();
        data_count += usize::from(!is_probe);
        // All probes, and one packet of ten: the session must not go silent.
        if is_probe || data_count % 10 == 0 { Fate::Instead(Vec::new()) } else { Fate::Pass }
    });
    siege.share = 0.7;
    siege.is_restless = true;
    siege.until("the client probes its paths", |siege| {
        let probes = |log: &[Seen]| {
            log[start..].iter().filter(|seen| seen.datagram.first() == Kind::PathProbe.code()).count()
        };
        Ok(siege.field.trunk.look(probes) >= 2)
    })?;
    let held = siege.field.trunk.look(|log| log[start..].to_vec());
    let mut probes: Vec<Vec<u8>> = Vec::new();
    let mut others = Vec::new();
    for seen in held.into_iter().filter(|seen| seen.direction == Direction::Up) {
        if seen.datagram.first() == Kind::PathProbe.code() {
            probes.push(seen.datagram.payload);
        } else if Field::is_laptop(&seen.datagram.source) {
            others.push(seen.datagram.payload);
        }
    }
    probes.extend(others.into_iter().skip(9).step_by(10));
    Ok(probes)
}

fn no_answer_to(siege: &mut Siege<'_>, began: usize, forbidden: &[SocketAddr]) {
    let sent: Vec<String> = siege.field.trunk.look(|log| {
        let bad = |seen: &&Seen| {
            seen.direction == Direction::Down && forbidden.contains(&seen.datagram.destination)
        };
        log[began..].iter().filter(bad).map(|seen| seen.datagram.destination.to_string()).collect()
    });
    siege.require(sent.is_empty(), || format!("answers went to {sent:?}"));
}
