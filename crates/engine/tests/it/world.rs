//! Two paths with a delay, an agent on one side, a gateway on the other, an in-memory store beside it.
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use jumpvpn_engine::agent::{Config as AgentConfig, GatewayPeer, Link, Notice};
use jumpvpn_engine::gateway::{Config as GatewayConfig, Peer};
use jumpvpn_engine::{
    Agent, Gateway, HEADROOM, Received, SocketKey, TAILROOM, TRANSMIT_BUFFER_LEN, Transmit,
};
use jumpvpn_events::{Event, PathLabel, Reason, Time};
use jumpvpn_ownership::{Fence, Handle, Ledger, Request};
use jumpvpn_policy::Policy;
use jumpvpn_session::{PrivateKey, SuiteSet};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

pub fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

/// A link of the agent as the system would report it.
pub fn link(index: u32, name: &str) -> Link {
    Link {
        socket: SocketKey(index),
        iface: PathLabel::new(name),
        local: IpAddr::from([10, index as u8, 0, 2]),
        mtu: 1500,
        preference: 0,
        metered: false,
    }
}

/// A path between the two.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    pub delay: Duration,
    pub up_works: bool,
    pub down_works: bool,
    /// Outer port of the client as the gateway sees it: changes when the NAT rebinds.
    pub outer_port: u16,
}

struct InFlight {
    path: usize,
    up: bool,
    source: SocketAddr,
    destination: SocketAddr,
    bytes: Vec<u8>,
}

/// Somebody on the path: sees (time, path, upward?, datagram) and says whether to take it away.
pub type Intercept = Box<dyn FnMut(Time, usize, bool, &[u8]) -> bool>;

pub struct World {
    pub now: Time,
    pub agent: Agent,
    pub gateway: Gateway,
    pub store: Ledger,
    pub paths: [Path; 2],
    pub links: Vec<Link>,
    flying: BTreeMap<(Time, u64), InFlight>,
    sent: u64,
    pub agent_events: Vec<Event>,
    pub gateway_events: Vec<Event>,
    pub notices: Vec<Notice>,
    pub at_agent: Vec<(Time, Vec<u8>)>,
    pub at_gateway: Vec<(Time, Vec<u8>)>,
    pub drops: Vec<(Time, &'static str, Reason)>,
    pub intercept: Option<Intercept>,
    /// What was taken away, oldest first.
    pub held: Vec<Vec<u8>>,
    /// Nobody takes the events out of the engines.
    pub deaf: bool,
    /// What the gateway sent to addresses that are not the client's.
    pub strays: Vec<(SocketAddr, Vec<u8>)>,
    /// Sessions that the store was asked to keep.
    pub created: Vec<Handle>,
}

pub const GATEWAY: &str = "192.0.2.10:4747";
pub const CLIENT_INNER: &str = "10.77.0.2";
pub const GATEWAY_INNER: &str = "10.77.0.1";
/// A second peer, in the hands of whoever plays it.
pub const MALLORY: u64 = 3;
pub const MALLORY_INNER: &str = "10.77.0.3";

pub fn gateway_config(seed: u64, policy: Policy) -> GatewayConfig {
    GatewayConfig {
        private: key(1),
        peers: vec![peer("alice", 2, &[CLIENT_INNER, "fd77::2"]), peer("mallory", MALLORY, &[MALLORY_INNER])],
        networks: vec!["10.77.0.1/24".parse().unwrap(), "fd77::1/64".parse().unwrap()],
        own: vec!["192.0.2.10".parse().unwrap()],
        allow_local: false,
        suites: SuiteSet::ALL,
        policy,
        capacity: 64,
        node: [0, 0, 0, 1],
        cell: None,
        started_minute: 1000 + seed as u32,
        mtu: 1400,
    }
}

/// The peer whose key comes from `seed`.
pub fn peer(name: &str, seed: u64, inner: &[&str]) -> Peer {
    let inner = inner.iter().map(|address| address.parse().unwrap()).collect();
    Peer { name: name.into(), public: key(seed).public(), psk: None, inner }
}

pub fn key(seed: u64) -> PrivateKey {
    PrivateKey::generate(&mut ChaCha20Rng::seed_from_u64(seed))
}

impl World {
    pub fn new(policy: Policy) -> World {
        let now = Time::from_millis(1_000_000);
        let agent = Agent::new(
            AgentConfig {
                private: key(2),
                gateways: vec![GatewayPeer::of_file(key(1).public(), vec![GATEWAY.parse().unwrap()])],
                suites: SuiteSet::ALL,
                policy: policy.clone(),
            },
            Box::new(ChaCha20Rng::seed_from_u64(7)),
            now,
        );
        let path = |port| Path { delay: ms(10), up_works: true, down_works: true, outer_port: port };
        let mut world = World {
            now,
            agent,
            gateway: gateway(gateway_config(0, policy), 8, 1, now),
            store: Ledger::new(64, 1),
            paths: [path(40_000), path(50_000)],
            links: vec![link(0, "wifi"), link(1, "lte")],
            flying: BTreeMap::new(),
            sent: 0,
            agent_events: Vec::new(),
            gateway_events: Vec::new(),
            notices: Vec::new(),
            at_agent: Vec::new(),
            at_gateway: Vec::new(),
            drops: Vec::new(),
            intercept: None,
            held: Vec::new(),
            deaf: crate::deaf::is_meant(),
            strays: Vec::new(),
            created: Vec::new(),
        };
        world.set_links(&[0, 1]);
        world
    }

    /// A world whose gateway is made of `config`.
    pub fn with_gateway(config: GatewayConfig) -> World {
        let mut world = World::new(config.policy.clone());
        world.gateway = gateway(config, 8, 1, world.now);
        world
    }

    /// The gateway's process dies and a new one starts, with an empty store.
    pub fn restart_gateway(&mut self) {
        self.replace_gateway(gateway_config(1, Policy::laptop()));
    }

    /// The same, on a machine whose clock says `started_minute`.
    pub fn restart_gateway_at(&mut self, started_minute: u32) {
        self.replace_gateway(GatewayConfig { started_minute, ..gateway_config(1, Policy::laptop()) });
    }

    fn replace_gateway(&mut self, config: GatewayConfig) {
        self.gateway = gateway(config, 9 + self.now.as_millis(), 2, self.now);
        self.store = Ledger::new(64, 2);
    }

    /// The links that are up.
    pub fn set_links(&mut self, up: &[usize]) {
        let links: Vec<Link> = up.iter().map(|index| self.links[*index].clone()).collect();
        self.agent.handle_links(&links, &[], self.now);
        self.collect();
    }

    /// Outer address of the client on a path.
    pub fn outer(&self, path: usize) -> SocketAddr {
        SocketAddr::from(([203, 0, 113, path as u8 + 1], self.paths[path].outer_port))
    }

    /// Lets time pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        self.collect();
        loop {
            let arrival = self.flying.keys().next().map(|(at, _)| *at);
            let due = [arrival, self.agent.poll_timeout(), self.gateway.poll_timeout()];
            let next = due.into_iter().flatten().min().unwrap_or(Time::MAX).max(self.now);
            if next > end {
                self.now = end;
                return;
            }
            self.now = next;
            self.deliver();
            self.agent.handle_timeout(self.now);
            self.gateway.handle_timeout(self.now);
            self.collect();
            assert!(self.agent.poll_timeout().is_none_or(|due| due > self.now), "agent timer stands still");
            assert!(
                self.gateway.poll_timeout().is_none_or(|due| due > self.now),
                "gateway timer stands still"
            );
        }
    }

    /// Lets time pass with a packet both ways every 5 ms.
    pub fn run_with_traffic(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.send_up();
            self.send_down();
            self.run(ms(5));
        }
    }

    pub fn send_up(&mut self) {
        let mut buffer = packet(CLIENT_INNER, GATEWAY_INNER, self.sent);
        match self.agent.handle_packet(&mut buffer, self.now) {
            Ok(transmit) => self.fly_up(transmit, &buffer),
            Err(reason) => self.drops.push((self.now, "agent", reason)),
        }
    }

    pub fn send_down(&mut self) {
        let mut buffer = packet(GATEWAY_INNER, CLIENT_INNER, self.sent);
        match self.gateway.handle_packet(&mut buffer, self.now) {
            Ok(transmit) => self.fly_down(transmit, &buffer),
            Err(reason) => self.drops.push((self.now, "gateway", reason)),
        }
    }

    fn fly_up(&mut self, transmit: Transmit, bytes: &[u8]) {
        let path = transmit.socket.0 as usize;
        // A link without a path leads nowhere.
        if self.paths.get(path).is_some_and(|path| path.up_works) {
            let source = self.outer(path);
            self.fly(path, true, source, transmit.destination, &bytes[..transmit.len]);
        }
    }

    fn fly_down(&mut self, transmit: Transmit, bytes: &[u8]) {
        let found = (0..2).find(|path| self.outer(*path) == transmit.destination);
        let Some(path) = found else {
            return self.strays.push((transmit.destination, bytes[..transmit.len].to_vec()));
        };
        if !self.paths[path].down_works {
            return;
        }
        self.fly(path, false, GATEWAY.parse().unwrap(), transmit.destination, &bytes[..transmit.len]);
    }

    fn fly(&mut self, path: usize, up: bool, source: SocketAddr, destination: SocketAddr, bytes: &[u8]) {
        let bytes = bytes.to_vec();
        if self.intercept.as_mut().is_some_and(|takes| takes(self.now, path, up, &bytes)) {
            return self.held.push(bytes);
        }
        self.sent += 1;
        let at = self.now + self.paths[path].delay;
        self.flying.insert((at, self.sent), InFlight { path, up, source, destination, bytes });
    }

    fn deliver(&mut self) {
        while let Some(entry) = self.flying.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let mut flight = entry.remove();
            if flight.up {
                self.deliver_up(&mut flight);
            } else {
                self.deliver_down(&mut flight);
            }
        }
    }

    fn deliver_up(&mut self, flight: &mut InFlight) {
        let local = flight.destination.ip();
        let received =
            self.gateway.handle_datagram(SocketKey(0), flight.source, local, &mut flight.bytes, self.now);
        match received {
            Received::Packet(range) => self.at_gateway.push((self.now, flight.bytes[range].to_vec())),
            Received::Dropped(reason) => self.drops.push((self.now, "gateway", reason)),
            Received::Consumed => {}
        }
    }

    fn deliver_down(&mut self, flight: &mut InFlight) {
        // The NAT forgot the old mapping.
        if flight.destination != self.outer(flight.path) || !self.paths[flight.path].down_works {
            return;
        }
        let socket = SocketKey(flight.path as u32);
        match self.agent.handle_datagram(socket, flight.source, &mut flight.bytes, self.now) {
            Received::Packet(range) => self.at_agent.push((self.now, flight.bytes[range].to_vec())),
            Received::Dropped(reason) => self.drops.push((self.now, "agent", reason)),
            Received::Consumed => {}
        }
    }

    /// Hands a datagram to the gateway as if it came from `source`, and takes in what that causes.
    pub fn hand_in(&mut self, source: SocketAddr, bytes: &[u8]) -> Received {
        let received = self.hand_over(source, bytes);
        self.collect();
        received
    }

    /// The same, with everything it causes left inside the gateway.
    pub fn hand_over(&mut self, source: SocketAddr, bytes: &[u8]) -> Received {
        let local = GATEWAY.parse::<SocketAddr>().unwrap().ip();
        self.gateway.handle_datagram(SocketKey(0), source, local, &mut bytes.to_vec(), self.now)
    }

    /// The same, without a copy of it.
    pub fn hand_over_in_place(&mut self, source: SocketAddr, bytes: &mut [u8]) -> Received {
        let local = GATEWAY.parse::<SocketAddr>().unwrap().ip();
        self.gateway.handle_datagram(SocketKey(0), source, local, bytes, self.now)
    }

    /// Hands a datagram to the agent as if the gateway had sent it over `path`.
    pub fn hand_to_agent(&mut self, path: usize, bytes: &[u8]) -> Received {
        let socket = SocketKey(path as u32);
        let source = GATEWAY.parse().unwrap();
        self.agent.handle_datagram(socket, source, &mut bytes.to_vec(), self.now)
    }

    /// What the gateway has sent to `address`, which is not the client's.
    pub fn take_strays(&mut self, address: SocketAddr) -> Vec<Vec<u8>> {
        let (wanted, rest) = self.strays.drain(..).partition(|(to, _)| *to == address);
        self.strays = rest;
        Vec::into_iter(wanted).map(|(_, bytes)| bytes).collect()
    }

    pub fn collect(&mut self) {
        while let Some(request) = self.gateway.poll_ownership_request() {
            if matches!(request, Request::Create { .. }) {
                self.created.push(request.handle());
            }
            let answer = self.store.submit(&request, self.now);
            self.gateway.handle_ownership(answer, self.now);
        }
        let mut buffer = [0; TRANSMIT_BUFFER_LEN];
        while let Some(transmit) = self.agent.poll_transmit(&mut buffer, self.now) {
            self.fly_up(transmit, &buffer);
        }
        while let Some(transmit) = self.gateway.poll_transmit(&mut buffer, self.now) {
            self.fly_down(transmit, &buffer);
        }
        if !self.deaf {
            self.agent_events.extend(std::iter::from_fn(|| self.agent.poll_event()));
            self.gateway_events.extend(std::iter::from_fn(|| self.gateway.poll_event()));
        }
        self.notices.extend(std::iter::from_fn(|| self.agent.poll_notice()));
    }

    /// Longest time between two arrivals from `since` on, up to now.
    pub fn gap(&self, up: bool, since: Time) -> Duration {
        let arrivals = if up { &self.at_gateway } else { &self.at_agent };
        let mut last = arrivals.iter().map(|(at, _)| *at).filter(|at| *at < since).max().unwrap_or(since);
        let mut gap = Duration::ZERO;
        for (at, _) in arrivals.iter().filter(|(at, _)| *at >= since) {
            gap = gap.max(at.since(last));
            last = *at;
        }
        gap.max(self.now.since(last))
    }

    /// Name of the active path.
    pub fn active(&self) -> String {
        let status = self.agent.status(self.now);
        let active = status.paths.iter().find(|path| path.binding == jumpvpn_events::BindingState::Active);
        active.map(|path| path.iface.to_string()).unwrap_or_default()
    }
}

fn gateway(config: GatewayConfig, seed: u64, epoch: u64, now: Time) -> Gateway {
    let mut gateway = Gateway::new(config, Box::new(ChaCha20Rng::seed_from_u64(seed)), now).unwrap();
    gateway.handle_fence(Fence { epoch, valid_until: Time::MAX });
    gateway
}

/// An IPv4 packet in a buffer with head- and tailroom.
pub fn packet(source: &str, destination: &str, number: u64) -> Vec<u8> {
    let mut packet = vec![0u8; 28];
    packet[0] = 0x45;
    packet[3] = 28;
    let octets = |text: &str| text.parse::<std::net::Ipv4Addr>().unwrap().octets();
    packet[12..16].copy_from_slice(&octets(source));
    packet[16..20].copy_from_slice(&octets(destination));
    packet[20..28].copy_from_slice(&number.to_le_bytes());
    let mut buffer = vec![0u8; HEADROOM];
    buffer.extend_from_slice(&packet);
    buffer.resize(HEADROOM + packet.len() + TAILROOM, 0);
    buffer
}
