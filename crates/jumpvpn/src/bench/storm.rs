//! The storm of `bench reattach`: every session of a gateway asks to be moved at the same moment, as after the loss of
//! a network that all clients shared.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use jumpvpn_engine::{Received, TRANSMIT_BUFFER_LEN};
use jumpvpn_policy::PostQuantum;

use super::client::Client;
use super::meter::cpu_time;
use super::progress::Progress;
use super::report::Figure;
use super::world::{BIRTH_SPACING, Keys, World, outer};
use crate::exit::Failure;

/// Requests taken before the answers are sent, as the gateway's pump does it.
const BATCH_COUNT: usize = 64;

/// A request, where it comes from, and whose it is.
struct Asked {
    client: u32,
    source: SocketAddr,
    request: Vec<u8>,
}

/// Measures a storm of so many sessions.
pub(super) fn measure(count: u32, progress: &mut Progress) -> Result<Vec<Figure>, Failure> {
    let keys = Keys::generate(count);
    let peers = keys.peers();
    // Without the hybrid rekey: a move does not depend on it.
    let mut world = World::new(keys, peers, PostQuantum::Off)?;
    let mut clients = Vec::with_capacity(count as usize);
    for index in 0..count {
        world.now += BIRTH_SPACING;
        clients.push(Client::born(&mut world, index)?.0);
        progress.step(index as usize + 1, count as usize);
    }
    let mut asked = Vec::with_capacity(clients.len());
    for (index, client) in (0..).zip(&mut clients) {
        let request = client.request(1, &mut world)?;
        asked.push(Asked { client: index, source: outer(index, 1), request });
    }
    let Outcome { waits, mut answers } = storm(&mut world, &mut asked)?;
    let moved = |asked: &&Asked| {
        answers.get_mut(&asked.source).is_some_and(|answer| clients[asked.client as usize].has_moved(answer))
    };
    let told = asked.iter().filter(moved).count();
    let sessions = world.gateway.sessions(world.now);
    let bound = sessions.filter(|row| row.switches == 1 && row.path_id == 1).count();
    Ok(figures(&waits, clients.len() - told.min(bound)))
}

/// What came of the storm.
struct Outcome {
    /// How long each request waited until its answer was there: processor time from the moment at which all had come.
    waits: Vec<Duration>,
    /// By where they go to.
    answers: HashMap<SocketAddr, Vec<u8>>,
}

/// Takes all requests at once.
fn storm(world: &mut World, asked: &mut [Asked]) -> Result<Outcome, Failure> {
    let mut waits = Vec::with_capacity(asked.len());
    let mut answers = HashMap::with_capacity(asked.len());
    let mut spent = Duration::ZERO;
    let mut buffers = vec![[0; TRANSMIT_BUFFER_LEN]; BATCH_COUNT];
    let mut last = [0; TRANSMIT_BUFFER_LEN];
    for batch in asked.chunks_mut(BATCH_COUNT) {
        let mut transmits = Vec::with_capacity(BATCH_COUNT);
        let before = cpu_time();
        let mut committed = 0;
        for asked in batch.iter_mut() {
            let received = world.hand_over(asked.source, &mut asked.request);
            committed += usize::from(received == Received::Consumed);
        }
        for buffer in &mut buffers {
            transmits.extend(world.gateway.poll_transmit(buffer, world.now));
        }
        // Nothing more may come, but the engine has to be asked: it looks for packets to send again.
        let more = world.gateway.poll_transmit(&mut last, world.now);
        while world.gateway.poll_event().is_some() {}
        spent += cpu_time().saturating_sub(before);
        if committed != batch.len() || more.is_some() {
            return Err(world.failure("a move was refused"));
        }
        waits.extend(std::iter::repeat_n(spent, batch.len()));
        for (transmit, buffer) in transmits.iter().zip(&buffers) {
            answers.insert(transmit.destination, buffer[..transmit.len].to_vec());
        }
    }
    if world.gateway.poll_ownership_request().is_some() {
        return Err(world.failure("a move asked something of the store"));
    }
    Ok(Outcome { waits, answers })
}

/// `waits` in order of arrival, which is that of their length.
fn figures(waits: &[Duration], lost: usize) -> Vec<Figure> {
    let millis = |wait: Option<&Duration>| wait.map_or(0.0, |wait| wait.as_secs_f64() * 1e3);
    let p99 = waits.len() * 99 / 100;
    let total = waits.last();
    let rate = waits.len() as f64 / total.map_or(f64::INFINITY, Duration::as_secs_f64);
    vec![
        Figure::of("reattach_storm_sessions", "sessions", vec![waits.len() as f64]),
        Figure::of("reattach_storm_lost", "sessions", vec![lost as f64]),
        Figure::of("reattach_storm_p99_ms", "ms", vec![millis(waits.get(p99))]),
        Figure::of("reattach_storm_all_ms", "ms", vec![millis(total)]),
        Figure::of("reattach_storm_per_s_core", "1/s", vec![rate]),
    ]
}
