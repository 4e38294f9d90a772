//! Takeover datagrams and payloads: offsets, round trips, no panic, one encoding.

use super::*;
use proptest::prelude::*;

fn header() -> ControlHeader {
    ControlHeader {
        kind: Kind::TakeoverInit,
        token_config: 1,
        epoch: 0x0302,
        token: RouteToken([9; 16]),
        cseq: 7,
    }
}

#[test]
fn an_init_has_the_offsets_of_the_protocol() {
    let mut out = [0xEE; TakeoverInit::LEN];
    TakeoverInit::write_head(&mut out, &ControlHeader { kind: Kind::Close, ..header() }, 0x0807, 0x0A09);
    assert_eq!(out[..4], [0x19, 0x20, 2, 3]);
    assert_eq!(out[4..20], [9; 16]);
    assert_eq!(out[20..28], 7u64.to_le_bytes());
    assert_eq!(out[28..52], [0; 24]);
    assert_eq!(out[52..60], 0x0807u64.to_le_bytes());
    assert_eq!(out[60..68], 0x0A09u64.to_le_bytes());
    assert_eq!(out[68..], [0xEE; 96]);
    let init = TakeoverInit::parse(&out).unwrap();
    assert_eq!(init.header(), Ok(header()));
    assert_eq!((init.owner_epoch(), init.version(), init.cookie()), (0x0807, 0x0A09, None));
    assert_eq!((init.noise(), init.mac()), (&[0xEE; 80][..], [0xEE; 16]));
    out[51] = 1;
    assert!(TakeoverInit::parse(&out).unwrap().cookie().is_some());
    out[1] |= 1;
    assert_eq!(TakeoverInit::parse(&out).err(), Some(Malformed::Reserved));
    assert_eq!(TakeoverInit::parse(&out[..163]).err(), Some(Malformed::Length));
    assert_eq!(TakeoverInit::parse(&[0x1B; 60]).err(), Some(Malformed::Type));
}

#[test]
fn the_two_forms_of_a_response_are_not_mixed_up() {
    let mut agrees = [0xEE; TakeoverResp::LEN];
    TakeoverResp::write_head(&mut agrees, 5, 6);
    let response = TakeoverResp::parse(&agrees).unwrap();
    assert_eq!((response.epoch(), response.cseq(), response.noise()), (5, 6, &[0xEE; 144][..]));
    assert_eq!(TakeoverRefusal::decode(&agrees), Err(Malformed::Length));
    agrees[1] = 1;
    assert_eq!(TakeoverResp::parse(&agrees).err(), Some(Malformed::Reserved));
    let refuses = TakeoverRefusal {
        epoch: 1,
        cseq: 2,
        reason: 3,
        owner_epoch: 4,
        version: 5,
        retry_after_ms: 6,
        mac: [7; 16],
    };
    let mut bytes = refuses.encode();
    assert_eq!(TakeoverResp::parse(&bytes).err(), Some(Malformed::Length));
    assert_eq!(bytes[TakeoverRefusal::MAC_INPUT.end..], [7; 16]);
    for flags in [0, 2, 3, 0x80] {
        bytes[1] = flags;
        assert_eq!(TakeoverRefusal::decode(&bytes), Err(Malformed::Reserved), "{flags}");
    }
}

#[test]
fn debug_output_holds_no_token() {
    let payload =
        TakeoverRespPayload { reset_token: ResetToken([0xAA; 16]), ..TakeoverRespPayload::default() };
    assert!(!format!("{payload:?}").contains("170"));
}

prop_compose! {
    fn resp()(a in any::<(u32, u64, [u8; 16], u64, u64)>(), b in any::<(u32, u32, u16, u16, u16, u16)>(),
              c in any::<([u8; 16], [u8; 16], u16)>(), token_config in 0u8..8) -> TakeoverRespPayload {
        TakeoverRespPayload {
            features: a.0, owner_epoch: a.1, owner_salt: a.2, version: a.3, server_cid: Cid(a.4),
            limits: GrantedLimits { lifetime_s: b.0, idle_ttl_ms: b.1, max_switches_per_min: b.2, cooldown_ms: b.3, ticket_age_ms: b.4 },
            mtu: b.5, token: RouteToken(c.0), reset_token: ResetToken(c.1), suite: c.2, token_config,
        }
    }
}

proptest! {
    #[test]
    fn payloads_round_trip(cid: u64, path: u32, features: u16, suites: u16, lanes in 0u8..=16, random: [u8; 12], resp in resp()) {
        let init = TakeoverInitPayload { client_cid: Cid(cid), path_id: PathId(path), features, suites, lanes, random };
        prop_assert_eq!(TakeoverInitPayload::decode(&init.encode()), Ok(init));
        prop_assert_eq!(TakeoverRespPayload::decode(&resp.encode()), Ok(resp));
    }

    #[test]
    fn refusal_round_trip(epoch: u16, cseq: u64, reason: u16, owner_epoch: u64, version: u64, retry_after_ms: u32, mac: [u8; 16]) {
        let refusal = TakeoverRefusal { epoch, cseq, reason, owner_epoch, version, retry_after_ms, mac };
        prop_assert_eq!(TakeoverRefusal::decode(&refusal.encode()), Ok(refusal));
    }

    #[test]
    fn payload_bytes_have_one_meaning(bytes in proptest::collection::vec(any::<u8>(), 0..100), keep in 0usize..100) {
        // Zero tails make acceptance likely.
        let mut bytes = bytes;
        if bytes.len() > keep { bytes[keep..].fill(0); }
        for len in [TakeoverInitPayload::LEN, TakeoverRespPayload::LEN, bytes.len()] {
            bytes.resize(len, 0);
            if let Ok(payload) = TakeoverInitPayload::decode(&bytes) { prop_assert_eq!(&payload.encode()[..], &bytes[..]); }
            if let Ok(payload) = TakeoverRespPayload::decode(&bytes) { prop_assert_eq!(&payload.encode()[..], &bytes[..]); }
        }
    }

    #[test]
    fn datagrams_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0x19u8..0x1B, flags in 0u8..3, len in 0usize..4) {
        bytes.resize([bytes.len(), 164, 156, 50][len], 0);
        if let Some(first) = bytes.first_mut() { *first = kind; }
        if let Some(second) = bytes.get_mut(1) { *second = flags; }
        if let Ok(init) = TakeoverInit::parse(&bytes) {
            prop_assert_eq!(&init.header().unwrap().encode()[..], &bytes[..28]);
            prop_assert_eq!(init.cookie().is_none(), bytes[28..52].iter().all(|&byte| byte == 0));
        }
        if let Ok(response) = TakeoverResp::parse(&bytes) { prop_assert_eq!(response.noise(), &bytes[12..]); }
        if let Ok(refusal) = TakeoverRefusal::decode(&bytes) { prop_assert_eq!(&refusal.encode()[..], &bytes[..]); }
    }
}
