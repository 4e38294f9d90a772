//! Rekey: same session, new secret, nothing of the old one opens the new one, and mixed-up parts are noticed.

use jumpvpn_wire::Frame;
use proptest::prelude::*;

use super::*;
use crate::testing::{Pair, context, rng};
use crate::{BindingContext, EpochContext, OpenError, Side};

const SID: SessionId = SessionId([5; 16]);
const TERMS: RekeyTerms = RekeyTerms { server_cid: Cid(0x5E), token: RouteToken([6; 16]), token_config: 3 };

fn secret() -> EpochSecret {
    EpochSecret::new(&[1; 32])
}

fn start(mode: RekeyMode, seed: u64) -> RekeyInitiator {
    RekeyInitiator::start(1, SID, Cid(0xC2), mode, &mut rng(seed)).unwrap()
}

fn respond(request: &[u8]) -> Result<RekeyResponded, RekeyError> {
    rekey_respond(1, SID, &secret(), request, &TERMS, &mut rng(99))
}

#[test]
fn both_modes_end_with_one_secret() {
    for (mode, request_len, response_len) in [(RekeyMode::Hybrid, 1228, 1164), (RekeyMode::Classical, 44, 76)]
    {
        let initiator = start(mode, 1);
        assert_eq!(initiator.request().len(), request_len);
        let server = respond(initiator.request()).unwrap();
        assert_eq!((server.response.len(), server.mode), (response_len, mode));
        assert_eq!(server.client_cid, Cid(0xC2));
        let client = initiator.finish(&secret(), &server.response).unwrap();
        assert_eq!(client.secret.bytes(), server.secret.bytes());
        assert_ne!(client.secret.bytes(), secret().bytes());
        assert_eq!((client.n, client.client_cid, client.terms), (1, Cid(0xC2), TERMS));
    }
}

#[test]
fn the_response_fits_the_smallest_path() {
    let plaintext_len = 1232 - jumpvpn_wire::DATA_OVERHEAD;
    assert!(Frame::RekeyResp(&[0; REKEY_RESPONSE_LEN]).encoded_len() <= plaintext_len);
    assert!(Frame::RekeyReq { part: 0, parts: 2, body: &[0; REKEY_PART_LEN] }.encoded_len() <= plaintext_len);
}

#[test]
fn each_attempt_ends_with_another_secret() {
    let initiator = start(RekeyMode::Classical, 1);
    let first = respond(initiator.request()).unwrap();
    let second = rekey_respond(1, SID, &secret(), initiator.request(), &TERMS, &mut rng(98)).unwrap();
    assert_ne!(first.secret.bytes(), second.secret.bytes());
    let hybrid = start(RekeyMode::Hybrid, 1);
    let first = respond(hybrid.request()).unwrap();
    let second = rekey_respond(1, SID, &secret(), hybrid.request(), &TERMS, &mut rng(98)).unwrap();
    assert_ne!(first.secret.bytes(), second.secret.bytes());
}

#[test]
fn the_same_randomness_makes_the_same_bytes() {
    let (one, two) = (start(RekeyMode::Hybrid, 1), start(RekeyMode::Hybrid, 1));
    assert_eq!(one.request(), two.request());
    let (first, second) = (respond(one.request()).unwrap(), respond(two.request()).unwrap());
    assert_eq!(first.response, second.response);
    assert_eq!(first.secret.bytes(), second.secret.bytes());
}

#[test]
fn what_hangs_on_the_old_secret_session_and_epoch() {
    let initiator = start(RekeyMode::Hybrid, 1);
    let server = respond(initiator.request()).unwrap();
    let other = EpochSecret::new(&[2; 32]);
    assert_eq!(initiator.finish(&other, &server.response).err(), Some(RekeyError::Mismatch));
    let other_session =
        rekey_respond(1, SessionId([6; 16]), &secret(), initiator.request(), &TERMS, &mut rng(1)).unwrap();
    assert_eq!(initiator.finish(&secret(), &other_session.response).err(), Some(RekeyError::Mismatch));
    let other_epoch = rekey_respond(2, SID, &secret(), initiator.request(), &TERMS, &mut rng(1));
    assert_eq!(other_epoch.err(), Some(RekeyError::Malformed));
}

#[test]
fn a_changed_response_is_refused_and_the_attempt_lives() {
    let initiator = start(RekeyMode::Hybrid, 1);
    let server = respond(initiator.request()).unwrap();
    for index in (0..server.response.len()).step_by(7).chain(1120..server.response.len()) {
        let mut changed = server.response.clone();
        changed[index] ^= 0x20;
        assert!(initiator.finish(&secret(), &changed).is_err(), "byte {index}");
    }
    for len in [0, 32, 75, 76, 1163] {
        assert!(initiator.finish(&secret(), &server.response[..len]).is_err(), "{len} bytes");
    }
    assert!(initiator.finish(&secret(), &server.response).is_ok());
}

#[test]
fn a_mode_cannot_be_changed_on_the_way() {
    let hybrid = start(RekeyMode::Hybrid, 1);
    let cut = respond(&hybrid.request()[..44]).unwrap();
    assert_eq!(cut.mode, RekeyMode::Classical, "the gateway sees it");
    assert_eq!(hybrid.finish(&secret(), &cut.response).err(), Some(RekeyError::Malformed));
    let classical = start(RekeyMode::Classical, 1);
    let full = respond(hybrid.request()).unwrap();
    assert_eq!(classical.finish(&secret(), &full.response).err(), Some(RekeyError::Malformed));
}

#[test]
fn the_whole_request_is_in_the_transcript() {
    let initiator = start(RekeyMode::Classical, 1);
    let mut request = initiator.request().to_vec();
    request[4] ^= 1;
    let answer = respond(&request).unwrap();
    assert_ne!(answer.client_cid, Cid(0xC2));
    assert_eq!(initiator.finish(&secret(), &answer.response).err(), Some(RekeyError::Mismatch));
}

#[test]
fn keys_of_small_order_are_refused() {
    let mut request = start(RekeyMode::Classical, 1).request().to_vec();
    request[12..44].fill(0);
    assert_eq!(respond(&request).err(), Some(RekeyError::Key));
    let initiator = start(RekeyMode::Classical, 1);
    let mut response = respond(initiator.request()).unwrap().response;
    response[..32].fill(0);
    assert_eq!(initiator.finish(&secret(), &response).err(), Some(RekeyError::Key));
}

#[test]
fn the_session_stays_and_epochs_do_not_open_each_other() {
    let (client, server) = Pair::new(1).establish();
    let sid = client.sid;
    let mut secrets = (client.secret, server.secret);
    let old = EpochContext { lanes: 1, ..context(&server_view(sid, &secrets.1)) };
    for n in 1..4 {
        let initiator =
            RekeyInitiator::start(n, sid, Cid(n.into()), RekeyMode::Hybrid, &mut rng(n.into())).unwrap();
        let answer =
            rekey_respond(n, sid, &secrets.1, initiator.request(), &TERMS, &mut rng(100 + u64::from(n)))
                .unwrap();
        let finished = initiator.finish(&secrets.0, &answer.response).unwrap();
        let new = EpochContext { n, ..old };
        let before = EpochContext { n: n - 1, ..old };
        let birth = BindingContext::birth();
        // Forward secrecy: whoever holds ES_{n−1} alone opens nothing of epoch n, and the other way round.
        let mut packet = [0; 48];
        finished.secret.binding(&new, &birth, Side::Client).send.seal(Cid(1), 0, &mut packet).unwrap();
        for context in [new, before] {
            let opened = secrets.1.binding(&context, &birth, Side::Server).recv.open(&mut packet.clone());
            assert_eq!(opened, Err(OpenError::Seal));
        }
        let mut old_packet = [0; 48];
        secrets.0.binding(&before, &birth, Side::Client).send.seal(Cid(1), 0, &mut old_packet).unwrap();
        let opened = answer.secret.binding(&new, &birth, Side::Server).recv.open(&mut old_packet);
        assert_eq!(opened, Err(OpenError::Seal));
        assert!(answer.secret.binding(&new, &birth, Side::Server).recv.open(&mut packet).is_ok());
        secrets = (finished.secret, answer.secret);
        assert_eq!(new.sid, sid);
    }
}

fn server_view(sid: SessionId, secret: &EpochSecret) -> crate::Established {
    crate::Established {
        sid,
        suite: crate::Suite::Aes256Gcm,
        secret: EpochSecret::new(secret.bytes()),
        local_cid: Cid(1),
        peer_cid: Cid(2),
    }
}

#[test]
fn the_secret_of_the_exchange_is_needed() {
    // An observer who later learns ES_0 sees the whole exchange and still misses the two shared secrets.
    let initiator = start(RekeyMode::Hybrid, 1);
    let server = respond(initiator.request()).unwrap();
    let body = &server.response[..server.response.len() - CONFIRMATION_LEN];
    let guess = derive(&secret(), &SID, 1, &Shared::new(), initiator.request(), body);
    assert_ne!(guess.secret.bytes(), server.secret.bytes());
    let mut zeros = Shared::new();
    zeros.put(&[0; 64]);
    let guess = derive(&secret(), &SID, 1, &zeros, initiator.request(), body);
    assert_ne!(guess.secret.bytes(), server.secret.bytes());
}

#[test]
fn parts_come_in_any_order_and_more_than_once() {
    let initiator = start(RekeyMode::Hybrid, 1);
    let parts: Vec<_> = rekey_parts(initiator.request()).collect();
    assert_eq!(parts.len(), 2);
    for order in [&[0, 1][..], &[1, 0], &[0, 0, 1], &[1, 1, 0], &[0, 1, 1, 0]] {
        let mut reassembly = RekeyReassembly::new();
        let mut whole = None;
        for &index in order {
            let (part, parts, body) = parts[index];
            whole = reassembly.push(part, parts, body).unwrap().map(<[u8]>::to_vec);
        }
        assert_eq!(whole.as_deref(), Some(initiator.request()), "{order:?}");
    }
    let classical = start(RekeyMode::Classical, 1);
    let parts: Vec<_> = rekey_parts(classical.request()).collect();
    assert_eq!(parts, [(0, 1, classical.request())]);
    assert_eq!(RekeyReassembly::new().push(0, 1, parts[0].2), Ok(Some(classical.request())));
}

#[test]
fn parts_of_two_attempts_do_not_pass_for_one() {
    let (old, new) = (start(RekeyMode::Hybrid, 1), start(RekeyMode::Hybrid, 2));
    let old_parts: Vec<_> = rekey_parts(old.request()).collect();
    let new_parts: Vec<_> = rekey_parts(new.request()).collect();
    for (first, second) in [(0, 1), (1, 0)] {
        let mut reassembly = RekeyReassembly::new();
        for &(part, parts, body) in &old_parts {
            reassembly.push(part, parts, body).unwrap();
        }
        let (part, parts, body) = new_parts[first];
        assert_eq!(reassembly.push(part, parts, body), Ok(None), "the old other part is displaced");
        let (part, parts, body) = new_parts[second];
        assert_eq!(reassembly.push(part, parts, body), Ok(Some(new.request())));
    }
    // A mixture that reassembly cannot see is caught by the confirmation.
    let mixed = [old_parts[0].2, new_parts[1].2].concat();
    if let Ok(answer) = respond(&mixed) {
        assert!(old.finish(&secret(), &answer.response).is_err());
        assert!(new.finish(&secret(), &answer.response).is_err());
    }
}

#[test]
fn impossible_parts_are_refused() {
    let mut reassembly = RekeyReassembly::new();
    for (part, parts, len) in
        [(0, 0, 44), (0, 1, 43), (1, 1, 44), (0, 2, 613), (1, 2, 615), (2, 2, 614), (0, 3, 614)]
    {
        assert_eq!(
            reassembly.push(part, parts, &vec![0; len]),
            Err(RekeyError::Malformed),
            "{part} {parts} {len}"
        );
    }
}

#[test]
fn terms_have_one_encoding() {
    assert_eq!(RekeyTerms::decode(&TERMS.encode()), Some(TERMS));
    for index in 24..28 {
        let mut bytes = TERMS.encode();
        bytes[index] = 8;
        assert_eq!(RekeyTerms::decode(&bytes), None, "byte {index}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_an_error_or_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..1300), fit: bool) {
        let mut bytes = bytes;
        if fit { bytes.resize(1228, 7); bytes[..4].copy_from_slice(&1u32.to_le_bytes()); }
        if let Ok(answer) = respond(&bytes) { prop_assert_eq!(&bytes[..4], &1u32.to_le_bytes(), "{:?}", answer.mode); }
        let initiator = start(RekeyMode::Classical, 3);
        prop_assert!(initiator.finish(&secret(), &bytes).is_err());
    }
}
