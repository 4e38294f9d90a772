//! In-session rekey: two-phase, so that a lost answer never strands the session.
//!
//! The client asks; we answer and open both epochs; its first packet under the new one confirms it, and only
//! then do we seal under it. An answer that is not confirmed within 30 s is forgotten. Where sessions outlive their
//! gateway, the store gets the credentials of the new epoch before the answer goes: whichever of the two the client
//! holds afterwards, another gateway can recognise it.
use std::time::Duration;

use jumpvpn_events::{EventKind, Reason, Time};
use jumpvpn_session::{EpochContext, RekeyMode, RekeyTerms, Side, rekey_respond};
use jumpvpn_wire::{Cid, Frame};

use super::Gateway;
use super::birth::session_event;
use super::session::{Channel, Epoch, NextEpoch, PreviousEpoch, Session};
use super::table::CidRole;

/// How long an answered epoch waits for its confirmation (docs/protocol.md, rekey).
pub(super) const UNCONFIRMED_TTL: Duration = Duration::from_secs(30);
/// How long packets of the epoch before are still opened: the longest probe timeout (1.6 s) with margin.
const PREVIOUS_TTL: Duration = Duration::from_secs(3);
/// Never more often than every 10 s (docs/protocol.md, rekey).
const MIN_INTERVAL: Duration = Duration::from_secs(10);

impl Session {
    /// Whether a new request may be answered: not too often, and not one that is older than the one answered last.
    fn check_rekey(&mut self, (cid, position): (Cid, u64), now: Time) -> Result<(), Reason> {
        let held_back =
            self.next.as_ref().is_some_and(|next| next.asked_at.0 == cid && position < next.asked_at.1);
        if held_back {
            return Err(Reason::ReplayDetected);
        }
        if self.writing.is_some() {
            // The answer before this one still waits for the store.
            return Err(Reason::StoreBusy);
        }
        let too_soon = self.epoch.context.n > 0 && now.since(self.epoch.since) < MIN_INTERVAL;
        if too_soon || !self.buckets.rekey.take(now) {
            return Err(Reason::RateLimited);
        }
        Ok(())
    }
}

impl NextEpoch {
    /// Whether the client, `heard` last under the present epoch, did not take the answer: it would have used the new
    /// keys since. Silence proves nothing: it may have them and no path to use them on.
    pub(super) fn was_refused(&self, heard: Time) -> bool {
        heard > self.epoch.since + PREVIOUS_TTL
    }
}

impl Gateway {
    /// One part of a REKEY_REQ.
    pub(super) fn handle_rekey_part(
        &mut self,
        slot: u32,
        (part, parts, body): (u8, u8, &[u8]),
        asked_at: (Cid, u64),
        now: Time,
    ) {
        let Some(session) = self.table.session(slot) else { return };
        let reassembly = session.reassembly.get_or_insert_default();
        let Ok(Some(request)) = reassembly.push(part, parts, body) else { return };
        let request: Box<[u8]> = request.into();
        session.reassembly = None;
        if let Some(next) = session.next.as_ref().filter(|next| next.request == request) {
            let response = next.stored.then(|| next.response.clone());
            return response.into_iter().for_each(|body| self.send_frames(slot, &[Frame::RekeyResp(&body)]));
        }
        if let Err(reason) = session.check_rekey(asked_at, now) {
            return self.core.counters.drops.record(reason);
        }
        if let Err(reason) = self.answer_rekey(slot, &request, asked_at, now) {
            self.core.counters.drops.record(reason);
        }
    }

    fn answer_rekey(
        &mut self,
        slot: u32,
        request: &[u8],
        asked_at: (Cid, u64),
        now: Time,
    ) -> Result<(), Reason> {
        let server_cid = self.table.mint_cid(slot, &mut *self.core.rng);
        let handle = self.table.session(slot).ok_or(Reason::UnknownSession)?.handle;
        let token = self.core.tokens.seal(handle, self.core.node, &mut *self.core.rng);
        let session = self.table.session(slot).ok_or(Reason::UnknownSession)?;
        let context = EpochContext { n: session.epoch.context.n + 1, ..session.epoch.context };
        let answer = rekey_respond(
            context.n,
            session.epoch.context.sid,
            &session.epoch.secret,
            request,
            &RekeyTerms { server_cid, token, token_config: self.core.tokens.config() },
            &mut *self.core.rng,
        )
        .map_err(|error| error.reason())?;
        if session.pq_required && answer.mode == RekeyMode::Classical {
            return Err(Reason::PqRequired);
        }
        let traffic = answer.secret.binding(&context, &session.binding.context, Side::Server);
        let channel = Channel { traffic, local_cid: server_cid, peer_cid: answer.client_cid };
        let next = NextEpoch {
            epoch: Epoch::new(context, answer.secret, now),
            channel,
            asked_at,
            request: request.into(),
            response: answer.response.as_slice().into(),
            stored: false,
            until: now + UNCONFIRMED_TTL,
        };
        self.drop_next_epoch(slot);
        if !self.table.claim_cid(server_cid, slot, CidRole::Next) {
            return Err(Reason::Internal);
        }
        let session = self.table.session(slot).ok_or(Reason::UnknownSession)?;
        session.next = Some(Box::new(next));
        if self.core.cell.is_some() {
            self.write_credentials(slot)?;
        } else {
            self.announce_epoch(slot, now);
        }
        self.arm(slot, now);
        Ok(())
    }

    /// Answers the key exchange: the store knows of it, or need not.
    pub(super) fn announce_epoch(&mut self, slot: u32, now: Time) {
        let Some(session) = self.table.session(slot) else { return };
        let Some(next) = session.next.as_mut().filter(|next| !next.stored) else { return };
        (next.stored, next.until) = (true, now + UNCONFIRMED_TTL);
        let response = next.response.clone();
        self.send_frames(slot, &[Frame::RekeyResp(&response)]);
    }

    /// The client has shown that it holds the next epoch: from here on we seal under it.
    pub(super) fn confirm_epoch(&mut self, slot: u32, now: Time) {
        let Some(session) = self.table.session(slot) else { return };
        let Some(next) = session.next.take() else { return };
        // A part that came twice began a collection that nobody will complete.
        session.reassembly = None;
        let old_epoch = std::mem::replace(&mut session.epoch, next.epoch);
        let new_cid = next.channel.local_cid;
        let old_channel = std::mem::replace(&mut session.binding.channel, next.channel);
        let (old_cid, old_recv) = (old_channel.local_cid, old_channel.traffic.recv);
        let new_generation = session.binding.channel.traffic.recv.generation_bits();
        let old_generation = old_recv.generation_bits();
        let stale = session.previous.replace(Box::new(PreviousEpoch {
            number: old_epoch.context.n,
            control: old_epoch.control.c2s,
            recv: old_recv,
            local_cid: old_cid,
            until: now + PREVIOUS_TTL,
        }));
        let key_epoch = session.epoch.context.n;
        let event = session_event(session, Reason::RekeyComplete, EventKind::Rekey { key_epoch }, now);
        if let Some(stale) = stale {
            self.table.release_cid(stale.local_cid);
        }
        self.table.move_cid(new_cid, CidRole::Active, new_generation);
        self.table.move_cid(old_cid, CidRole::Previous, old_generation);
        self.core.event(event);
        self.arm(slot, now);
    }

    /// Forgets an answered but unconfirmed epoch.
    pub(super) fn drop_next_epoch(&mut self, slot: u32) {
        let Some(session) = self.table.session(slot) else { return };
        if let Some(next) = session.next.take() {
            self.table.release_cid(next.channel.local_cid);
        }
    }
}
