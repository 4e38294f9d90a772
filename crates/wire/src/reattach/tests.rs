//! Reattach plaintexts: round trips, reserved bits, no panic, one encoding.

use super::*;
use proptest::prelude::*;

prop_compose! {
    fn reattach()(ticket: [u8; 32], n in any::<(u64, u64, u32, u64, u16)>(), rebind: bool, warm: bool, class in 1u8..=3,
                  ip: [u8; 4], port: u16, client_nonce: [u8; 16], q in any::<(u16, u32, u32)>()) -> ReattachPayload {
        ReattachPayload {
            ticket: Ticket(ticket), version: n.0, owner_epoch: n.1, path_id: PathId(n.2), rebind, warm,
            transport: TransportClass::from_code(class).unwrap(), reason: n.4,
            observed: ObservedAddress::new((ip, port).into()), client_cid: Cid(n.3), client_nonce,
            quality: Quality { loss_permille: q.0, rtt_us: q.1, age_ms: q.2 },
        }
    }
}

proptest! {
    #[test]
    fn reattach_round_trip(payload in reattach()) {
        prop_assert_eq!(ReattachPayload::decode(&payload.encode()), Ok(payload));
    }

    #[test]
    fn reserved_reattach_bits_are_refused(payload in reattach(), bit in 2usize..8, byte in 102usize..104) {
        let mut bytes = payload.encode();
        bytes[52] |= 1 << bit;
        prop_assert_eq!(ReattachPayload::decode(&bytes), Err(Malformed::Reserved));
        let mut bytes = payload.encode();
        bytes[byte] |= 1 << bit;
        prop_assert_eq!(ReattachPayload::decode(&bytes), Err(Malformed::Reserved));
    }

    #[test]
    fn result_round_trip(cseq: u64, rejected: bool, reason: u16, version: u64, owner_epoch: u64, path: u32, retry_after_ms: u32,
                         drain_ms: u16, ip: [u8; 4], port: u16) {
        let payload = ResultPayload {
            cseq, status: if rejected { ResultStatus::Rejected } else { ResultStatus::Committed }, reason, version, owner_epoch,
            path_id: PathId(path), retry_after_ms, drain_ms, observed: ObservedAddress::new((ip, port).into()),
        };
        prop_assert_eq!(ResultPayload::decode(&payload.encode()), Ok(payload));
    }

    #[test]
    fn never_panics_and_accepts_one_encoding(mut bytes in proptest::collection::vec(any::<u8>(), 0..120), len in 0usize..3, family in 0u8..7) {
        let len = [112, 64, bytes.len()][len];
        bytes.resize(len, 0);
        if len == 112 { bytes[52] &= 3; bytes[53] = family; bytes[56] = 6; bytes[75] = 0; bytes[102..104].fill(0); }
        if len == 64 { bytes[8] &= 1; bytes[11] = 0; bytes[38..40].fill(0); bytes[40] = 6; bytes[59..].fill(0); }
        if let Ok(p) = ReattachPayload::decode(&bytes) { prop_assert_eq!(&p.encode()[..], &bytes[..]); }
        if let Ok(p) = ResultPayload::decode(&bytes) { prop_assert_eq!(&p.encode()[..], &bytes[..]); }
    }
}
