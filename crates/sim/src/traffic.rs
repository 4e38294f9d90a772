//! User packets: numbered, with a content that can be checked, in both directions.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use jumpvpn_engine::{HEADROOM, TAILROOM};
use jumpvpn_events::Time;

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Direction {
    Up = 0,
    Down = 1,
    /// Up, with a source address that belongs to another client: must never arrive.
    Rogue = 2,
}

/// What a packet says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub client: u8,
    pub direction: Direction,
    pub number: u64,
}

/// Inner addresses of the gateway.
pub(crate) const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
pub(crate) const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1);

/// Inner addresses of a client.
pub(crate) fn inner(client: u8) -> (Ipv4Addr, Ipv6Addr) {
    (Ipv4Addr::new(10, 77, 0, client + 2), Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, u16::from(client) + 2))
}

/// Mark and length of the content behind it.
const MARK_LEN: usize = 10;
const V4_LEN: usize = 20;
const V6_LEN: usize = 40;

/// The packet of that mark between head- and tailroom.
pub(crate) fn compose(mark: Mark, claimed: u8) -> Vec<u8> {
    let (v4, v6) = inner(claimed);
    let ends: (IpAddr, IpAddr) = match (is_v6(mark), mark.direction) {
        (false, Direction::Down) => (GATEWAY_V4.into(), v4.into()),
        (false, _) => (v4.into(), GATEWAY_V4.into()),
        (true, Direction::Down) => (GATEWAY_V6.into(), v6.into()),
        (true, _) => (v6.into(), GATEWAY_V6.into()),
    };
    let body = body(mark);
    let mut buffer = vec![0; HEADROOM];
    write_header(&mut buffer, ends, body.len());
    buffer.extend_from_slice(&body);
    buffer.resize(buffer.len() + TAILROOM, 0);
    buffer
}

/// Reads a delivered packet: its mark, if every byte is as it was sent.
pub(crate) fn read(packet: &[u8]) -> Option<Mark> {
    let header_len = if packet.first()? >> 4 == 4 { V4_LEN } else { V6_LEN };
    let found = packet.get(header_len..)?;
    let head = found.get(..MARK_LEN)?;
    let direction = match head[1] {
        0 => Direction::Up,
        1 => Direction::Down,
        2 => Direction::Rogue,
        _ => return None,
    };
    let mut number = [0; 8];
    number.copy_from_slice(&head[2..]);
    let mark = Mark { client: head[0], direction, number: u64::from_le_bytes(number) };
    (found == body(mark)).then_some(mark)
}

fn is_v6(mark: Mark) -> bool {
    mark.number % 8 == 7
}

/// Mark, then filling that depends on it; lengths like those of real traffic: many short ones, some full ones.
fn body(mark: Mark) -> Vec<u8> {
    let mut state = mark.number ^ u64::from(mark.client) << 56 ^ (mark.direction as u64) << 48;
    let fill_len = match mark.number % 5 {
        0 => 1100,
        1 => 300,
        _ => 20,
    };
    let mut body = vec![mark.client, mark.direction as u8];
    body.extend_from_slice(&mark.number.to_le_bytes());
    while body.len() < MARK_LEN + fill_len {
        // SplitMix64 (Steele, Lea, Flood 2014): any change of a bit shows.
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        body.extend_from_slice(&(mixed ^ mixed >> 27).to_le_bytes());
    }
    body
}

fn write_header(buffer: &mut Vec<u8>, ends: (IpAddr, IpAddr), body_len: usize) {
    match ends {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let total = ((V4_LEN + body_len) as u16).to_be_bytes();
            buffer.extend_from_slice(&[0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, 17, 0, 0]);
            buffer.extend_from_slice(&source.octets());
            buffer.extend_from_slice(&destination.octets());
        }
        (source, destination) => {
            let length = (body_len as u16).to_be_bytes();
            buffer.extend_from_slice(&[0x60, 0, 0, 0, length[0], length[1], 17, 64]);
            for end in [source, destination] {
                let IpAddr::V6(address) = end else { continue };
                buffer.extend_from_slice(&address.octets());
            }
        }
    }
}

/// A stream of user packets in one direction: bursts and pauses.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    /// Between packets while it flows; `None` for no traffic at all.
    pub spacing: Option<Duration>,
    /// It flows until then, …
    pub flows_until: Time,
    /// … and pauses for about this long.
    pub pause: Duration,
    pub sent: u64,
    /// How often each packet was delivered.
    pub delivered: Vec<u8>,
    pub last_delivery: Time,
}

impl Flow {
    pub fn new(spacing: Option<Duration>, pause: Duration) -> Flow {
        Flow {
            spacing,
            flows_until: Time::ZERO,
            pause,
            sent: 0,
            delivered: Vec::new(),
            last_delivery: Time::ZERO,
        }
    }

    /// Number of the next packet.
    pub fn next_number(&mut self) -> u64 {
        self.sent += 1;
        self.delivered.push(0);
        self.sent - 1
    }

    /// Notes a delivery; how often this packet was delivered by now, `None` if it was never sent.
    pub fn note(&mut self, number: u64, now: Time) -> Option<u8> {
        let count = self.delivered.get_mut(usize::try_from(number).ok()?)?;
        *count = count.saturating_add(1);
        self.last_delivery = now;
        Some(*count)
    }
}
