//! PATH_PROBE, REATTACH and CLOSE: the only way a session moves.
//!
//! [`Gateway::handle_control`] walks the order of checks of docs/protocol.md ("Order of checks", control) up to
//! the proof of possession; what follows it is judged by [`jumpvpn_session::verify`], a pure function. Only
//! `commit` changes a binding.
use std::net::SocketAddr;
use std::time::Duration;

use jumpvpn_events::{BindingState, EventKind, Reason, Time};
use jumpvpn_policy::{AdmitCause, Class, Policy, admit, churn_exceeded};
use jumpvpn_session::{
    BindingContext, Decision, RebindCheck, Record, Side, TicketBinding, Trigger, open_control, seal_control,
    verify,
};
use jumpvpn_wire::{
    Cid, CloseAckPayload, ClosePayload, ControlHeader, Kind, ObservedAddress, PathId, ProbePayload,
    REPLY_HEADER_LEN, ReattachPayload, ReplyHeader, ResultPayload, ResultStatus, TAG_LEN, TicketPayload,
    TransportClass,
};

use super::birth::{path_label, session_event};
use super::expiry::key_end;
use super::session::{Binding, CachedResult, Channel, NewestProbe, RetiringBinding, Session};
use super::table::CidRole;
use super::{From, Gateway};
use crate::rejection::Rejection;
use crate::rtt::ArrivalSpacing;
use crate::{Received, leaves_a_dead_path};

/// A hold is at least 20 ms, so that a jitter of the scheduler does not look like a dead path, and at most 1 s.
const HOLD_MIN: Duration = Duration::from_millis(20);
const HOLD_MAX: Duration = Duration::from_secs(1);
/// One copy of the newest probe that comes from a second address within this time is answered once more.
const COPY_WINDOW: Duration = Duration::from_secs(1);
/// A result is repeated at most this often for a byte-identical request.
const RESULT_REPEATS: u8 = 3;

/// REATTACH without a DATA packet behind it.
const REATTACH_LEN: usize = Kind::Reattach.min_len();

impl Gateway {
    /// PATH_PROBE, REATTACH, CLOSE.
    pub(super) fn handle_control(
        &mut self,
        kind: Kind,
        from: From,
        datagram: &mut [u8],
        now: Time,
    ) -> Received {
        let datagram_len = datagram.len();
        let sealed_len = if kind == Kind::Reattach { REATTACH_LEN } else { datagram_len };
        let (proven, payload) = match self.prove(kind, from, &mut datagram[..sealed_len], now) {
            Ok(opened) => opened,
            Err(rejection) => return self.core.reject(rejection, now),
        };
        let stamp = self.table.session(proven.slot).map(|session| session.stamp());
        let judged = match kind {
            Kind::PathProbe => self.handle_probe(&proven, from, payload, datagram_len, now),
            Kind::Reattach => self.handle_reattach(&proven, from, payload, now),
            _ => self.handle_close(&proven, from, payload, now),
        };
        match judged {
            Ok(()) if kind == Kind::Reattach && datagram.len() > REATTACH_LEN => {
                // One DATA packet of the new binding may follow; it is processed after the commit.
                match self.handle_data(from, &mut datagram[REATTACH_LEN..], now) {
                    Received::Packet(range) => {
                        Received::Packet(range.start + REATTACH_LEN..range.end + REATTACH_LEN)
                    }
                    other => other,
                }
            }
            Ok(()) => Received::Consumed,
            Err(reason) => {
                let received = self.core.reject(Rejection { reason, stamp }, now);
                if is_policy(reason) {
                    self.end_churn(proven.slot, now);
                }
                received
            }
        }
    }

    /// Rows 1 to 9: nobody gets an answer before the last of them.
    fn prove<'a>(
        &mut self,
        kind: Kind,
        from: From,
        datagram: &'a mut [u8],
        now: Time,
    ) -> Result<(Proven, &'a [u8]), Rejection> {
        // 1 length, version, reserved bits
        let header = ControlHeader::parse(datagram).map_err(crate::malformed_reason)?;
        // 2 route token: stateless rejection
        let (handle, node) = self.core.tokens.open(&header.token).ok_or(Reason::UnknownSession)?;
        // 3 bucket of this token
        self.admission.check_token(&header.token, now)?;
        // 4 our node
        if node != self.core.node {
            return Err(Reason::NotOwner.into());
        }
        // 5 handle in the table
        let Some(slot) = self.table.by_handle(handle) else {
            self.ask_whether_lost(handle, from, &header, now);
            return Err(Reason::UnknownSession.into());
        };
        let session = self.table.session(slot).ok_or(Reason::UnknownSession)?;
        let stamp = Some(session.stamp());
        let rejection = |reason| Rejection { reason, stamp };
        // 6 not terminated, lifetime not over, fence valid, keys not over
        session.check_right(&self.core.fence, now).map_err(rejection)?;
        if now >= key_end(session, &self.core.policy) {
            // The timer that ends it is late, as behind a clock that jumped.
            return Err(rejection(Reason::KeyExpired));
        }
        // 7 epoch
        let epoch = match_epoch(session, header.epoch, now).ok_or(Reason::StaleEpoch).map_err(rejection)?;
        // 8 sequence number
        if !sequence_admitted(session, kind, &header, from, &self.core.policy, now) {
            return Err(rejection(Reason::ReplayDetected));
        }
        // 9 proof of possession
        let control = match epoch {
            EpochMatch::Current => Some(&session.epoch.control.c2s),
            EpochMatch::Next => session.next.as_ref().map(|next| &next.epoch.control.c2s),
            EpochMatch::Previous => session.previous.as_ref().map(|previous| &previous.control),
        };
        let key = control.ok_or(Reason::StaleEpoch)?;
        let Ok(range) = open_control(key, datagram) else {
            return Err(rejection(Reason::BadProof));
        };
        if epoch == EpochMatch::Next {
            self.confirm_epoch(slot, now);
        }
        Ok((Proven { slot, header, previous_epoch: epoch == EpochMatch::Previous }, &datagram[range]))
    }

    /// A probe of a key holder: one ticket to where it came from, never longer than the probe.
    fn handle_probe(
        &mut self,
        proven: &Proven,
        from: From,
        payload: &[u8],
        datagram_len: usize,
        now: Time,
    ) -> Result<(), Reason> {
        let probe = ProbePayload::decode(payload).map_err(crate::malformed_reason)?;
        let session = self.table.session(proven.slot).ok_or(Reason::UnknownSession)?;
        let copy_of = session.note_probe(&proven.header, from, now);
        if from.source == session.binding.address {
            // Also the original of a probe that somebody was quicker with: the address he wants to replace is alive,
            // and it has said so since it was asked even if both were read at the same moment.
            let asked = session.rebind.map_or(now, |check| check.started + Duration::from_nanos(1));
            session.binding.heard_at_address = asked.max(now);
        }
        if copy_of.is_some() {
            let copied = Rejection { reason: Reason::PathDuplication, stamp: Some(session.stamp()) };
            copied.note(&mut self.core.counters, &mut self.core.events, now);
        }
        let session = self.table.session(proven.slot).ok_or(Reason::UnknownSession)?;
        if !session.buckets.probe.take(now) {
            return Err(Reason::RateLimited);
        }
        if probe.path_id == session.binding.path_id {
            session.learn_rtt(probe.rtt_us);
        }
        // A copy does not ask again what its original asked: the hold would begin anew.
        let asked = copy_of.is_some_and(|at| session.rebind.is_some_and(|check| check.started >= at));
        let ask_old = probe.flags.rebind && from.source != session.binding.address && !asked;
        if ask_old {
            let hold = (session.rtt() * 2).clamp(HOLD_MIN, HOLD_MAX);
            session.rebind = Some(RebindCheck { path_id: probe.path_id, started: now, hold });
        }
        if ask_old {
            self.send_heartbeat(proven.slot, now);
        }
        self.send_ticket(proven.slot, from, &TicketOrder::of_probe(&probe, datagram_len), now);
        Ok(())
    }

    fn send_ticket(&mut self, slot: u32, from: From, order: &TicketOrder, now: Time) {
        if let Err(reason) = self.core.refresh_keys(now) {
            return self.core.counters.drops.record(reason);
        }
        let server_cid = self.table.mint_cid(slot, &mut *self.core.rng);
        let Some(session) = self.table.session(slot) else { return };
        let binding = TicketBinding {
            handle: session.handle,
            owner_epoch: session.owner_epoch(),
            version: session.version,
            path_id: order.path_id,
            class: order.class,
            observed: from.source,
            local: local_of(from),
            client_cid: order.client_cid,
        };
        let payload = TicketPayload {
            nonce: order.nonce,
            path_id: order.path_id,
            version: session.version,
            owner_epoch: session.owner_epoch(),
            observed: ObservedAddress::new(from.source),
            ticket: self.core.tickets.issue(now, &binding, server_cid),
            received_len: order.received_len,
            mismatch: order.mismatch,
            retry_after_ms: 0,
        };
        self.reply_control(slot, from, Kind::PathTicket, order.client_cid, &payload.encode());
    }

    /// A request to move the binding: rows 10 to 18.
    fn handle_reattach(
        &mut self,
        proven: &Proven,
        from: From,
        payload: &[u8],
        now: Time,
    ) -> Result<(), Reason> {
        let proof = ReattachPayload::decode(payload).map_err(crate::malformed_reason)?;
        let slot = proven.slot;
        if proven.previous_epoch {
            return Err(Reason::StaleEpoch);
        }
        let session = self.table.session(slot).ok_or(Reason::UnknownSession)?;
        if session.cached.as_ref().is_some_and(|cached| cached.cseq == proven.header.cseq) {
            return self.repeat_result(slot, from, &proof);
        }
        // Row 10 first: a copy from elsewhere must not use up what the client needs for its own requests.
        if ObservedAddress::new(from.source) != proof.observed {
            return self.answer_mismatch(slot, from, &proof, now);
        }
        if !session.buckets.reattach.take(now) {
            if session.buckets.reject.take(now) {
                let retry_after = Duration::from_secs(1);
                self.send_reject(slot, from, proven, &proof, Reason::RateLimited, retry_after);
            }
            return Err(Reason::RateLimited);
        }
        match self.verdict(slot, from, &proof, now)? {
            Decision::AddressMismatch => self.answer_mismatch(slot, from, &proof, now),
            Decision::Reject { reason, retry_after } => {
                if let Some(session) = self.table.session(slot) {
                    session.consume(proven.header.cseq);
                    if is_policy(reason) {
                        session.history.record_denial(now);
                    }
                }
                self.send_reject(slot, from, proven, &proof, reason, retry_after);
                Err(reason)
            }
            Decision::Commit { server_cid } => self.commit(proven, from, &proof, server_cid, now),
        }
    }

    /// The proof names another address than the one it came from. Its sequence number is not consumed, otherwise a
    /// copier could burn it; the sender learns what we see, seldom.
    fn answer_mismatch(
        &mut self,
        slot: u32,
        from: From,
        proof: &ReattachPayload,
        now: Time,
    ) -> Result<(), Reason> {
        let session = self.table.session(slot).ok_or(Reason::UnknownSession)?;
        if session.buckets.mismatch.take(now) {
            self.send_ticket(slot, from, &TicketOrder::of_mismatch(proof), now);
        }
        Err(Reason::AddressMismatch)
    }

    /// A client that keeps asking for more moves than its policy grants is told to go.
    fn end_churn(&mut self, slot: u32, now: Time) {
        let policy = &self.core.policy;
        let Some(session) = self.table.session(slot) else { return };
        if churn_exceeded(policy, now, &session.history) {
            self.close(slot, Reason::ChurnLimit, now);
        }
    }

    /// Rows 10 to 16, a pure function of what is known here.
    fn verdict(
        &mut self,
        slot: u32,
        from: From,
        proof: &ReattachPayload,
        now: Time,
    ) -> Result<Decision, Reason> {
        let policy = &self.core.policy;
        let session = self.table.session(slot).ok_or(Reason::UnknownSession)?;
        let record = Record {
            handle: session.handle,
            version: session.version,
            owner_epoch: session.owner_epoch(),
            fenced: now >= self.core.fence.valid_until,
            allowed: if udp_allowed(policy) { &[TransportClass::Udp] } else { &[] },
            addresses: self.core.addresses(),
            binding_path: session.binding.path_id,
            last_heard: session.binding.heard_at_address,
            ticket_max_age: policy.security.reattach_proof_max_age,
            rebind: session.rebind,
        };
        let request = jumpvpn_session::Request {
            proof,
            source: from.source,
            local: local_of(from),
            class: TransportClass::Udp,
        };
        let budget = admit(policy, now, admit_cause(proof), &session.history);
        Ok(verify(now, &record, &request, &self.core.tickets, budget))
    }

    /// Rows 17 and 18: the one place where a binding changes.
    fn commit(
        &mut self,
        proven: &Proven,
        from: From,
        proof: &ReattachPayload,
        server_cid: Cid,
        now: Time,
    ) -> Result<(), Reason> {
        let slot = proven.slot;
        if !self.table.claim_cid(server_cid, slot, CidRole::Active) {
            // The session holds this random number already: the client asks for a new ticket.
            self.send_reject(slot, from, proven, proof, Reason::AtomicityFailed, Duration::ZERO);
            return Err(Reason::AtomicityFailed);
        }
        // An answered but unconfirmed key epoch stays: the client may hold it already, and a request that somebody
        // held back must not take it away.
        let reason = Reason::from_number(proof.reason).unwrap_or(Reason::OperatorJump);
        self.transition(slot, Trigger::JumpStarted, reason, now);
        self.retire_binding(slot, now);
        self.install_binding(proven, from, proof, server_cid, reason, now);
        self.transition(slot, Trigger::JumpCommitted, reason, now);
        self.send_committed(slot, from, proven, proof, now);
        self.resend_after(slot, reason, now);
        self.arm(slot, now);
        Ok(())
    }

    /// Moves the CID roles: the present binding will only receive, the one before it is gone.
    fn retire_binding(&mut self, slot: u32, now: Time) {
        let Some(session) = self.table.session(slot) else { return };
        let older = session.retiring.take().map(|retiring| retiring.local_cid);
        let previous = session.previous.take().map(|previous| previous.local_cid);
        let active = session.binding.channel.local_cid;
        let generation = session.binding.channel.traffic.recv.generation_bits();
        for cid in [older, previous].into_iter().flatten() {
            self.table.release_cid(cid);
        }
        self.table.move_cid(active, CidRole::Retiring, generation);
        let event = self.table.session(slot).map(|session| {
            let kind = EventKind::PathState {
                path: session.binding.label,
                binding: BindingState::Draining,
                rtt: session.client_rtt,
            };
            session_event(session, Reason::PathRetired, kind, now)
        });
        event.into_iter().for_each(|event| self.core.event(event));
    }

    fn install_binding(
        &mut self,
        proven: &Proven,
        from: From,
        proof: &ReattachPayload,
        server_cid: Cid,
        reason: Reason,
        now: Time,
    ) {
        let drain_max = self.core.policy.switching.retiring_max;
        let Some(session) = self.table.session(proven.slot) else { return };
        let context = BindingContext {
            cseq: proven.header.cseq,
            path_id: proof.path_id,
            client_nonce: proof.client_nonce,
            ticket: Some(proof.ticket),
        };
        let traffic = session.epoch.secret.binding(&session.epoch.context, &context, Side::Server);
        let fresh = Binding {
            path_id: proof.path_id,
            label: path_label(proof.path_id),
            class: proof.transport,
            address: from.source,
            socket: from.socket,
            local: from.local,
            context,
            channel: Channel { traffic, local_cid: server_cid, peer_cid: proof.client_cid },
            spacing: ArrivalSpacing::default(),
            heard: now,
            heard_at_address: now,
            silence_reports: 0,
        };
        let drain = (session.rtt() * 2).min(drain_max);
        let old = std::mem::replace(&mut session.binding, fresh);
        let (old_path, gap) = (old.label, now.since(old.heard));
        let old_id = old.path_id.0;
        session.retiring = Some(Box::new(RetiringBinding {
            label: old.label,
            recv: old.channel.traffic.recv,
            local_cid: old.channel.local_cid,
            heard: old.heard,
            until: now + drain,
        }));
        session.version += 1;
        session.consume(proven.header.cseq);
        session.rebind = None;
        session.switches += 1;
        session.history.record_switch(now, old_id, proof.path_id.0);
        session.learn_rtt(proof.quality.rtt_us);
        let new_path = session.binding.label;
        let kinds = [
            EventKind::PathState { path: new_path, binding: BindingState::Active, rtt: session.client_rtt },
            EventKind::TransportSwitch { old_path, new_path, detect: None, gap: Some(gap) },
        ];
        let events = kinds.map(|kind| session_event(session, reason, kind, now));
        events.into_iter().for_each(|event| self.core.event(event));
    }

    fn send_committed(&mut self, slot: u32, from: From, proven: &Proven, proof: &ReattachPayload, now: Time) {
        let Some(session) = self.table.session(slot) else { return };
        let drain = session.retiring.as_ref().map_or(Duration::ZERO, |retiring| retiring.until.since(now));
        let payload = ResultPayload {
            cseq: proven.header.cseq,
            status: ResultStatus::Committed,
            reason: proof.reason,
            version: session.version,
            owner_epoch: session.owner_epoch(),
            path_id: proof.path_id,
            retry_after_ms: 0,
            drain_ms: u16::try_from(drain.as_millis()).unwrap_or(u16::MAX),
            observed: ObservedAddress::new(from.source),
        };
        let encoded = payload.encode();
        session.cached =
            Some(CachedResult { cseq: proven.header.cseq, payload, repeats_left: RESULT_REPEATS });
        self.reply_control(slot, from, Kind::ReattachResult, proof.client_cid, &encoded);
    }

    /// A byte-identical repetition of the request that was committed last, from the bound address.
    fn repeat_result(&mut self, slot: u32, from: From, proof: &ReattachPayload) -> Result<(), Reason> {
        let session = self.table.session(slot).ok_or(Reason::UnknownSession)?;
        let bound = session.binding.address;
        let cached = session.cached.as_mut().ok_or(Reason::ReplayDetected)?;
        if from.source != bound || cached.repeats_left == 0 {
            return Err(Reason::ReplayDetected);
        }
        cached.repeats_left -= 1;
        let encoded = cached.payload.encode();
        self.reply_control(slot, from, Kind::ReattachResult, proof.client_cid, &encoded);
        Ok(())
    }

    fn send_reject(
        &mut self,
        slot: u32,
        from: From,
        proven: &Proven,
        proof: &ReattachPayload,
        reason: Reason,
        retry_after: Duration,
    ) {
        let Some(session) = self.table.session(slot) else { return };
        let payload = ResultPayload {
            cseq: proven.header.cseq,
            status: ResultStatus::Rejected,
            reason: reason.number(),
            version: session.version,
            owner_epoch: session.owner_epoch(),
            path_id: proof.path_id,
            retry_after_ms: u32::try_from(retry_after.as_millis()).unwrap_or(u32::MAX),
            drain_ms: 0,
            observed: ObservedAddress::new(from.source),
        };
        self.reply_control(slot, from, Kind::ReattachResult, proof.client_cid, &payload.encode());
    }

    /// CLOSE: valid from any address, because it binds nothing.
    fn handle_close(&mut self, proven: &Proven, from: From, payload: &[u8], now: Time) -> Result<(), Reason> {
        let close = ClosePayload::decode(payload).map_err(crate::malformed_reason)?;
        let slot = proven.slot;
        let session = self.table.session(slot).ok_or(Reason::UnknownSession)?;
        session.consume(proven.header.cseq);
        let cid = session.binding.channel.peer_cid;
        let ack = CloseAckPayload { cseq: proven.header.cseq };
        self.reply_control(slot, from, Kind::CloseAck, cid, &ack.encode());
        let reason = Reason::from_number(close.reason).unwrap_or(Reason::PeerClosed);
        self.end(slot, super::frames::peer_close_reason(reason), 0, now);
        Ok(())
    }

    /// Seals a control reply to where the request came from.
    pub(super) fn reply_control(&mut self, slot: u32, from: From, kind: Kind, cid: Cid, payload: &[u8]) {
        let Some(session) = self.table.session(slot) else { return };
        let sseq = session.next_sseq();
        let header = ReplyHeader { kind, epoch: session.epoch.context.n as u16, cid, sseq };
        let key = &session.epoch.control.s2c;
        self.core.answer(from, |slot| {
            let len = REPLY_HEADER_LEN + payload.len() + TAG_LEN;
            slot[..REPLY_HEADER_LEN].copy_from_slice(&header.encode());
            slot[REPLY_HEADER_LEN..][..payload.len()].copy_from_slice(payload);
            seal_control(key, &mut slot[..len]).ok()?;
            Some(len)
        });
    }

    /// After a jump away from a dead path, what the old path may have swallowed is sent again.
    fn resend_after(&mut self, slot: u32, reason: Reason, now: Time) {
        let Some(ring) = &self.core.resend else { return };
        if !leaves_a_dead_path(reason) {
            return;
        }
        let Some(session) = self.table.session(slot) else { return };
        let heard = session.retiring.as_ref().map_or(now, |retiring| retiring.heard);
        let since = (heard - session.rtt()).max(session.born);
        let cursor = ring.cursor(session.handle.value(), since, now);
        let handle = session.handle;
        self.core.resending.retain(|(resending, ..)| *resending != slot);
        self.core.resending.push((slot, handle, cursor));
    }
}

/// A control message whose sender has proven possession of the session's key.
struct Proven {
    slot: u32,
    header: ControlHeader,
    /// It was sealed under the key epoch before the present one.
    previous_epoch: bool,
}

/// Which key epoch a control message names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EpochMatch {
    Current,
    Next,
    Previous,
}

/// What a ticket is issued for.
struct TicketOrder {
    nonce: [u8; 8],
    path_id: PathId,
    class: TransportClass,
    client_cid: Cid,
    received_len: u16,
    mismatch: bool,
}

impl TicketOrder {
    fn of_probe(probe: &ProbePayload, datagram_len: usize) -> TicketOrder {
        TicketOrder {
            nonce: probe.nonce,
            path_id: probe.path_id,
            class: probe.transport,
            client_cid: probe.client_cid,
            received_len: u16::try_from(datagram_len).unwrap_or(u16::MAX),
            mismatch: false,
        }
    }

    /// The answer to a REATTACH that came from another address than it names. Its nonce is zero: it answers no
    /// probe.
    fn of_mismatch(proof: &ReattachPayload) -> TicketOrder {
        TicketOrder {
            nonce: [0; 8],
            path_id: proof.path_id,
            class: proof.transport,
            client_cid: proof.client_cid,
            received_len: REATTACH_LEN as u16,
            mismatch: true,
        }
    }
}

impl Session {
    /// Marks a sequence number as seen. It was checked before the proof; nothing can have come in between.
    fn mark(&mut self, cseq: u64) {
        let fresh = self.window.commit(cseq);
        debug_assert!(fresh, "checked in row 8");
    }

    /// Uses a sequence number up: neither it nor an older one can move or close the session any more.
    pub(super) fn consume(&mut self, cseq: u64) {
        self.mark(cseq);
        self.watermark = self.watermark.max(cseq);
    }

    /// Takes a probe's sequence number and remembers the newest. Whether it is a copy of that one.
    fn note_probe(&mut self, header: &ControlHeader, from: From, now: Time) -> Option<Time> {
        if let Some(newest) = self.newest_probe.as_mut().filter(|newest| newest.cseq == header.cseq) {
            newest.copy_answered = true;
            return Some(newest.at);
        }
        self.mark(header.cseq);
        if self.newest_probe.as_ref().is_none_or(|newest| newest.cseq < header.cseq) {
            let cseq = header.cseq;
            self.newest_probe =
                Some(NewestProbe { cseq, source: from.source, at: now, copy_answered: false });
        }
        None
    }
}

/// Row 8: fresh numbers; a byte-identical repetition of the last committed request; one copy of the newest
/// probe from a second address, so that the client can see that somebody forwards its packets.
fn sequence_admitted(
    session: &Session,
    kind: Kind,
    header: &ControlHeader,
    from: From,
    policy: &Policy,
    now: Time,
) -> bool {
    let within = u64::from(policy.security.replay_window_size);
    let too_old = session.window.highest().is_some_and(|highest| header.cseq + within <= highest);
    if !too_old
        && session.window.check(header.cseq)
        && (kind == Kind::PathProbe || header.cseq > session.watermark)
    {
        return true;
    }
    match kind {
        Kind::Reattach => session.cached.as_ref().is_some_and(|cached| cached.cseq == header.cseq),
        Kind::PathProbe => session.newest_probe.as_ref().is_some_and(|newest| {
            newest.cseq == header.cseq
                && newest.source != from.source
                && !newest.copy_answered
                && now.since(newest.at) < COPY_WINDOW
        }),
        _ => false,
    }
}

fn match_epoch(session: &Session, low_bits: u16, now: Time) -> Option<EpochMatch> {
    if session.epoch.context.n as u16 == low_bits {
        return Some(EpochMatch::Current);
    }
    if session.next.as_ref().is_some_and(|next| next.epoch.context.n as u16 == low_bits) {
        return Some(EpochMatch::Next);
    }
    let previous = session.previous.as_ref().filter(|previous| now < previous.until)?;
    (previous.number as u16 == low_bits).then_some(EpochMatch::Previous)
}

fn udp_allowed(policy: &Policy) -> bool {
    policy.transport.allowed.contains(Class::Udp)
}

/// The client's word decides whether its path is dead: a link that went down just now was heard just now, so no silence
/// on this side could confirm it. A false word moves a session sooner, not more often: the limit per minute holds for
/// all.
fn admit_cause(proof: &ReattachPayload) -> AdmitCause {
    if proof.rebind {
        return AdmitCause::Rebind;
    }
    match Reason::from_number(proof.reason) {
        Some(reason) if leaves_a_dead_path(reason) => AdmitCause::MoveDeadPath,
        _ => AdmitCause::Move,
    }
}

/// Our own address and port the datagram came to.
fn local_of(from: From) -> SocketAddr {
    SocketAddr::new(from.local, 0)
}

/// A refusal by the policy, as opposed to a stale or wrong request.
fn is_policy(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::SwitchCooldown | Reason::SwitchRateLimited | Reason::SwitchBudget | Reason::ChurnLimit
    )
}
