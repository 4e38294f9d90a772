//! What is kept, and what is never lost.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
use jumpvpn_session::{
    EpochContext, Established, Initiator, InitiatorConfig, PrivateKey, Responder, SuiteSet,
};
use jumpvpn_wire::{Cid, HS_INIT_LEN, HS_RESP_LEN, InitPayload, RespPayload};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;

fn born() -> (Established, EpochContext) {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let (private, gateway) = (PrivateKey::generate(&mut rng), PrivateKey::generate(&mut rng));
    let config = InitiatorConfig {
        private: &private,
        gateway: &gateway.public(),
        psk: None,
        suites: SuiteSet::ALL,
        cid: Cid(1),
        payload: InitPayload::default(),
    };
    let (mut init, mut answer) = ([0; HS_INIT_LEN], [0; HS_RESP_LEN]);
    let initiator = Initiator::start(config, &mut rng, &mut init).unwrap();
    let read = Responder::new(gateway).read_init(&init, SuiteSet::ALL).unwrap();
    read.respond(None, &RespPayload::default(), Cid(2), &mut rng, &mut answer).unwrap();
    let (established, payload) = initiator.handle_response(&answer).map_err(|(_, error)| error).unwrap();
    let context = established.epoch(&payload);
    (established, context)
}

fn credentials(n: u32) -> Credentials {
    let (established, context) = born();
    established.secret.credentials(&EpochContext { n, ..context })
}

fn kept(keyring: &Keyring) -> Vec<(u32, u64)> {
    let entry = |turn| keyring.turn(turn);
    (0..keyring.len()).map(|turn| (entry(turn).credentials.n(), entry(turn).owner_epoch)).collect()
}

#[test]
fn a_rekey_keeps_the_epoch_before() {
    let mut keyring = Keyring::new(credentials(0), 1);
    keyring.rekeyed(credentials(1), 1);
    assert_eq!(kept(&keyring), [(1, 1), (0, 1)]);
    keyring.rekeyed(credentials(2), 1);
    assert_eq!(kept(&keyring), [(2, 1), (1, 1)]);
    assert_eq!(keyring.turn(3).credentials.n(), 1, "it begins anew");
}

#[test]
fn claims_come_first_until_they_are_refused() {
    let mut keyring = Keyring::new(credentials(0), 1);
    keyring.rekeyed(credentials(1), 1);
    let newest = keyring.turn(0).serial;
    let first = keyring.push(newest, credentials(2), 2);
    let second = keyring.push(newest, credentials(2), 3);
    assert_eq!(kept(&keyring), [(2, 3), (1, 1), (2, 2), (0, 1)], "what was agreed on comes next");
    keyring.void(first);
    assert_eq!(kept(&keyring), [(2, 3), (1, 1), (0, 1)]);
    keyring.void(second);
    assert_eq!(kept(&keyring), [(1, 1), (0, 1)]);
}

#[test]
fn there_are_never_none_and_never_too_many() {
    let mut keyring = Keyring::new(credentials(0), 1);
    keyring.void(0);
    assert_eq!(kept(&keyring), [(0, 1)]);
    for _ in 0..10 {
        keyring.push(0, credentials(1), 2);
        assert_eq!(kept(&keyring)[1], (0, 1), "what the store had when it was last agreed on stays");
    }
    assert_eq!(keyring.len(), CAPACITY);
    keyring.push(99, credentials(7), 9);
    assert_eq!(kept(&keyring)[0], (7, 9));
}

#[test]
fn an_owner_epoch_is_raised_for_the_credentials_it_goes_with_and_never_lowered() {
    let mut keyring = Keyring::new(credentials(0), 4);
    keyring.rekeyed(credentials(1), 4);
    assert!(keyring.raise(1, 6));
    assert!(!keyring.raise(1, 6) && !keyring.raise(1, 5) && !keyring.raise(2, 9));
    assert_eq!(kept(&keyring), [(1, 6), (0, 4)]);
}
