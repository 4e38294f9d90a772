//! Birth end to end: what must match, what must be refused, and what must survive a refusal.

use jumpvpn_wire::{Cookie, HsInit, RespPayload};
use proptest::prelude::*;

use super::*;
use crate::testing::{CLIENT_CID, Pair, SERVER_CID, rng};
use crate::{Initiator, InitiatorConfig, PresharedKey, PrivateKey, Responder, SuiteSet};

#[test]
fn both_sides_end_with_the_same_session() {
    let mut pair = Pair::new(1);
    let (initiator, init) = pair.start();
    let read = pair.read(&init).unwrap();
    assert_eq!(read.peer, pair.client.public());
    assert_eq!((read.payload.features, read.payload.lifetime_s), (3, 60));
    assert_ne!(read.payload.random, [0; 16], "fresh bytes are filled in");
    assert_eq!(read.ephemeral, HsInit::parse(&init).unwrap().ephemeral());
    let (server, response) = pair.respond(&init, None);
    let (client, payload) = initiator.handle_response(&response).unwrap();
    assert_eq!(client.sid, server.sid);
    assert_eq!(client.secret.bytes(), server.secret.bytes());
    assert_eq!((client.suite, server.suite), (Suite::Aes256Gcm, Suite::Aes256Gcm));
    assert_eq!((client.local_cid, client.peer_cid), (CLIENT_CID, SERVER_CID));
    assert_eq!((server.local_cid, server.peer_cid), (SERVER_CID, CLIENT_CID));
    assert_eq!(payload.owner_salt, [9; 16]);
    assert_eq!((payload.suite, payload.server_cid), (2, SERVER_CID));
    let text = format!("{client:?} {payload:?}");
    assert!(text.contains("EpochSecret(..)"), "{text}");
}

#[test]
fn the_smaller_offer_decides_the_suite() {
    let mut pair = Pair::new(2);
    let (initiator, init) = pair.start_with(SuiteSet::of(&[Suite::ChaCha20Poly1305]), None);
    let (server, response) = pair.respond(&init, None);
    let (client, _) = initiator.handle_response(&response).unwrap();
    assert_eq!((client.suite, server.suite), (Suite::ChaCha20Poly1305, Suite::ChaCha20Poly1305));
    let read = pair.responder.read_init(&init, SuiteSet::of(&[Suite::Aes256Gcm]));
    assert_eq!(read.err(), Some(HandshakeError::Suite));
}

#[test]
fn an_offer_changed_on_the_way_is_noticed_even_with_a_correct_mac1() {
    let mut pair = Pair::new(3);
    let (_, mut init) = pair.start();
    init[2] = 0b010;
    assert_eq!(pair.read(&init).err(), Some(HandshakeError::Mac));
    // Everybody who knows the gateway's public key can repair mac1; the prologue is what counts.
    pair.responder_macs().write_mac1(&mut init);
    assert_eq!(pair.read(&init).err(), Some(HandshakeError::Noise));
}

#[test]
fn a_client_cid_changed_on_the_way_is_noticed() {
    let mut pair = Pair::new(4);
    let (_, mut init) = pair.start();
    init[4] ^= 1;
    pair.responder_macs().write_mac1(&mut init);
    assert_eq!(pair.read(&init).err(), Some(HandshakeError::Noise));
}

#[test]
fn the_preshared_key_must_match() {
    let mut pair = Pair::new(5);
    let (right, wrong) = (PresharedKey::from_bytes(&[1; 32]), PresharedKey::from_bytes(&[2; 32]));
    let (initiator, init) = pair.start_with(SuiteSet::ALL, Some(&right));
    let (_, none) = pair.respond(&init, None);
    let (initiator, error) = initiator.handle_response(&none).unwrap_err();
    assert_eq!(error, HandshakeError::Noise);
    let (_, other) = pair.respond(&init, Some(&wrong));
    let (initiator, error) = initiator.handle_response(&other).unwrap_err();
    assert_eq!(error, HandshakeError::Noise);
    let (server, response) = pair.respond(&init, Some(&right));
    let (client, _) = initiator.handle_response(&response).unwrap();
    assert_eq!(client.sid, server.sid);
}

#[test]
fn no_preshared_key_is_32_zero_bytes() {
    let mut pair = Pair::new(6);
    let (initiator, init) = pair.start();
    let (server, response) = pair.respond(&init, Some(&PresharedKey::from_bytes(&[0; 32])));
    assert_eq!(initiator.handle_response(&response).unwrap().0.sid, server.sid);
}

#[test]
fn another_gateway_understands_nothing() {
    let mut pair = Pair::new(7);
    let (_, init) = pair.start();
    let other = Responder::new(PrivateKey::generate(&mut rng(70)));
    assert!(pair.responder.check_mac1(&init) && !other.check_mac1(&init));
    assert_eq!(other.read_init(&init, SuiteSet::ALL).err(), Some(HandshakeError::Mac));
    let mut repaired = init;
    PublicMacs::new(&other.public()).write_mac1(&mut repaired);
    assert_eq!(other.read_init(&repaired, SuiteSet::ALL).err(), Some(HandshakeError::Noise));
}

#[test]
fn a_replayed_request_gives_another_session() {
    let mut pair = Pair::new(8);
    let (initiator, init) = pair.start();
    let (first, _) = pair.respond(&init, None);
    let (second, response) = pair.respond(&init, None);
    assert_ne!(first.sid, second.sid);
    assert_ne!(first.secret.bytes(), second.secret.bytes());
    assert_eq!(pair.read(&init).unwrap().ephemeral, pair.read(&init).unwrap().ephemeral, "its mark stays");
    assert_eq!(initiator.handle_response(&response).unwrap().0.sid, second.sid);
}

#[test]
fn a_forged_response_does_not_destroy_the_attempt() {
    let mut pair = Pair::new(9);
    let (mut initiator, init) = pair.start();
    let (server, response) = pair.respond(&init, None);
    for index in 0..response.len() {
        let mut forged = response;
        forged[index] ^= 0x40;
        // The clear copies of suite and server CID are not looked at; everything else is refused.
        if (2..4).contains(&index) || (12..20).contains(&index) {
            continue;
        }
        let (back, _) = initiator.handle_response(&forged).unwrap_err();
        initiator = *back;
    }
    for cut in [&response[..0], &response[..163], &[0x13; 164], &[0; 1000]] {
        let (back, _) = initiator.handle_response(cut).unwrap_err();
        initiator = *back;
    }
    assert_eq!(initiator.handle_response(&response).unwrap().0.sid, server.sid);
}

#[test]
fn clear_copies_in_the_response_decide_nothing() {
    let mut pair = Pair::new(10);
    let (initiator, init) = pair.start();
    let (server, mut response) = pair.respond(&init, None);
    response[2] = 1;
    response[12..20].fill(0xEE);
    let (client, _) = initiator.handle_response(&response).unwrap();
    assert_eq!((client.suite, client.peer_cid), (server.suite, server.local_cid));
}

#[test]
fn a_response_to_another_attempt_is_refused() {
    let mut pair = Pair::new(11);
    let (first, first_init) = pair.start();
    let (second, _) = pair.start();
    let (_, response) = pair.respond(&first_init, None);
    let (_, error) = second.handle_response(&response).unwrap_err();
    assert_eq!(error, HandshakeError::Noise);
    assert!(first.handle_response(&response).is_ok());
}

#[test]
fn a_retry_puts_the_cookie_into_the_same_message() {
    let mut pair = Pair::new(12);
    let (mut initiator, init) = pair.start();
    let view = HsInit::parse(&init).unwrap();
    let retry = pair.responder.write_retry(&view, Cookie([7; 24]));
    let mut again = [0; HsInit::LEN];
    initiator.handle_retry(&retry, &mut again).unwrap();
    assert_eq!(again[..HsInit::COOKIE.start], init[..HsInit::COOKIE.start]);
    assert_eq!(HsInit::parse(&again).unwrap().cookie(), Some(Cookie([7; 24])));
    assert_eq!(initiator.message(), &again);
    let (server, response) = pair.respond(&again, None);
    assert_eq!(initiator.handle_response(&response).unwrap().0.sid, server.sid);
}

#[test]
fn a_forged_retry_changes_nothing() {
    let mut pair = Pair::new(13);
    let (mut initiator, init) = pair.start();
    let view = HsInit::parse(&init).unwrap();
    let retry = pair.responder.write_retry(&view, Cookie([7; 24]));
    let mut out = [0; HsInit::LEN];
    for bit in 0..retry.len() * 8 {
        let mut forged = retry;
        forged[bit / 8] ^= 1 << (bit % 8);
        assert!(initiator.handle_retry(&forged, &mut out).is_err(), "bit {bit}");
    }
    let mut other_cid = retry;
    other_cid[4] ^= 1;
    assert_eq!(initiator.handle_retry(&other_cid, &mut out), Err(HandshakeError::NotOurs));
    // Somebody who knows the gateway's key but has not seen this request.
    let (_, other_init) = pair.start();
    let blind = pair.responder.write_retry(&HsInit::parse(&other_init).unwrap(), Cookie([8; 24]));
    assert_eq!(initiator.handle_retry(&blind, &mut out), Err(HandshakeError::Mac));
    assert_eq!((initiator.message(), out), (&init, [0; HsInit::LEN]));
}

#[test]
fn a_gateway_key_of_small_order_is_refused_at_once() {
    let mut pair = Pair::new(14);
    let config = InitiatorConfig {
        private: &pair.client,
        gateway: &PublicKey([0; 32]),
        psk: None,
        suites: SuiteSet::ALL,
        cid: CLIENT_CID,
        payload: Default::default(),
    };
    let started = Initiator::start(config, &mut pair.rng, &mut [0; HsInit::LEN]);
    assert_eq!(started.err(), Some(HandshakeError::Noise));
}

#[test]
fn a_suite_that_was_not_offered_is_refused() {
    let mut pair = Pair::new(15);
    let (initiator, init) = pair.start_with(SuiteSet::of(&[Suite::ChaCha20Poly1305]), None);
    let mut read = pair.read(&init).unwrap();
    read.suite = Suite::Aes256Gcm;
    let mut out = [0; 164];
    read.respond(None, &RespPayload::default(), SERVER_CID, &mut pair.rng, &mut out).unwrap();
    assert_eq!(initiator.handle_response(&out).unwrap_err().1, HandshakeError::Suite);
}

#[test]
fn the_same_randomness_gives_the_same_session() {
    let (first, second) = (Pair::new(16).establish(), Pair::new(16).establish());
    assert_eq!(first.0.sid, second.0.sid);
    assert_ne!(first.0.sid, Pair::new(17).establish().0.sid);
}

impl Pair {
    fn responder_macs(&self) -> PublicMacs {
        PublicMacs::new(&self.responder.public())
    }
}

proptest! {
    #[test]
    fn no_changed_request_is_read(index in 0usize..172, change in 1u8..=255) {
        let mut pair = Pair::new(20);
        let (_, mut init) = pair.start();
        init[index] ^= change;
        prop_assert!(!pair.responder.check_mac1(&init));
        prop_assert!(pair.read(&init).is_err());
        if index < 156 {
            pair.responder_macs().write_mac1(&mut init);
            prop_assert!(pair.read(&init).is_err());
        }
    }

    #[test]
    fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut pair = Pair::new(21);
        prop_assert!(pair.read(&bytes).is_err());
        let (mut initiator, _) = pair.start();
        prop_assert!(initiator.handle_retry(&bytes, &mut [0; HsInit::LEN]).is_err());
        prop_assert!(initiator.handle_response(&bytes).is_err());
    }
}
