//! The ground of the measurements across gateways: two engines, each with its ownership node, over one real store.
//!
//! One thread does all their work, one piece after the other, and their clock is the processor time of that work, to which the
//! waiting for the store is added as it is. So other programs on the machine slow the store down, and nothing else. Clients
//! stand beside it: their machines do their work, and the store, which has always answered before they begin, gains nothing by that.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jumpvpn_engine::gateway::{self, Peer};
use jumpvpn_engine::{Gateway, SocketKey, TRANSMIT_BUFFER_LEN};
use jumpvpn_events::Time;
use jumpvpn_ownership::{
    Change, Hint, Key, Limits, Node, NodeConfig, Operation, Outcome, OwnershipStore, Profile, Standing,
    Ticket, Upkeep, WallClock,
};
use jumpvpn_policy::{Policy, PostQuantum};
use jumpvpn_runtime::SystemRandom;
use jumpvpn_session::{PrivateKey, PublicKey, StoreKeys, SuiteSet};
use jumpvpn_store::Sqlite;
use jumpvpn_wire::{AdvisedGateway, ObservedAddress};
use rand_core::Rng;

use super::meter::cpu_time;
use crate::exit::{Code, Failure};

/// When it begins: some time after the machines were started.
const BEGINNING: Time = Time::from_millis(1_000_000);
/// Between two births, for their gateway's clock: it admits 500 per second.
const BIRTH_SPACING: Duration = Duration::from_millis(2);
/// The store is waited for at most so long without a word from it: far more than it may take for a commit.
const STORE_PATIENCE: Duration = Duration::from_secs(20);
/// Idle clients live as long as the measurement takes.
const IDLE_TTL: Duration = Duration::from_secs(3600);
/// First outer address of the clients (RFC 6598), and how many addresses lie between two of them: eight share a /24, as
/// gateways limit what comes from one.
const FIRST_OUTER: u32 = u32::from_be_bytes([100, 64, 0, 0]);
const OUTER_SPACING: u32 = 32;
const OUTER_PORT: u16 = 40_000;
/// First inner address of the clients.
const FIRST_INNER: u32 = u32::from_be_bytes([10, 64, 0, 2]);
/// Datagrams that a gateway takes in before its answers are sent.
const DRAIN_COUNT: usize = 64;

/// A datagram on its way to a gateway.
pub(super) struct Inbound {
    pub(super) to: usize,
    pub(super) source: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

/// A gateway of the cell.
struct Member {
    gateway: Gateway,
    node: Node<SystemRandom>,
    address: IpAddr,
}

/// What the store has done.
#[derive(Clone, Copy, Default)]
pub(super) struct Written {
    /// Transactions that were asked for.
    pub(super) commits: u64,
    /// Bytes of the longest value in them.
    pub(super) longest: usize,
}

/// Two gateways, and the keys of their clients.
pub(super) struct Cell {
    members: [Option<Member>; 2],
    publics: [PublicKey; 2],
    store: Box<dyn OwnershipStore>,
    /// Operations that have no outcome yet, with the keys they change.
    outstanding: HashMap<Ticket, Vec<Key>>,
    bell: Arc<Bell>,
    written: Written,
    clients: Vec<PrivateKey>,
    now: Time,
    folder: PathBuf,
}

/// Rung by the store when there is an outcome.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    ringing: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.ringing.notify_one();
    }

    /// Whether it was rung in time, or before.
    fn wait(&self) -> bool {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.ringing.wait_timeout_while(rung, STORE_PATIENCE, |rung| !*rung);
        std::mem::take(&mut *waited.unwrap_or_else(PoisonError::into_inner).0)
    }
}

impl Cell {
    /// Two gateways that have joined, with room for `count` clients and nobody there.
    ///
    /// # Errors
    /// The store cannot be made, or does not answer.
    pub(super) fn open(count: u32) -> Result<Cell, Failure> {
        let clients: Vec<PrivateKey> = (0..count).map(|_| PrivateKey::generate(&mut SystemRandom)).collect();
        let folder = std::env::temp_dir().join(format!("jumpvpn-bench-{:016x}", SystemRandom.next_u64()));
        std::fs::create_dir(&folder)?;
        let bell = Arc::new(Bell::default());
        let store = open_store(&folder, &bell)?;
        let privates = [0, 1].map(|_| PrivateKey::generate(&mut SystemRandom));
        let publics = [0, 1].map(|at: usize| privates[at].public());
        let mut secret = [0; 32];
        SystemRandom.fill_bytes(&mut secret);
        let mut cell = Cell {
            members: [None, None],
            publics,
            store,
            outstanding: HashMap::new(),
            bell,
            written: Written::default(),
            clients,
            now: BEGINNING,
            folder,
        };
        for (at, private) in privates.into_iter().enumerate() {
            let keys = StoreKeys::from_secret(&secret).map_err(|error| failed(&error.to_string()))?;
            cell.members[at] = Some(cell.member(at, private, keys)?);
        }
        cell.until("the gateways did not join", |cell| {
            cell.members.iter().flatten().all(|member| *member.node.standing() == Standing::Member)
        })?;
        Ok(cell)
    }

    fn member(&self, at: usize, private: PrivateKey, keys: StoreKeys) -> Result<Member, Failure> {
        let mut policy = Policy::laptop();
        policy.security.pq = PostQuantum::Off;
        policy.session.transport_lost_ttl = IDLE_TTL;
        let address = gateway_address(at);
        let peer = |(index, key): (u32, &PrivateKey)| Peer {
            name: format!("client{index}"),
            public: key.public(),
            psk: None,
            inner: vec![Ipv4Addr::from(FIRST_INNER + index).into()],
        };
        let other = 1 - at;
        let others = vec![AdvisedGateway {
            public: self.publics[other].0,
            endpoint: ObservedAddress::new(SocketAddr::new(gateway_address(other), 4747)),
        }];
        let node_id = [0, 0, 0, at as u8 + 1];
        let config = gateway::Config {
            private,
            capacity: self.clients.len(),
            peers: (0..).zip(&self.clients).map(peer).collect(),
            // invariant: it is a network.
            networks: vec!["10.64.0.1/10".parse().expect("a network")],
            own: vec![address],
            allow_local: false,
            suites: SuiteSet::ALL,
            policy,
            node: node_id,
            cell: Some(gateway::Cell { name: "bench".into(), keys, others }),
            started_minute: at as u32,
            mtu: 1400,
        };
        let gateway = Gateway::new(config, Box::new(SystemRandom), self.now)
            .map_err(|error| failed(&error.to_string()))?;
        let node = NodeConfig {
            node_id,
            name: format!("gateway{at}"),
            public: self.publics[at].0,
            cell: 1,
            store_generation: None,
            boot_id: node_id.repeat(4).try_into().unwrap_or_default(),
            data_dir: node_id.repeat(4).try_into().unwrap_or_default(),
            profile: Profile::DEFAULT,
            clock: WallClock::default(),
            upkeep: Upkeep::DEFAULT,
            orphan_ttl: IDLE_TTL,
            limits: Limits::CELL,
        };
        Ok(Member { gateway, node: Node::new(node, SystemRandom, self.now), address })
    }

    /// Time for the gateways.
    pub(super) fn now(&self) -> Time {
        self.now
    }

    /// Lets time pass up to `to`, in which nobody does anything.
    pub(super) fn skip(&mut self, to: Time) {
        self.now = self.now.max(to);
    }

    /// For one more birth.
    pub(super) fn space_birth(&mut self) {
        self.now += BIRTH_SPACING;
    }

    /// Private key of a client, and the public one of a gateway.
    pub(super) fn keys(&self, client: u32, gateway: usize) -> (&PrivateKey, &PublicKey) {
        (&self.clients[client as usize], &self.publics[gateway])
    }

    /// What was written so far.
    pub(super) fn written(&self) -> Written {
        self.written
    }

    /// Sessions that a gateway has.
    pub(super) fn session_count(&self, at: usize) -> usize {
        self.members[at].as_ref().map_or(0, |member| member.gateway.sessions(self.now).count())
    }

    /// When something is due at a gateway.
    pub(super) fn next_due(&self) -> Option<Time> {
        let of = |member: &Member| [member.gateway.poll_timeout(), member.node.poll_timeout()];
        self.members.iter().flatten().flat_map(of).flatten().min()
    }

    /// A gateway writes its tombstone and is gone, with all it knew.
    ///
    /// # Errors
    /// It cannot.
    pub(super) fn bury(&mut self, at: usize) -> Result<(), Failure> {
        if let Some(member) = &mut self.members[at] {
            member.node.stop(self.now);
        }
        self.until("the gateway did not stop", |cell| {
            cell.members[at].as_ref().is_none_or(|member| *member.node.standing() == Standing::Stopped)
        })?;
        self.members[at] = None;
        Ok(())
    }

    /// A gateway sends its sessions away over this time.
    pub(super) fn drain(&mut self, at: usize, span: Duration) {
        if let Some(member) = &mut self.members[at] {
            member.node.drain(true, self.now);
            member.gateway.handle_command(gateway::Command::Drain { span }, self.now);
        }
    }

    /// Takes these datagrams in and does what follows and what is due, until the store has nothing to do; what is sent.
    ///
    /// # Errors
    /// The store does not answer.
    pub(super) fn turn(&mut self, inbound: &mut Vec<Inbound>) -> Result<Vec<(SocketAddr, Vec<u8>)>, Failure> {
        let mut sent = Vec::new();
        let mut rest = inbound.drain(..);
        loop {
            let before = cpu_time();
            let mut more = false;
            for Inbound { to, source, mut bytes } in rest.by_ref().take(DRAIN_COUNT) {
                more = true;
                if let Some(Member { gateway, address, .. }) = &mut self.members[to] {
                    gateway.handle_datagram(SocketKey(0), source, *address, &mut bytes, self.now);
                }
            }
            more |= exchange(
                &mut self.members,
                self.store.as_mut(),
                &mut self.outstanding,
                &mut self.written,
                self.now,
                &mut sent,
            );
            self.now += cpu_time().saturating_sub(before);
            if more {
                continue;
            }
            if self.outstanding.is_empty() {
                return Ok(sent);
            }
            let asked = Instant::now();
            if !self.bell.wait() {
                return Err(failed("the store does not answer"));
            }
            self.now += asked.elapsed();
        }
    }

    /// Goes on until `is_done`, over as much time as it takes the gateways' timers.
    fn until(&mut self, what: &str, is_done: impl Fn(&Cell) -> bool) -> Result<(), Failure> {
        let end = self.now + STORE_PATIENCE;
        while !is_done(self) {
            self.turn(&mut Vec::new())?;
            if self.now >= end {
                return Err(failed(what));
            }
            if let Some(due) = self.next_due().filter(|_| !is_done(self)) {
                self.skip(due);
            }
        }
        Ok(())
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        // At worst a file stays behind; the figures are worth more.
        std::fs::remove_dir_all(&self.folder).unwrap_or_default();
    }
}

/// Carries everything between engines, nodes and store, and does what is due; whether there was anything.
fn exchange(
    members: &mut [Option<Member>; 2],
    store: &mut dyn OwnershipStore,
    outstanding: &mut HashMap<Ticket, Vec<Key>>,
    written: &mut Written,
    now: Time,
    sent: &mut Vec<(SocketAddr, Vec<u8>)>,
) -> bool {
    let mut busy = false;
    let mut buffer = [0; TRANSMIT_BUFFER_LEN];
    while let Some((ticket, outcome)) = store.poll() {
        busy = true;
        let keys = outstanding.remove(&ticket).unwrap_or_default();
        if let Outcome::Committed(rev) = outcome {
            // As a cluster's watch does.
            let hints = keys.into_iter().map(|key| Hint::Changed { key, rev });
            for hint in hints {
                members.iter_mut().flatten().for_each(|member| member.node.hint(&hint, now));
            }
        }
        if let Some(member) = &mut members[(ticket.0 % 2) as usize] {
            member.node.handle_outcome(Ticket(ticket.0 / 2), outcome, now);
        }
    }
    for (at, Member { gateway, node, .. }) in
        members.iter_mut().enumerate().filter_map(|(at, member)| Some((at, member.as_mut()?)))
    {
        if node.poll_timeout().is_some_and(|due| due <= now) {
            node.handle_timeout(now);
        }
        while let Some(ask) = node.poll_ask() {
            gateway.handle_ask(ask, now);
        }
        gateway.handle_fence(node.fence());
        while let Some(answer) = node.poll_answer() {
            gateway.handle_ownership(answer, now);
        }
        if gateway.poll_timeout().is_some_and(|due| due <= now) {
            gateway.handle_timeout(now);
        }
        while let Some(request) = gateway.poll_ownership_request() {
            node.handle_request(request, now);
        }
        while let Some((Ticket(ticket), operation)) = node.poll_operation() {
            let ticket = Ticket(ticket * 2 + at as u64);
            outstanding.insert(ticket, written.note(&operation));
            store.submit(ticket, operation);
            busy = true;
        }
        while let Some(transmit) = gateway.poll_transmit(&mut buffer, now) {
            sent.push((transmit.destination, buffer[..transmit.len].to_vec()));
        }
        while gateway.poll_event().is_some() || gateway.poll_route().is_some() {}
    }
    busy
}

impl Written {
    /// Counts an operation; the keys that it changes.
    fn note(&mut self, operation: &Operation) -> Vec<Key> {
        let Operation::Commit(transaction) = operation else { return Vec::new() };
        self.commits += 1;
        let len = |change: &Change| match change {
            Change::Put { value, .. } => value.len(),
            Change::Delete { .. } => 0,
        };
        self.longest = transaction.changes.iter().map(len).fold(self.longest, usize::max);
        transaction.changes.iter().map(|change| change.key().clone()).collect()
    }
}

fn open_store(folder: &Path, bell: &Arc<Bell>) -> Result<Box<dyn OwnershipStore>, Failure> {
    let mut fresh = [0; 16];
    SystemRandom.fill_bytes(&mut fresh);
    let opened =
        Sqlite::open(&folder.join("sessions.db"), fresh).map_err(|error| failed(&error.to_string()))?;
    let ringing = Arc::clone(bell);
    Ok(Box::new(opened.start(Arc::new(move || ringing.ring()))?))
}

fn gateway_address(at: usize) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, 10 + at as u8).into()
}

/// Outer address of a client.
pub(super) fn outer(client: u32) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::from(FIRST_OUTER + client * OUTER_SPACING).into(), OUTER_PORT)
}

/// The client with that outer address.
pub(super) fn client_at(address: SocketAddr) -> Option<u32> {
    let SocketAddr::V4(address) = address else { return None };
    Some(u32::from(*address.ip()).checked_sub(FIRST_OUTER)? / OUTER_SPACING)
}

fn failed(what: &str) -> Failure {
    Failure::new(Code::Failed, what.to_owned())
}
