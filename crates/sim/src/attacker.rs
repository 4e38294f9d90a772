//! Somebody on the way who sees every datagram, keeps some, and can send anything from anywhere.
use std::net::SocketAddr;

use crate::dice::Dice;
use crate::flight::{Flight, Origin};

/// Datagrams kept: recent ones for races, old ones for whatever outlived a restart or a rekey.
const RECENT_COUNT: usize = 64;
const OLD_COUNT: usize = 256;

/// What was seen.
pub(crate) struct Attacker {
    recent: Vec<Flight>,
    next: usize,
    old: Vec<Flight>,
    pub dice: Dice,
}

impl Attacker {
    pub fn new(dice: Dice) -> Attacker {
        Attacker { recent: Vec::new(), next: 0, old: Vec::new(), dice }
    }

    /// Sees a genuine datagram leave.
    pub fn see(&mut self, flight: &Flight) {
        if self.recent.len() < RECENT_COUNT {
            self.recent.push(flight.clone());
            return;
        }
        let aged = std::mem::replace(&mut self.recent[self.next], flight.clone());
        self.next = (self.next + 1) % RECENT_COUNT;
        if self.old.len() < OLD_COUNT {
            self.old.push(aged);
        } else if self.dice.chance(100) {
            let at = self.dice.below(OLD_COUNT);
            self.old[at] = aged;
        }
    }

    /// Everything that was kept, as one replay.
    pub fn capture(&mut self, shuffled: bool, from_elsewhere: bool) -> Vec<Flight> {
        let mut all: Vec<Flight> = self.old.iter().chain(&self.recent).cloned().collect();
        all.sort_by_key(|flight| flight.id);
        for at in 0..all.len() {
            if shuffled {
                let other = self.dice.below(all.len());
                all.swap(at, other);
            }
            (all[at].origin, all[at].inside) = (Origin::Copy, true);
            if from_elsewhere && all[at].up {
                all[at].source = foreign(&mut self.dice, &[]);
            }
        }
        all
    }

    /// Something to put on the network. `others` are addresses that a forger may claim, `ways` are the links of all
    /// clients.
    pub fn strike(&mut self, others: &[SocketAddr], ways: &[(usize, usize)]) -> Option<Flight> {
        let dice = &mut self.dice;
        let store = if dice.chance(600) || self.old.is_empty() { &self.recent } else { &self.old };
        if store.is_empty() {
            return None;
        }
        let mut flight = store[dice.below(store.len())].clone();
        flight.origin = Origin::Copy;
        flight.inside = true;
        match dice.below(10) {
            0..=3 => {}
            4..=6 => flight.source = foreign(dice, others),
            7 => {
                if flight.up {
                    flight.source = foreign(dice, others);
                } else {
                    flight.way = dice.pick(ways);
                }
            }
            8 => alter(dice, &mut flight),
            _ => invent(dice, &mut flight),
        }
        Some(flight)
    }
}

/// Whether that address is one of the attacker's.
pub(crate) fn is_his(address: SocketAddr) -> bool {
    matches!(address, SocketAddr::V4(v4) if v4.ip().octets()[..2] == [198, 18])
}

/// An address of the attacker, or one that belongs to somebody else.
fn foreign(dice: &mut Dice, others: &[SocketAddr]) -> SocketAddr {
    if others.is_empty() || dice.chance(600) {
        SocketAddr::from(([198, 18, 0, 1 + dice.below(3) as u8], 5000 + dice.below(3) as u16))
    } else {
        dice.pick(others)
    }
}

fn alter(dice: &mut Dice, flight: &mut Flight) {
    flight.origin = Origin::Forged;
    let len = flight.bytes.len();
    match dice.below(4) {
        0 => flight.bytes.truncate(dice.below(len)),
        // Behind the header, so that it is still looked at.
        1 => flip(dice, flight, 4.min(len), len),
        2 => flip(dice, flight, len.saturating_sub(16), len),
        _ => flip(dice, flight, 0, len),
    }
}

fn flip(dice: &mut Dice, flight: &mut Flight, from: usize, to: usize) {
    let at = from + dice.below(to - from);
    if let Some(byte) = flight.bytes.get_mut(at) {
        *byte ^= 1 << dice.below(8);
    }
}

/// Right kind and length, the rest at random.
fn invent(dice: &mut Dice, flight: &mut Flight) {
    flight.origin = Origin::Forged;
    let keep = dice.pick(&[1, 4, 12, 20, 28]);
    for byte in flight.bytes.iter_mut().skip(keep) {
        *byte = dice.bits() as u8;
    }
}
