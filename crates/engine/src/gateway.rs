//! The gateway side: admission, session table, reattach, forwarding and expiry of one shard.
//!
//! This file only dispatches. Each concern has its file: `admission` (what an unproven sender may cost),
//! `birth`, `data` (packets of live bindings), `reattach` (probe, ticket, jump, rebinding), `rekey`, `expiry`
//! (timers), `lost` (sessions nobody knows), `takeover` (sessions of other gateways, or of an earlier life of this one),
//! `handoff` (sessions that go to others), `advice` (sessions that shall go), `writes` (changes of records),
//! `routes` (inner addresses that come and go), `status`.
mod admission;
mod advice;
mod birth;
mod cid;
mod data;
mod expiry;
mod frames;
mod handoff;
mod installed;
mod list;
mod lost;
mod reattach;
mod rekey;
mod routes;
pub(crate) mod session;
mod status;
mod table;
mod takeover;
mod writes;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use jumpvpn_events::{Event, Reason, SessionLabel, Time};
use jumpvpn_ownership::{Answer, Fence, Incarnation, Request};
use jumpvpn_policy::Policy;
use jumpvpn_session::{
    AddressRules, CookieKeys, PresharedKey, PrivateKey, PublicKey, Responder, StoreKeys, SuiteSet,
    TicketKeys, TokenKey, WeakRandomness,
};
use jumpvpn_wire::{AdvisedGateway, GrantedLimits, Kind};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::counters::Counters;
use crate::keyed::{KeyedMap, KeyedState};
use crate::outbox::{Outbox, SLOT_LEN};
use crate::queue::EventQueue;
use crate::rejection::Rejection;
use crate::resend::{ResendCursor, ResendRing};
use crate::sketch::Bucket;
use crate::{Received, SocketKey, TRANSMIT_BUFFER_LEN, Transmit};
use admission::Admission;
use advice::Advice;
use birth::PendingBirths;
use expiry::CLOSE_COPIES;
pub use installed::Installed;
use lost::LostSessions;
pub use routes::RouteChange;
pub use status::{SessionRow, Status};
use table::Table;
use takeover::Takeovers;
use writes::Writes;

/// Datagrams that may wait for `poll_transmit`: one received datagram causes at most four, and the caller
/// drains after each batch of at most 64.
const OUTBOX_CAPACITY: usize = 256;

/// Requests to the store that wait for the caller without more memory. After each datagram they are taken out: there is
/// one for a question or a birth, and a few more when a birth ends older sessions.
const REQUEST_CAPACITY: usize = 256;

/// Events that may wait: one received datagram causes at most half a dozen.
const EVENT_CAPACITY: usize = 4096;

/// A client that may open sessions.
#[derive(Clone)]
pub struct Peer {
    /// Name for status and logs.
    pub name: String,
    /// Its static key.
    pub public: PublicKey,
    /// Optional operator secret mixed into the handshake.
    pub psk: Option<PresharedKey>,
    /// Its inner addresses: at most one of each family is used.
    pub inner: Vec<IpAddr>,
}

/// What a gateway shares with the others of its cell, and with its own later lives: they can take its sessions over.
pub struct Cell {
    /// Name of the cell; credentials of another one mean nothing here.
    pub name: String,
    /// Keys of the store, the same at each gateway of the cell. Route tokens and reset tokens are good at all of them.
    pub keys: StoreKeys,
    /// The other gateways, to which sessions may be advised to go. May be empty: then clients choose by themselves.
    pub others: Vec<AdvisedGateway>,
}

/// What a gateway instance is made of.
pub struct Config {
    /// Static key of this node.
    pub private: PrivateKey,
    /// Who may connect.
    pub peers: Vec<Peer>,
    /// Our own inner addresses with their networks.
    pub networks: Vec<IpNet>,
    /// Our own outer addresses: no session is ever bound to them.
    pub own: Vec<IpAddr>,
    /// Whether clients may be bound to loopback and link-local addresses (tests on one machine).
    pub allow_local: bool,
    /// Data suites this machine offers.
    pub suites: SuiteSet,
    /// Limits.
    pub policy: Policy,
    /// Most sessions at once.
    pub capacity: usize,
    /// Node id: the first 4 bytes of each incarnation of this gateway. Its last 2 bytes stand in route tokens.
    pub node: [u8; 4],
    /// The cell this gateway belongs to, if sessions outlive it; otherwise they end with it.
    pub cell: Option<Cell>,
    /// Minutes since 2026-01-01 00:00 UTC at `now` of [`Gateway::new`]; first part of session handles.
    pub started_minute: u32,
    /// MTU of the inner interface.
    pub mtu: u16,
}

/// What an operator may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Ends one session.
    Close {
        /// Which.
        session: SessionLabel,
        /// Why.
        reason: Reason,
    },
    /// Ends every session.
    CloseAll {
        /// Why.
        reason: Reason,
    },
    /// Asks the clients to go to other gateways, and takes no session any more. Sessions that are still here afterwards
    /// are served on.
    Drain {
        /// Over which time they shall go.
        span: Duration,
    },
    /// Takes sessions again.
    Undrain,
    /// Asks one client to go to another gateway.
    Handoff {
        /// Which session.
        session: SessionLabel,
        /// To which gateway.
        to: AdvisedGateway,
    },
}

/// Parts every concern uses: randomness, outputs, keys of the node.
pub(crate) struct Core {
    pub rng: Box<dyn CryptoRng + Send>,
    pub policy: Policy,
    pub suites: SuiteSet,
    pub responder: Responder,
    pub tokens: TokenKey,
    pub reset_key: Zeroizing<[u8; 32]>,
    pub cookies: CookieKeys,
    pub tickets: TicketKeys,
    pub peers: Vec<Peer>,
    /// Births of each peer: one per second, five at once. Each ends the one before and leaves a tombstone.
    pub births: Vec<Bucket>,
    pub peer_by_key: KeyedMap<[u8; 32], usize>,
    pub networks: Vec<IpNet>,
    /// Our own addresses: nobody is bound to them.
    pub own: Vec<IpAddr>,
    pub allow_local: bool,
    pub mtu: u16,
    /// In route tokens.
    pub node: u16,
    pub node_id: [u8; 4],
    pub cell: Option<Cell>,
    pub fence: Fence,
    pub outbox: Outbox,
    pub events: EventQueue,
    pub requests: VecDeque<Request>,
    pub routes: VecDeque<RouteChange>,
    pub counters: Counters,
    pub resend: Option<ResendRing>,
    /// Sessions whose packets are sent again; the handle guards against a slot that was given away.
    pub resending: Vec<(u32, jumpvpn_wire::Handle, ResendCursor)>,
    pub next_request: u64,
    pub started: Time,
    pub started_minute: u32,
    pub next_serial: u32,
    /// The list of gateways on offer.
    pub list: Option<Box<list::OfferedList>>,
}

impl Core {
    /// Queues an event; on overflow the oldest gives way and is counted.
    pub fn event(&mut self, event: Event) {
        self.events.push(event, &mut self.counters);
    }

    /// Counts and reports a refused datagram.
    pub fn reject(&mut self, rejection: Rejection, now: Time) -> Received {
        self.counters.drops.record(rejection.reason);
        rejection.note(&mut self.counters, &mut self.events, now);
        Received::Dropped(rejection.reason)
    }

    /// What we say of ourselves to clients: bits of [`features`].
    pub fn features(&self) -> u32 {
        crate::pq_features(self.policy.security.pq)
    }

    /// The limits that the client of a session is told which lives for another `lifetime`.
    pub fn limits(&self, lifetime: Duration) -> GrantedLimits {
        let Policy { session, switching, security, .. } = &self.policy;
        let millis = |span: Duration| u16::try_from(span.as_millis()).unwrap_or(u16::MAX);
        GrantedLimits {
            lifetime_s: u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX),
            idle_ttl_ms: u32::try_from(session.transport_lost_ttl.as_millis()).unwrap_or(u32::MAX),
            max_switches_per_min: switching.max_switches_per_min,
            cooldown_ms: millis(switching.switch_cooldown),
            ticket_age_ms: millis(security.reattach_proof_max_age),
        }
    }

    /// Where a session may be bound to, and anything be sent to.
    pub fn addresses(&self) -> AddressRules<'_> {
        AddressRules { own: &self.own, allow_local: self.allow_local }
    }

    /// Queues what `write` composes for whoever sent a datagram. Its source may be forged: our own and other local
    /// addresses get no answer.
    pub fn answer(&mut self, from: From, write: impl FnOnce(&mut [u8; SLOT_LEN]) -> Option<usize>) {
        if !self.addresses().admit(from.source) {
            return self.counters.drops.record(Reason::InvalidTransportCandidate);
        }
        if !self.outbox.push(from.socket, from.source, Some(from.local), write) {
            self.counters.drops.record(Reason::OutboxFull);
        }
    }

    /// Rotates the keys of tickets and cookies when their time has come.
    ///
    /// # Errors
    /// `INTERNAL` when the random generator gives zeros: nothing may be issued then.
    pub fn refresh_keys(&mut self, now: Time) -> Result<(), Reason> {
        let rng = &mut *self.rng;
        let refreshed = self.tickets.refresh(now, rng).and_then(|()| self.cookies.refresh(now, rng));
        refreshed.map_err(|_| Reason::Internal)
    }
}

/// One shard of a gateway.
pub struct Gateway {
    core: Core,
    table: Table,
    pending: PendingBirths,
    takeovers: Takeovers,
    writes: Writes,
    admission: Admission,
    lost: LostSessions,
    advice: Option<Advice>,
    /// No session is born or taken over any more.
    draining: bool,
}

impl Gateway {
    /// A gateway without sessions. All tables are allotted here.
    ///
    /// # Errors
    /// [`WeakRandomness`] when the random generator gives zeros.
    pub fn new(
        config: Config,
        mut rng: Box<dyn CryptoRng + Send>,
        now: Time,
    ) -> Result<Gateway, WeakRandomness> {
        let (tokens, reset_key) = match config.cell.as_ref().map(|cell| &cell.keys) {
            Some(keys) => (keys.token_key(TOKEN_CONFIG)?, Zeroizing::new(*keys.reset_key())),
            None => (token_key(&config.private)?, config.private.derive("session reset")),
        };
        let mut peer_by_key =
            KeyedMap::with_capacity_and_hasher(config.peers.len(), KeyedState::new(&mut *rng));
        for (index, peer) in config.peers.iter().enumerate() {
            peer_by_key.insert(peer.public.0, index);
        }
        let own =
            config.own.iter().copied().chain(config.networks.iter().map(|network| network.addr())).collect();
        let resend = config.policy.volatility.detection.replay_last_rtt.then(ResendRing::new);
        let pending_capacity = birth::PENDING_CAPACITY + takeover::PENDING_CAPACITY;
        let table = Table::new(config.capacity, pending_capacity, &mut *rng, now);
        let writes = Writes::new(&mut *rng);
        let admission = Admission::new(&mut *rng);
        let next_serial = rng.next_u32() & SERIAL_MASK;
        let core = Core {
            policy: config.policy,
            suites: config.suites,
            responder: Responder::new(config.private),
            tokens,
            reset_key,
            cookies: CookieKeys::new(now, &mut *rng)?,
            tickets: TicketKeys::new(now, &mut *rng)?,
            births: vec![Bucket::new(1, 5); config.peers.len()],
            peers: config.peers,
            peer_by_key,
            networks: config.networks,
            mtu: config.mtu,
            node: Incarnation::new(config.node, [0; 12]).route_node(),
            node_id: config.node,
            cell: config.cell,
            own,
            allow_local: config.allow_local,
            fence: Fence { epoch: 0, valid_until: Time::ZERO },
            outbox: Outbox::new(OUTBOX_CAPACITY),
            events: EventQueue::new(EVENT_CAPACITY),
            routes: VecDeque::new(),
            requests: VecDeque::with_capacity(REQUEST_CAPACITY),
            counters: Counters::default(),
            resend,
            resending: Vec::new(),
            next_request: 0,
            started: now,
            started_minute: config.started_minute,
            list: None,
            next_serial,
            rng,
        };
        Ok(Gateway {
            core,
            table,
            pending: PendingBirths::new(),
            takeovers: Takeovers::new(),
            writes,
            admission,
            lost: LostSessions::new(),
            advice: None,
            draining: false,
        })
    }

    /// Takes a received datagram in: from `source`, to our address `local`, on `socket`.
    pub fn handle_datagram(
        &mut self,
        socket: SocketKey,
        source: SocketAddr,
        local: IpAddr,
        datagram: &mut [u8],
        now: Time,
    ) -> Received {
        let from = From { socket, source, local };
        let kind = match Kind::of(datagram) {
            Ok(kind) => kind,
            Err(malformed) => return self.core.reject(crate::malformed_reason(malformed).into(), now),
        };
        match kind {
            Kind::Data => self.handle_data(from, datagram, now),
            Kind::HsInit => self.handle_init(from, datagram, now),
            Kind::TakeoverInit => self.handle_takeover_init(from, datagram, now),
            Kind::PathProbe | Kind::Reattach | Kind::Close => self.handle_control(kind, from, datagram, now),
            _ => self.core.reject(Reason::UnknownType.into(), now),
        }
    }

    /// Operator commands; whether there was anybody to do it for.
    pub fn handle_command(&mut self, command: Command, now: Time) -> bool {
        let slots: Vec<(u32, Reason)> = match command {
            Command::Close { session, reason } => self
                .table
                .iter()
                .filter(|(_, held)| held.label == session)
                .map(|(slot, _)| (slot, reason))
                .collect(),
            Command::CloseAll { reason } => self.table.iter().map(|(slot, _)| (slot, reason)).collect(),
            Command::Drain { span } => {
                self.begin_drain(span, now);
                return true;
            }
            Command::Undrain => {
                self.end_drain();
                return true;
            }
            Command::Handoff { session, to } => return self.begin_handoff(session, to, now),
        };
        // Many ends at once share the outbox: rather one word to each than three to some.
        let copies = (OUTBOX_CAPACITY / slots.len().max(1)).clamp(1, CLOSE_COPIES);
        let known = !slots.is_empty();
        for (slot, reason) in slots {
            self.close_with(slot, reason, copies, now);
        }
        known
    }

    /// The fence under which this instance may act; without a valid one it serves nothing.
    pub fn handle_fence(&mut self, fence: Fence) {
        self.core.fence = fence;
        self.end_advice_of_fence();
    }

    /// Answers of the ownership store.
    pub fn handle_ownership(&mut self, answer: Answer, now: Time) {
        let taken = self.pending_answered(&answer, now)
            || self.write_answered(&answer, now)
            || self.takeover_answered(&answer, now);
        if !taken {
            self.lost_answered(&answer, now);
        }
    }

    /// Next request to the ownership store.
    pub fn poll_ownership_request(&mut self) -> Option<Request> {
        self.core.requests.pop_front()
    }

    /// Next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.core.events.pop()
    }

    /// Writes the next datagram to `buffer` (at least [`TRANSMIT_BUFFER_LEN`] bytes).
    pub fn poll_transmit(&mut self, buffer: &mut [u8], now: Time) -> Option<Transmit> {
        debug_assert!(buffer.len() >= TRANSMIT_BUFFER_LEN);
        self.core.outbox.pop(buffer).or_else(|| self.poll_resend(buffer, now))
    }

    /// Counters of this instance.
    pub fn counters(&self) -> &Counters {
        &self.core.counters
    }
}

/// Number of the key of the route tokens: there is one.
const TOKEN_CONFIG: u8 = 0;

/// The key of the route tokens comes from the node's static key, so that a restarted gateway can tell the holder
/// of an old token that its session is gone.
fn token_key(private: &PrivateKey) -> Result<TokenKey, WeakRandomness> {
    let derived = private.derive("route token");
    let mut key = Zeroizing::new([0; 16]);
    key.copy_from_slice(&derived[..16]);
    TokenKey::new(TOKEN_CONFIG, &key)
}

/// The store's form of a handle.
fn store_handle(handle: jumpvpn_wire::Handle) -> jumpvpn_ownership::Handle {
    // invariant: a wire handle has 48 bits, the store takes 48 bits.
    jumpvpn_ownership::Handle::new(handle.value()).unwrap_or(jumpvpn_ownership::Handle::MAX)
}

/// Serial part of a handle: 22 bits.
const SERIAL_MASK: u32 = (1 << jumpvpn_wire::Handle::SERIAL_BITS) - 1;

/// Where a datagram came in.
#[derive(Clone, Copy)]
pub(crate) struct From {
    pub socket: SocketKey,
    pub source: SocketAddr,
    pub local: IpAddr,
}
