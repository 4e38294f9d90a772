//! Links between a client and the gateway: what they do to datagrams, and the translators in the middle.
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use jumpvpn_engine::SocketKey;
use jumpvpn_events::{PathLabel, Time};

use crate::dice::Dice;

/// What one direction of a link does to a datagram. Shares are of a thousand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Quality {
    pub delay: Duration,
    /// Added at random, up to this much: datagrams overtake each other.
    pub jitter: Duration,
    pub loss: u32,
    pub duplicate: u32,
    /// Held back by up to 400 ms.
    pub late: u32,
}

/// Longest time a datagram is held back: well beyond any round trip of these links.
const LATE: Duration = Duration::from_millis(400);

/// One direction of a link.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pipe {
    pub base: Quality,
    /// Another quality until that time.
    pub trouble: Option<(Quality, Time)>,
    /// Swallows everything until that time.
    pub black_until: Time,
}

impl Pipe {
    /// When copies of a datagram that enters now come out: none, one or two.
    pub fn carry(&self, now: Time, dice: &mut Dice) -> Vec<Time> {
        let quality = self.quality(now);
        if now < self.black_until || dice.chance(quality.loss) {
            return Vec::new();
        }
        let copies = 1 + usize::from(dice.chance(quality.duplicate));
        (0..copies)
            .map(|_| {
                let late =
                    if dice.chance(quality.late) { dice.span(Duration::ZERO, LATE) } else { Duration::ZERO };
                now + quality.delay + dice.span(Duration::ZERO, quality.jitter) + late
            })
            .collect()
    }

    fn quality(&self, now: Time) -> Quality {
        match self.trouble {
            Some((quality, until)) if now < until => quality,
            _ => self.base,
        }
    }
}

/// A translator with address- and port-dependent mapping and filtering (RFC 4787 §4, §5): only peers that were
/// sent to get in, and only while the mapping lives.
#[derive(Clone, Debug)]
pub(crate) struct Nat {
    pub outer: Ipv4Addr,
    /// A mapping without traffic is forgotten after this time.
    pub ttl: Duration,
    pub mapping: Option<Mapping>,
}

/// What a translator remembers of one socket.
#[derive(Clone, Debug)]
pub(crate) struct Mapping {
    pub socket: SocketKey,
    pub port: u16,
    pub peers: BTreeSet<SocketAddr>,
    pub used: Time,
}

impl Nat {
    /// Whether the mapping still serves this socket.
    pub fn serves(&self, socket: SocketKey, now: Time) -> bool {
        self.mapping
            .as_ref()
            .is_some_and(|mapping| mapping.socket == socket && now.since(mapping.used) < self.ttl)
    }

    /// Whether a datagram from `peer` to `destination` gets in.
    pub fn admits(&self, destination: SocketAddr, peer: SocketAddr, now: Time) -> bool {
        self.mapping.as_ref().is_some_and(|mapping| {
            destination == SocketAddr::from((self.outer, mapping.port))
                && mapping.peers.contains(&peer)
                && now.since(mapping.used) < self.ttl
        })
    }
}

/// One link of a client with its socket.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub iface: PathLabel,
    pub socket: SocketKey,
    pub local: IpAddr,
    pub preference: i32,
    pub metered: bool,
    /// The operating system lists it.
    pub present: bool,
    /// It carries anything at all; without it sending fails.
    pub carrier: bool,
    pub up: Pipe,
    pub down: Pipe,
    /// Without a translator the local address is the outer one.
    pub nat: Option<Nat>,
}

impl Link {
    /// Port of the local socket.
    pub fn local_port(&self) -> u16 {
        // Ephemeral ports begin at 32768 on Linux; keys are small.
        32_768 + (self.socket.0 % 16_384) as u16
    }

    /// The address under which the gateway reaches it now, if it can be reached at all.
    pub fn outer(&self) -> Option<SocketAddr> {
        match &self.nat {
            Some(nat) => Some(SocketAddr::from((nat.outer, nat.mapping.as_ref()?.port))),
            None => Some(SocketAddr::new(self.local, self.local_port())),
        }
    }

    /// Whether a datagram from `peer` to `destination` reaches the client's socket.
    pub fn admits(&self, destination: SocketAddr, peer: SocketAddr, now: Time) -> bool {
        match &self.nat {
            Some(nat) => nat.admits(destination, peer, now) && nat.serves(self.socket, now),
            None => destination == SocketAddr::new(self.local, self.local_port()),
        }
    }

    /// Ends every trouble.
    pub fn heal(&mut self) {
        for pipe in [&mut self.up, &mut self.down] {
            pipe.trouble = None;
            pipe.black_until = Time::ZERO;
        }
    }
}
