//! What no datagram may do, whoever sent it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use jumpvpn_engine::gateway::SessionRow;
use jumpvpn_engine::{Agent, Gateway, Received, Transmit};
use jumpvpn_events::{BindingState, SessionLabel, State, Time};
use jumpvpn_wire::{HsInit, HsResp, Kind};

use super::world::{CLIENTS, inner};

/// What is committed of one session, as the gateway tells it: everything but ages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Committed {
    client: usize,
    state: State,
    step: u64,
    version: u64,
    epochs: (u64, u32),
    inner: Vec<IpAddr>,
    path: u32,
    pub address: SocketAddr,
    switches: u32,
    rtt: Option<std::time::Duration>,
}

impl Committed {
    fn of(row: SessionRow) -> Self {
        let client = (0..CLIENTS).find(|client| row.inner.contains(&inner(*client).into()));
        Self {
            client: client.expect("only the two clients may have sessions"),
            state: row.state,
            step: row.step,
            version: row.version,
            epochs: (row.epoch, row.key_epoch),
            inner: row.inner,
            path: row.path_id,
            address: row.address,
            switches: row.switches,
            rtt: row.rtt,
        }
    }
}

/// Sessions of the gateway.
pub(super) type Sessions = BTreeMap<SessionLabel, Committed>;

/// What is committed of a client's session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Own {
    state: State,
    session: Option<SessionLabel>,
    version: u64,
    step: u64,
    epochs: (u64, u32),
    gateway: Option<SocketAddr>,
    inner: Option<(std::net::Ipv4Addr, u8)>,
    jumps: u32,
    active: Option<String>,
}

/// Who sealed what, and which packets may come out of a tunnel.
#[derive(Default)]
pub(super) struct Book {
    /// Parts of datagrams that stand by themselves, and the client by whose keys (and in which direction) they are good.
    sealed: BTreeMap<Vec<u8>, BTreeSet<(usize, bool)>>,
    packets: BTreeSet<Vec<u8>>,
    /// Addresses the clients ever had.
    accepted: BTreeSet<SocketAddr>,
}

/// The parts of a datagram that are good by themselves: all of it; the request and the packet behind it; of a handshake
/// what its MACs and its AEAD cover (the header of HS_RESP is not covered, what counts stands inside).
fn parts(bytes: &[u8]) -> Vec<&[u8]> {
    let mut parts = vec![bytes];
    match Kind::of(bytes) {
        Ok(Kind::Reattach) if bytes.len() > Kind::Reattach.min_len() => {
            let (request, packet) = bytes.split_at(Kind::Reattach.min_len());
            parts.extend([request, packet]);
        }
        Ok(Kind::HsInit) => parts.extend(bytes.get(HsInit::MAC1_INPUT)),
        Ok(Kind::HsResp) => parts.extend(bytes.get(HsResp::NOISE)),
        _ => {}
    }
    parts
}

impl Book {
    pub fn sent(&mut self, client: usize, up: bool, bytes: &[u8]) {
        for part in parts(bytes) {
            self.sealed.entry(part.to_vec()).or_default().insert((client, up));
        }
    }

    /// The packet was handed to a tunnel.
    pub fn entered(&mut self, packet: &[u8]) {
        self.packets.insert(packet.to_vec());
    }

    /// A packet came out of a tunnel.
    pub fn delivered(&self, packet: &[u8]) {
        assert!(self.packets.contains(packet), "a packet came out that nobody sent: {packet:02x?}");
    }

    /// The clients whose keys are in a datagram of that direction.
    fn owners(&self, bytes: &[u8], up: bool) -> BTreeSet<usize> {
        let found = parts(bytes).into_iter().filter_map(|part| self.sealed.get(part)).flatten();
        found.filter(|(_, direction)| *direction == up).map(|(client, _)| *client).collect()
    }

    pub fn sessions(gateway: &Gateway, now: Time) -> Sessions {
        gateway.sessions(now).map(|row| (row.session, Committed::of(row))).collect()
    }

    pub fn client(agent: &Agent, now: Time) -> Own {
        let status = agent.status(now);
        let active = status.paths.iter().find(|path| path.binding == BindingState::Active);
        Own {
            state: status.state,
            session: status.session,
            version: status.version,
            step: status.step,
            epochs: (status.epoch, status.key_epoch),
            gateway: status.gateway,
            inner: status.inner_v4,
            jumps: status.jumps,
            active: active.map(|path| path.name.to_string()),
        }
    }

    /// The gateway took `bytes` from `source` and sent `answers`.
    pub fn judge_gateway(
        &self,
        before: &Sessions,
        after: &Sessions,
        source: SocketAddr,
        bytes: &[u8],
        received: &Received,
        answers: &[Transmit],
    ) {
        let owners = self.owners(bytes, true);
        let others = |sessions: &Sessions| -> Sessions {
            let others = sessions.iter().filter(|(_, session)| !owners.contains(&session.client));
            others.map(|(label, session)| (*label, session.clone())).collect()
        };
        assert_eq!(others(before), others(after), "it changed a session whose key its sender does not hold");
        if owners.is_empty() {
            assert!(!matches!(received, Received::Packet(_)), "an invented packet was delivered");
        }
        for (label, now) in after {
            let Some(then) = before.get(label) else { continue };
            assert!(now.version >= then.version && now.epochs >= then.epochs, "a session went backwards");
            let moved = (now.address, now.path) != (then.address, then.path);
            // A lost binding is asked for anew on the same path: a commit need not move anything.
            assert!(!moved || now.version > then.version, "a binding moves by a commit and nothing else");
        }
        let bound: BTreeSet<SocketAddr> =
            before.values().chain(after.values()).map(|session| session.address).collect();
        let to_source = answers.iter().filter(|answer| answer.destination == source);
        let answered_len: usize = to_source.map(|answer| answer.len).sum();
        assert!(
            bound.contains(&source) || answered_len <= bytes.len(),
            "{} bytes from an unproven address were answered with {answered_len}",
            bytes.len()
        );
        for answer in answers {
            let to = answer.destination;
            assert!(to == source || bound.contains(&to), "{to} never asked for anything");
        }
    }

    /// Sessions are bound to addresses that a client has had.
    pub fn judge_addresses(&mut self, sessions: &Sessions, outers: &BTreeSet<SocketAddr>) {
        self.accepted.extend(outers);
        for session in sessions.values() {
            assert!(self.accepted.contains(&session.address), "bound to {}", session.address);
        }
    }

    /// A client took `bytes`.
    pub fn judge_agent(&self, client: usize, before: &Own, after: &Own, bytes: &[u8], received: &Received) {
        if !self.owners(bytes, false).contains(&client) {
            assert_eq!(before, after, "it changed a client without holding its key");
            assert!(!matches!(received, Received::Packet(_)), "an invented packet was delivered");
        }
        if before.session == after.session {
            assert!(
                after.version >= before.version && after.epochs >= before.epochs,
                "a session went backwards"
            );
        }
    }
}

#[cfg(test)]
mod tests;
