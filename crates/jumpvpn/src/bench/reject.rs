//! `bench reject`: what a gateway spends on datagrams of strangers.

use std::time::Duration;

use jumpvpn_engine::Received;
use jumpvpn_events::Reason;
use jumpvpn_policy::PostQuantum;
use jumpvpn_runtime::SystemRandom;
use jumpvpn_wire::{CONTROL_HEADER_LEN, Cid, ControlHeader, DataHeader, HsInit, Kind, RouteToken};
use rand_core::Rng;

use super::meter::{cpu_time, ns_per_item};
use super::progress::Progress;
use super::report::Figure;
use super::world::{BIRTH_SPACING, Held, Keys, World, inner_packet, outer};
use crate::exit::Failure;

pub(super) const NOTE: &str = "\
Time of one core per datagram that the gateway drops, from the call to the counter. unknown_token: a REATTACH with an
invented route token. bad_aead: one with a captured token and an invented proof, at the pace of 50 per second up to which
the token's bucket lets it come that far. no_mac1: a handshake by somebody who does not know the gateway's key. unknown_cid: DATA with an invented CID.
data_bad_aead and data_replay: a captured packet with other content, and as it is. wrong_length: a REATTACH cut short.";

/// Datagrams between two readings of the clock: few enough to stay in the nearest caches, as a receiver's batch does.
const BATCH_COUNT: usize = 64;
/// A route token's bucket refills at this pace.
const TOKEN_SPACING: Duration = Duration::from_millis(20);

/// How much is measured.
pub(super) struct Size {
    pub(super) datagrams_per_round: usize,
    pub(super) rounds: usize,
}

impl Size {
    pub(super) const DEFAULT: Size = Size { datagrams_per_round: 4096, rounds: 15 };
}

/// What a stranger sends.
struct Stranger {
    figure: &'static str,
    template: Held,
    forge: fn(&mut [u8], u64),
    reason: Reason,
    spacing: Duration,
}

/// Measures.
pub(super) fn measure(size: &Size, progress: &mut Progress) -> Result<Vec<Figure>, Failure> {
    let mut measured: Vec<(&str, Vec<f64>)> = Vec::new();
    for round in 0..size.rounds {
        // A session of its own for each round: at the pace of a token's bucket, the keys of one would not last for all.
        let (mut world, strangers) = prepare()?;
        for (at, stranger) in strangers.iter().enumerate() {
            let spent = rejections(&mut world, stranger, size.datagrams_per_round)?;
            if round == 0 {
                measured.push((stranger.figure, Vec::with_capacity(size.rounds)));
            }
            measured[at].1.push(ns_per_item(spent, size.datagrams_per_round));
            progress.step(round * strangers.len() + at + 1, strangers.len() * size.rounds);
        }
    }
    let figures = measured.into_iter().map(|(figure, values)| Figure::of(figure, "ns", values)).collect();
    Ok(figures)
}

/// A gateway with one session, and what somebody on its path could have captured.
fn prepare() -> Result<(World, [Stranger; 7]), Failure> {
    let keys = Keys::generate(2);
    let peers = keys.peers();
    let mut world = World::new(keys, peers, PostQuantum::On)?;
    world.give_birth(0, 2)?;
    world.run_until(world.now + Duration::from_secs(1));
    let packet = captured_packet(&mut world)?;
    world.hold(Kind::Reattach);
    world.jump(0)?;
    world.pump();
    let reattach = world.release().pop().ok_or_else(|| world.failure("no REATTACH was sent"))?;
    world.now += BIRTH_SPACING;
    world.hold(Kind::HsInit);
    world.start(1, 1);
    world.pump();
    let init = world.release().pop().ok_or_else(|| world.failure("no HS_INIT was sent"))?;
    let elsewhere = |captured: &Held| Held { source: outer(7, 0), bytes: captured.bytes.clone() };
    let (unknown, nowhere) = (elsewhere(&reattach), elsewhere(&packet));
    let mut cut = elsewhere(&reattach);
    cut.bytes.pop();
    let changed = Held { source: packet.source, bytes: packet.bytes.clone() };
    let stranger =
        |figure, template, forge, reason, spacing| Stranger { figure, template, forge, reason, spacing };
    let strangers = [
        stranger(
            "reject_unknown_token_ns",
            unknown,
            forge_token as fn(&mut [u8], u64),
            Reason::UnknownSession,
            Duration::ZERO,
        ),
        stranger("reject_bad_aead_ns", reattach, forge_proof, Reason::BadProof, TOKEN_SPACING),
        stranger("reject_no_mac1_ns", init, forge_init, Reason::BadMac1, Duration::ZERO),
        stranger("reject_unknown_cid_ns", nowhere, forge_cid, Reason::UnknownCid, Duration::ZERO),
        stranger("reject_data_bad_aead_ns", changed, forge_number, Reason::BadSeal, Duration::ZERO),
        stranger("reject_data_replay_ns", packet, |_, _| (), Reason::ReplayDetected, Duration::ZERO),
        stranger("reject_wrong_length_ns", cut, |_, _| (), Reason::Malformed, Duration::ZERO),
    ];
    Ok((world, strangers))
}

/// A packet of the session's agent, which the gateway has taken.
fn captured_packet(world: &mut World) -> Result<Held, Failure> {
    let mut packet = inner_packet(0, true);
    let now = world.now;
    if world.agent(0)?.handle_packet(&mut packet, now).is_err() {
        return Err(world.failure("an agent did not seal a packet"));
    }
    let (source, bytes) = (outer(0, 0), packet.to_vec());
    match world.hand_over(source, &mut packet) {
        Received::Packet(_) => Ok(Held { source, bytes }),
        _ => Err(world.failure("a packet was dropped")),
    }
}

/// Processor time of the gateway for `count` datagrams of that stranger.
fn rejections(world: &mut World, stranger: &Stranger, count: usize) -> Result<Duration, Failure> {
    let mut spent = Duration::ZERO;
    let mut batch = vec![stranger.template.bytes.clone(); BATCH_COUNT.min(count)];
    let mut number = 0u64;
    while number < count as u64 {
        for datagram in &mut batch {
            number += 1;
            datagram.copy_from_slice(&stranger.template.bytes);
            (stranger.forge)(datagram, number);
        }
        let before = cpu_time();
        let mut rejected = 0;
        for datagram in &mut batch {
            world.now += stranger.spacing;
            let received = world.hand_over(stranger.template.source, datagram);
            rejected += usize::from(received == Received::Dropped(stranger.reason));
        }
        spent += cpu_time().saturating_sub(before);
        if rejected != batch.len() {
            return Err(world.failure("a forged datagram was not rejected for the expected reason"));
        }
    }
    // The batches are whole: a few more than `count` may have been sent.
    Ok(spent.mul_f64(count as f64 / number as f64))
}

fn forge_token(datagram: &mut [u8], _number: u64) {
    let mut token = [0; 16];
    SystemRandom.fill_bytes(&mut token);
    forge_header(datagram, |header| header.token = RouteToken(token));
}

/// A fresh number, as an attacker would choose it, under a proof that is not for it.
fn forge_proof(datagram: &mut [u8], number: u64) {
    forge_header(datagram, |header| header.cseq += number);
}

fn forge_header(datagram: &mut [u8], change: impl FnOnce(&mut ControlHeader)) {
    if let Ok(mut header) = ControlHeader::parse(datagram) {
        change(&mut header);
        datagram[..CONTROL_HEADER_LEN].copy_from_slice(&header.encode());
    }
}

fn forge_cid(datagram: &mut [u8], _number: u64) {
    forge_data(datagram, |header| header.cid = Cid(SystemRandom.next_u64()));
}

/// A number that has not come yet, inside the replay window, over content that is not for it.
fn forge_number(datagram: &mut [u8], number: u64) {
    forge_data(datagram, |header| header.pn = header.pn.wrapping_add(number as u32));
}

fn forge_data(datagram: &mut [u8], change: impl FnOnce(&mut DataHeader)) {
    if let (Ok(mut header), Some(head)) = (DataHeader::parse(datagram), datagram.first_chunk_mut()) {
        change(&mut header);
        header.write(head);
    }
}

fn forge_init(datagram: &mut [u8], number: u64) {
    datagram[HsInit::EPHEMERAL][..8].copy_from_slice(&number.to_le_bytes());
}
