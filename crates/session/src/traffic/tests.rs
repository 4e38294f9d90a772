//! Data path: what opens, what does not, and that a refusal leaves nothing behind.

use std::collections::BTreeSet;

use jumpvpn_wire::{PathId, SessionId, Ticket};
use proptest::prelude::*;

use super::*;
use crate::{BindingContext, EpochContext, EpochSecret, Side, Traffic};

const CID: Cid = Cid(0xABCD);

fn traffic(suite: Suite, lanes: u8, side: Side) -> Traffic {
    let context =
        EpochContext { sid: SessionId([1; 16]), n: 1, owner_epoch: 1, owner_salt: [2; 16], suite, lanes };
    let ticket = Some(Ticket([3; 32]));
    let binding = BindingContext { cseq: 9, path_id: PathId(4), client_nonce: [5; 16], ticket };
    EpochSecret::new(&[7; 32]).binding(&context, &binding, side)
}

fn pair(suite: Suite, lanes: u8) -> (TrafficSender, TrafficReceiver) {
    (traffic(suite, lanes, Side::Client).send, traffic(suite, lanes, Side::Server).recv)
}

fn packet(sender: &mut TrafficSender, lane: u8, payload: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0xEE; DATA_HEADER_LEN];
    buffer.extend(payload);
    buffer.extend([0xEE; TAG_LEN]);
    sender.seal(CID, lane, &mut buffer).unwrap();
    buffer
}

/// What a refused datagram must not change.
fn trace(receiver: &TrafficReceiver) -> (Option<u64>, u64, u32, Vec<DataWindow>) {
    let windows = [Some(&receiver.current), receiver.neighbour.as_deref()];
    let windows = windows.into_iter().flatten().flat_map(|inbound| inbound.windows.iter().cloned()).collect();
    (receiver.highest, receiver.received, receiver.generation_seen(), windows)
}

#[test]
fn what_is_sealed_opens_and_says_where_it_is() {
    for suite in [Suite::ChaCha20Poly1305, Suite::Aes256Gcm] {
        let (mut sender, mut receiver) = pair(suite, 1);
        assert_eq!(sender.next_position(), 0);
        for (index, len) in [0usize, 1, 15, 16, 1400, 16_384].into_iter().enumerate() {
            let payload = vec![index as u8; len];
            let mut datagram = packet(&mut sender, 0, &payload);
            assert_eq!(datagram.len(), len + DATA_OVERHEAD);
            let opened = receiver.open(&mut datagram).unwrap();
            assert_eq!(&datagram[opened.range], payload);
            assert_eq!((opened.position, opened.newest), (index as u64, true));
        }
        assert_eq!(sender.next_position(), 6);
        assert_eq!((receiver.highest(), receiver.received_count()), (Some(5), 6));
        assert_eq!(receiver.forgery_count(), 0);
    }
}

#[test]
fn impossible_calls_use_no_number_up() {
    let (mut sender, _) = pair(Suite::Aes256Gcm, 2);
    assert_eq!(sender.seal(CID, 0, &mut [0; 31]), Err(SealError::Length));
    assert_eq!(sender.seal(CID, 0, &mut vec![0; MAX_DATAGRAM_LEN + 1]), Err(SealError::Length));
    assert_eq!(sender.seal(CID, 2, &mut [0; 32]), Err(SealError::Lane));
    assert_eq!(sender.next_position(), 0);
}

#[test]
fn every_changed_bit_is_refused_and_leaves_no_trace() {
    let (mut sender, mut receiver) = pair(Suite::ChaCha20Poly1305, 1);
    let datagram = packet(&mut sender, 0, b"payload");
    let before = trace(&receiver);
    for bit in 0..datagram.len() * 8 {
        let mut copy = datagram.clone();
        copy[bit / 8] ^= 1 << (bit % 8);
        assert!(receiver.open(&mut copy).is_err(), "bit {bit}");
        assert!(trace(&receiver) == before, "bit {bit}");
    }
    assert!(receiver.forgery_count() > 0);
    assert!(receiver.open(&mut datagram.clone()).is_ok());
    assert_eq!(receiver.open(&mut datagram.clone()), Err(OpenError::Replay));
}

#[test]
fn a_forged_packet_with_a_huge_number_cannot_move_the_window() {
    let (mut sender, mut receiver) = pair(Suite::Aes256Gcm, 1);
    let first = packet(&mut sender, 0, b"first");
    let second = packet(&mut sender, 0, b"second");
    assert!(receiver.open(&mut second.clone()).is_ok());
    for pn in [2, 8127, 8128, 8129, 1 << 24, u32::MAX] {
        let mut forged = second.clone();
        forged[12..16].copy_from_slice(&u32::to_le_bytes(pn));
        assert_eq!(receiver.open(&mut forged), Err(OpenError::Seal));
    }
    assert!(receiver.open(&mut first.clone()).is_ok(), "still inside the window");
    assert_eq!((receiver.highest(), receiver.forgery_count()), (Some(1), 6));
}

#[test]
fn a_generation_out_of_reach_costs_no_opening() {
    let (mut sender, mut receiver) = pair(Suite::Aes256Gcm, 1);
    let datagram = packet(&mut sender, 0, b"x");
    for generation in 2..=u8::MAX {
        let mut forged = datagram.clone();
        forged[1] = generation;
        assert_eq!(receiver.open(&mut forged), Err(OpenError::StaleGeneration), "{generation}");
    }
    assert_eq!(receiver.forgery_count(), 0);
    let mut forged = datagram.clone();
    forged[1] = 1;
    assert_eq!(receiver.open(&mut forged), Err(OpenError::StaleGeneration), "nothing is derived for a claim");
    receiver.expect_next();
    assert_eq!(receiver.open(&mut forged), Err(OpenError::Seal), "next generation's key, wrong packet");
    assert_eq!(receiver.generation_seen(), 0, "an unproven claim moves nothing");
}

#[test]
fn the_next_generation_is_at_hand_from_the_half_of_the_present_one_on() {
    for lanes in [1, 2, MAX_LANES] {
        let (mut sender, mut receiver) = pair(Suite::Aes256Gcm, lanes);
        let share = (EXPECT_NEXT_FROM / u64::from(lanes)) as u32;
        for generation in 0..3u32 {
            let held = |receiver: &TrafficReceiver| {
                receiver.neighbour.as_ref().map(|neighbour| neighbour.generation.number)
            };
            assert_eq!(held(&receiver), generation.checked_sub(1), "the one before, if there is one");
            sender.pretend_next(share - 1);
            let mut early = packet(&mut sender, lanes - 1, b"last of the first half");
            let half = packet(&mut sender, lanes - 1, b"first of the second half");
            assert!(receiver.open(&mut early).is_ok());
            let mut forged = half.clone();
            forged[20] ^= 1;
            assert_eq!(receiver.open(&mut forged), Err(OpenError::Seal));
            assert_eq!(held(&receiver), generation.checked_sub(1), "only an authentic packet counts");
            assert!(receiver.open(&mut half.clone()).is_ok());
            assert_eq!(held(&receiver), Some(generation + 1));
            sender.confirm_generation(receiver.generation_seen());
            sender.pretend_sealed(GENERATION_SOFT_LIMIT);
            assert!(receiver.open(&mut packet(&mut sender, 0, b"first of the next")).is_ok());
            assert_eq!(receiver.generation_seen(), generation + 1);
            assert_eq!(receiver.open(&mut half.clone()), Err(OpenError::Replay), "still known");
        }
    }
}

#[test]
fn a_repeated_number_costs_no_opening() {
    let (mut sender, mut receiver) = pair(Suite::Aes256Gcm, 1);
    let mut datagram = packet(&mut sender, 0, b"x");
    assert!(receiver.open(&mut datagram.clone()).is_ok());
    datagram[20] ^= 1;
    assert_eq!(receiver.open(&mut datagram), Err(OpenError::Replay), "refused before the AEAD is asked");
    assert_eq!(receiver.forgery_count(), 0);
}

#[test]
fn lanes_count_for_themselves() {
    let (mut sender, mut receiver) = pair(Suite::Aes256Gcm, 3);
    let packets: Vec<_> = (0..9).map(|index| packet(&mut sender, index % 3, &[index])).collect();
    for (index, datagram) in packets.iter().enumerate() {
        let opened = receiver.open(&mut datagram.clone()).unwrap();
        assert_eq!(opened.position, index as u64 / 3);
        assert_eq!(opened.newest, index % 3 == 0, "the same position on another lane is not newer");
        assert_eq!(receiver.open(&mut datagram.clone()), Err(OpenError::Replay));
    }
    let mut other_lane = packets[0].clone();
    other_lane[2] = 3;
    assert_eq!(receiver.open(&mut other_lane), Err(OpenError::Malformed(Malformed::Field("lane"))));
}

#[test]
fn the_sender_moves_on_only_when_confirmed_and_stops_at_the_hard_limit() {
    let (mut sender, mut receiver) = pair(Suite::Aes256Gcm, 1);
    assert!(receiver.open(&mut packet(&mut sender, 0, b"a")).is_ok());
    sender.pretend_sealed(GENERATION_SOFT_LIMIT - 1);
    packet(&mut sender, 0, b"last of generation 0");
    assert_eq!(sender.generation(), 0);
    // Generation 0 needs no confirmation: both sides hold it from the start.
    let mut first = packet(&mut sender, 0, b"first of generation 1");
    assert_eq!((sender.generation(), sender.next_position()), (1, 1 << 32 | 1));
    assert_eq!(format!("{sender:?}"), "TrafficSender { generation: 1, sealed: 1, .. }", "counts anew");
    sender.pretend_sealed(GENERATION_SOFT_LIMIT);
    packet(&mut sender, 0, b"not confirmed: stays");
    assert_eq!(sender.generation(), 1);
    sender.confirm_generation(7);
    packet(&mut sender, 0, b"a confirmation from the future is none");
    assert_eq!(sender.generation(), 1);
    sender.pretend_sealed(GENERATION_HARD_LIMIT - 1);
    packet(&mut sender, 0, b"the very last");
    assert_eq!(sender.seal(CID, 0, &mut [0; 40]), Err(SealError::Exhausted));
    assert_eq!(sender.seal(CID, 0, &mut [0; 40]), Err(SealError::Exhausted));
    receiver.expect_next();
    let opened = receiver.open(&mut first).unwrap();
    assert_eq!((opened.position, opened.newest, receiver.generation_seen()), (1 << 32, true, 1));
    sender.confirm_generation(receiver.generation_seen());
    packet(&mut sender, 0, b"goes on");
    assert_eq!(sender.generation(), 2);
}

#[test]
fn neighbouring_generations_open_and_older_ones_do_not() {
    let (mut sender, mut receiver) = pair(Suite::ChaCha20Poly1305, 1);
    let mut kept = Vec::new();
    for generation in 0..4u32 {
        kept.push([packet(&mut sender, 0, b"a"), packet(&mut sender, 0, b"b")]);
        assert_eq!(sender.generation(), generation);
        sender.confirm_generation(generation);
        sender.pretend_sealed(GENERATION_SOFT_LIMIT);
    }
    assert_eq!(receiver.open(&mut kept[2][0].clone()), Err(OpenError::StaleGeneration));
    assert!(receiver.open(&mut kept[0][0].clone()).is_ok());
    receiver.expect_next();
    assert!(receiver.open(&mut kept[1][0].clone()).is_ok());
    assert!(receiver.open(&mut kept[0][1].clone()).is_ok(), "late, from the previous generation");
    assert_eq!(receiver.open(&mut kept[0][1].clone()), Err(OpenError::Replay));
    receiver.expect_next();
    assert_eq!(receiver.open(&mut kept[0][0].clone()), Err(OpenError::StaleGeneration));
    assert!(receiver.open(&mut kept[2][0].clone()).is_ok());
    assert_eq!(receiver.open(&mut kept[0][0].clone()), Err(OpenError::StaleGeneration));
    let opened = receiver.open(&mut kept[1][1].clone()).unwrap();
    assert!(!opened.newest);
    assert_eq!(receiver.highest(), Some(2 << 32));
}

#[test]
fn generations_have_different_keys() {
    let (mut sender, _) = pair(Suite::Aes256Gcm, 1);
    let mut bodies = BTreeSet::new();
    for generation in 0..5 {
        bodies.insert(packet(&mut sender, 0, &[0; 32])[16..].to_vec());
        sender.confirm_generation(generation);
        sender.pretend_sealed(GENERATION_SOFT_LIMIT);
    }
    assert_eq!(bodies.len(), 5, "same number, same payload, different keys");
}

#[test]
fn generation_numbers_pass_the_eight_bits_on_the_wire() {
    let (mut sender, mut receiver) = pair(Suite::Aes256Gcm, 1);
    for generation in 0..600u32 {
        let opened = receiver.open(&mut packet(&mut sender, 0, b"x")).unwrap();
        assert_eq!(sender.generation(), generation);
        assert_eq!(opened.position, u64::from(generation) << 32);
        sender.confirm_generation(receiver.generation_seen());
        sender.pretend_sealed(GENERATION_SOFT_LIMIT);
        receiver.expect_next();
    }
}

#[test]
fn debug_output_shows_counters_only() {
    let Traffic { send, recv } = traffic(Suite::Aes256Gcm, 1, Side::Client);
    assert_eq!(format!("{send:?}"), "TrafficSender { generation: 0, sealed: 0, .. }");
    assert!(format!("{recv:?}").starts_with("TrafficReceiver { generation: 0, highest: None"));
}

/// What the network and time do to a stream.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Deliver,
    Lose,
    Delay,
    Duplicate,
    NextGeneration,
    Forge(u32),
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Deliver),
        2 => Just(Fate::Lose),
        3 => Just(Fate::Delay),
        1 => Just(Fate::Duplicate),
        1 => Just(Fate::NextGeneration),
        2 => any::<u32>().prop_map(Fate::Forge),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Loss, reordering, duplication, forgery and generation changes: every authentic packet opens at most once,
    /// those in time do, nothing forged does, and the ratchet never loses the stream.
    #[test]
    fn a_stream_survives_the_network(fates in proptest::collection::vec(fate(), 1..200)) {
        let (mut sender, mut receiver) = pair(Suite::ChaCha20Poly1305, 1);
        let (mut delayed, mut opened, mut forged) = (Vec::new(), BTreeSet::new(), 0u64);
        for fate in fates {
            if matches!(fate, Fate::NextGeneration) {
                sender.confirm_generation(receiver.generation_seen());
                sender.pretend_sealed(GENERATION_SOFT_LIMIT);
                receiver.expect_next();
            }
            let position = sender.next_position();
            let datagram = packet(&mut sender, 0, &position.to_le_bytes());
            match fate {
                Fate::Lose => continue,
                Fate::Delay => { delayed.push(datagram); continue }
                Fate::Forge(pn) => {
                    let before = trace(&receiver);
                    let mut copy = datagram.clone();
                    copy[12..16].copy_from_slice(&pn.to_le_bytes());
                    copy[20] ^= 1;
                    if receiver.open(&mut copy) == Err(OpenError::Seal) { forged += 1; }
                    prop_assert!(trace(&receiver) == before);
                }
                Fate::Duplicate => {
                    prop_assert!(receiver.open(&mut datagram.clone()).is_ok());
                    opened.insert(sender.next_position());
                    prop_assert_eq!(receiver.open(&mut datagram.clone()), Err(OpenError::Replay));
                    continue;
                }
                Fate::Deliver | Fate::NextGeneration => {}
            }
            let mut copy = datagram.clone();
            let result = receiver.open(&mut copy);
            prop_assert!(result.is_ok(), "{:?}", result);
            opened.insert(sender.next_position());
        }
        for datagram in delayed.iter().rev() {
            let generation = datagram[1];
            let reachable = u32::from(generation) + 1 >= receiver.generation_seen();
            prop_assert_eq!(receiver.open(&mut datagram.clone()).is_ok(), reachable);
            if reachable { prop_assert_eq!(receiver.open(&mut datagram.clone()), Err(OpenError::Replay)); }
        }
        prop_assert!(receiver.received_count() >= opened.len() as u64);
        prop_assert_eq!(receiver.forgery_count(), forged);
    }

    #[test]
    fn any_bytes_are_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..100), shape: bool) {
        let (_, mut receiver) = pair(Suite::Aes256Gcm, 1);
        if shape && bytes.len() >= 16 { bytes[0] = 0x10; bytes[1] &= 1; bytes[2..4].fill(0); }
        let before = trace(&receiver);
        prop_assert!(receiver.open(&mut bytes).is_err());
        prop_assert!(trace(&receiver) == before);
    }
}
