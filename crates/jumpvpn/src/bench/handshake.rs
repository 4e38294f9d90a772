//! `bench handshake`: how many sessions a gateway can give birth to, and what limits it.

use std::time::Duration;

use jumpvpn_policy::PostQuantum;
use jumpvpn_runtime::SystemRandom;
use jumpvpn_session::PublicKeyWork;

use super::meter::{cpu_time, per_second};
use super::progress::Progress;
use super::report::Figure;
use super::world::{BIRTH_SPACING, Keys, World};
use crate::exit::{Code, Failure};

pub(super) const NOTE: &str = "\
Births per second of one core's time on the gateway's side: Noise handshake, confirmation, hybrid rekey (X25519 and
ML-KEM-768), configuration, route tokens, and the ticket of the first probe. Admission limits are kept by letting the
engines' clock run, not by waiting. public_key: time of the same X25519 and ML-KEM operations alone, and their share of
a birth; what remains are hashes, the state machine of the handshake, sealing, memory, and the birth's events.";

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
    let per_birth = |spent: Duration| spent.as_secs_f64() / f64::from(size.births_per_round);
    let (mut rates, mut bare, mut shares) = (Vec::new(), Vec::new(), Vec::new());
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
        let public_key = public_key_work(size.births_per_round)?;
        bare.push(per_birth(public_key) * 1e6);
        shares.push(100.0 * per_birth(public_key) / per_birth(world.spent));
        progress.step(round + 1, size.rounds);
    }
    Ok(vec![
        Figure::of("handshake_per_s_core", "1/s", rates),
        Figure::of("handshake_public_key_us", "us", bare),
        Figure::of("handshake_public_key_share", "%", shares),
    ])
}

/// Processor time of the public-key operations of so many births.
fn public_key_work(count: u32) -> Result<Duration, Failure> {
    let failure = || Failure::new(Code::Failed, "the cryptographic library refused");
    let work = PublicKeyWork::new(&mut SystemRandom).ok_or_else(failure)?;
    let before = cpu_time();
    for _ in 0..count {
        work.handshake().and_then(|()| work.rekey()).ok_or_else(failure)?;
    }
    Ok(cpu_time().saturating_sub(before))
}
