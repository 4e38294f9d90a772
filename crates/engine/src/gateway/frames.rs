//! Control frames inside DATA: what a client may ask of a live session, and what we tell it.
use jumpvpn_events::{Reason, Time};
use jumpvpn_wire::{Cid, ConfigFrame, Frame, FrameReader, Heartbeat, HeartbeatAck, ReceiveReport, TokenList};
use std::net::IpAddr;

use super::session::Session;
use super::table::CidRole;
use super::{Core, Gateway};
use crate::seal_frames;

/// Route tokens handed out at once: more paths than a machine has links.
const TOKENS_AT_ONCE: u8 = 8;

impl Gateway {
    /// Frames of an authentic packet. Only the ACTIVE binding may ask; a retiring one may still say CLOSE, and nothing comes after that.
    /// What asks for new keys under those of the epoch before came late: it was answered, or overtaken by the one that was.
    pub(super) fn handle_frames(
        &mut self,
        slot: u32,
        role: CidRole,
        plaintext: &[u8],
        asked_at: (Cid, u64),
        now: Time,
    ) {
        let mut answered = 0u16;
        for frame in FrameReader::new(plaintext) {
            let Ok(frame) = frame else {
                self.core.counters.drops.record(Reason::Malformed);
                return;
            };
            let is_void = match role {
                CidRole::Retiring => !matches!(frame, Frame::Close { .. }),
                CidRole::Previous => matches!(frame, Frame::RekeyReq { .. }),
                CidRole::Active | CidRole::Next => false,
            };
            if is_void {
                continue;
            }
            // One datagram makes us answer each kind once at most, and all of them within the session's budget.
            let kind = 1 << answer_kind(&frame);
            if kind != 1 && (answered & kind != 0 || !self.may_answer(slot, now)) {
                self.core.counters.drops.record(Reason::RateLimited);
                continue;
            }
            answered |= kind;
            self.handle_frame(slot, frame, asked_at, now);
            if let Frame::Close { .. } = frame {
                return;
            }
        }
    }

    fn may_answer(&mut self, slot: u32, now: Time) -> bool {
        self.table.session(slot).is_some_and(|session| session.buckets.frames.take(now))
    }

    fn handle_frame(&mut self, slot: u32, frame: Frame<'_>, asked_at: (Cid, u64), now: Time) {
        match frame {
            Frame::Heartbeat(beat) => self.answer_heartbeat(slot, beat, now),
            Frame::HeartbeatAck(ack) => {
                if let Some(session) = self.table.session(slot) {
                    session.binding.channel.traffic.send.confirm_generation(ack.generation_seen);
                }
            }
            Frame::RekeyReq { part, parts, body } => {
                self.handle_rekey_part(slot, (part, parts, body), asked_at, now)
            }
            // A repeated FIN says that our welcome was lost.
            Frame::Fin => self.welcome(slot),
            Frame::Want { tokens, config } => self.answer_want(slot, tokens, config),
            Frame::ListWant { above, offset } => self.answer_list_want(slot, above, offset, now),
            Frame::PmtuProbe { seq, len } => self.send_frames(slot, &[Frame::PmtuAck { seq, len }]),
            Frame::Close { reason, .. } => {
                let reason = Reason::from_number(reason).unwrap_or(Reason::PeerClosed);
                self.end(slot, peer_close_reason(reason), 0, now);
            }
            Frame::Pad
            | Frame::RekeyResp(_)
            | Frame::Tokens(_)
            | Frame::Config(_)
            | Frame::PmtuAck { .. }
            | Frame::MoveAdvice(_)
            | Frame::ListPart(_)
            | Frame::RekeyWanted => {}
        }
    }

    pub(super) fn answer_heartbeat(&mut self, slot: u32, beat: Heartbeat, now: Time) {
        let Some(session) = self.table.session(slot) else { return };
        let ack = HeartbeatAck {
            seq: beat.seq,
            echo_us: beat.sent_us,
            delay_us: 0,
            generation_seen: session.binding.channel.traffic.recv.generation_seen(),
            report: report(session, now),
        };
        self.send_frames(slot, &[Frame::HeartbeatAck(ack)]);
    }

    fn answer_want(&mut self, slot: u32, tokens: u8, config: bool) {
        if tokens > 0 {
            self.send_tokens(slot, tokens.min(TOKENS_AT_ONCE));
        }
        if config {
            self.welcome(slot);
        }
    }

    fn send_tokens(&mut self, slot: u32, count: u8) {
        let Some(session) = self.table.session(slot) else { return };
        let handle = session.handle;
        let mut tokens = [[0; 16]; TOKENS_AT_ONCE as usize];
        for token in tokens.iter_mut().take(usize::from(count)) {
            *token = self.core.tokens.seal(handle, self.core.node, &mut *self.core.rng).0;
        }
        let list = TokenList::new(self.core.tokens.config(), &tokens[..usize::from(count)]);
        self.send_frames(slot, &[Frame::Tokens(list)]);
    }

    /// What a newborn session is told: its addresses and route tokens for its paths.
    pub(super) fn welcome(&mut self, slot: u32) {
        let Some(session) = self.table.session(slot) else { return };
        let inner = session.inner;
        let config = config_frame(&self.core, inner);
        self.send_frames(slot, &[Frame::Config(config)]);
        self.send_tokens(slot, TOKENS_AT_ONCE);
    }

    /// Asks the client to answer, and tells it what we have heard: the report shows it a path that swallows
    /// what it sends.
    pub(super) fn send_heartbeat(&mut self, slot: u32, now: Time) {
        let Some(session) = self.table.session(slot) else { return };
        session.heartbeat_seq = session.heartbeat_seq.wrapping_add(1);
        let beat = Heartbeat {
            seq: session.heartbeat_seq,
            sent_us: now.as_nanos() / 1000,
            report: report(session, now),
        };
        self.send_frames(slot, &[Frame::Heartbeat(beat)]);
    }

    /// Sends frames to the client on the ACTIVE binding, to the address it accepted and to no other.
    pub(super) fn send_frames(&mut self, slot: u32, frames: &[Frame<'_>]) {
        let Some(session) = self.table.session(slot).filter(|session| !session.frozen) else { return };
        let binding = &mut session.binding;
        let (cid, send) = (binding.channel.peer_cid, &mut binding.channel.traffic.send);
        let queued = self.core.outbox.push(binding.socket, binding.address, Some(binding.local), |buffer| {
            seal_frames(buffer, cid, send, frames)
        });
        if !queued {
            self.core.counters.drops.record(Reason::OutboxFull);
        }
    }
}

/// Which kind of answer a frame asks for; 0 for none.
fn answer_kind(frame: &Frame<'_>) -> u8 {
    match frame {
        Frame::Heartbeat(_) => 1,
        Frame::Fin | Frame::Want { .. } => 2,
        Frame::PmtuProbe { .. } => 3,
        Frame::RekeyReq { .. } => 4,
        Frame::ListWant { .. } => 5,
        _ => 0,
    }
}

fn config_frame(core: &Core, inner: [Option<IpAddr>; 2]) -> ConfigFrame {
    let prefix = |address: IpAddr| {
        let network = core.networks.iter().find(|network| network.contains(&address));
        network.map_or(if address.is_ipv4() { 32 } else { 128 }, |network| network.prefix_len())
    };
    let mut frame = ConfigFrame { inner_v4: None, inner_v6: None, mtu: core.mtu };
    for address in inner.into_iter().flatten() {
        match address {
            IpAddr::V4(v4) => frame.inner_v4 = Some((v4, prefix(address))),
            IpAddr::V6(v6) => frame.inner_v6 = Some((v6, prefix(address))),
        }
    }
    frame
}

/// What we have received on the binding.
fn report(session: &Session, now: Time) -> ReceiveReport {
    let recv = &session.binding.channel.traffic.recv;
    let silent = now.since(session.binding.heard);
    ReceiveReport {
        path_id: session.binding.path_id.0,
        highest: recv.highest().unwrap_or(0),
        received: recv.received_count(),
        silent_us: u32::try_from(silent.as_micros()).unwrap_or(u32::MAX),
    }
}

/// A client may say why it goes, but not pretend to be the operator of this gateway.
pub(super) fn peer_close_reason(reason: Reason) -> Reason {
    match reason {
        Reason::Superseded | Reason::OwnerClosed | Reason::PeerRevoked | Reason::PeerChanged => {
            Reason::PeerClosed
        }
        other => other,
    }
}
