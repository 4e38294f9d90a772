//! Handshake datagrams and payloads: offsets, round trips, no panic, one encoding.

use super::*;
use proptest::prelude::*;

#[test]
fn an_init_has_the_offsets_of_the_protocol() {
    let mut out = [0xEE; HsInit::LEN];
    HsInit::write_head(&mut out, 0x0006, Cid(0x0807_0605_0403_0201));
    assert_eq!(out[..12], [0x11, 0, 6, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    let init = HsInit::parse(&out).unwrap();
    assert_eq!(init.suites(), 6);
    assert_eq!(init.client_cid(), Cid(0x0807_0605_0403_0201));
    assert_eq!(init.ephemeral(), [0xEE; 32]);
    assert_eq!(init.mac1(), [0xEE; 16]);
    assert_eq!(init.cookie(), None);
    out[195] = 1;
    assert!(HsInit::parse(&out).unwrap().cookie().is_some());
    out[1] = 0x80;
    assert_eq!(HsInit::parse(&out).err(), Some(Malformed::Reserved));
}

#[test]
fn a_response_shows_its_clear_fields() {
    let mut out = [0xEE; HsResp::LEN];
    HsResp::write_head(&mut out, 2, Cid(3), Cid(4));
    let response = HsResp::parse(&out).unwrap();
    assert_eq!((response.suite(), response.client_cid(), response.server_cid()), (2, Cid(3), Cid(4)));
    assert_eq!(response.noise(), &[0xEE; 144]);
    out[1] = 1;
    assert_eq!(HsResp::parse(&out).err(), Some(Malformed::Reserved));
    assert_eq!(HsResp::parse(&[0x12; 52]).err(), Some(Malformed::Type));
}

#[test]
fn debug_output_of_a_response_payload_holds_no_token() {
    let payload = RespPayload { reset_token: ResetToken([0xAA; 16]), ..RespPayload::default() };
    assert!(!format!("{payload:?}").contains("170"));
}

prop_compose! {
    fn resp()(a in any::<(u32, u64, [u8; 16], u32, u32)>(), b in any::<(u16, u16, u16, u16)>(),
              c in any::<([u8; 16], [u8; 16], [u8; 4], u16, u16, u64)>(), token_config in 0u8..8) -> RespPayload {
        RespPayload {
            features: a.0, owner_epoch: a.1, owner_salt: a.2, limits: GrantedLimits { lifetime_s: a.3, idle_ttl_ms: a.4, max_switches_per_min: b.0, cooldown_ms: b.1, ticket_age_ms: b.2 },
            node_id: b.3,
            token: RouteToken(c.0), reset_token: ResetToken(c.1), inner_v4: c.2.into(), mtu: c.3,
            suite: c.4, server_cid: Cid(c.5), token_config,
        }
    }
}

proptest! {
    #[test]
    fn init_payload_round_trip(features: u32, policy: u16, lanes in 0u8..=16, lifetime_s: u32, random: [u8; 16]) {
        let payload = InitPayload { features, policy, lanes, lifetime_s, random };
        prop_assert_eq!(InitPayload::decode(&payload.encode()), Ok(payload));
    }

    #[test]
    fn resp_payload_round_trip(payload in resp()) {
        prop_assert_eq!(RespPayload::decode(&payload.encode()), Ok(payload));
    }

    #[test]
    fn retry_round_trip(cid: u64, cookie: [u8; 24], mac: [u8; 16]) {
        let retry = HsRetry { client_cid: Cid(cid), cookie: Cookie(cookie), mac };
        prop_assert_eq!(HsRetry::decode(&retry.encode()), Ok(retry));
    }

    #[test]
    fn payload_bytes_have_one_meaning(bytes in proptest::collection::vec(any::<u8>(), 0..100), keep in 0usize..100) {
        // Zero tails make acceptance likely.
        let mut bytes = bytes;
        if bytes.len() > keep { bytes[keep..].fill(0); }
        for len in [InitPayload::LEN, RespPayload::LEN, bytes.len()] {
            bytes.resize(len, 0);
            if let Ok(payload) = InitPayload::decode(&bytes) { prop_assert_eq!(&payload.encode()[..], &bytes[..]); }
            if let Ok(payload) = RespPayload::decode(&bytes) { prop_assert_eq!(&payload.encode()[..], &bytes[..]); }
        }
    }

    #[test]
    fn datagrams_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0x11u8..0x14, len in 0usize..4) {
        bytes.resize([bytes.len(), 196, 52, 164][len], 0);
        if let Some(first) = bytes.first_mut() { *first = kind; }
        if let Ok(init) = HsInit::parse(&bytes) { prop_assert_eq!(init.cookie().is_none(), bytes[172..] == [0; 24]); }
        if let Ok(response) = HsResp::parse(&bytes) { prop_assert_eq!(response.noise(), &bytes[20..]); }
        if let Ok(retry) = HsRetry::decode(&bytes) { prop_assert_eq!(&retry.encode()[..], &bytes[..]); }
    }
}
