//! Takeover end to end: what must match, what must be refused, and what must survive a refusal.

use jumpvpn_wire::{
    Cookie, HsRetry, RouteToken, TAKEOVER_INIT_LEN, TAKEOVER_RESP_LEN, TakeoverInitPayload, TakeoverRefusal,
    TakeoverResp,
};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;

use super::*;
use crate::takeover::initiator::{TakeoverConfig, TakeoverInitiator};
use crate::takeover::responder::TakeoverRead;
use crate::testing::{Pair, context, rng};
use crate::{Established, PrivateKey, Responder, Side, SuiteSet};

const OWNER_EPOCH: u64 = 3;
const VERSION: u64 = 40;
const CSEQ: u64 = 77;

/// A client whose session was born elsewhere, and the gateway that it asks.
struct Scene {
    client: PrivateKey,
    gateway: Responder,
    born: Established,
    credentials: Credentials,
    rng: ChaCha20Rng,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let mut pair = Pair::new(seed);
        let (born, _) = pair.establish();
        let credentials = born.secret.credentials(&context(&born));
        let mut rng = rng(seed + 1000);
        let gateway = Responder::new(PrivateKey::generate(&mut rng));
        Self { client: pair.client, gateway, born, credentials, rng }
    }

    fn payload() -> TakeoverInitPayload {
        TakeoverInitPayload {
            client_cid: Cid(0xC2),
            path_id: PathId(9),
            features: 1,
            suites: SuiteSet::ALL.bits(),
            lanes: 1,
            random: [0; 12],
        }
    }

    fn start_with(&mut self, payload: TakeoverInitPayload) -> (TakeoverInitiator, [u8; TAKEOVER_INIT_LEN]) {
        let mut out = [0; TAKEOVER_INIT_LEN];
        let config = TakeoverConfig {
            private: &self.client,
            gateway: &self.gateway.public(),
            credentials: &self.credentials,
            sid: self.born.sid,
            owner_epoch: OWNER_EPOCH,
            version: VERSION,
            cseq: CSEQ,
            token: RouteToken([5; 16]),
            token_config: 1,
            payload,
        };
        let initiator = TakeoverInitiator::start(config, &mut self.rng, &mut out).unwrap();
        (initiator, out)
    }

    fn start(&mut self) -> (TakeoverInitiator, [u8; TAKEOVER_INIT_LEN]) {
        self.start_with(Self::payload())
    }

    fn read(&self, init: &[u8]) -> Result<TakeoverRead, HandshakeError> {
        self.read_as(init, self.born.sid, &self.client.public(), &self.credentials)
    }

    fn read_as(
        &self,
        init: &[u8],
        sid: SessionId,
        peer: &PublicKey,
        credentials: &Credentials,
    ) -> Result<TakeoverRead, HandshakeError> {
        let init = TakeoverInit::parse(init)?;
        self.gateway.read_takeover(&init, sid, peer, credentials, SuiteSet::ALL)
    }

    fn agrees() -> TakeoverRespPayload {
        TakeoverRespPayload {
            owner_epoch: OWNER_EPOCH + 1,
            owner_salt: [8; 16],
            version: VERSION + 1,
            server_cid: Cid(0x52),
            ..TakeoverRespPayload::default()
        }
    }

    fn respond_with(
        &mut self,
        init: &[u8],
        payload: &TakeoverRespPayload,
    ) -> (TakenOver, [u8; TAKEOVER_RESP_LEN]) {
        let mut out = [0; TAKEOVER_RESP_LEN];
        let read = self.read(init).unwrap();
        let taken = read.respond(payload, &mut self.rng, &mut out).unwrap();
        (taken, out)
    }

    fn respond(&mut self, init: &[u8]) -> (TakenOver, [u8; TAKEOVER_RESP_LEN]) {
        self.respond_with(init, &Self::agrees())
    }

    /// What somebody who has read the store can do: make the MAC fit.
    fn repair_mac(&self, init: &mut [u8; TAKEOVER_INIT_LEN]) {
        let key = self.credentials.request_mac();
        let tag = request_tag(&key, &TakeoverInit::parse(init).unwrap(), &self.gateway.public());
        init[TakeoverInit::MAC].copy_from_slice(&tag);
    }
}

#[test]
fn both_sides_end_with_the_same_session_under_new_keys() {
    let mut scene = Scene::new(1);
    let (initiator, init) = scene.start();
    assert_eq!((initiator.cseq(), initiator.n(), initiator.message()), (CSEQ, 0, &init));
    let read = scene.read(&init).unwrap();
    assert_ne!(read.payload.random, [0; 12], "fresh bytes are filled in");
    assert_eq!(TakeoverInitPayload { random: [0; 12], ..read.payload }, Scene::payload());
    let (server, response) = scene.respond(&init);
    let (client, payload) = initiator.handle_response(&response).unwrap();
    assert_eq!(client.secret.bytes(), server.secret.bytes());
    assert_ne!(client.secret.bytes(), scene.born.secret.bytes());
    assert_eq!((client.context, client.binding), (server.context, server.binding));
    assert_eq!(client.context.sid, scene.born.sid, "the session id never changes");
    assert_eq!((client.context.n, client.context.owner_epoch), (1, OWNER_EPOCH + 1));
    assert_eq!((client.binding.cseq, client.binding.path_id), (CSEQ, PathId(9)));
    assert_eq!((client.local_cid, client.peer_cid), (Cid(0xC2), Cid(0x52)));
    assert_eq!((server.local_cid, server.peer_cid), (Cid(0x52), Cid(0xC2)));
    assert_eq!((payload.version, payload.suite), (VERSION + 1, 2));

    let mut up = client.secret.binding(&client.context, &client.binding, Side::Client);
    let mut down = server.secret.binding(&server.context, &server.binding, Side::Server);
    let mut buffer = [0; 48];
    buffer[16] = 0x45;
    up.send.seal(client.peer_cid, 0, &mut buffer).unwrap();
    assert!(down.recv.open(&mut buffer).is_ok());
    let next = [client, server].map(|side| side.secret.credentials(&side.context));
    assert_eq!((next[0].n(), next[0].resume()), (1, next[1].resume()));
    assert_ne!(next[0].resume(), scene.credentials.resume());
}

#[test]
fn nothing_in_a_request_can_be_changed_without_the_mac_key() {
    let mut scene = Scene::new(2);
    let (_, init) = scene.start();
    for index in 0..init.len() {
        let mut forged = init;
        forged[index] ^= 0x20;
        assert!(
            matches!(scene.read(&forged), Err(HandshakeError::Mac | HandshakeError::Malformed(_))),
            "byte {index}"
        );
    }
    assert!(scene.read(&init).is_ok());
}

#[test]
fn who_has_the_mac_key_from_the_store_still_changes_nothing_that_counts() {
    let mut scene = Scene::new(3);
    let (_, init) = scene.start();
    for index in 0..TakeoverInit::MAC_INPUT.end {
        let mut forged = init;
        forged[index] ^= 0x20;
        if TakeoverInit::parse(&forged).is_err() {
            continue;
        }
        scene.repair_mac(&mut forged);
        // Route token, its configuration and the cookie only lead here and show an address.
        let expected = match index {
            1 | 4..20 | 28..52 => None,
            2..4 => Some(HandshakeError::Mac),
            _ => Some(HandshakeError::Noise),
        };
        assert_eq!(scene.read(&forged).err(), expected, "byte {index}");
    }
}

#[test]
fn a_request_is_for_one_session_one_client_one_gateway_and_one_epoch() {
    let mut scene = Scene::new(4);
    let (_, init) = scene.start();
    let peer = scene.client.public();
    let mut other = Scene::new(5);
    let wrong_sid = scene.read_as(&init, other.born.sid, &peer, &scene.credentials);
    assert_eq!(wrong_sid.err(), Some(HandshakeError::Noise));
    let wrong_peer = scene.read_as(&init, scene.born.sid, &other.client.public(), &scene.credentials);
    assert_eq!(wrong_peer.err(), Some(HandshakeError::Noise));
    let wrong_session = scene.read_as(&init, scene.born.sid, &peer, &other.credentials);
    assert_eq!(wrong_session.err(), Some(HandshakeError::Mac));
    let epoch = EpochContext { n: 1, ..context(&scene.born) };
    let next = scene.born.secret.credentials(&epoch);
    assert_eq!(scene.read_as(&init, scene.born.sid, &peer, &next).err(), Some(HandshakeError::Mac));
    // Another gateway of the cell reads the same store.
    other.born.sid = scene.born.sid;
    let elsewhere = other.read_as(&init, scene.born.sid, &peer, &scene.credentials);
    assert_eq!(elsewhere.err(), Some(HandshakeError::Mac));
    let mut repaired = init;
    let key = scene.credentials.request_mac();
    let tag = request_tag(&key, &TakeoverInit::parse(&init).unwrap(), &other.gateway.public());
    repaired[TakeoverInit::MAC].copy_from_slice(&tag);
    let elsewhere = other.read_as(&repaired, scene.born.sid, &peer, &scene.credentials);
    assert_eq!(elsewhere.err(), Some(HandshakeError::Noise));
}

#[test]
fn the_store_alone_does_not_make_a_client() {
    let mut scene = Scene::new(6);
    let honest = scene.client.public();
    let thief = PrivateKey::generate(&mut rng(60));
    scene.client = thief;
    let (_, init) = scene.start();
    let read = scene.read_as(&init, scene.born.sid, &honest, &scene.credentials);
    assert_eq!(read.err(), Some(HandshakeError::Noise));
}

#[test]
fn a_replayed_request_gives_other_keys_even_for_the_same_owner_epoch() {
    let mut scene = Scene::new(7);
    let (initiator, init) = scene.start();
    let (first, _) = scene.respond(&init);
    let (second, response) = scene.respond(&init);
    assert_eq!(first.context, second.context);
    assert_ne!(first.secret.bytes(), second.secret.bytes());
    let (client, _) = initiator.handle_response(&response).unwrap();
    assert_eq!(client.secret.bytes(), second.secret.bytes());
}

#[test]
fn two_takeovers_to_the_same_owner_epoch_have_different_keys() {
    let mut scene = Scene::new(8);
    let keys = [(), ()].map(|()| {
        let (initiator, init) = scene.start();
        let (_, response) = scene.respond(&init);
        let (taken, _) = initiator.handle_response(&response).unwrap();
        (taken.context, *taken.secret.bytes())
    });
    assert_eq!(keys[0].0, keys[1].0);
    assert_ne!(keys[0].1, keys[1].1);
}

#[test]
fn the_owner_epoch_is_part_of_the_secret() {
    let mut scene = Scene::new(9);
    let (_, init) = scene.start();
    let answer = |owner_epoch| TakeoverRespPayload { owner_epoch, ..Scene::agrees() };
    let secrets = [OWNER_EPOCH + 1, OWNER_EPOCH + 2].map(|owner_epoch| {
        let mut out = [0; TAKEOVER_RESP_LEN];
        let taken = scene.read(&init).unwrap().respond(&answer(owner_epoch), &mut rng(90), &mut out);
        *taken.unwrap().secret.bytes()
    });
    assert_ne!(secrets[0], secrets[1]);
}

#[test]
fn a_forged_response_does_not_destroy_the_attempt() {
    let mut scene = Scene::new(10);
    let (mut initiator, init) = scene.start();
    let (server, response) = scene.respond(&init);
    for index in 0..response.len() {
        let mut forged = response;
        forged[index] ^= 0x40;
        let (back, _) = initiator.handle_response(&forged).unwrap_err();
        initiator = *back;
    }
    let (client, _) = initiator.handle_response(&response).unwrap();
    assert_eq!(client.secret.bytes(), server.secret.bytes());
}

#[test]
fn an_answer_that_does_not_lead_ahead_is_refused() {
    for payload in [
        TakeoverRespPayload { owner_epoch: OWNER_EPOCH, ..Scene::agrees() },
        TakeoverRespPayload { owner_epoch: 0, ..Scene::agrees() },
        TakeoverRespPayload { version: VERSION, ..Scene::agrees() },
        TakeoverRespPayload { version: 0, ..Scene::agrees() },
    ] {
        let mut scene = Scene::new(11);
        let (initiator, init) = scene.start();
        let (_, response) = scene.respond_with(&init, &payload);
        let (_, error) = initiator.handle_response(&response).unwrap_err();
        assert_eq!(error, HandshakeError::NotAhead, "{payload:?}");
    }
}

#[test]
fn only_an_offered_suite_is_taken() {
    let mut scene = Scene::new(12);
    let chacha = SuiteSet::of(&[Suite::ChaCha20Poly1305]);
    let (initiator, init) =
        scene.start_with(TakeoverInitPayload { suites: chacha.bits(), ..Scene::payload() });
    let (server, response) = scene.respond(&init);
    let (client, _) = initiator.handle_response(&response).unwrap();
    assert_eq!(
        (client.context.suite, server.context.suite),
        (Suite::ChaCha20Poly1305, Suite::ChaCha20Poly1305)
    );
    let init = TakeoverInit::parse(&init).unwrap();
    let (sid, peer) = (scene.born.sid, scene.client.public());
    let aes = SuiteSet::of(&[Suite::Aes256Gcm]);
    let read = scene.gateway.read_takeover(&init, sid, &peer, &scene.credentials, aes);
    assert_eq!(read.err(), Some(HandshakeError::Suite));
}

#[test]
fn a_cookie_changes_cookie_and_mac_alone() {
    let mut scene = Scene::new(13);
    let (mut initiator, init) = scene.start();
    let view = TakeoverInit::parse(&init).unwrap();
    let retry = scene.gateway.write_takeover_retry(&view, Cookie([6; 24]));
    assert_eq!(HsRetry::decode(&retry).unwrap().client_cid, Cid(CSEQ));
    let mut out = [0; TAKEOVER_INIT_LEN];
    for index in 0..retry.len() {
        let mut forged = retry;
        forged[index] ^= 4;
        assert!(initiator.handle_retry(&forged, &mut out).is_err(), "byte {index}");
        assert_eq!((initiator.message(), out), (&init, [0; TAKEOVER_INIT_LEN]), "byte {index}");
    }
    let other = Responder::new(PrivateKey::generate(&mut rng(130)));
    let foreign = other.write_takeover_retry(&view, Cookie([6; 24]));
    assert_eq!(initiator.handle_retry(&foreign, &mut out), Err(HandshakeError::Mac));
    initiator.handle_retry(&retry, &mut out).unwrap();
    assert_eq!(TakeoverInit::parse(&out).unwrap().cookie(), Some(Cookie([6; 24])));
    assert_eq!(out[TakeoverInit::NOISE], init[TakeoverInit::NOISE]);
    assert_eq!(
        initiator.handle_retry(&retry, &mut out),
        Err(HandshakeError::Mac),
        "it answered the first one"
    );
    let (server, response) = scene.respond(&out);
    let (client, _) = initiator.handle_response(&response).unwrap();
    assert_eq!(client.secret.bytes(), server.secret.bytes());
}

#[test]
fn a_refusal_is_believed_from_who_knows_the_session_and_for_this_request() {
    let mut scene = Scene::new(14);
    let (initiator, init) = scene.start();
    let view = TakeoverInit::parse(&init).unwrap();
    let says = TakeoverRefusal {
        epoch: 0xFFFF,
        cseq: 0,
        reason: 6,
        owner_epoch: 5,
        version: 50,
        retry_after_ms: 700,
        mac: [0; 16],
    };
    let refusal = scene.credentials.refuse_takeover(&view, &says);
    let read = initiator.read_refusal(&refusal).unwrap();
    assert_eq!((read.cseq, read.epoch), (CSEQ, 0));
    assert_eq!((read.reason, read.owner_epoch, read.version, read.retry_after_ms), (6, 5, 50, 700));
    for index in 0..refusal.len() {
        let mut forged = refusal;
        forged[index] ^= 1;
        assert!(initiator.read_refusal(&forged).is_err(), "byte {index}");
    }
    let stranger = Scene::new(15).credentials.refuse_takeover(&view, &says);
    assert_eq!(initiator.read_refusal(&stranger), Err(HandshakeError::Mac));
    // The same number, but not the same message: a refusal that was recorded does not fit a later attempt.
    let (later, _) = scene.start();
    assert_eq!(later.read_refusal(&refusal), Err(HandshakeError::Mac));
    let (_, response) = scene.respond(&init);
    assert!(matches!(initiator.read_refusal(&response), Err(HandshakeError::Malformed(_))));
    assert!(initiator.handle_response(&response).is_ok(), "a refusal leaves the attempt as it is");
}

#[test]
fn the_last_key_epoch_leads_nowhere() {
    let mut scene = Scene::new(16);
    let epoch = EpochContext { n: u32::MAX, ..context(&scene.born) };
    scene.credentials = scene.born.secret.credentials(&epoch);
    let (_, init) = scene.start();
    let mut out = [0; TAKEOVER_RESP_LEN];
    let answer = scene.read(&init).unwrap().respond(&Scene::agrees(), &mut rng(1), &mut out);
    assert_eq!(answer.err(), Some(HandshakeError::NotAhead));
}

#[test]
fn nothing_secret_is_printed() {
    let mut scene = Scene::new(17);
    let (initiator, init) = scene.start();
    let read = scene.read(&init).unwrap();
    assert_eq!(format!("{initiator:?}"), "TakeoverInitiator { cseq: 77, n: 0, .. }");
    assert_eq!(format!("{read:?}"), "TakeoverRead { cseq: 77, suite: Aes256Gcm, .. }");
    let (taken, _) = scene.respond(&init);
    assert!(format!("{taken:?}").contains("EpochSecret(..)"));
}

proptest! {
    #[test]
    fn bytes_of_any_kind_are_refused_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..180), kind in 0u8..3) {
        let mut scene = Scene::new(18);
        let (initiator, init) = scene.start();
        let mut bytes = bytes;
        bytes.resize([164, 156, 50][usize::from(kind)], 0);
        bytes[0] = [0x19, 0x1A, 0x1A][usize::from(kind)];
        bytes[1] = [0, 0, 1][usize::from(kind)];
        prop_assert!(scene.read(&bytes).is_err());
        prop_assert!(initiator.read_refusal(&bytes).is_err());
        let (back, _) = initiator.handle_response(&bytes).unwrap_err();
        let (_, response) = scene.respond(&init);
        prop_assert!(TakeoverResp::parse(&response).is_ok());
        prop_assert!(back.handle_response(&response).is_ok());
    }
}
