//! Two clients with two paths each, one gateway, a store: everything that runs between them, and every datagram they
//! ever sent.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use jumpvpn_engine::agent::{Config as AgentConfig, GatewayPeer, Link};
use jumpvpn_engine::gateway::{Cell, Config as GatewayConfig, Peer};
use jumpvpn_engine::{
    Agent, Gateway, HEADROOM, Received, SocketKey, TAILROOM, TRANSMIT_BUFFER_LEN, Transmit,
};
use jumpvpn_events::verify::verify_lines;
use jumpvpn_events::{Event, PathLabel, Time, json};
use jumpvpn_ownership::{Answer, Ask, Fence, Handle, Ledger, Request};
use jumpvpn_policy::Policy;
use jumpvpn_session::{PrivateKey, StoreKeys, SuiteSet};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use super::promise::Book;

/// Clients.
pub(super) const CLIENTS: usize = 2;
/// Paths of each client.
pub(super) const PATHS: usize = 2;
/// Where the gateway listens.
pub(super) const GATEWAY: ([u8; 4], u16) = ([192, 0, 2, 10], 4747);
/// One way over any path.
const DELAY: Duration = Duration::from_millis(10);
/// Work of one moment ends after so many rounds, or the engines keep each other busy without time passing.
const ROUNDS_MAX: usize = 64;

/// The event file of one engine.
#[derive(Default)]
pub(super) struct EventFile {
    pub text: String,
    seq: u64,
}

impl EventFile {
    fn write(&mut self, event: &Event) {
        self.seq += 1;
        json::write_line(&mut self.text, event, self.seq, event.at.as_nanos().into(), "gw");
        self.text.push('\n');
    }
}

/// A datagram that an engine sent.
#[derive(Clone)]
pub(super) struct Sent {
    pub client: usize,
    pub path: usize,
    pub up: bool,
    pub bytes: Vec<u8>,
}

/// How the store answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum StoreMood {
    Sound,
    Unknown,
    Silent,
}

pub(super) struct World {
    pub now: Time,
    pub agents: Vec<Agent>,
    pub gateway: Gateway,
    life: u64,
    pub store: Ledger,
    /// Sessions that the store was asked to keep.
    handles: Vec<Handle>,
    pub mood: StoreMood,
    /// Outer port of each client's paths.
    pub ports: [[u16; PATHS]; CLIENTS],
    /// Links of each client that are up.
    pub up: [[bool; PATHS]; CLIENTS],
    /// Everything that was ever sent.
    pub log: Vec<Sent>,
    /// Datagrams that are lost from now on.
    pub losses: usize,
    flying: BTreeMap<(Time, usize), SocketAddr>,
    pub book: Book,
    /// Of the gateway and of the clients.
    pub files: [EventFile; 1 + CLIENTS],
    packets: u64,
}

fn key(seed: u64) -> PrivateKey {
    PrivateKey::generate(&mut ChaCha20Rng::seed_from_u64(seed))
}

/// Inner address of a client.
pub(super) fn inner(client: usize) -> [u8; 4] {
    [10, 77, 0, 2 + client as u8]
}

/// Where the gateway listens.
pub(super) fn listener() -> SocketAddr {
    GATEWAY.into()
}

/// A life of the gateway, one after the other; its store outlives it.
fn gateway(life: u64, now: Time) -> Gateway {
    let peer = |client: usize| Peer {
        name: format!("client {client}"),
        public: key(2 + client as u64).public(),
        psk: None,
        inner: vec![IpAddr::from(inner(client))],
    };
    let config = GatewayConfig {
        private: key(1),
        peers: (0..CLIENTS).map(peer).collect(),
        networks: vec!["10.77.0.1/24".parse().expect("a network")],
        own: vec![listener().ip()],
        allow_local: false,
        suites: SuiteSet::ALL,
        policy: Policy::laptop(),
        capacity: 8,
        node: [0, 0, 0, 1],
        cell: Some(Cell {
            name: "fuzz".into(),
            keys: StoreKeys::from_secret(&[7; 32]).expect("a key that is not zero"),
            others: Vec::new(),
        }),
        started_minute: 1000 + life as u32,
        mtu: 1400,
    };
    let random = Box::new(ChaCha20Rng::seed_from_u64(8 + 1000 * life));
    let mut gateway = Gateway::new(config, random, now).expect("the seeded source is not broken");
    gateway.handle_fence(Fence { epoch: 1, valid_until: Time::MAX });
    gateway
}

fn agent(client: usize, now: Time) -> Agent {
    let config = AgentConfig {
        private: key(2 + client as u64),
        gateways: vec![GatewayPeer::of_file(key(1).public(), vec![listener()])],
        suites: SuiteSet::ALL,
        policy: Policy::laptop(),
    };
    Agent::new(config, Box::new(ChaCha20Rng::seed_from_u64(20 + client as u64)), now)
}

impl World {
    /// Both clients attached.
    pub fn new() -> Self {
        let now = Time::from_millis(1_000_000);
        let mut world = Self {
            now,
            agents: (0..CLIENTS).map(|client| agent(client, now)).collect(),
            gateway: gateway(0, now),
            life: 0,
            handles: Vec::new(),
            store: Ledger::new(64, 1),
            mood: StoreMood::Sound,
            ports: [[40_000, 50_000]; CLIENTS],
            up: [[true; PATHS]; CLIENTS],
            log: Vec::new(),
            losses: 0,
            flying: BTreeMap::new(),
            book: Book::default(),
            files: Default::default(),
            packets: 0,
        };
        (0..CLIENTS).for_each(|client| world.set_links(client, [true; PATHS]));
        world.run(Duration::from_millis(300));
        world
    }

    /// Outer address of a client on a path.
    pub fn outer(&self, client: usize, path: usize) -> SocketAddr {
        ([203, 0, 113, (client * PATHS + path) as u8 + 1], self.ports[client][path]).into()
    }

    /// Every address that is a client's now.
    pub fn outers(&self) -> BTreeSet<SocketAddr> {
        (0..CLIENTS).flat_map(|client| (0..PATHS).map(move |path| self.outer(client, path))).collect()
    }

    /// The links of a client that are up.
    pub fn set_links(&mut self, client: usize, up: [bool; PATHS]) {
        self.up[client] = up;
        let link = |path: usize| Link {
            socket: SocketKey(path as u32),
            iface: PathLabel::new(["wifi", "lte"][path]),
            local: IpAddr::from([10, path as u8, client as u8, 2]),
            mtu: 1500,
            preference: 0,
            metered: false,
        };
        let links: Vec<Link> = (0..PATHS).filter(|path| up[*path]).map(link).collect();
        self.agents[client].handle_links(&links, &[], self.now);
        self.collect();
    }

    /// Lets time pass; what is on its way arrives.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        self.collect();
        loop {
            let arrival = self.flying.keys().next().map(|(at, _)| *at);
            let timers = self.agents.iter().map(Agent::poll_timeout);
            let due = timers.chain([self.gateway.poll_timeout(), arrival]).flatten().min();
            let next = due.unwrap_or(Time::MAX).max(self.now);
            if next > end {
                self.now = end;
                return;
            }
            self.now = next;
            self.deliver();
            self.settle();
        }
    }

    /// Nothing arrives, and nobody wakes the engines in between: the machine was busy or asleep.
    pub fn leap(&mut self, span: Duration) {
        self.now += span;
        self.flying.clear();
        self.settle();
    }

    /// Timers, then everything they cause; afterwards every timer lies in the future.
    pub fn settle(&mut self) {
        self.agents.iter_mut().for_each(|agent| agent.handle_timeout(self.now));
        self.gateway.handle_timeout(self.now);
        self.collect();
        let timers = self.agents.iter().map(Agent::poll_timeout).chain([self.gateway.poll_timeout()]);
        let now = self.now;
        for (engine, due) in timers.enumerate() {
            assert!(due.is_none_or(|due| due > now), "engine {engine}: its timer stands still");
        }
    }

    fn deliver(&mut self) {
        while let Some(entry) = self.flying.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let ((_, index), source) = entry.remove_entry();
            let Sent { client, path, up, bytes } = self.log[index].clone();
            if up {
                self.hand_to_gateway(source, &bytes);
            } else if source == self.outer(client, path) && self.up[client][path] {
                self.hand_to_agent(client, path, listener(), &bytes);
            }
        }
    }

    /// A packet of a client's machine, or one for it.
    pub fn send_packet(&mut self, client: usize, up: bool) {
        self.packets += 1;
        let ends = if up { (inner(client), [10, 77, 0, 1]) } else { ([10, 77, 0, 1], inner(client)) };
        let packet = packet(ends.0, ends.1, &self.packets.to_le_bytes());
        self.book.entered(&packet);
        self.tunnel(client, up, &packet);
    }

    /// What the TUN device of a client (`up`) or of the gateway hands over.
    pub fn tunnel(&mut self, client: usize, up: bool, packet: &[u8]) {
        let mut buffer = [&[0; HEADROOM], packet, &[0; TAILROOM]].concat();
        if up {
            if let Ok(transmit) = self.agents[client].handle_packet(&mut buffer, self.now) {
                self.fly_up(client, transmit, &buffer);
            }
        } else if let Ok(transmit) = self.gateway.handle_packet(&mut buffer, self.now) {
            self.fly_down(transmit, &buffer);
        }
        self.collect();
    }

    /// Hands a datagram to the gateway as if it came from `source`, and takes in what that causes.
    pub fn hand_to_gateway(&mut self, source: SocketAddr, bytes: &[u8]) -> Received {
        let before = Book::sessions(&self.gateway, self.now);
        let mut datagram = bytes.to_vec();
        let received =
            self.gateway.handle_datagram(SocketKey(0), source, listener().ip(), &mut datagram, self.now);
        if let Received::Packet(range) = &received {
            self.book.delivered(&datagram[range.clone()]);
        }
        let mut answers = Vec::new();
        self.collect_gateway(|transmit| answers.push(*transmit));
        let after = Book::sessions(&self.gateway, self.now);
        self.book.judge_gateway(&before, &after, source, bytes, &received, &answers);
        self.book.judge_addresses(&after, &self.outers());
        self.settle();
        received
    }

    /// Hands a datagram to a client as if it came from `source` over `path`.
    pub fn hand_to_agent(
        &mut self,
        client: usize,
        path: usize,
        source: SocketAddr,
        bytes: &[u8],
    ) -> Received {
        let before = Book::client(&self.agents[client], self.now);
        let mut datagram = bytes.to_vec();
        let socket = SocketKey(path as u32);
        let received = self.agents[client].handle_datagram(socket, source, &mut datagram, self.now);
        if let Received::Packet(range) = &received {
            self.book.delivered(&datagram[range.clone()]);
        }
        let after = Book::client(&self.agents[client], self.now);
        self.book.judge_agent(client, &before, &after, bytes, &received);
        self.settle();
        received
    }

    /// Takes everything out of the engines until they have nothing more to say.
    pub fn collect(&mut self) {
        self.collect_gateway(|_| {});
        for client in 0..CLIENTS {
            let mut buffer = [0; TRANSMIT_BUFFER_LEN];
            while let Some(transmit) = self.agents[client].poll_transmit(&mut buffer, self.now) {
                self.fly_up(client, transmit, &buffer);
            }
            while let Some(event) = self.agents[client].poll_event() {
                self.files[1 + client].write(&event);
            }
            while self.agents[client].poll_notice().is_some() {}
        }
    }

    fn collect_gateway(&mut self, mut saw: impl FnMut(&Transmit)) {
        for _ in 0..ROUNDS_MAX {
            let Some(request) = self.gateway.poll_ownership_request() else { break };
            if let Some(answer) = self.answer(&request) {
                self.gateway.handle_ownership(answer, self.now);
            }
        }
        let mut buffer = [0; TRANSMIT_BUFFER_LEN];
        while let Some(transmit) = self.gateway.poll_transmit(&mut buffer, self.now) {
            saw(&transmit);
            self.fly_down(transmit, &buffer);
        }
        while let Some(event) = self.gateway.poll_event() {
            self.files[0].write(&event);
        }
    }

    /// What everybody wrote proves one story.
    pub fn audit(&self) {
        let files =
            self.files.iter().enumerate().map(|(name, file)| (name.to_string(), file.text.as_bytes()));
        let findings = verify_lines(files).err().unwrap_or_default();
        assert!(findings.is_empty(), "{findings:#?}");
    }

    /// The gateway's process dies, and a new one finds its store.
    pub fn restart_gateway(&mut self) {
        self.life += 1;
        self.gateway = gateway(self.life, self.now);
        self.files[0].seq = 0;
        self.settle();
    }

    /// The ownership layer asks the engine for something about every session there ever was.
    pub fn ask_of_all(&mut self, ask: fn(Handle) -> Ask) {
        for handle in self.handles.clone() {
            self.gateway.handle_ask(ask(handle), self.now);
        }
        self.settle();
    }

    fn answer(&mut self, request: &Request) -> Option<Answer> {
        if matches!(request, Request::Create { .. }) {
            self.handles.push(request.handle());
        }
        let answer = self.store.submit(request, self.now);
        match self.mood {
            StoreMood::Sound => Some(answer),
            StoreMood::Unknown => Some(Answer::Unknown { id: request.id() }),
            StoreMood::Silent => None,
        }
    }

    fn fly_up(&mut self, client: usize, transmit: Transmit, buffer: &[u8]) {
        let path = transmit.socket.0 as usize;
        assert_eq!(transmit.destination, listener(), "a client sends to its gateway alone");
        let bytes = buffer[..transmit.len].to_vec();
        self.book.sent(client, true, &bytes);
        let source = self.outer(client, path);
        self.fly(Sent { client, path, up: true, bytes }, source);
    }

    fn fly_down(&mut self, transmit: Transmit, buffer: &[u8]) {
        let places = (0..CLIENTS).flat_map(|client| (0..PATHS).map(move |path| (client, path)));
        let mut places = places.filter(|(client, path)| self.outer(*client, *path) == transmit.destination);
        let Some((client, path)) = places.next() else { return };
        let bytes = buffer[..transmit.len].to_vec();
        self.book.sent(client, false, &bytes);
        self.fly(Sent { client, path, up: false, bytes }, transmit.destination);
    }

    /// `end` is the outer address it flies from (upwards) or to.
    fn fly(&mut self, sent: Sent, end: SocketAddr) {
        self.log.push(sent);
        if self.losses > 0 {
            self.losses -= 1;
            return;
        }
        self.flying.insert((self.now + DELAY, self.log.len() - 1), end);
    }
}

/// An IPv4 packet.
fn packet(from: [u8; 4], to: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 20 + body.len() as u8, 0, 0, 0, 0, 64, 17, 0, 0];
    packet.extend_from_slice(&from);
    packet.extend_from_slice(&to);
    packet.extend_from_slice(body);
    packet
}
