//! The ground of every measurement: one gateway engine and as many agent engines as it takes, joined by function
//! calls. Nothing is faked: sessions are born by the handshake, hardened by the hybrid rekey, and move by REATTACH.
//!
//! The engines' clock is an argument, so it advances as the limits of the protocol ask and no measurement waits.
//! Processor time is taken around the calls of the gateway only.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use jumpvpn_engine::agent::{self, Command, Link};
use jumpvpn_engine::gateway::{self, Installed, Peer};
use jumpvpn_engine::{
    Agent, Gateway, HEADROOM, Received, SocketKey, TAILROOM, TRANSMIT_BUFFER_LEN, Transmit,
};
use jumpvpn_events::{PathLabel, Reason, State, Time};
use jumpvpn_ownership::{Answer, Fence, Moves, Rev};
use jumpvpn_policy::{Policy, PostQuantum};
use jumpvpn_runtime::SystemRandom;
use jumpvpn_session::{
    BindingContext, EpochContext, EpochSecret, PrivateKey, PublicKey, Side, Suite, SuiteSet, TrafficSender,
};
use jumpvpn_wire::{Cid, Kind, SessionId};
use rand_core::Rng;

use super::meter::cpu_time;
use crate::exit::{Code, Failure};

/// When the world begins: some time after the machine was started.
const BEGINNING: Time = Time::from_millis(1_000_000);
/// Time between two births: a gateway admits 500 handshakes per second, and asks for cookies when they come closer.
pub(super) const BIRTH_SPACING: Duration = Duration::from_millis(2);
/// Outer address of the gateway (RFC 5737).
const GATEWAY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)), 4747);
/// First outer address of the clients (RFC 6598: 100.64.0.0/10 is no host's public address).
const FIRST_OUTER: u32 = u32::from_be_bytes([100, 64, 0, 0]);
/// Clients that have an address there.
const CLIENT_COUNT_MAX: u32 = 1 << 22;
/// Outer port of a client's first link; the next link has the next one.
const FIRST_PORT: u16 = 40_000;
/// First inner addresses of the clients.
const FIRST_INNER: (u32, u128) = (u32::from_be_bytes([10, 64, 0, 2]), 0xfd77 << 112 | 2);
/// Bytes of an inner packet: an IPv4 header and a number, the smallest that is one. Small packets show the cost per
/// packet, large ones that of the cipher.
pub(super) const PACKET_LEN: usize = 28;
/// The same, sealed.
pub(super) const SEALED_LEN: usize = HEADROOM + PACKET_LEN + TAILROOM;

/// What clients share whose sessions are installed: one secret, from which each has keys of its own by its session id.
pub(super) struct Shared([u8; 32]);

impl Shared {
    /// A fresh one.
    pub(super) fn generate() -> Shared {
        let mut secret = [0; 32];
        SystemRandom.fill_bytes(&mut secret);
        Shared(secret)
    }

    fn secret(&self) -> EpochSecret {
        EpochSecret::agreed(&self.0)
    }

    fn context(&self, index: u32) -> EpochContext {
        let sid = SessionId((u128::from(index) + 1).to_be_bytes());
        EpochContext { sid, n: 0, owner_epoch: 1, owner_salt: [0; 16], suite: Suite::Aes256Gcm, lanes: 1 }
    }

    /// What seals the packets of client `index`.
    pub(super) fn sender(&self, index: u32) -> TrafficSender {
        self.secret().binding(&self.context(index), &BindingContext::birth(), Side::Client).send
    }
}

/// Keys of the clients. They belong to the configuration, not to the cost of a session.
pub(super) struct Keys {
    gateway: PrivateKey,
    clients: Vec<PrivateKey>,
}

impl Keys {
    /// Fresh keys for a gateway and `count` clients (at most 2^22).
    pub(super) fn generate(count: u32) -> Keys {
        let key = || PrivateKey::generate(&mut SystemRandom);
        Keys { gateway: key(), clients: (0..count.min(CLIENT_COUNT_MAX)).map(|_| key()).collect() }
    }

    /// The peers of a gateway's configuration.
    pub(super) fn peers(&self) -> Vec<Peer> {
        let peer = |(index, key): (usize, &PrivateKey)| Peer {
            name: format!("client{index}"),
            public: key.public(),
            psk: None,
            inner: inner(index as u32).to_vec(),
        };
        self.clients.iter().enumerate().map(peer).collect()
    }
}

/// A datagram of an agent that was held back.
pub(super) struct Held {
    pub(super) source: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

/// A gateway and its agents.
pub(super) struct World {
    pub(super) gateway: Gateway,
    pub(super) now: Time,
    /// Processor time spent in calls of the gateway.
    pub(super) spent: Duration,
    keys: Keys,
    gateway_key: PublicKey,
    policy: Policy,
    agents: BTreeMap<u32, Agent>,
    /// Messages of this kind do not reach the gateway but `held`.
    hold: Option<Kind>,
    held: Vec<Held>,
    /// The gateway's last reason to drop something.
    refusal: Option<Reason>,
}

impl World {
    /// A gateway with room for as many sessions as there are clients. `peers` are those of `keys`, made before so that
    /// their memory is not the engine's.
    pub(super) fn new(keys: Keys, peers: Vec<Peer>, pq: PostQuantum) -> Result<World, Failure> {
        let capacity = peers.len();
        World::with_capacity(capacity, keys, peers, pq)
    }

    /// A gateway with room for `capacity` sessions, whoever its peers are.
    pub(super) fn with_capacity(
        capacity: usize,
        keys: Keys,
        peers: Vec<Peer>,
        pq: PostQuantum,
    ) -> Result<World, Failure> {
        let mut policy = Policy::laptop();
        policy.security.pq = pq;
        let config = gateway::Config {
            private: keys.gateway.clone(),
            capacity,
            peers,
            // invariant: both are networks.
            networks: ["10.64.0.1/10", "fd77::1/64"].map(|text| text.parse().expect("a network")).to_vec(),
            own: vec![GATEWAY.ip()],
            allow_local: false,
            suites: SuiteSet::ALL,
            policy: policy.clone(),
            node: [0; 4],
            cell: None,
            started_minute: 0,
            mtu: 1400,
        };
        let gateway_key = keys.gateway.public();
        let mut gateway = Gateway::new(config, Box::new(SystemRandom), BEGINNING)
            .map_err(|error| Failure::new(Code::Failed, error.to_string()))?;
        gateway.handle_fence(Fence { epoch: 1, valid_until: Time::MAX });
        Ok(World {
            gateway,
            now: BEGINNING,
            spent: Duration::ZERO,
            keys,
            gateway_key,
            policy,
            agents: BTreeMap::new(),
            hold: None,
            held: Vec::new(),
            refusal: None,
        })
    }

    /// Starts client `index` with that many links, without letting any datagram fly yet.
    pub(super) fn start(&mut self, index: u32, link_count: u32) {
        let config = agent::Config {
            private: self.keys.clients[index as usize].clone(),
            gateways: vec![agent::GatewayPeer::of_file(self.gateway_key, vec![GATEWAY])],
            suites: SuiteSet::ALL,
            policy: self.policy.clone(),
        };
        let mut agent = Agent::new(config, Box::new(SystemRandom), self.now);
        let links: Vec<Link> = (0..link_count).map(link).collect();
        agent.handle_links(&links, &[], self.now);
        agent.handle_timeout(self.now);
        self.agents.insert(index, agent);
    }

    /// Gives birth to the session of client `index`, and lets everything fly that follows from it.
    ///
    /// # Errors
    /// The session did not come to life.
    pub(super) fn give_birth(&mut self, index: u32, link_count: u32) -> Result<(), Failure> {
        self.start(index, link_count);
        self.pump();
        let key_epoch = u32::from(self.policy.security.pq != PostQuantum::Off);
        let status = self.agents.get(&index).map(|agent| agent.status(self.now));
        match status {
            Some(status) if status.state == State::Attached && status.key_epoch == key_epoch => Ok(()),
            _ => Err(self.failure("a session was not born")),
        }
    }

    /// Forgets the agent of client `index`; its session stays.
    pub(super) fn part_with(&mut self, index: u32) {
        self.agents.remove(&index);
    }

    /// The agent of client `index`.
    pub(super) fn agent(&mut self, index: u32) -> Result<&mut Agent, Failure> {
        self.agents.get_mut(&index).ok_or_else(|| Failure::new(Code::Failed, "a client is missing"))
    }

    /// Asks the agent of client `index` to jump to its other path.
    ///
    /// # Errors
    /// It refuses.
    pub(super) fn jump(&mut self, index: u32) -> Result<(), Failure> {
        let now = self.now;
        let asked = self.agent(index)?.handle_command(Command::Jump { to: None }, now);
        asked.map_err(|refusal| {
            Failure::new(Code::Failed, format!("a jump was refused: {}", refusal.reason.code()))
        })
    }

    /// Holds messages of this kind back from now on.
    pub(super) fn hold(&mut self, kind: Kind) {
        self.hold = Some(kind);
    }

    /// Holds nothing back any more; gives what was held.
    pub(super) fn release(&mut self) -> Vec<Held> {
        self.hold = None;
        std::mem::take(&mut self.held)
    }

    /// A packet each way over the session of client `index`.
    ///
    /// # Errors
    /// One of them was dropped.
    pub(super) fn carry_packets(&mut self, index: u32) -> Result<(), Failure> {
        let now = self.now;
        let mut up = inner_packet(index, true);
        let sealed = self.agent(index)?.handle_packet(&mut up, now);
        let arrived = self.gateway.handle_datagram(SocketKey(0), outer(index, 0), GATEWAY.ip(), &mut up, now);
        let mut down = inner_packet(index, false);
        match (sealed, arrived, self.gateway.handle_packet(&mut down, now)) {
            (Ok(_), Received::Packet(_), Ok(transmit)) => {
                self.deliver_down(&transmit, &mut down);
                Ok(())
            }
            _ => Err(self.failure("a packet was dropped")),
        }
    }

    /// Forged datagrams from the address of client `index`: every kind the gateway looks at, none of them genuine.
    pub(super) fn carry_forgeries(&mut self, index: u32) {
        for kind in [Kind::Data, Kind::PathProbe, Kind::Reattach, Kind::Close, Kind::HsInit] {
            let mut forged = vec![0x5a; kind.min_len()];
            forged[0] = kind as u8;
            forged[1..4].fill(0);
            self.hand_over(outer(index, 0), &mut forged);
        }
    }

    /// Puts the session of client `index` in without a handshake, beside others of other indices; the CID of packets to
    /// the gateway. Its owner epoch is 1.
    ///
    /// # Errors
    /// The gateway is full.
    pub(super) fn install(&mut self, index: u32, shared: &Shared) -> Result<Cid, Failure> {
        let installed = Installed {
            secret: shared.secret(),
            context: shared.context(index),
            inner: inner(index).map(Some),
            source: outer(index, 0),
            local: GATEWAY.ip(),
            peer_cid: Cid(u64::from(index) + 1),
        };
        let cid = self.gateway.install(installed, self.now);
        while self.gateway.poll_event().is_some() {}
        cid.ok_or_else(|| self.failure("a session did not fit"))
    }

    /// Takes a datagram of a client to the gateway, without any delivery of what it answers.
    pub(super) fn hand_over(&mut self, source: SocketAddr, datagram: &mut [u8]) -> Received {
        self.gateway.handle_datagram(SocketKey(0), source, GATEWAY.ip(), datagram, self.now)
    }

    /// Private key of client `index`, and the gateway's public one.
    pub(super) fn keys_of(&self, index: u32) -> (&PrivateKey, &PublicKey) {
        (&self.keys.clients[index as usize], &self.gateway_key)
    }

    /// Takes a datagram of a client without an agent to the gateway; what comes back for it.
    pub(super) fn exchange(&mut self, source: SocketAddr, datagram: &mut [u8]) -> Vec<Vec<u8>> {
        if let Received::Dropped(reason) = self.hand_over(source, datagram) {
            self.refusal = Some(reason);
        }
        self.settle();
        let mut buffer = [0; TRANSMIT_BUFFER_LEN];
        let mut answers = Vec::new();
        while let Some(transmit) = self.gateway.poll_transmit(&mut buffer, self.now) {
            answers.push(buffer[..transmit.len].to_vec());
        }
        while self.gateway.poll_event().is_some() {}
        answers
    }

    /// Lets datagrams fly until both sides are silent.
    pub(super) fn pump(&mut self) {
        let mut buffer = [0; TRANSMIT_BUFFER_LEN];
        self.flush_gateway(&mut buffer);
        while let Some((index, transmit)) = self.poll_agents(&mut buffer) {
            self.deliver_up(index, &transmit, &mut buffer[..transmit.len]);
            self.flush_gateway(&mut [0; TRANSMIT_BUFFER_LEN]);
        }
        // They are counted by nobody here, and must not fill their queues.
        while self.gateway.poll_event().is_some() {}
        for agent in self.agents.values_mut() {
            while agent.poll_event().is_some() || agent.poll_notice().is_some() {}
        }
    }

    /// Lets time pass with all timers of all engines.
    pub(super) fn run_until(&mut self, end: Time) {
        loop {
            let agents = self.agents.values().filter_map(Agent::poll_timeout).min();
            let due = [agents, self.gateway.poll_timeout()].into_iter().flatten().min();
            let Some(due) = due.filter(|due| *due <= end) else { break };
            self.now = self.now.max(due);
            for agent in self.agents.values_mut().filter(|agent| agent.poll_timeout() <= Some(due)) {
                agent.handle_timeout(self.now);
            }
            let now = self.now;
            self.timed(|gateway| gateway.handle_timeout(now));
            self.pump();
        }
        self.now = self.now.max(end);
    }

    /// Delivers what the gateway has to say to the agents that are still there.
    fn flush_gateway(&mut self, buffer: &mut [u8; TRANSMIT_BUFFER_LEN]) {
        let now = self.now;
        while let Some(transmit) = self.timed(|gateway| gateway.poll_transmit(buffer, now)) {
            self.deliver_down(&transmit, &mut buffer[..transmit.len]);
        }
    }

    fn poll_agents(&mut self, buffer: &mut [u8]) -> Option<(u32, Transmit)> {
        let now = self.now;
        self.agents.iter_mut().find_map(|(index, agent)| Some((*index, agent.poll_transmit(buffer, now)?)))
    }

    fn deliver_up(&mut self, index: u32, transmit: &Transmit, datagram: &mut [u8]) {
        let source = outer(index, transmit.socket.0);
        if self.hold.is_some() && Kind::of(datagram).ok() == self.hold {
            self.held.push(Held { source, bytes: datagram.to_vec() });
            return;
        }
        let now = self.now;
        let received =
            self.timed(|gateway| gateway.handle_datagram(SocketKey(0), source, GATEWAY.ip(), datagram, now));
        if let Received::Dropped(reason) = received {
            self.refusal = Some(reason);
        }
        self.settle();
    }

    /// The store answers at once: what it costs is not the engine's.
    fn settle(&mut self) {
        let now = self.now;
        while let Some(request) = self.gateway.poll_ownership_request() {
            let (id, moves) = (request.id(), Moves::default());
            let answer = Answer::Committed { id, rev: Rev(id.0), moves };
            self.timed(|gateway| gateway.handle_ownership(answer, now));
        }
    }

    /// Takes a datagram of the gateway to the agent it is meant for, if that is still there.
    pub(super) fn deliver_down(&mut self, transmit: &Transmit, datagram: &mut [u8]) {
        let SocketAddr::V4(destination) = transmit.destination else { return };
        let index = u32::from(*destination.ip()).wrapping_sub(FIRST_OUTER);
        let socket = SocketKey(u32::from(destination.port().wrapping_sub(FIRST_PORT)));
        if let Some(agent) = self.agents.get_mut(&index) {
            agent.handle_datagram(socket, GATEWAY, datagram, self.now);
        }
    }

    /// Counts the processor time of a call of the gateway.
    fn timed<T>(&mut self, call: impl FnOnce(&mut Gateway) -> T) -> T {
        let before = cpu_time();
        let outcome = call(&mut self.gateway);
        self.spent += cpu_time().saturating_sub(before);
        outcome
    }

    /// A failure of the measurement, with what the gateway said last.
    pub(super) fn failure(&self, what: &str) -> Failure {
        let refusal = self.refusal.map_or_else(String::new, |reason| format!(" ({})", reason.code()));
        Failure::new(Code::Failed, format!("{what}{refusal}"))
    }
}

fn link(index: u32) -> Link {
    Link {
        socket: SocketKey(index),
        iface: PathLabel::new(&format!("link{index}")),
        local: IpAddr::from([192, 168, index as u8, 2]),
        mtu: 1500,
        preference: 0,
        metered: false,
    }
}

/// Outer address of a client as the gateway sees it over one of its links.
pub(super) fn outer(index: u32, link: u32) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::from(FIRST_OUTER + index).into(), FIRST_PORT + link as u16)
}

/// Inner addresses of a client, one of each family, as gateways usually give them.
fn inner(index: u32) -> [IpAddr; 2] {
    let (v4, v6) = FIRST_INNER;
    [Ipv4Addr::from(v4 + index).into(), Ipv6Addr::from(v6 + u128::from(index)).into()]
}

/// A packet of a client to the gateway's side (`up`) or back, with room for header and tag.
pub(super) fn inner_packet(index: u32, up: bool) -> [u8; SEALED_LEN] {
    let client = (FIRST_INNER.0 + index).to_be_bytes();
    let server = [10, 64, 0, 1];
    let (source, destination) = if up { (client, server) } else { (server, client) };
    let mut buffer = [0; SEALED_LEN];
    let packet = &mut buffer[HEADROOM..][..PACKET_LEN];
    packet[0] = 0x45;
    packet[3] = PACKET_LEN as u8;
    packet[12..16].copy_from_slice(&source);
    packet[16..20].copy_from_slice(&destination);
    buffer
}
