//! The language of the inputs: four bytes make one operation, and every input means something.

use std::net::SocketAddr;
use std::time::Duration;

use jumpvpn_engine::agent::Command;
use jumpvpn_engine::gateway;
use jumpvpn_events::{Reason, Time};
use jumpvpn_ownership::{Ask, Fence, Incarnation};

use super::world::{CLIENTS, PATHS, StoreMood, World, inner, listener};

/// Operations of one input at most: a few hundred datagrams, some milliseconds of work.
const OPERATIONS_MAX: usize = 48;
/// Virtual time of one input at most; a session lives for hours, its timers for seconds.
const SPAN_MAX: Duration = Duration::from_secs(4 * 3600);
/// Time between two packets of ordinary traffic.
const PACE: Duration = Duration::from_millis(5);

/// Who is attacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The gateway.
    Gateway,
    /// The clients.
    Agent,
}

/// What can be done in a world. The numbers are the first byte of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Operation {
    /// Up to 2 s pass and everything arrives: milliseconds in bytes 1 and 2.
    Run,
    /// Packets both ways: how many, of which client.
    Traffic,
    /// A client's links come and go: client, mask.
    Links,
    /// An earlier datagram once more: index in bytes 1 and 2 (0 is the newest), where from.
    Replay,
    /// One bit of it changed: index in bytes 1 and 2, place.
    Flip,
    /// The head of one and the tail of another: two indices, where they meet.
    Splice,
    /// A field of one in another: two indices, which field.
    Field,
    /// Invented: length, where from; the bytes follow.
    Raw,
    /// Cut off or continued: index in bytes 1 and 2, length.
    Cut,
    /// The next datagrams are lost: how many.
    Lose,
    /// A person asks a client for something: client, what.
    Ask,
    /// Bytes from a TUN device: length, client, side; the bytes follow.
    Tunnel,
    /// Nothing happens for a while and nobody is called: how long.
    Leap,
    /// Store and fence change their mind.
    Own,
    /// A NAT forgets: client, path.
    Rebind,
    /// The gateway's operator ends sessions.
    End,
}

const OPERATIONS: [Operation; 16] = [
    Operation::Run,
    Operation::Traffic,
    Operation::Links,
    Operation::Replay,
    Operation::Flip,
    Operation::Splice,
    Operation::Field,
    Operation::Raw,
    Operation::Cut,
    Operation::Lose,
    Operation::Ask,
    Operation::Tunnel,
    Operation::Leap,
    Operation::Own,
    Operation::Rebind,
    Operation::End,
];

/// Fields of the headers: first byte, key epoch, token or CID, sequence number, of requests and of replies.
const FIELDS: [(usize, usize); 8] =
    [(0, 1), (1, 4), (4, 12), (4, 20), (12, 16), (12, 20), (20, 28), (28, usize::MAX)];

/// A script of operations, for seeds.
pub fn compose(operations: &[(Operation, [u8; 3])]) -> Vec<u8> {
    operations.iter().flat_map(|(operation, [a, b, c])| [*operation as u8, *a, *b, *c]).collect()
}

/// Plays an input against one side.
pub(super) fn play(data: &[u8], side: Side) {
    let mut world = World::new();
    let start = world.now;
    let mut rest = data;
    for _ in 0..OPERATIONS_MAX {
        let Some(([code, a, b, c], after)) = rest.split_first_chunk::<4>() else { break };
        rest = after;
        let operation = OPERATIONS[usize::from(*code) % OPERATIONS.len()];
        let mut player = Player { world: &mut world, side, rest };
        player.step(operation, *a, *b, *c);
        rest = player.rest;
        world.settle();
        if world.now.since(start) > SPAN_MAX {
            break;
        }
    }
    world.audit();
}

/// Event files of the gateway and of the first client after a life with jumps.
pub(crate) fn event_files() -> [String; 2] {
    let mut world = World::new();
    for to in ["lte", "wifi"] {
        (0..20).for_each(|_| world.send_packet(0, true));
        let command = Command::Jump { to: Some(to.to_owned()) };
        world.agents[0].handle_command(command, world.now).expect("both paths are warm");
        world.collect();
        world.run(Duration::from_secs(10));
    }
    let [gateway, agent, _] = world.files;
    [gateway.text, agent.text]
}

struct Player<'w, 'd> {
    world: &'w mut World,
    side: Side,
    rest: &'d [u8],
}

fn wide(low: u8, high: u8) -> usize {
    usize::from(u16::from_le_bytes([low, high]))
}

impl Player<'_, '_> {
    fn step(&mut self, operation: Operation, a: u8, b: u8, c: u8) {
        let client = usize::from(a) % CLIENTS;
        match operation {
            Operation::Run => self.world.run(Duration::from_millis((wide(a, b) % 2000) as u64)),
            Operation::Traffic => self.traffic(usize::from(a % 32), usize::from(b) % CLIENTS),
            Operation::Links => self.world.set_links(client, [b & 1 != 0, b & 2 != 0]),
            Operation::Replay => self.changed(wide(a, b), c, |_| {}),
            Operation::Flip => self.changed(wide(a, b), c & 1, |bytes| {
                let at = usize::from(c) * bytes.len() / 256;
                bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (c % 8));
            }),
            Operation::Splice => self.mixed(a, b, |head, tail| {
                let at = usize::from(c);
                head.truncate(at);
                head.extend(tail.iter().skip(at));
            }),
            Operation::Field => self.mixed(a, b, |into, from| {
                let (start, end) = FIELDS[usize::from(c) % FIELDS.len()];
                into.iter_mut().zip(from).take(end).skip(start).for_each(|(byte, new)| *byte = *new);
            }),
            Operation::Raw => {
                let bytes = self.following(usize::from(a));
                self.attack(b, &bytes);
            }
            Operation::Cut => self.changed(wide(a, b), 0, |bytes| bytes.resize(usize::from(c), 0)),
            Operation::Lose => self.world.losses = usize::from(a),
            Operation::Ask => self.ask(client, b),
            Operation::Tunnel => {
                let bytes = self.following(usize::from(a));
                self.world.book.entered(&bytes);
                self.world.tunnel(usize::from(b) % CLIENTS, c & 1 == 0, &bytes);
            }
            Operation::Leap => {
                self.world.leap(Duration::from_millis((u64::from(a) * 100) << (b % 8)));
                if c & 1 != 0 {
                    (0..CLIENTS).for_each(|client| self.world.agents[client].handle_resume(self.world.now));
                    self.world.collect();
                }
            }
            Operation::Own => self.own(a),
            Operation::Rebind => {
                let port = &mut self.world.ports[client][usize::from(b) % PATHS];
                *port = port.wrapping_add(1 + u16::from(c)).max(1024);
            }
            Operation::End => self.end(client, b),
        }
    }

    fn traffic(&mut self, count: usize, client: usize) {
        for _ in 0..count {
            self.world.send_packet(client, true);
            self.world.send_packet(client, false);
            self.world.run(PACE);
        }
    }

    /// The bytes behind the operation.
    fn following(&mut self, len: usize) -> Vec<u8> {
        let (bytes, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        bytes.to_vec()
    }

    /// An earlier datagram, counted from the newest; of the direction that the attacked side receives, most of the time.
    fn earlier(&self, index: usize) -> Vec<u8> {
        let up = (self.side == Side::Gateway) != (index % 16 == 15);
        let mut fitting = self.world.log.iter().rev().filter(|sent| sent.up == up);
        let count = fitting.clone().count().max(1);
        fitting.nth(index % count).map(|sent| sent.bytes.clone()).unwrap_or_default()
    }

    fn changed(&mut self, index: usize, from: u8, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.earlier(index);
        change(&mut bytes);
        self.attack(from, &bytes);
    }

    fn mixed(&mut self, one: u8, other: u8, mix: impl FnOnce(&mut Vec<u8>, &[u8])) {
        let other = self.earlier(other.into());
        self.changed(one.into(), one ^ 1, |bytes| mix(bytes, &other));
    }

    /// Hands the bytes to the attacked side, from a place that `from` chooses.
    fn attack(&mut self, from: u8, bytes: &[u8]) {
        let (client, path) = (usize::from(from) % CLIENTS, usize::from(from >> 1) % PATHS);
        let stranger: SocketAddr = match from >> 2 & 7 {
            0..4 => self.world.outer(client, path),
            4 => ([198, 51, 100, from], 1000).into(),
            5 => ([127, 0, 0, 1], 9).into(),
            6 => listener(),
            _ => ([0xfe80, 0, 0, 0, 0, 0, 0, 1], u16::from(from)).into(),
        };
        match self.side {
            Side::Gateway => _ = self.world.hand_to_gateway(stranger, bytes),
            Side::Agent if from >> 5 == 0 => _ = self.world.hand_to_agent(client, path, stranger, bytes),
            Side::Agent => _ = self.world.hand_to_agent(client, path, listener(), bytes),
        }
    }

    fn ask(&mut self, client: usize, what: u8) {
        let name = |index: u8| ["wifi", "lte", "wifi/udp4", "lte/udp4"][usize::from(index) % 4].to_owned();
        let command = match what % 8 {
            0..3 => Command::Jump { to: Some(name(what >> 3)) },
            3 | 4 => Command::Jump { to: None },
            5 => Command::Pin { path: name(what >> 3) },
            6 => Command::Unpin,
            _ => Command::Close,
        };
        // A refusal is an answer like any other.
        self.world.agents[client].handle_command(command, self.world.now).ok();
        self.world.collect();
    }

    fn own(&mut self, mind: u8) {
        let fence = |valid_until| Fence { epoch: 1, valid_until };
        let now = self.world.now;
        match mind % 11 {
            0 => self.world.mood = StoreMood::Unknown,
            1 => self.world.mood = StoreMood::Silent,
            2 => self.world.gateway.handle_fence(fence(self.world.now)),
            3 => self.world.gateway.handle_fence(fence(self.world.now + Duration::from_secs(1))),
            4 => {
                self.world.mood = StoreMood::Sound;
                self.world.gateway.handle_fence(fence(Time::MAX));
            }
            5 => self.world.restart_gateway(),
            6 => self.world.ask_of_all(|handle| Ask::Release { handle, to: Incarnation([9; 16]) }),
            7 => self.world.ask_of_all(|handle| Ask::Lost { handle }),
            8 => {
                self.world.gateway.handle_ask(Ask::Fenced, now);
                self.world.gateway.handle_fence(fence(Time::MAX));
            }
            9 => self.world.gateway.handle_fence_ending(now),
            _ => {
                let span = Duration::from_secs(2);
                self.world.gateway.handle_command(gateway::Command::Drain { span }, now);
            }
        }
        self.world.collect();
    }

    fn end(&mut self, client: usize, all: u8) {
        let (now, reason) = (self.world.now, Reason::Shutdown);
        let rows = self.world.gateway.sessions(now);
        let found =
            rows.filter(|row| row.inner.contains(&inner(client).into())).map(|row| row.session).last();
        let command = match found {
            Some(session) if all & 1 == 0 => gateway::Command::Close { session, reason },
            _ => gateway::Command::CloseAll { reason },
        };
        self.world.gateway.handle_command(command, now);
        self.world.collect();
    }
}
