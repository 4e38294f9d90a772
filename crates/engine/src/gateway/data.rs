//! Packets of live bindings, both ways: the hot path.
//!
//! Order of checks on receive (docs/protocol.md, "Order of checks", DATA), cheapest first; a failing packet
//! changes a counter and nothing else:
//!
//! | # | check | reason |
//! |---|---|---|
//! | 1 | length, byte 0, reserved bits | `MALFORMED`, `UNKNOWN_TYPE`, `RESERVED_BITS` |
//! | 2 | CID in the table, and generation within one of the last received there: one line of memory says both | `UNKNOWN_CID`, `STALE_GENERATION` |
//! | 3 | binding ACTIVE or RETIRING before its deadline; session alive; fence valid; key young enough | `BINDING_NOT_ACTIVE`, `SESSION_EXPIRED`, `FENCE_EXPIRED`, `KEY_EXPIRED` |
//! | 4 | foreign source: budget for failed openings left | `FOREIGN_SOURCE_BUDGET` |
//! | 5 | generation at hand, 6 replay window before, 7 AEAD, 8 replay window after (`TrafficReceiver::open`) | `STALE_GENERATION`, `REPLAY_DETECTED`, `BAD_SEAL` |
//! | 9 | inner source belongs to the session | `INNER_SOURCE` |
//! | 10 | foreign source: deliver, hint; never move | – |
use std::net::IpAddr;
use std::time::Duration;

use jumpvpn_events::{Reason, Time};
use jumpvpn_session::TrafficReceiver;
use jumpvpn_wire::{
    Cid, DATA_HEADER_LEN, DataHeader, HintPayload, Kind, ObservedAddress, REBIND_HINT_TRIGGER_LEN,
    is_ip_packet,
};

use super::session::Session;
use super::table::{CidEntry, CidRole, is_near};
use super::takeover::Takeovers;
use super::{From, Gateway};
use crate::rejection::Rejection;
use crate::{HEADROOM, Received, TAILROOM, Transmit, inner};

/// Age of a key epoch from which nothing is sealed or opened any more (docs/protocol.md, rekey: hard limit).
pub(super) const KEY_HARD_LIMIT: Duration = Duration::from_secs(900);

/// Sessions from which on [`Gateway::foresee`] fetches ahead. What a packet touches of a session (about 2 KiB with its
/// keys) is in the nearest caches (2 MiB) as long as there are fewer; then to announce a datagram would cost 10 ns and
/// save none.
const FORESEE_FROM: usize = 1000;

impl Gateway {
    /// Says which datagrams come next, at most 128, so that what they need is fetched from memory for all of them at
    /// once instead of for each in turn. It changes nothing, and leaving it out costs time only.
    pub fn foresee<'a>(&mut self, datagrams: impl Iterator<Item = &'a [u8]>) {
        if self.table.len() >= FORESEE_FROM {
            self.table.foresee(datagrams.filter_map(|datagram| DataHeader::parse(datagram).ok()));
        }
    }

    /// The same for packets that come next from the inner side, each without head- and tailroom.
    pub fn foresee_packets<'a>(&self, packets: impl Iterator<Item = &'a [u8]>) {
        if self.table.len() >= FORESEE_FROM {
            let destinations = packets.filter_map(|packet| inner::addresses(packet).ok());
            self.table.foresee_inner(destinations.map(|(_, destination)| destination));
        }
    }

    /// DATA.
    pub(super) fn handle_data(&mut self, from: From, datagram: &mut [u8], now: Time) -> Received {
        // 1
        let header = match DataHeader::parse(datagram) {
            Ok(header) => header,
            Err(malformed) => return self.core.reject(crate::malformed_reason(malformed).into(), now),
        };
        // 2
        let outcome = match self.table.by_cid(header.cid) {
            None => Err(Reason::UnknownCid.into()),
            Some(CidEntry::Pending(place)) => {
                let confirmed = match Takeovers::is_takeover(place) {
                    true => self.handle_pending_takeover(place, from, datagram, now),
                    false => self.handle_pending_data(place, from, datagram, now),
                };
                confirmed.map(|()| Received::Consumed).map_err(Into::into)
            }
            Some(CidEntry::Session { generation, .. }) if !is_near(header.generation, generation) => {
                Err(Reason::StaleGeneration.into())
            }
            Some(CidEntry::Session { slot, role, .. }) => {
                self.open_data(slot, role, header.cid, from, datagram, now).map_err(|reason| Rejection {
                    reason,
                    stamp: self.table.session(slot).map(|held| held.stamp()),
                })
            }
        };
        outcome.unwrap_or_else(|rejection| self.core.reject(rejection, now))
    }

    fn open_data(
        &mut self,
        slot: u32,
        role: CidRole,
        cid: Cid,
        from: From,
        datagram: &mut [u8],
        now: Time,
    ) -> Result<Received, Reason> {
        let session = self.table.session(slot).ok_or(Reason::UnknownCid)?;
        // 3
        session.check_right(&self.core.fence, now)?;
        let foreign = from.source != session.binding.address && role != CidRole::Retiring;
        // 4
        if foreign && session.buckets.foreign.is_empty(now) {
            return Err(Reason::ForeignSourceBudget);
        }
        // 5 to 8
        let suite = session.epoch.context.suite;
        let recv = recv_mut(session, role, now)?;
        let opened = match recv.open(datagram) {
            Ok(opened) => opened,
            Err(error) => {
                let worn = recv.forgery_count() >= suite.forgery_limits().hard;
                if foreign {
                    session.buckets.foreign.take(now);
                }
                let reason = error.reason();
                if worn {
                    self.close(slot, Reason::AeadLimit, now);
                }
                return Err(reason);
            }
        };
        let generation = recv.generation_bits();
        self.table.note_generation(slot, role, generation);
        self.note_heard(slot, role, from, now);
        if !is_ip_packet(&datagram[opened.range.clone()]) {
            let asked_at = (cid, opened.position);
            self.handle_frames(slot, role, &datagram[opened.range], asked_at, now);
        } else {
            self.check_inner(slot, &datagram[opened.range.clone()], now)?;
            self.hint(slot, role, from, datagram.len(), now);
            if let Some(session) = self.table.session(slot).filter(|_| role != CidRole::Retiring) {
                session.binding.spacing.note(now);
                session.binding.silence_reports = 0;
                // The timer is moved seldom: when it fires early it finds out what is due.
                if session.armed > now + self.core.policy.volatility.detection.max_silence {
                    self.arm(slot, now);
                }
            }
            self.core.counters.packets_in += 1;
            self.core.counters.bytes_in += opened.range.len() as u64;
            return Ok(Received::Packet(opened.range));
        }
        self.hint(slot, role, from, datagram.len(), now);
        Ok(Received::Consumed)
    }

    /// 9: the inner source must be one of the session's addresses.
    fn check_inner(&mut self, slot: u32, packet: &[u8], now: Time) -> Result<(), Reason> {
        let (source, destination) = inner::addresses(packet)?;
        let session = self.table.session(slot).ok_or(Reason::UnknownCid)?;
        if !session.inner.contains(&Some(source)) {
            return Err(Reason::InnerSource);
        }
        if session.pq_pending() {
            return Err(Reason::PqRequired);
        }
        // Only frames pass under expired keys, so that a rekey may still come through.
        if now.since(session.epoch.since) >= KEY_HARD_LIMIT {
            return Err(Reason::KeyExpired);
        }
        if forbidden_destination(destination) {
            return Err(Reason::InnerDestination);
        }
        Ok(())
    }

    fn note_heard(&mut self, slot: u32, role: CidRole, from: From, now: Time) {
        let Some(session) = self.table.session(slot) else { return };
        match role {
            CidRole::Retiring => {}
            _ => {
                session.binding.heard = now;
                if from.source == session.binding.address {
                    session.binding.heard_at_address = now;
                }
            }
        }
        if role == CidRole::Next {
            self.confirm_epoch(slot, now);
        }
        self.note_recovered(slot, now);
    }

    /// 10: the client's datagrams come from somewhere else. It is told, nothing moves.
    fn hint(&mut self, slot: u32, role: CidRole, from: From, datagram_len: usize, now: Time) {
        let Some(session) = self.table.session(slot) else { return };
        let wanted = role != CidRole::Retiring
            && from.source != session.binding.address
            && datagram_len >= REBIND_HINT_TRIGGER_LEN
            && session.buckets.hint.take(now);
        if !wanted {
            return;
        }
        let payload =
            HintPayload { observed: ObservedAddress::new(from.source), path_id: session.binding.path_id };
        let cid = session.binding.channel.peer_cid;
        self.reply_control(slot, from, Kind::RebindHint, cid, &payload.encode());
    }

    /// Seals a packet from the inner side in place: `buffer` is headroom, packet, tailroom.
    ///
    /// # Errors
    /// The reason of a drop, already counted.
    pub fn handle_packet(&mut self, buffer: &mut [u8], now: Time) -> Result<Transmit, Reason> {
        self.seal_packet(buffer, now).inspect_err(|reason| self.core.counters.drops.record(*reason))
    }

    fn seal_packet(&mut self, buffer: &mut [u8], now: Time) -> Result<Transmit, Reason> {
        let packet_len = buffer.len().checked_sub(HEADROOM + TAILROOM).ok_or(Reason::NotIp)?;
        let packet = &buffer[HEADROOM..][..packet_len];
        let (_, destination) = inner::addresses(packet)?;
        let slot = self.table.by_inner(&destination).ok_or(Reason::InnerDestination)?;
        let session = self.table.session(slot).ok_or(Reason::InnerDestination)?;
        session.check_right(&self.core.fence, now)?;
        if now.since(session.epoch.since) >= KEY_HARD_LIMIT {
            return Err(Reason::KeyExpired);
        }
        if session.pq_pending() {
            return Err(Reason::PqRequired);
        }
        if let Some(ring) = &mut self.core.resend {
            ring.keep(session.handle.value(), packet, now);
        }
        let binding = &mut session.binding;
        let cid = binding.channel.peer_cid;
        binding.channel.traffic.send.seal(cid, 0, buffer).map_err(|_| Reason::AeadLimit)?;
        self.core.counters.packets_out += 1;
        self.core.counters.bytes_out += packet_len as u64;
        Ok(Transmit {
            socket: binding.socket,
            destination: binding.address,
            source: Some(binding.local),
            len: buffer.len(),
        })
    }

    /// Next packet that is sent again after a jump away from a dead path.
    pub(super) fn poll_resend(&mut self, buffer: &mut [u8], now: Time) -> Option<Transmit> {
        loop {
            let ring = self.core.resend.as_ref()?;
            let (slot, handle, cursor) = self.core.resending.last_mut()?;
            let (slot, handle) = (*slot, *handle);
            let len: Option<usize> = ring.advance(cursor, &mut buffer[DATA_HEADER_LEN..]);
            let Some(len) = len else {
                self.core.resending.pop();
                continue;
            };
            let sealed = &mut buffer[..HEADROOM + len + TAILROOM];
            let Some(session) = self.table.session(slot).filter(|session| session.handle == handle) else {
                continue;
            };
            if session.check_right(&self.core.fence, now).is_err() {
                continue;
            }
            let binding = &mut session.binding;
            if binding.channel.traffic.send.seal(binding.channel.peer_cid, 0, sealed).is_ok() {
                return Some(Transmit {
                    socket: binding.socket,
                    destination: binding.address,
                    source: Some(binding.local),
                    len: sealed.len(),
                });
            }
        }
    }
}

/// Inner packets never go to where only this machine may send: unspecified, loopback, link-local.
fn forbidden_destination(destination: IpAddr) -> bool {
    match destination {
        IpAddr::V4(address) => address.is_unspecified() || address.is_loopback() || address.is_link_local(),
        IpAddr::V6(address) => {
            address.is_unspecified() || address.is_loopback() || address.is_unicast_link_local()
        }
    }
}

/// What opens packets to a CID of `role`, if it may still be used.
fn recv_mut(session: &mut Session, role: CidRole, now: Time) -> Result<&mut TrafficReceiver, Reason> {
    let recv = match role {
        CidRole::Active => Some(&mut session.binding.channel.traffic.recv),
        CidRole::Next => session.next.as_mut().map(|next| &mut next.channel.traffic.recv),
        CidRole::Previous => {
            session.previous.as_mut().filter(|previous| now < previous.until).map(|held| &mut held.recv)
        }
        CidRole::Retiring => {
            session.retiring.as_mut().filter(|retiring| now < retiring.until).map(|held| &mut held.recv)
        }
    };
    recv.ok_or(Reason::BindingNotActive)
}

#[cfg(test)]
mod tests;
