//! What the attacker does, and what becomes of datagrams that pass through his hands.
use std::net::SocketAddr;
use std::time::Duration;

use jumpvpn_events::Time;
use jumpvpn_session::COOKIE_MAX_AGE;
use jumpvpn_wire::{HsInit, HsRetry, Kind};

use super::{Happening, World};
use crate::attacker::is_his;
use crate::flight::{Flight, Origin};
use crate::invariants::Verdict;
use crate::model::Maker;
use crate::network::Link;

/// Somebody on the path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interception {
    /// Share of datagrams he touches, of a thousand.
    pub share: u32,
    /// He holds them back for at most so long.
    pub hold: Duration,
    pub until: Time,
}

/// A datagram of the attacker's takes so long: he is nearer than everybody else.
const HEAD_START: Duration = Duration::from_micros(200);
/// HS_INITs in one burst: enough for an eighth of the handshake budget, so that cookies are asked for.
const STRANGERS: usize = 40;
/// Requests of a hostile client in one burst: more than the 20 that a session gets at once.
const HOSTILE: usize = 30;

impl World {
    /// One blow, and when the next one falls.
    pub(super) fn strike(&mut self, spacing: Duration, until: Time) -> Verdict {
        let now = self.now;
        if now >= until {
            return Ok(());
        }
        match self.attacker.dice.below(400) {
            0 => self.strangers(),
            1..=3 => self.hostile_burst(),
            4..=20 => self.hostile(Duration::ZERO),
            _ => self.copy_or_forgery(),
        }
        let pause = self.attacker.dice.span(spacing / 2, spacing * 2);
        self.plan(now + pause, Happening::Strike { spacing, until });
        Ok(())
    }

    fn copy_or_forgery(&mut self) {
        let others: Vec<_> =
            self.clients.iter().flat_map(|client| &client.links).filter_map(Link::outer).collect();
        let ways: Vec<(usize, usize)> = self
            .clients
            .iter()
            .flat_map(|client| (0..client.links.len()).map(|link| (client.index, link)))
            .collect();
        if let Some(flight) = self.attacker.strike(&others, &ways) {
            self.inject(flight, Duration::from_micros(500));
        }
    }

    fn inject(&mut self, flight: Flight, after: Duration) {
        self.report.attacks += 1;
        self.digest(&flight.bytes);
        self.plan(self.now + after, Happening::Arrive(flight));
    }

    /// Everything that was kept once more: in order or shuffled, from where it came or from elsewhere.
    pub(super) fn replay_all(&mut self, shuffled: bool, foreign: bool) {
        for (number, flight) in self.attacker.capture(shuffled, foreign).into_iter().enumerate() {
            self.inject(flight, Duration::from_micros(300) * number as u32);
        }
    }

    /// Strangers who know the gateway's public key; those who were sent a cookie show it.
    fn strangers(&mut self) {
        for number in 0..STRANGERS {
            let maker = if self.attacker.dice.chance(300) { Maker::Suiteless } else { Maker::Stranger };
            let rng = self.attacker.dice.fork();
            let Some(model) = &mut self.server.model else { return };
            let Some(bytes) = model.make(maker, rng) else { return };
            let source = SocketAddr::from(([198, 18, 0, 1], 5000 + (number % 3) as u16));
            let flight = self.forged(source, bytes.to_vec(), Origin::Forged);
            self.inject(flight, Duration::from_micros(50) * number as u32);
        }
    }

    /// The gateway answers the attacker with a cookie.
    pub(super) fn cookie_for_attacker(&mut self, to: SocketAddr, bytes: &[u8]) {
        let Ok(retry) = HsRetry::decode(bytes) else { return };
        if !is_his(to) {
            return;
        }
        let Some(model) = &self.server.model else { return };
        let Some(mut init) = model.initiations.bytes(retry.client_cid) else { return };
        init[HsInit::COOKIE].copy_from_slice(&retry.cookie.0);
        let late = self.attacker.dice.chance(50);
        let after = if late { COOKIE_MAX_AGE + Duration::from_millis(20) } else { Duration::from_millis(1) };
        let source = if self.attacker.dice.chance(100) { SocketAddr::new(to.ip(), 6000) } else { to };
        let flight = self.forged(source, init.to_vec(), Origin::Forged);
        self.inject(flight, after);
    }

    fn hostile_burst(&mut self) {
        for number in 0..HOSTILE {
            self.hostile(Duration::from_millis(2) * number as u32);
        }
    }

    /// One request of a client with valid keys.
    pub(super) fn hostile(&mut self, after: Duration) {
        if !after.is_zero() {
            let at = self.now + after;
            return self.plan(at, Happening::Hostile);
        }
        let clients = &self.clients;
        let Some(model) = &self.server.model else { return };
        let Some(hostile) = model.hostile(|client| clients[client].hostile, &mut self.attacker.dice) else {
            return;
        };
        let mut flight = self.forged(hostile.source, hostile.bytes, Origin::Hostile);
        flight.client = hostile.client;
        let wanted = hostile.local.and_then(|local| self.server.endpoints.iter().find(|to| to.ip() == local));
        flight.destination = wanted.copied().unwrap_or(flight.destination);
        self.inject(flight, HEAD_START);
    }

    fn forged(&mut self, source: SocketAddr, bytes: Vec<u8>, origin: Origin) -> Flight {
        self.accepted.push(false);
        Flight {
            id: self.accepted.len() - 1,
            origin,
            up: true,
            client: 0,
            meant: None,
            way: (0, 0),
            inside: true,
            source,
            destination: self.server.endpoints[0],
            bytes,
        }
    }

    /// A genuine datagram under the hands of somebody on its path: swallowed, held back, sent twice, sent on from
    /// another address, or overtaken by a copy (the forwarding race). Whether it goes on by itself.
    pub(super) fn intercept(&mut self, flight: &Flight) -> bool {
        let Some(interception) = self.interception.filter(|found| self.now < found.until) else {
            return true;
        };
        let dice = &mut self.attacker.dice;
        if !dice.chance(interception.share) {
            return true;
        }
        let late = dice.span(Duration::ZERO, interception.hold);
        let mut copy = flight.clone();
        (copy.origin, copy.inside) = (Origin::Copy, true);
        if flight.up {
            copy.source = SocketAddr::from(([198, 18, 0, 9], 5000 + dice.below(2) as u16));
        }
        let kind = flight.kind();
        match dice.below(6) {
            0 => return false,
            1 => {
                self.plan(self.now + late, Happening::Arrive(flight.clone()));
                return false;
            }
            2 => self.inject(Flight { origin: Origin::Copy, inside: true, ..flight.clone() }, late),
            3 => {
                // Sent on from his own address only; a handshake he cannot carry on, so he leaves those alone.
                if kind == Some(Kind::HsInit) {
                    return true;
                }
                self.inject(copy, late);
                return false;
            }
            4 => self.inject(copy, HEAD_START),
            _ => {
                self.inject(copy, HEAD_START);
                self.plan(self.now + late, Happening::Arrive(flight.clone()));
                return false;
            }
        }
        true
    }
}
