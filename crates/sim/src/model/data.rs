//! DATA at the gateway (docs/protocol.md, 7.1), and the frames in it that change what is accepted later.
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use jumpvpn_events::{Reason, SessionLabel, Time};
use jumpvpn_policy::PostQuantum;
use jumpvpn_session::{EpochContext, RekeyMode, RekeyTerms, rekey_respond};
use jumpvpn_wire::{Cid, DataHeader, Frame, FrameReader, Kind, is_ip_packet};

use super::session::{Channel, Closed, Epoch, NextEpoch, Session};
use super::{Arrival, Model, Passed, Reply};
use crate::tap::Tap;
use crate::traffic;

/// Age from which on user packets pass no more (docs/protocol.md, 5.3).
pub(super) const KEY_HARD_LIMIT: Duration = Duration::from_secs(900);
/// Pause between two rekeys, and how long an answered one waits.
const MIN_INTERVAL: Duration = Duration::from_secs(10);
const UNCONFIRMED_TTL: Duration = Duration::from_secs(30);
/// Shortest packet that is answered with a hint.
const HINT_TRIGGER_LEN: usize = 68;

/// Which of a session's channels a CID leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Active,
    Next,
    Previous,
    Retiring,
}

pub(super) fn reason_of(closed: Closed) -> Reason {
    match closed {
        Closed::Replay => Reason::ReplayDetected,
        Closed::Seal => Reason::BadSeal,
        Closed::Generation => Reason::StaleGeneration,
        Closed::Malformed => Reason::Malformed,
    }
}

impl Session {
    fn role(&self, cid: Cid) -> Option<Role> {
        let next = self.next.as_ref().map(|next| next.channel.cid);
        let previous = self.previous.as_ref().map(|previous| previous.channel.cid);
        let retiring = self.retiring.as_ref().map(|retiring| retiring.0.cid);
        let roles = [
            (Some(self.channel.cid), Role::Active),
            (next, Role::Next),
            (previous, Role::Previous),
            (retiring, Role::Retiring),
        ];
        roles.into_iter().find(|(held, _)| *held == Some(cid)).map(|(_, role)| role)
    }

    fn channel(&mut self, role: Role) -> Option<&mut Channel> {
        match role {
            Role::Active => Some(&mut self.channel),
            Role::Next => self.next.as_mut().map(|next| &mut next.channel),
            Role::Previous => self.previous.as_mut().map(|previous| &mut previous.channel),
            Role::Retiring => self.retiring.as_mut().map(|retiring| &mut retiring.0),
        }
    }

    /// A channel past its end is refused, and forgotten as soon as the session's timer fires: until then the CID is
    /// still known. An unconfirmed epoch past its time may have been forgotten or kept.
    fn check_known(&mut self, role: Role, arrival: &Arrival<'_>) -> Result<(), Reason> {
        let Some(end) = self.ends(role).filter(|end| *end <= arrival.now) else { return Ok(()) };
        let forgotten = arrival.observed == Err(Reason::UnknownCid);
        if role == Role::Next {
            match &mut self.next {
                Some(next) if !forgotten => next.until = arrival.now.max(end + UNCONFIRMED_TTL),
                _ => self.next = None,
            }
        }
        if forgotten { Err(Reason::UnknownCid) } else { Ok(()) }
    }

    /// When the channel of that role ends, if it ends by itself.
    fn ends(&self, role: Role) -> Option<Time> {
        match role {
            Role::Active => None,
            Role::Next => self.next.as_ref().map(|next| next.until),
            Role::Previous => self.previous.as_ref().map(|previous| previous.until),
            Role::Retiring => self.retiring.as_ref().map(|retiring| retiring.1),
        }
    }
}

impl Model {
    /// Rows 1 to 10.
    pub(super) fn data(&mut self, arrival: &Arrival<'_>, datagram: &[u8]) -> Result<Passed, Reason> {
        // 1
        let header = data_header(datagram)?;
        // 2
        let with_cid = |pending: &super::birth::Pending| {
            pending.keys.as_ref().is_some_and(|keys| keys.channel.cid == header.cid)
        };
        if let Some(at) = self.pending.iter().position(with_cid) {
            return self.pending_data(at, arrival, &header, datagram);
        }
        let found =
            self.sessions.values().find_map(|session| Some((session.label, session.role(header.cid)?)));
        let Some((label, role)) = found else { return Err(Reason::UnknownCid) };
        self.session_data(label, role, arrival, &header, datagram)
    }

    fn session_data(
        &mut self,
        label: SessionLabel,
        role: Role,
        arrival: &Arrival<'_>,
        header: &DataHeader,
        datagram: &[u8],
    ) -> Result<Passed, Reason> {
        let now = arrival.now;
        let Some(session) = self.sessions.get_mut(&label) else { return Err(Reason::UnknownCid) };
        session.check_known(role, arrival)?;
        // 2, the other half: far from the generation that was last received under this CID.
        if session.channel(role).is_some_and(|channel| !channel.is_near(header)) {
            return Err(Reason::StaleGeneration);
        }
        // 3
        arrival.right(session)?;
        let foreign = arrival.source != session.address && role != Role::Retiring;
        // 4
        if foreign && session.foreign.is_empty(now) {
            return Err(Reason::ForeignSourceBudget);
        }
        if role != Role::Next && session.ends(role).is_some_and(|end| end <= now) {
            return Err(Reason::BindingNotActive);
        }
        // 5 to 8
        let opened = match session.channel(role) {
            Some(channel) => channel.open(header, datagram),
            None => return Err(Reason::BindingNotActive),
        };
        let plaintext = match opened {
            Ok(plaintext) => plaintext,
            Err(closed) => {
                if foreign {
                    session.foreign.take(now);
                }
                return Err(reason_of(closed));
            }
        };
        if role != Role::Retiring {
            session.heard = now;
            if !foreign {
                session.heard_at_address = now;
            }
        }
        if role == Role::Next {
            session.confirm(now);
        }
        if is_ip_packet(&plaintext) {
            // 9
            self.check_packet(label, &plaintext, now)?;
            self.hint(label, role, arrival, datagram.len());
            return Ok(Passed::Packet);
        }
        let asked_at = (header.cid, u64::from(header.pn));
        self.frames(label, role, &plaintext, asked_at, arrival);
        // 10
        self.hint(label, role, arrival, datagram.len());
        Ok(Passed::Consumed)
    }

    fn check_packet(&self, label: SessionLabel, packet: &[u8], now: Time) -> Result<(), Reason> {
        let (source, destination) = ends_of(packet).ok_or(Reason::NotIp)?;
        let Some(session) = self.sessions.get(&label) else { return Ok(()) };
        let (v4, v6) = traffic::inner(session.client as u8);
        if source != IpAddr::V4(v4) && source != IpAddr::V6(v6) {
            return Err(Reason::InnerSource);
        }
        if self.policy.security.pq == PostQuantum::Required && session.epoch.number() == 0 {
            return Err(Reason::PqRequired);
        }
        if now.since(session.epoch.since) >= KEY_HARD_LIMIT {
            return Err(Reason::KeyExpired);
        }
        let local = match destination {
            IpAddr::V4(ip) => ip.is_unspecified() || ip.is_loopback() || ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unspecified() || ip.is_loopback() || ip.is_unicast_link_local(),
        };
        if local { Err(Reason::InnerDestination) } else { Ok(()) }
    }

    fn hint(&mut self, label: SessionLabel, role: Role, arrival: &Arrival<'_>, len: usize) {
        let Some(session) = self.sessions.get_mut(&label) else { return };
        let wanted = role != Role::Retiring
            && arrival.source != session.address
            && len >= HINT_TRIGGER_LEN
            && session.hint.take(arrival.now);
        if wanted {
            self.expect(arrival, Reply::Sealed(label, Kind::RebindHint));
        }
    }

    /// Frames: one answer of each kind, and each from the session's budget. Rekeys and ends matter here.
    fn frames(
        &mut self,
        label: SessionLabel,
        role: Role,
        plaintext: &[u8],
        asked_at: (Cid, u64),
        arrival: &Arrival<'_>,
    ) {
        let mut answered = [false; 5];
        for frame in FrameReader::new(plaintext) {
            let Ok(frame) = frame else { return };
            let counts = match (role, &frame) {
                (Role::Retiring, frame) => matches!(frame, Frame::Close { .. }),
                // Asked for under keys that are over by now.
                (Role::Previous, Frame::RekeyReq { .. }) => false,
                _ => true,
            };
            if !counts {
                continue;
            }
            let kind = match frame {
                Frame::Heartbeat(_) => 1,
                Frame::Fin | Frame::Want { .. } => 2,
                Frame::PmtuProbe { .. } => 3,
                Frame::RekeyReq { .. } => 4,
                _ => 0,
            };
            let Some(session) = self.sessions.get_mut(&label) else { return };
            if kind != 0 && (answered[kind] || !session.frames.take(arrival.now)) {
                continue;
            }
            answered[kind] = true;
            match frame {
                Frame::RekeyReq { part, parts, body } => {
                    if let Some(request) = session.part((part, parts, body)) {
                        self.rekey(label, request, asked_at, arrival);
                    }
                }
                Frame::Close { reason, .. } => {
                    let reason = Reason::from_number(reason).unwrap_or(Reason::PeerClosed);
                    self.end(label, peer_reason(reason));
                }
                _ => {}
            }
        }
    }

    fn rekey(&mut self, label: SessionLabel, request: Vec<u8>, asked_at: (Cid, u64), arrival: &Arrival<'_>) {
        let now = arrival.now;
        let pq_required = self.policy.security.pq == PostQuantum::Required;
        let Some(session) = self.sessions.get_mut(&label) else { return };
        if let Some(next) = &session.next {
            let forgotten = next.until <= now && answer_drawn(&arrival.tap).is_some();
            if next.request == request && !forgotten {
                return;
            }
            if next.asked_at.0 == asked_at.0 && asked_at.1 < next.asked_at.1 && !forgotten {
                return;
            }
        }
        let too_soon = session.epoch.number() > 0 && now.since(session.epoch.since) < MIN_INTERVAL;
        if too_soon || !session.rekey.take(now) {
            return;
        }
        let Some(mut rng) = answer_drawn(&arrival.tap) else {
            self.surprise.get_or_insert_with(|| format!("{label}: no new keys were made for a request"));
            return;
        };
        let context = EpochContext { n: session.epoch.number() + 1, ..session.epoch.context };
        let server_cid = self.cids.draw_beside(session.channel.cid, &mut rng);
        let token = self.tokens.seal(session.handle, super::NODE, &mut rng);
        let terms = RekeyTerms { server_cid, token, token_config: self.tokens.config() };
        let answer = rekey_respond(context.n, context.sid, &session.epoch.secret, &request, &terms, &mut rng);
        let Ok(answer) = answer else { return };
        if pq_required && answer.mode == RekeyMode::Classical {
            return;
        }
        let epoch = Epoch::new(context, answer.secret, now);
        let channel = Channel::new(server_cid, &epoch.secret, &context, &session.context);
        session.next = Some(NextEpoch { epoch, channel, asked_at, request, until: now + UNCONFIRMED_TTL });
    }
}

/// The generator as it stood when the answer to a rekey was made: CID, token, X25519 key.
fn answer_drawn(tap: &Tap) -> Option<rand_chacha::ChaCha20Rng> {
    let draws = tap.draws();
    let at = draws.windows(3).position(|three| [three[0].len, three[1].len, three[2].len] == [8, 4, 32])?;
    Some(tap.again(draws[at]))
}

/// A client says why it goes, but it is not the operator of the gateway.
pub(super) fn peer_reason(reason: Reason) -> Reason {
    match reason {
        Reason::Superseded | Reason::OwnerClosed | Reason::PeerRevoked | Reason::PeerChanged => {
            Reason::PeerClosed
        }
        other => other,
    }
}

fn data_header(datagram: &[u8]) -> Result<DataHeader, Reason> {
    let first = *datagram.first().ok_or(Reason::Malformed)?;
    if first >> 4 != 1 {
        return Err(Reason::UnknownVersion);
    }
    if first != 0x10 {
        return Err(Reason::UnknownType);
    }
    if datagram.len() < 32 {
        return Err(Reason::Malformed);
    }
    if datagram[2] > 15 || datagram[3] != 0 {
        return Err(Reason::ReservedBits);
    }
    DataHeader::parse(datagram).map_err(|_| Reason::Malformed)
}

fn ends_of(packet: &[u8]) -> Option<(IpAddr, IpAddr)> {
    if packet.first()? >> 4 == 4 {
        let total_len = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
        let at = |from: usize| packet.get(from..from + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
        let ends = (at(12)?.into(), at(16)?.into());
        return (total_len >= 20 && total_len <= packet.len()).then_some(ends);
    }
    let payload_len = usize::from(u16::from_be_bytes([*packet.get(4)?, *packet.get(5)?]));
    let at = |from: usize| packet.get(from..from + 16).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    let ends = (Ipv6Addr::from(at(8)?).into(), Ipv6Addr::from(at(24)?).into());
    (40 + payload_len <= packet.len()).then_some(ends)
}
