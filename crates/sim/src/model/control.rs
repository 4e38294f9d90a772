//! PATH_PROBE, REATTACH and CLOSE at the gateway (docs/protocol.md, 7.2).
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use jumpvpn_events::{Reason, SessionLabel, Time};
use jumpvpn_policy::{Class, Policy};
use jumpvpn_session::{BindingContext, open_control};
use jumpvpn_wire::{
    Cid, ClosePayload, ControlHeader, Handle, Kind, Malformed, ObservedAddress, PathId, ProbePayload,
    ReattachPayload, TransportClass,
};

use super::data::{KEY_HARD_LIMIT, peer_reason};
use super::session::{Channel, NewestProbe, Rebind, Session};
use super::{Arrival, Model, Passed, Reply};
use crate::invariants::may_hurry;

const REATTACH_LEN: usize = 156;
/// A second address may show the newest probe once more within this time.
const COPY_WINDOW: Duration = Duration::from_secs(1);
const RESULT_REPEATS: u8 = 3;
/// Hold of a rebinding: two round trips within these.
const HOLD: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
const MINUTE: Duration = Duration::from_secs(60);
/// Refusals closer together count once.
const DENIAL_SPACING: Duration = Duration::from_secs(5);

/// What a ticket was issued for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TicketFacts {
    pub handle: Handle,
    pub owner_epoch: u64,
    pub version: u64,
    pub path: PathId,
    pub class: TransportClass,
    pub observed: SocketAddr,
    pub local: IpAddr,
    pub client_cid: Cid,
    pub issued: Time,
}

/// Which keys opened a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    Current,
    Next,
    Previous,
}

/// A message whose sender holds the keys.
struct Proven {
    label: SessionLabel,
    header: ControlHeader,
    keys: Keys,
    payload: Vec<u8>,
}

impl Model {
    /// All rows.
    pub(super) fn control(&mut self, kind: Kind, arrival: &Arrival<'_>) -> Result<Passed, Reason> {
        let datagram = arrival.bytes;
        let (sealed, early) = match kind {
            Kind::Reattach => datagram.split_at(REATTACH_LEN),
            _ => (datagram, [].as_slice()),
        };
        let proven = self.prove(kind, arrival, sealed)?;
        match kind {
            Kind::PathProbe => self.probe(&proven, arrival)?,
            Kind::Reattach => self.reattach(&proven, arrival)?,
            _ => self.close(&proven, arrival)?,
        }
        if early.is_empty() { Ok(Passed::Consumed) } else { self.data(arrival, early) }
    }

    /// Rows 1 to 9.
    fn prove(&mut self, kind: Kind, arrival: &Arrival<'_>, sealed: &[u8]) -> Result<Proven, Reason> {
        let now = arrival.now;
        // 1
        if sealed[1] & 0x1f != 0 {
            return Err(Reason::ReservedBits);
        }
        let header = ControlHeader::parse(sealed).map_err(|_| Reason::Malformed)?;
        // 2
        let (handle, node) = self.tokens.open(&header.token).ok_or(Reason::UnknownSession)?;
        // 3: keys that share both cells of the sketch may be limited early; this is not modelled, the worlds are small
        if !self.token_buckets.take(header.token.0, now) {
            return Err(Reason::RateLimited);
        }
        // 4
        if node != super::NODE {
            return Err(Reason::NotOwner);
        }
        // 5
        let Some(session) = self.sessions.values_mut().find(|session| session.handle == handle) else {
            self.ask_whether_lost(handle, arrival);
            return Err(Reason::UnknownSession);
        };
        // 6
        arrival.right(session)?;
        let key_over = session.epoch.since + KEY_HARD_LIMIT + self.policy.switching.recovery_window;
        if now >= key_over {
            return Err(Reason::KeyExpired);
        }
        // 7
        let keys = session.keys_of(header.epoch, arrival).ok_or(Reason::StaleEpoch)?;
        // 8
        if !session.sequence_admitted(kind, header.cseq, arrival.source, now) {
            return Err(Reason::ReplayDetected);
        }
        // 9
        let control = match keys {
            Keys::Current => Some(&session.epoch.control),
            Keys::Next => session.next.as_ref().map(|next| &next.epoch.control),
            Keys::Previous => session.previous.as_ref().map(|previous| &previous.epoch.control),
        };
        let mut copy = sealed.to_vec();
        let opened = control.and_then(|control| open_control(&control.c2s, &mut copy).ok());
        let payload = copy[opened.ok_or(Reason::BadProof)?].to_vec();
        if keys == Keys::Next {
            session.confirm(now);
        }
        Ok(Proven { label: session.label, header, keys, payload })
    }

    fn probe(&mut self, proven: &Proven, arrival: &Arrival<'_>) -> Result<(), Reason> {
        let now = arrival.now;
        let probe = ProbePayload::decode(&proven.payload).map_err(malformed)?;
        let Some(session) = self.sessions.get_mut(&proven.label) else { return Err(Reason::UnknownSession) };
        let copy_of = session.note_probe(proven.header.cseq, arrival.source, now);
        if arrival.source == session.address {
            // Also with a copy of a probe: the address lives, and has said so since it was asked.
            let asked = session.rebind.map_or(now, |rebind| rebind.started + Duration::from_nanos(1));
            session.heard_at_address = asked.max(now);
        }
        if !session.probe.take(now) {
            return Err(Reason::RateLimited);
        }
        if probe.path_id == session.path {
            session.learn_rtt(probe.rtt_us);
        }
        // A copy does not ask again what its original asked.
        let asked = copy_of.is_some_and(|at| session.rebind.is_some_and(|rebind| rebind.started >= at));
        if probe.flags.rebind && arrival.source != session.address && !asked {
            let hold = (session.rtt() * 2).clamp(HOLD.0, HOLD.1);
            session.rebind = Some(Rebind { path: probe.path_id, started: now, hold });
        }
        self.expect(
            arrival,
            Reply::Ticket {
                label: proven.label,
                path: probe.path_id,
                class: probe.transport,
                mismatch: false,
            },
        );
        Ok(())
    }

    fn reattach(&mut self, proven: &Proven, arrival: &Arrival<'_>) -> Result<(), Reason> {
        let (now, label, cseq) = (arrival.now, proven.label, proven.header.cseq);
        let proof = ReattachPayload::decode(&proven.payload).map_err(malformed)?;
        if proven.keys == Keys::Previous {
            return Err(Reason::StaleEpoch);
        }
        let Some(session) = self.sessions.get_mut(&label) else { return Err(Reason::UnknownSession) };
        if let Some((_, repeats_left)) = session.cached.as_mut().filter(|cached| cached.0 == cseq) {
            if arrival.source != session.address || *repeats_left == 0 {
                return Err(Reason::ReplayDetected);
            }
            *repeats_left -= 1;
            self.expect(arrival, Reply::Committed { label, cseq });
            return Ok(());
        }
        // 10
        if proof.observed != ObservedAddress::new(arrival.source) {
            if session.mismatch.take(now) {
                self.expect(
                    arrival,
                    Reply::Ticket { label, path: proof.path_id, class: proof.transport, mismatch: true },
                );
            }
            return Err(Reason::AddressMismatch);
        }
        if !session.reattach.take(now) {
            if session.reject.take(now) {
                self.expect(arrival, Reply::Rejected { label, cseq, reason: Reason::RateLimited });
            }
            return Err(Reason::RateLimited);
        }
        match self.refusal(label, &proof, arrival) {
            Some(reason) => {
                self.refuse(label, cseq, reason, arrival);
                Err(reason)
            }
            None => {
                self.commit(label, cseq, &proof, arrival);
                Ok(())
            }
        }
    }

    /// Rows 11 to 16.
    fn refusal(&self, label: SessionLabel, proof: &ReattachPayload, arrival: &Arrival<'_>) -> Option<Reason> {
        let (now, source) = (arrival.now, arrival.source);
        let session = self.sessions.get(&label)?;
        // 11
        let max_age = self.policy.security.reattach_proof_max_age.as_millis();
        let issued = self.tickets.get(&proof.ticket.0).is_some_and(|facts| {
            let asked = TicketFacts {
                handle: session.handle,
                owner_epoch: proof.owner_epoch,
                version: proof.version,
                path: proof.path_id,
                // It came over UDP, whatever it says of itself.
                class: TransportClass::Udp,
                observed: source,
                local: arrival.local,
                client_cid: proof.client_cid,
                issued: facts.issued,
            };
            let age = now.as_millis() - facts.issued.as_millis();
            *facts == asked && u128::from(age) <= max_age
        });
        if !issued {
            return Some(Reason::StaleTicket);
        }
        // 12
        if !arrival.fence.allows(now) || proof.owner_epoch != session.owner_epoch {
            return Some(Reason::NotOwner);
        }
        // 13
        if proof.version != session.version {
            return Some(Reason::StaleStateVersion);
        }
        // 14
        let path_fits = !proof.rebind || proof.path_id == session.path;
        let udp =
            self.policy.transport.allowed.contains(Class::Udp) && proof.transport == TransportClass::Udp;
        if !udp || !path_fits || !self.reachable(source) {
            return Some(Reason::InvalidTransportCandidate);
        }
        // 15
        if proof.rebind {
            let Some(asked) = session.rebind.filter(|asked| asked.path == proof.path_id) else {
                return Some(Reason::RebindWait);
            };
            if session.heard_at_address > asked.started {
                return Some(Reason::OldPathAlive);
            }
            if now < asked.started + asked.hold {
                return Some(Reason::RebindWait);
            }
        }
        // 16
        session.over_budget(&self.policy, proof, now)
    }

    fn refuse(&mut self, label: SessionLabel, cseq: u64, reason: Reason, arrival: &Arrival<'_>) {
        let now = arrival.now;
        let limits = &self.policy.switching;
        let (window, most) = (limits.churn_window, usize::from(limits.churn_denials));
        let Some(session) = self.sessions.get_mut(&label) else { return };
        session.consume(cseq);
        let counts = matches!(reason, Reason::SwitchCooldown | Reason::SwitchRateLimited);
        if counts && session.denials.back().is_none_or(|last| now.since(*last) >= DENIAL_SPACING) {
            session.denials.push_back(now);
        }
        let recent = session.denials.iter().filter(|at| now.since(**at) < window).count();
        self.expect(arrival, Reply::Rejected { label, cseq, reason });
        if recent >= most {
            self.end(label, Reason::ChurnLimit);
        }
    }

    /// Rows 17 and 18. That the 40 random bits of a CID are taken is not predicted.
    fn commit(&mut self, label: SessionLabel, cseq: u64, proof: &ReattachPayload, arrival: &Arrival<'_>) {
        let now = arrival.now;
        let drain_max = self.policy.switching.retiring_max;
        let key_over = KEY_HARD_LIMIT + self.policy.switching.recovery_window;
        let Some(session) = self.sessions.get_mut(&label) else { return };
        let age = now.since(session.epoch.since);
        if age >= key_over {
            self.surprise.get_or_insert_with(|| format!("K2: {label} moves under keys of {age:?}"));
        }
        let context = BindingContext {
            cseq,
            path_id: proof.path_id,
            client_nonce: proof.client_nonce,
            ticket: Some(proof.ticket),
        };
        let cid = proof.ticket.server_cid();
        let fresh = Channel::new(cid, &session.epoch.secret, &session.epoch.context, &context);
        let old = std::mem::replace(&mut session.channel, fresh);
        session.retiring = Some((old, now + (session.rtt() * 2).min(drain_max)));
        session.previous = None;
        (session.path, session.address, session.context) = (proof.path_id, arrival.source, context);
        (session.heard, session.heard_at_address) = (now, now);
        session.version += 1;
        session.consume(cseq);
        session.rebind = None;
        session.switch_count += 1;
        session.switches.push_back(now);
        session.learn_rtt(proof.quality.rtt_us);
        session.cached = Some((cseq, RESULT_REPEATS));
        self.expect(arrival, Reply::Committed { label, cseq });
    }

    fn close(&mut self, proven: &Proven, arrival: &Arrival<'_>) -> Result<(), Reason> {
        let close = ClosePayload::decode(&proven.payload).map_err(malformed)?;
        let Some(session) = self.sessions.get_mut(&proven.label) else { return Err(Reason::UnknownSession) };
        session.consume(proven.header.cseq);
        self.expect(arrival, Reply::Sealed(proven.label, Kind::CloseAck));
        let reason = Reason::from_number(close.reason).unwrap_or(Reason::PeerClosed);
        self.end(proven.label, peer_reason(reason));
        Ok(())
    }
}

impl Session {
    fn keys_of(&mut self, low_bits: u16, arrival: &Arrival<'_>) -> Option<Keys> {
        let now = arrival.now;
        if self.epoch.number() as u16 == low_bits {
            return Some(Keys::Current);
        }
        if let Some(next) = self.next.as_mut().filter(|next| next.epoch.number() as u16 == low_bits) {
            // Past its time it was forgotten or kept; what the gateway said tells which.
            if next.until <= now && arrival.observed == Err(Reason::StaleEpoch) {
                self.next = None;
                return None;
            }
            return Some(Keys::Next);
        }
        let previous = self.previous.as_ref().filter(|previous| now < previous.until)?;
        (previous.epoch.number() as u16 == low_bits).then_some(Keys::Previous)
    }

    fn sequence_admitted(&self, kind: Kind, cseq: u64, source: SocketAddr, now: Time) -> bool {
        let fresh = self.window.admits(cseq) && cseq != u64::MAX;
        if fresh && (kind == Kind::PathProbe || cseq > self.watermark) {
            return true;
        }
        match kind {
            Kind::Reattach => self.cached.is_some_and(|(cached, _)| cached == cseq),
            Kind::PathProbe => self.newest_probe.is_some_and(|newest| {
                newest.cseq == cseq
                    && newest.source != source
                    && !newest.copy_answered
                    && now.since(newest.at) < COPY_WINDOW
            }),
            _ => false,
        }
    }

    /// When the first of it came, if it is a copy.
    fn note_probe(&mut self, cseq: u64, source: SocketAddr, now: Time) -> Option<Time> {
        if let Some(newest) = self.newest_probe.as_mut().filter(|newest| newest.cseq == cseq) {
            newest.copy_answered = true;
            return Some(newest.at);
        }
        self.window.mark(cseq);
        if self.newest_probe.is_none_or(|newest| newest.cseq < cseq) {
            self.newest_probe = Some(NewestProbe { cseq, source, at: now, copy_answered: false });
        }
        None
    }

    /// Row 16: moves of the last minute, then the cooldown, which a dead path and a rebinding need not wait for.
    fn over_budget(&self, policy: &Policy, proof: &ReattachPayload, now: Time) -> Option<Reason> {
        let limits = &policy.switching;
        let recent = self.switches.iter().filter(|at| now.since(**at) < MINUTE).count();
        if recent >= usize::from(limits.max_switches_per_min) {
            return Some(Reason::SwitchRateLimited);
        }
        let reason = Reason::from_number(proof.reason);
        let dead = |reason| reason != Reason::NatRebinding && may_hurry(reason);
        let hurried = proof.rebind || reason.is_some_and(dead);
        let cooling = self.switches.back().is_some_and(|last| now < *last + limits.switch_cooldown);
        (cooling && !hurried).then_some(Reason::SwitchCooldown)
    }
}

/// A reserved bit has a reason of its own.
fn malformed(found: Malformed) -> Reason {
    if found == Malformed::Reserved { Reason::ReservedBits } else { Reason::Malformed }
}
