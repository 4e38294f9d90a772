//! HS_INIT and the first packet of a session (docs/protocol.md, 7.3 and the pending part of 7.1).
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use jumpvpn_events::{Reason, SessionLabel, Time};
use jumpvpn_policy::PostQuantum;
use jumpvpn_session::{BindingContext, EpochContext, Established};
use jumpvpn_wire::{Cid, DataHeader, Frame, FrameReader, Handle, HsInit, Kind, features, is_ip_packet};

use super::data::reason_of;
use super::keys::Maker;
use super::limits::Bucket;
use super::session::{CONTROL_REACH, Channel, Epoch, Session};
use super::{Arrival, Model, Passed, Reply};
use crate::invariants::{Invariant, Verdict, ensure};

/// Ephemeral keys of answered handshakes that are remembered.
const EPHEMERALS: usize = 256;
/// A cookie is good for so long …
const COOKIE_AGE_MILLIS: u64 = 10_000;
/// … a pending birth for so long.
const PENDING_TTL: Duration = Duration::from_secs(5);
/// Pending births of one peer from which on a cookie is needed, and of which the oldest gives way.
const PENDING_WITHOUT_COOKIE: usize = 2;
const PENDING_PER_PEER: usize = 8;

/// An answered handshake.
pub(super) struct Pending {
    pub client: usize,
    pub client_cid: Cid,
    ephemeral: [u8; 32],
    source: SocketAddr,
    answered: Time,
    /// Created, or confirmed and asked for.
    pub since: Time,
    pub asked: bool,
    /// The store said no; it may be asked once more.
    pub limbo: bool,
    /// The session that stands in its way.
    pub obstacle: Option<jumpvpn_ownership::Handle>,
    pub keys: Option<Keys>,
}

/// What its HS_RESP established.
pub(super) struct Keys {
    pub established: Established,
    pub context: EpochContext,
    pub handle: Handle,
    pub channel: Channel,
}

impl Model {
    /// HS_INIT, row by row.
    pub(super) fn init(&mut self, arrival: &Arrival<'_>) -> Result<Passed, Reason> {
        let (datagram, now, source) = (arrival.bytes, arrival.now, arrival.source);
        // 1
        if datagram[1] != 0 {
            return Err(Reason::ReservedBits);
        }
        // 2
        let init = HsInit::parse(datagram).map_err(|_| Reason::Malformed)?;
        let found = self.initiations.find(datagram).map(|found| (found.maker, found.features));
        let Some((maker, offered)) = found else { return Err(Reason::BadMac1) };
        // 3 and 4
        let cookie =
            init.cookie().is_some_and(|cookie| self.good_cookie(&cookie.0, source, init.client_cid(), now));
        if !cookie && self.handshakes.eighth_used(now) {
            return Err(self.ask_for_cookie(&init, arrival));
        }
        // 5
        if cookie {
            let (narrow, wide) = prefixes(source.ip());
            if !self.narrow.take(narrow, now) || !self.wide.take(wide, now) {
                return Err(Reason::PrefixRateLimited);
            }
        }
        // 6
        let ephemeral = init.ephemeral();
        if self.ephemerals.contains(&ephemeral) {
            return Err(Reason::HandshakeReplay);
        }
        if !self.handshakes.take(now) {
            return Err(Reason::HandshakeBudget);
        }
        // 7 and 8
        let client = match maker {
            Maker::Client(client) => client,
            Maker::Stranger => return Err(Reason::UnknownPeer),
            Maker::Suiteless => return Err(Reason::BadHandshake),
        };
        if self.policy.security.pq == PostQuantum::Required && offered & features::PQ == 0 {
            return Err(Reason::PqRequired);
        }
        self.pending_of(client, &init, cookie, arrival)?;
        self.note_ephemeral(ephemeral);
        // 10
        // Whoever holds a session takes its own place.
        let holds = self.sessions.values().any(|session| session.client == client);
        if self.sessions.len() >= self.capacity && !holds {
            return Err(Reason::TableFull);
        }
        let client_cid = init.client_cid();
        self.pending.push(Pending {
            client,
            client_cid,
            ephemeral,
            source,
            answered: now,
            since: now,
            asked: false,
            limbo: false,
            obstacle: None,
            keys: None,
        });
        self.expect(arrival, Reply::Plain(Kind::HsResp));
        Ok(Passed::Consumed)
    }

    /// One entry for an HS_INIT, a cookie from the third entry of a peer on, and the oldest gives way at last.
    fn pending_of(
        &mut self,
        client: usize,
        init: &HsInit<'_>,
        cookie: bool,
        arrival: &Arrival<'_>,
    ) -> Result<(), Reason> {
        let ephemeral = init.ephemeral();
        let of_peer = |pending: &&Pending| pending.client == client;
        if self.pending.iter().filter(of_peer).any(|pending| pending.ephemeral == ephemeral) {
            return Err(Reason::HandshakeReplay);
        }
        let waiting = self.pending.iter().filter(of_peer).count();
        if waiting >= PENDING_WITHOUT_COOKIE && !cookie {
            return Err(self.ask_for_cookie(init, arrival));
        }
        if waiting >= PENDING_PER_PEER {
            let oldest = self.pending.iter().position(|pending| pending.client == client && !pending.asked);
            self.pending.remove(oldest.ok_or(Reason::PeerSessionLimit)?);
        }
        Ok(())
    }

    fn good_cookie(&self, cookie: &[u8; 24], source: SocketAddr, cid: Cid, now: Time) -> bool {
        self.cookies.get(cookie).is_some_and(|(to, of, at)| {
            (*to, *of) == (source, cid) && now.as_millis() - at.as_millis() <= COOKIE_AGE_MILLIS
        })
    }

    fn ask_for_cookie(&mut self, init: &HsInit<'_>, arrival: &Arrival<'_>) -> Reason {
        if self.retries.take(arrival.now) {
            self.expect(arrival, Reply::Plain(Kind::HsRetry));
        }
        if init.cookie().is_some() { Reason::BadCookie } else { Reason::CookieRequired }
    }

    fn note_ephemeral(&mut self, ephemeral: [u8; 32]) {
        self.ephemerals.push_back(ephemeral);
        if self.ephemerals.len() > EPHEMERALS {
            self.ephemerals.pop_front();
        }
    }

    /// The gateway's HS_RESP shows which keys it has.
    pub(super) fn learn_birth(&mut self, datagram: &[u8]) -> Verdict {
        let cid = u64::from_le_bytes(std::array::from_fn(|at| datagram[4 + at]));
        let finished = self.initiations.finish(&self.gateway, Cid(cid), datagram);
        let found = self.pending.iter_mut().rev().find(|pending| pending.client_cid.0 == cid);
        ensure(finished.is_some() && found.is_some(), Invariant::Keys, || {
            format!("an HS_RESP for {cid:#x} that the holder of the client's key cannot read")
        })?;
        let (Some((established, payload)), Some(pending)) = (finished, found) else { return Ok(()) };
        let context = established.epoch(&payload);
        let handle = self.tokens.open(&payload.token).map(|(handle, _)| handle);
        ensure(handle.is_some(), Invariant::Keys, || "a route token of another key".to_owned())?;
        let Some(handle) = handle else { return Ok(()) };
        let channel =
            Channel::new(payload.server_cid, &established.secret, &context, &BindingContext::birth());
        pending.keys = Some(Keys { established, context, handle, channel });
        Ok(())
    }

    /// DATA for a pending birth.
    pub(super) fn pending_data(
        &mut self,
        at: usize,
        arrival: &Arrival<'_>,
        header: &DataHeader,
        datagram: &[u8],
    ) -> Result<Passed, Reason> {
        let now = arrival.now;
        if !arrival.fence.allows(now) {
            return Err(Reason::FenceExpired);
        }
        let pending = &mut self.pending[at];
        if arrival.source != pending.source {
            return Err(Reason::AddressMismatch);
        }
        let Some(keys) = &mut pending.keys else { return Err(Reason::UnknownCid) };
        let plaintext = keys.channel.open(header, datagram).map_err(reason_of)?;
        let fin = |frame| matches!(frame, Ok(Frame::Fin));
        if is_ip_packet(&plaintext) || !FrameReader::new(&plaintext).any(fin) || pending.asked {
            return Err(Reason::NotAttached);
        }
        let client = pending.client;
        if !self.births.entry(client).or_insert_with(|| Bucket::per_second(1, 5)).take(now) {
            return Err(Reason::RateLimited);
        }
        let superseded: Vec<SessionLabel> = self
            .sessions
            .values()
            .filter(|session| session.client == client)
            .map(|session| session.label)
            .collect();
        let asked = self.pending.iter().filter(|pending| pending.asked).count();
        if self.sessions.len() + asked >= self.capacity + superseded.len() {
            return Err(Reason::TableFull);
        }
        self.pending[at].asked = true;
        let mut index = 0;
        // A confirmation that was held back must not end what came after it: only older ones are forgotten.
        self.pending.retain(|pending| {
            let older = index < at && pending.client == client && !pending.asked;
            index += 1;
            !older
        });
        for label in superseded {
            self.end(label, Reason::Superseded);
        }
        Ok(Passed::Consumed)
    }

    /// The store has committed a birth.
    pub(super) fn give_birth(&mut self, sid: [u8; 16], now: Time) {
        let of = |pending: &Pending| pending.keys.as_ref().is_some_and(|keys| keys.established.sid.0 == sid);
        let Some(at) = self.pending.iter().position(of) else { return };
        let Pending { client, source, keys: Some(keys), .. } = self.pending.remove(at) else { return };
        let Keys { established, context, handle, channel } = keys;
        let label = SessionLabel(sid);
        let per_second = Bucket::per_second;
        self.sessions.insert(
            label,
            Session {
                label,
                client,
                handle,
                version: 1,
                owner_epoch: context.owner_epoch,
                epoch: Epoch::new(context, established.secret, now),
                channel,
                next: None,
                previous: None,
                retiring: None,
                path: jumpvpn_wire::PathId(0),
                address: source,
                context: BindingContext::birth(),
                heard: now,
                heard_at_address: now,
                window: super::limits::Window::new(CONTROL_REACH),
                watermark: 0,
                cached: None,
                newest_probe: None,
                rebind: None,
                rtt: None,
                // docs/protocol.md, 10.3
                probe: per_second(10, 20),
                reattach: per_second(10, 20),
                mismatch: per_second(1, 2),
                reject: per_second(1, 1),
                frames: per_second(100, 50),
                rekey: Bucket::every(Duration::from_secs(2), 3),
                hint: per_second(2, 2),
                foreign: per_second(64, 64),
                switches: Default::default(),
                switch_count: 0,
                denials: Default::default(),
                parts: [None, None],
                expires: now + self.policy.session.max_lifetime,
            },
        );
    }

    /// Pending births whose confirmation, or whose answer of the store, did not come.
    pub(super) fn expire_pending(&mut self, now: Time) {
        while self.pending.first().is_some_and(|pending| pending.since + PENDING_TTL <= now) {
            self.pending.remove(0);
        }
    }

    /// The store is asked for a birth that was confirmed: it has its whole time once more. When its handshake was answered.
    pub(super) fn note_asked(&mut self, sid: [u8; 16], now: Time) -> Option<Time> {
        let of = |pending: &Pending| {
            pending.asked && pending.keys.as_ref().is_some_and(|keys| keys.established.sid.0 == sid)
        };
        let mut pending = self.pending.remove(self.pending.iter().position(of)?);
        (pending.since, pending.limbo) = (now, false);
        let answered = pending.answered;
        self.pending.push(pending);
        Some(answered)
    }
}

/// IPv4 address and /24; the worlds know no other outer addresses.
fn prefixes(source: IpAddr) -> (IpAddr, IpAddr) {
    let IpAddr::V4(address) = source else { return (source, source) };
    let [a, b, c, _] = address.octets();
    (source, Ipv4Addr::new(a, b, c, 0).into())
}
