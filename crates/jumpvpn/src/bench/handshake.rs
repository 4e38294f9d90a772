//! `bench handshake`: how many sessions a gateway can give birth to.

use std::time::Duration;

use jumpvpn_policy::PostQuantum;

use super::meter::per_second;
use super::progress::Progress;
use super::report::Figure;
use super::world::{BIRTH_SPACING, Keys, World};
use crate::exit::Failure;

pub(super) const NOTE: &str = "\
Births per second of one core's time on the gateway's side: Noise handshake, confirmation, hybrid rekey (X25519 and
ML-KEM-768), configuration, route tokens, and the ticket of the first probe. Admission limits are kept by letting the
engines' clock run, not by waiting.";

/// How much is measured.
pub(super) struct Size {
    pub(super) births_per_round: u32,
    pub(super) rounds: usize,
}

impl Size {
    pub(super) const DEFAULT: Size = Size { births_per_round: 128, rounds: 11 };
}

/// Measures.
pub(super) fn measure(size: &Size, progress: &mut Progress) -> Result<Vec<Figure>, Failure> {
    let count = size.births_per_round * size.rounds as u32;
    let keys = Keys::generate(count);
    let peers = keys.peers();
    let mut world = World::new(keys, peers, PostQuantum::On)?;
    let mut rates = Vec::with_capacity(size.rounds);
    let mut index = 0;
    for round in 0..size.rounds {
        world.spent = Duration::ZERO;
        for _ in 0..size.births_per_round {
            world.now += BIRTH_SPACING;
            world.give_birth(index, 1)?;
            world.part_with(index);
            index += 1;
        }
        rates.push(per_second(world.spent, size.births_per_round as usize));
        progress.step(round + 1, size.rounds);
    }
    Ok(vec![Figure::of("handshake_per_s_core", "1/s", rates)])
}
