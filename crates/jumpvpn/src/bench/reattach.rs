//! `bench reattach`: how many sessions a gateway can move.

use std::time::Duration;

use jumpvpn_engine::{Received, TRANSMIT_BUFFER_LEN, Transmit};
use jumpvpn_policy::PostQuantum;
use jumpvpn_wire::Kind;

use super::meter::{cpu_time, per_second};
use super::progress::Progress;
use super::report::Figure;
use super::storm;
use super::world::{BIRTH_SPACING, Held, Keys, World};
use crate::exit::Failure;

pub(super) const NOTE: &str = "\
Moves per second of one core's time on the gateway's side: from a REATTACH of an agent that holds a ticket to the
sealed result, with all checks, the keys of the new binding and the commit. storm: all sessions of one gateway ask at
the same moment; p99 and all are processor time from then until the answers are ready to be sent, lost are those that
did not move or were not told so.";

/// Requests taken at once: each has one answer, and the engine keeps 256 of them.
const BATCH_COUNT: usize = 64;
/// Time between two moves of a session: below the limits of the policy (1.5 s, and 8 per minute).
const JUMP_SPACING: Duration = Duration::from_secs(20);

/// How much is measured.
pub(super) struct Size {
    pub(super) sessions: u32,
    pub(super) rounds: usize,
    /// Sessions of the storm.
    pub(super) storm_sessions: u32,
}

impl Size {
    pub(super) const DEFAULT: Size = Size { sessions: 256, rounds: 15, storm_sessions: 100_000 };
}

/// Measures.
pub(super) fn measure(size: &Size, progress: &mut Progress) -> Result<Vec<Figure>, Failure> {
    let keys = Keys::generate(size.sessions);
    let peers = keys.peers();
    let mut world = World::new(keys, peers, PostQuantum::On)?;
    for index in 0..size.sessions {
        world.now += BIRTH_SPACING;
        world.give_birth(index, 2)?;
    }
    let mut rates = Vec::with_capacity(size.rounds);
    for round in 1..=size.rounds {
        world.run_until(world.now + JUMP_SPACING);
        world.hold(Kind::Reattach);
        for index in 0..size.sessions {
            world.jump(index)?;
            world.pump();
        }
        let requests = world.release();
        if requests.len() != size.sessions as usize {
            return Err(world.failure("not every agent asked to be moved"));
        }
        rates.push(per_second(moves(&mut world, requests)?, size.sessions as usize));
        world.pump();
        check_jumps(&mut world, size.sessions, round as u32)?;
        progress.step(round, size.rounds);
    }
    let mut figures = vec![Figure::of("reattach_per_s_core", "1/s", rates)];
    figures.extend(storm::measure(size.storm_sessions, progress)?);
    Ok(figures)
}

/// Processor time of the gateway for these requests. Its answers go to the agents.
fn moves(world: &mut World, mut requests: Vec<Held>) -> Result<Duration, Failure> {
    let mut spent = Duration::ZERO;
    let mut answers: Vec<(Transmit, [u8; TRANSMIT_BUFFER_LEN])> = Vec::with_capacity(BATCH_COUNT);
    let mut buffer = [0; TRANSMIT_BUFFER_LEN];
    for batch in requests.chunks_mut(BATCH_COUNT) {
        let before = cpu_time();
        let mut committed = 0;
        for request in batch.iter_mut() {
            let received = world.hand_over(request.source, &mut request.bytes);
            committed += usize::from(received == Received::Consumed);
        }
        while let Some(transmit) = world.gateway.poll_transmit(&mut buffer, world.now) {
            answers.push((transmit, buffer));
        }
        spent += cpu_time().saturating_sub(before);
        if committed != batch.len() {
            return Err(world.failure("a move was refused"));
        }
        for (transmit, mut datagram) in answers.drain(..) {
            world.deliver_down(&transmit, &mut datagram[..transmit.len]);
        }
    }
    Ok(spent)
}

fn check_jumps(world: &mut World, sessions: u32, expected: u32) -> Result<(), Failure> {
    let now = world.now;
    for index in 0..sessions {
        if world.agent(index)?.status(now).jumps != expected {
            return Err(world.failure("an agent was not told that it moved"));
        }
    }
    Ok(())
}
