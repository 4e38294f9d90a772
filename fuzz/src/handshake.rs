//! Handshake messages: only the genuine ones are read, and a refusal destroys nothing.

use std::sync::LazyLock;

use aws_lc_rs::{digest, hmac};
use jumpvpn_session::{
    EpochSecret, HandshakeError, Initiator, InitiatorConfig, PrivateKey, PublicKey, Responder, SuiteSet,
};
use jumpvpn_wire::{
    Cid, Cookie, HS_INIT_LEN, HS_RESP_LEN, HsInit, HsResp, HsRetry, InitPayload, RespPayload,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

/// A fixed gateway, a fixed client, and what they once said to each other.
pub(crate) struct Fixture {
    client: PrivateKey,
    responder: Responder,
    /// A genuine HS_INIT.
    pub(crate) init: [u8; HS_INIT_LEN],
    /// A genuine HS_RETRY for it.
    pub(crate) retry: [u8; HsRetry::LEN],
    /// A genuine HS_RESP for it.
    pub(crate) response: [u8; HS_RESP_LEN],
}

pub(crate) static FIXTURE: LazyLock<Fixture> = LazyLock::new(Fixture::new);

/// The attempt of the fixture, the same each time.
fn start(client: &PrivateKey, gateway: &PublicKey) -> (Initiator, [u8; HS_INIT_LEN]) {
    let mut out = [0; HS_INIT_LEN];
    let (suites, cid, payload) = (SuiteSet::ALL, Cid(7), InitPayload::default());
    let config = InitiatorConfig { private: client, gateway, psk: None, suites, cid, payload };
    let initiator = Initiator::start(config, &mut ChaCha20Rng::seed_from_u64(2), &mut out);
    (initiator.expect("the fixture's gateway key is usable"), out)
}

impl Fixture {
    fn new() -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let client = PrivateKey::generate(&mut rng);
        let responder = Responder::new(PrivateKey::generate(&mut rng));
        let (_, init) = start(&client, &responder.public());
        let view = HsInit::parse(&init).expect("just written");
        let retry = responder.write_retry(&view, Cookie([5; 24]));
        let mut response = [0; HS_RESP_LEN];
        let read = responder.read_init(&init, SuiteSet::ALL).expect("just written");
        let answered = read.respond(None, &RespPayload::default(), Cid(8), &mut rng, &mut response);
        answered.expect("the fixture's handshake is sound");
        Self { client, responder, init, retry, response }
    }

    /// The epoch secret that the fixture's handshake leaves behind.
    pub(crate) fn established(&self) -> EpochSecret {
        let (initiator, _) = start(&self.client, &self.responder.public());
        match initiator.handle_response(&self.response) {
            Ok((established, _)) => established.secret,
            Err((_, error)) => unreachable!("the fixture's response is genuine: {error}"),
        }
    }
}

/// `mac1`, as everybody who knows the gateway can compute it.
fn repair_mac1(init: &mut [u8; HS_INIT_LEN], gateway: &PublicKey) {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"jump/1 mac1");
    context.update(&gateway.0);
    let key = hmac::Key::new(hmac::HMAC_SHA256, context.finish().as_ref());
    let tag = hmac::sign(&key, &init[HsInit::MAC1_INPUT]);
    init[HsInit::MAC1].copy_from_slice(&tag.as_ref()[..16]);
}

/// The genuine message with its front replaced, so that inputs of any length reach the cryptography.
fn overlaid<const N: usize>(genuine: &[u8; N], data: &[u8]) -> [u8; N] {
    let mut out = *genuine;
    out.iter_mut().zip(data).for_each(|(byte, &new)| *byte = new);
    out
}

/// A datagram for the gateway, as it stands and once more in full length with a correct `mac1`.
pub fn handshake_init(data: &[u8]) {
    let fixture = &*FIXTURE;
    let genuine = |bytes: &[u8]| bytes[HsInit::MAC1_INPUT] == fixture.init[HsInit::MAC1_INPUT];
    let read = fixture.responder.read_init(data, SuiteSet::ALL);
    assert!(read.is_err() || genuine(data), "a forged request was read");
    assert!(read.is_err() || fixture.responder.check_mac1(data));
    let mut repaired = overlaid(&fixture.init, data);
    repair_mac1(&mut repaired, &fixture.responder.public());
    match fixture.responder.read_init(&repaired, SuiteSet::ALL) {
        Ok(read) => {
            assert!(genuine(&repaired), "a forged request with a good mac1 was read");
            assert_eq!(read.peer, fixture.client.public());
        }
        Err(error) => assert_ne!(error, HandshakeError::Mac, "the MAC is right"),
    }
}

/// A datagram for the client that waits: whatever it is, the genuine answer is still taken afterwards.
pub fn handshake_response(data: &[u8]) {
    let fixture = &*FIXTURE;
    let (mut initiator, _) = start(&fixture.client, &fixture.responder.public());
    let mut again = [0; HS_INIT_LEN];
    if initiator.handle_retry(data, &mut again).is_ok() {
        assert_eq!(data, fixture.retry, "a forged retry was taken");
        assert_eq!(again[..HsInit::COOKIE.start], fixture.init[..HsInit::COOKIE.start]);
    } else {
        assert_eq!(again, [0; HS_INIT_LEN]);
    }
    let initiator = answer(initiator, data);
    if let Some(initiator) = initiator.and_then(|waiting| answer(waiting, &overlaid(&fixture.response, data)))
    {
        assert!(initiator.handle_response(&fixture.response).is_ok(), "the attempt was destroyed");
    }
}

/// The attempt, if the answer was refused.
fn answer(initiator: Initiator, data: &[u8]) -> Option<Initiator> {
    match initiator.handle_response(data) {
        Ok((established, _)) => {
            assert_eq!(data[HsResp::NOISE], FIXTURE.response[HsResp::NOISE], "a forged response was taken");
            assert_eq!(established.peer_cid, Cid(8), "the sealed CID counts");
            None
        }
        Err((initiator, _)) => Some(*initiator),
    }
}
