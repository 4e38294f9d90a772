//! What a gateway instance tells of itself, read from the structs the data path uses.
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use jumpvpn_events::{SessionLabel, State, Time};

use super::Gateway;

/// Summary of an instance.
#[derive(Clone, Debug)]
pub struct Status {
    /// Live sessions by state, in the order of [`State::ALL`].
    pub sessions: [(State, usize); State::ALL.len()],
    /// Most sessions at once.
    pub capacity: usize,
    /// Handshakes that wait for their confirmation.
    pub pending: usize,
    /// Takeovers that wait for their confirmation or for the store.
    pub takeovers: usize,
    /// Whether no session is born or taken over any more.
    pub draining: bool,
}

/// One live session.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// Its id.
    pub session: SessionLabel,
    /// Name of the peer.
    pub peer: String,
    /// State of our side's machine.
    pub state: State,
    /// Steps of our side's machine.
    pub step: u64,
    /// Committed version.
    pub version: u64,
    /// Owner epoch.
    pub epoch: u64,
    /// Key epoch.
    pub key_epoch: u32,
    /// Inner addresses.
    pub inner: Vec<IpAddr>,
    /// Client's path id of the binding.
    pub path_id: u32,
    /// Where the client accepted to be reached.
    pub address: SocketAddr,
    /// Transport class.
    pub class: &'static str,
    /// Round trip as the client reported it.
    pub rtt: Option<Duration>,
    /// Since the last authentic packet.
    pub silent: Duration,
    /// Since birth.
    pub age: Duration,
    /// Committed switches.
    pub switches: u32,
    /// Whether it has changed its gateway: then its inner addresses need routes of their own.
    pub moved: bool,
}

impl Gateway {
    /// Summary of this instance.
    pub fn status(&self) -> Status {
        let mut sessions = State::ALL.map(|state| (state, 0));
        for (_, session) in self.table.iter() {
            sessions[session.machine.state() as usize].1 += 1;
        }
        Status {
            sessions,
            capacity: self.table.capacity(),
            pending: self.pending.len(),
            takeovers: self.takeovers.pending_count(),
            draining: self.draining,
        }
    }

    /// Every live session.
    pub fn sessions(&self, now: Time) -> impl Iterator<Item = SessionRow> {
        self.table.iter().map(move |(_, session)| SessionRow {
            session: session.label,
            peer: self.core.peers[session.peer].name.clone(),
            state: session.machine.state(),
            step: session.machine.step(),
            version: session.version,
            epoch: session.owner_epoch(),
            key_epoch: session.epoch.context.n,
            inner: session.inner.into_iter().flatten().collect(),
            path_id: session.binding.path_id.0,
            address: session.binding.address,
            class: class_name(session.binding.class),
            rtt: session.client_rtt,
            silent: now.since(session.last_heard()),
            age: now.since(session.born),
            switches: session.switches,
            moved: session.moved,
        })
    }
}

fn class_name(class: jumpvpn_wire::TransportClass) -> &'static str {
    match class {
        jumpvpn_wire::TransportClass::Udp => "udp",
        jumpvpn_wire::TransportClass::Tcp => "tcp",
        jumpvpn_wire::TransportClass::Tls => "tls",
    }
}
