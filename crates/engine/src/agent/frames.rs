//! What arrives for a live session: DATA, control replies, frames.
use std::time::Duration;

use jumpvpn_events::{Reason, Time};
use jumpvpn_session::{is_reset_token, open_control};
use jumpvpn_wire::{
    Cid, ClosePayload, ControlHeader, DataHeader, Frame, FrameReader, Heartbeat, HeartbeatAck, HintPayload,
    Kind, NoSession, ReplyHeader, ResultPayload, TicketPayload, is_ip_packet,
};

use super::Core;
use super::live::{Channel, Live, Stage};
use super::path::Paths;
use crate::Received;

/// Age of a key epoch from which nothing is sealed or opened any more (docs/protocol.md, rekey: hard limit).
pub(super) const KEY_HARD_LIMIT: Duration = Duration::from_secs(900);

/// Which of our bindings a CID belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Active,
    Previous,
    Pending,
    Lapsed,
    Retiring,
}

impl Live {
    /// Whether user packets may leave now.
    pub(super) fn check_sendable(&self, now: Time) -> Result<(), Reason> {
        if self.stage != Stage::Ready {
            return Err(Reason::NotAttached);
        }
        if now.since(self.epoch_since) >= KEY_HARD_LIMIT {
            return Err(Reason::KeyExpired);
        }
        Ok(())
    }

    /// DATA from the gateway.
    pub(super) fn handle_data(
        &mut self,
        core: &mut Core,
        paths: &mut Paths,
        path: u32,
        datagram: &mut [u8],
        now: Time,
    ) -> Result<Received, Reason> {
        let header = DataHeader::parse(datagram).map_err(crate::malformed_reason)?;
        let role = self.role_of(header.cid, now).ok_or(Reason::UnknownCid)?;
        let channel = self.channel_mut(role).ok_or(Reason::BindingNotActive)?;
        let opened = channel.traffic.recv.open(datagram).map_err(|error| error.reason())?;
        if self.stage == Stage::Claiming && role == Role::Active {
            self.claim_proven(core, paths, now);
        }
        if role == Role::Pending {
            // Sealed under the new binding's keys: the gateway has committed it.
            self.committed(core, paths, None, now);
        }
        if role == Role::Lapsed {
            self.adopt_lapsed(core, paths, now);
        }
        if role != Role::Retiring {
            self.note_heard(core, paths, path, now);
        }
        let plaintext = &datagram[opened.range.clone()];
        if is_ip_packet(plaintext) {
            if self.stage != Stage::Ready {
                return Err(Reason::PqRequired);
            }
            if now.since(self.epoch_since) >= KEY_HARD_LIMIT {
                return Err(Reason::KeyExpired);
            }
            if role != Role::Retiring {
                self.active.spacing.note(now);
            }
            self.note_use(core, paths, now);
            core.counters.packets_in += 1;
            core.counters.bytes_in += plaintext.len() as u64;
            return Ok(Received::Packet(opened.range));
        }
        for frame in FrameReader::new(plaintext) {
            let frame = frame.map_err(crate::malformed_reason)?;
            if role != Role::Retiring || matches!(frame, Frame::Close { .. }) {
                self.handle_frame(core, paths, frame, now);
            }
        }
        Ok(Received::Consumed)
    }

    fn role_of(&self, cid: Cid, now: Time) -> Option<Role> {
        if self.active.channel.local_cid == cid {
            return Some(Role::Active);
        }
        if self
            .active
            .previous
            .as_ref()
            .is_some_and(|(channel, until)| channel.local_cid == cid && now < *until)
        {
            return Some(Role::Previous);
        }
        if self.pending.as_ref().is_some_and(|pending| pending.binding.channel.local_cid == cid) {
            return Some(Role::Pending);
        }
        let lapsed = self.lapsed.as_ref().filter(|(_, until)| now < *until);
        if lapsed.is_some_and(|(lapsed, _)| lapsed.binding.channel.local_cid == cid) {
            return Some(Role::Lapsed);
        }
        let retiring = self.retiring.as_ref().filter(|retiring| now < retiring.1)?;
        (retiring.0.channel.local_cid == cid).then_some(Role::Retiring)
    }

    fn channel_mut(&mut self, role: Role) -> Option<&mut Channel> {
        match role {
            Role::Active => Some(&mut self.active.channel),
            Role::Previous => self.active.previous.as_mut().map(|(channel, _)| channel),
            Role::Pending => self.pending.as_mut().map(|pending| &mut pending.binding.channel),
            Role::Lapsed => self.lapsed.as_mut().map(|(lapsed, _)| &mut lapsed.binding.channel),
            Role::Retiring => self.retiring.as_mut().map(|retiring| &mut retiring.0.channel),
        }
    }

    fn handle_frame(&mut self, core: &mut Core, paths: &mut Paths, frame: Frame<'_>, now: Time) {
        match frame {
            Frame::Heartbeat(beat) => self.answer_heartbeat(core, paths, beat, now),
            Frame::HeartbeatAck(ack) => self.handle_ack(core, paths, &ack, now),
            Frame::RekeyResp(response) => self.handle_rekey_response(core, paths, response, now),
            Frame::RekeyWanted => self.rekey_wanted(now),
            Frame::MoveAdvice(advice) => self.handle_advice(core, paths, &advice, now),
            Frame::ListPart(part) => self.handle_list_part(core, paths, &part, now),
            Frame::Tokens(list) => {
                self.token_config = list.config();
                self.tokens = list.iter().collect();
            }
            Frame::Config(config) => {
                (self.inner_v4, self.inner_v6) = (config.inner_v4, config.inner_v6);
                self.mtu = config.mtu;
                self.handle_config(core, paths, now);
            }
            Frame::Close { reason, version } => {
                // A birth that was not announced ends as our own conclusion: there is no second fact without a first.
                let announced = self.stage == Stage::Ready;
                if announced {
                    // A request that is still open may have been committed before the end.
                    let open = self.pending.take();
                    self.keep_lapsed(open, now);
                    self.note_version(core, paths, version.saturating_sub(1), now);
                    self.version = version.max(self.version);
                }
                self.finish(Reason::from_number(reason).unwrap_or(Reason::PeerClosed), announced);
            }
            Frame::Pad
            | Frame::Fin
            | Frame::RekeyReq { .. }
            | Frame::ListWant { .. }
            | Frame::Want { .. }
            | Frame::PmtuProbe { .. }
            | Frame::PmtuAck { .. } => {}
        }
    }

    fn handle_config(&mut self, core: &mut Core, paths: &mut Paths, now: Time) {
        match self.stage {
            Stage::Confirming { hybrid: true } => {
                self.stage = Stage::Hardening;
                self.start_rekey(core, paths, now);
            }
            Stage::Confirming { hybrid: false } => self.ready(core, paths, now),
            Stage::Hardening | Stage::Ready | Stage::Claiming => {}
        }
    }

    fn answer_heartbeat(&mut self, core: &mut Core, paths: &mut Paths, beat: Heartbeat, now: Time) {
        let ack = HeartbeatAck {
            seq: beat.seq,
            echo_us: beat.sent_us,
            delay_us: 0,
            generation_seen: self.active.channel.traffic.recv.generation_seen(),
            report: self.active.report(now),
        };
        self.send_frames(core, paths, &[Frame::HeartbeatAck(ack)]);
        self.judge_report(core, paths, &beat.report, now);
    }

    /// Sealed control replies: ticket, result, hint, acknowledged close.
    pub(super) fn handle_reply(
        &mut self,
        core: &mut Core,
        paths: &mut Paths,
        path: u32,
        kind: Kind,
        datagram: &mut [u8],
        now: Time,
    ) -> Result<Received, Reason> {
        let header = ReplyHeader::parse(datagram).map_err(crate::malformed_reason)?;
        if !self.window.check(header.sseq) {
            return Err(Reason::ReplayDetected);
        }
        let keys = match &self.previous_control {
            Some((n, keys, until)) if *n as u16 == header.epoch && now < *until => keys,
            _ if self.epoch.n as u16 == header.epoch => &self.control,
            _ => return Err(Reason::StaleEpoch),
        };
        let range = open_control(&keys.s2c, datagram).map_err(|_| Reason::BadProof)?;
        if !self.window.commit(header.sseq) {
            return Err(Reason::ReplayDetected);
        }
        let payload = &datagram[range];
        match kind {
            Kind::PathTicket => {
                let ticket = TicketPayload::decode(payload).map_err(crate::malformed_reason)?;
                self.handle_ticket(core, paths, path, &ticket, now)?;
            }
            Kind::ReattachResult => {
                let result = ResultPayload::decode(payload).map_err(crate::malformed_reason)?;
                self.handle_result(core, paths, &result, now);
            }
            Kind::RebindHint => {
                HintPayload::decode(payload).map_err(crate::malformed_reason)?;
                self.handle_hint(core, paths, path, now);
            }
            _ => self.finish(Reason::PeerClosed, false),
        }
        Ok(Received::Consumed)
    }

    /// NO_SESSION: believed only while we try to get the session back, and only with the token given at birth.
    pub(super) fn handle_no_session(
        &mut self,
        core: &mut Core,
        paths: &Paths,
        key: u32,
        datagram: &[u8],
        now: Time,
    ) -> Result<Received, Reason> {
        let message = NoSession::decode(datagram).map_err(crate::malformed_reason)?;
        if message.orphaned {
            return self.handle_orphaned(core, paths, key, &message, now);
        }
        let ours = is_reset_token(&self.reset_token, &message.reset_token) && message.cseq <= self.cseq;
        if !ours || !self.is_in_doubt() {
            return Err(Reason::BadProof);
        }
        self.finish(Reason::LostAtServer, false);
        Ok(Received::Consumed)
    }

    /// Tells the gateway that we go; three copies, nothing could be repeated afterwards.
    pub(super) fn say_close(&mut self, core: &mut Core, paths: &Paths, reason: Reason) {
        let close = Frame::Close { reason: reason.number(), version: self.version };
        for _ in 0..3 {
            self.send_frames(core, paths, &[close]);
        }
        if self.is_in_doubt() {
            self.send_close(core, paths, reason);
        }
    }

    /// Without a usable binding: CLOSE over every path that is up. It is valid from any address, it binds nothing.
    fn send_close(&mut self, core: &mut Core, paths: &Paths, reason: Reason) {
        let payload = ClosePayload { reason: reason.number(), version: self.version }.encode();
        for path in paths.iter().filter(|path| path.up) {
            let token = path.token.unwrap_or(self.last_token);
            let header = ControlHeader {
                kind: Kind::Close,
                token_config: self.token_config,
                epoch: self.epoch.n as u16,
                token,
                cseq: self.next_cseq(),
            };
            let key = &self.control.c2s;
            core.send(path.link.socket, path.remote, |slot| {
                super::jump::compose_control(slot, &header, &payload, key, Kind::Close.min_len())
            });
        }
    }
}
