//! Control plaintexts: round trips, reserved bits, no panic, one encoding.

use super::*;
use proptest::prelude::*;

fn address() -> impl Strategy<Value = ObservedAddress> {
    (any::<[u8; 4]>(), any::<u16>()).prop_map(|(ip, port)| ObservedAddress::new((ip, port).into()))
}

fn class() -> impl Strategy<Value = TransportClass> {
    (1u8..=3).prop_map(|code| TransportClass::from_code(code).unwrap())
}

#[test]
fn reserved_probe_flags_are_refused() {
    let probe = ProbePayload {
        nonce: [1; 8],
        path_id: PathId(2),
        flags: ProbeFlags { urgent: true, rebind: true, mtu: true },
        transport: TransportClass::Udp,
        client_cid: Cid(3),
        rtt_us: 4,
    };
    for bit in 3..16 {
        let mut bytes = probe.encode();
        bytes[12 + bit / 8] |= 1 << (bit % 8);
        assert_eq!(ProbePayload::decode(&bytes), Err(Malformed::Reserved), "bit {bit}");
    }
    for index in [15].into_iter().chain(28..80) {
        let mut bytes = probe.encode();
        bytes[index] = 1;
        assert_eq!(ProbePayload::decode(&bytes), Err(Malformed::Reserved), "byte {index}");
    }
}

proptest! {
    #[test]
    fn probe_round_trip(nonce: [u8; 8], path: u32, flags in 0u16..8, transport in class(), cid: u64, rtt_us: u32, pad in 0usize..1400) {
        let flags = ProbeFlags::decode(flags).unwrap();
        let probe = ProbePayload { nonce, path_id: PathId(path), flags, transport, client_cid: Cid(cid), rtt_us };
        let mut bytes = probe.encode().to_vec();
        bytes.resize(80 + pad, 0xFF);
        prop_assert_eq!(ProbePayload::decode(&bytes), Ok(probe));
    }

    #[test]
    fn ticket_round_trip(nonce: [u8; 8], path: u32, version: u64, owner_epoch: u64, observed in address(), ticket: [u8; 32],
                         received_len: u16, mismatch: bool, retry_after_ms: u32) {
        let payload = TicketPayload { nonce, path_id: PathId(path), version, owner_epoch, observed, ticket: Ticket(ticket),
            received_len, mismatch, retry_after_ms };
        prop_assert_eq!(TicketPayload::decode(&payload.encode()), Ok(payload));
    }

    #[test]
    fn small_ones_round_trip(observed in address(), path: u32, reason: u16, version: u64, cseq: u64, cid: u64, orphaned: bool, token: [u8; 16]) {
        let hint = HintPayload { observed, path_id: PathId(path) };
        prop_assert_eq!(HintPayload::decode(&hint.encode()), Ok(hint));
        let close = ClosePayload { reason, version };
        prop_assert_eq!(ClosePayload::decode(&close.encode()), Ok(close));
        let ack = CloseAckPayload { cseq };
        prop_assert_eq!(CloseAckPayload::decode(&ack.encode()), Ok(ack));
        let lost = NoSession { client_cid: Cid(cid), cseq, orphaned, reset_token: ResetToken(token) };
        prop_assert_eq!(NoSession::decode(&lost.encode()), Ok(lost));
    }

    #[test]
    fn never_panics_and_accepts_one_encoding(seed in proptest::collection::vec(any::<u8>(), 0..100), family in 0u8..7, len in 0usize..7) {
        let mut bytes = seed;
        let len = [80, 88, 32, 16, 8, 36, bytes.len()][len];
        bytes.resize(len, 0);
        if len == 88 { bytes[28] = family; }
        if len == 32 { bytes[0] = family; }
        if len == 36 { bytes[..4].copy_from_slice(&[0x1D, family & 1, 0, 0]); }
        if let Ok(p) = ProbePayload::decode(&bytes) { prop_assert_eq!(&p.encode()[..], &bytes[..80]); }
        if let Ok(p) = TicketPayload::decode(&bytes) { prop_assert_eq!(&p.encode()[..], &bytes[..]); }
        if let Ok(p) = HintPayload::decode(&bytes) { prop_assert_eq!(&p.encode()[..], &bytes[..]); }
        if let Ok(p) = ClosePayload::decode(&bytes) { prop_assert_eq!(&p.encode()[..], &bytes[..]); }
        if let Ok(p) = CloseAckPayload::decode(&bytes) { prop_assert_eq!(&p.encode()[..], &bytes[..]); }
        if let Ok(p) = NoSession::decode(&bytes) { prop_assert_eq!(&p.encode()[..], &bytes[..]); }
    }
}
