//! The starting corpora: small, genuine inputs of every kind, from which mutation starts.
//!
//! `cargo run --manifest-path fuzz/Cargo.toml --bin stable -- --write-corpus` writes them; a test compares.

use jumpvpn_wire::{
    AdvisedGateway, Cid, CloseAckPayload, ClosePayload, ConfigFrame, ControlHeader, DataHeader, Frame,
    FrameWriter, Heartbeat, HeartbeatAck, HintPayload, InitPayload, Kind, ListPart, MoveAdvice, NoSession,
    ObservedAddress, PathId, ProbeFlags, ProbePayload, Quality, ReattachPayload, ReplyHeader, ResetToken,
    RespPayload, ResultPayload, ResultStatus, RouteToken, TakeoverInit, TakeoverInitPayload, TakeoverRefusal,
    TakeoverResp, TakeoverRespPayload, Ticket, TicketPayload, TokenList, TransportClass,
};

use crate::handshake::FIXTURE;

mod hostile;
mod machine;
pub(crate) mod text;

/// (target, file name, bytes) of every seed.
pub fn all() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let mut seeds = Vec::new();
    let mut put = |target, list: Vec<(&'static str, Vec<u8>)>| {
        seeds.extend(list.into_iter().map(|(name, bytes)| (target, name, bytes)));
    };
    put("wire_datagram", datagrams());
    put("wire_datagram", plaintexts());
    put("wire_frames", frames());
    let init = FIXTURE.init.to_vec();
    put("handshake_init", vec![("init", init)]);
    put("handshake_response", vec![("response", FIXTURE.response.into()), ("retry", FIXTURE.retry.into())]);
    put("reattach_verify", requests());
    put("data_open", scripts());
    put("engine_gateway", hostile::scripts());
    put("engine_agent", hostile::scripts());
    put("config_text", text::configurations());
    put("gateway_list", text::lists());
    put("control_request", text::requests());
    put("event_file", text::event_files());
    put("store_record", machine::records());
    put("tun_packet", machine::packets());
    seeds
}

fn observed() -> ObservedAddress {
    ObservedAddress::new(([192, 0, 2, 9], 4000).into())
}

fn observed_v6() -> ObservedAddress {
    ObservedAddress::new(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 7], 4000).into())
}

fn datagrams() -> Vec<(&'static str, Vec<u8>)> {
    let token = RouteToken([2; 16]);
    let control = |kind: Kind| {
        let mut bytes = ControlHeader { kind, token_config: 1, epoch: 2, token, cseq: 3 }.encode().to_vec();
        bytes.resize(kind.min_len(), 0xA5);
        bytes
    };
    let reply = |kind: Kind| {
        let mut bytes = ReplyHeader { kind, epoch: 2, cid: Cid(4), sseq: 3 }.encode().to_vec();
        bytes.resize(kind.min_len(), 0xA5);
        bytes
    };
    let mut data = [0; 40];
    if let Some(head) = data.first_chunk_mut() {
        DataHeader { generation: 1, lane: 2, cid: Cid(3), pn: 4 }.write(head);
    }
    let lost = NoSession { client_cid: Cid(1), cseq: 2, orphaned: false, reset_token: ResetToken([3; 16]) };
    let orphaned = NoSession { orphaned: true, ..lost };
    vec![
        ("data", data.to_vec()),
        ("hs_init", FIXTURE.init.to_vec()),
        ("hs_retry", FIXTURE.retry.to_vec()),
        ("hs_resp", FIXTURE.response.to_vec()),
        ("path_probe", control(Kind::PathProbe)),
        ("path_ticket", reply(Kind::PathTicket)),
        ("reattach", control(Kind::Reattach)),
        ("reattach_with_data", [control(Kind::Reattach), data.to_vec()].concat()),
        ("reattach_result", reply(Kind::ReattachResult)),
        ("rebind_hint", reply(Kind::RebindHint)),
        ("close", control(Kind::Close)),
        ("close_ack", reply(Kind::CloseAck)),
        ("no_session", lost.encode().to_vec()),
        ("no_session_orphaned", orphaned.encode().to_vec()),
    ]
    .into_iter()
    .chain(takeovers())
    .collect()
}

fn takeovers() -> Vec<(&'static str, Vec<u8>)> {
    let (kind, token) = (Kind::TakeoverInit, RouteToken([2; 16]));
    let mut init = [0xA5; TakeoverInit::LEN];
    let header = ControlHeader { kind, token_config: 1, epoch: 2, token, cseq: 3 };
    TakeoverInit::write_head(&mut init, &header, 4, 5);
    let mut response = [0xA5; TakeoverResp::LEN];
    TakeoverResp::write_head(&mut response, 3, 3);
    let refusal = TakeoverRefusal {
        epoch: 2,
        cseq: 3,
        reason: 6,
        owner_epoch: 4,
        version: 5,
        retry_after_ms: 7,
        mac: [8; 16],
    };
    let asks = TakeoverInitPayload { client_cid: Cid(1), suites: 6, ..TakeoverInitPayload::default() };
    let agrees =
        TakeoverRespPayload { owner_epoch: 5, version: 6, suite: 2, ..TakeoverRespPayload::default() };
    vec![
        ("takeover_init", init.to_vec()),
        ("takeover_resp", response.to_vec()),
        ("takeover_refusal", refusal.encode().to_vec()),
        ("takeover_init_payload", asks.encode().to_vec()),
        ("takeover_resp_payload", agrees.encode().to_vec()),
    ]
}

fn plaintexts() -> Vec<(&'static str, Vec<u8>)> {
    let probe = ProbePayload {
        nonce: [1; 8],
        path_id: PathId(2),
        flags: ProbeFlags { urgent: true, rebind: false, mtu: true },
        transport: TransportClass::Udp,
        client_cid: Cid(3),
        rtt_us: 4,
    };
    let ticket = TicketPayload {
        nonce: [1; 8],
        path_id: PathId(2),
        version: 3,
        owner_epoch: 4,
        observed: observed_v6(),
        ticket: Ticket([5; 32]),
        received_len: 124,
        mismatch: true,
        retry_after_ms: 6,
    };
    let result = ResultPayload {
        cseq: 1,
        status: ResultStatus::Rejected,
        reason: 2,
        version: 3,
        owner_epoch: 4,
        path_id: PathId(5),
        retry_after_ms: 6,
        drain_ms: 7,
        observed: observed(),
    };
    vec![
        ("init_payload", InitPayload { features: 1, lanes: 2, ..InitPayload::default() }.encode().to_vec()),
        (
            "resp_payload",
            RespPayload { owner_epoch: 1, mtu: 1420, ..RespPayload::default() }.encode().to_vec(),
        ),
        ("probe_payload", probe.encode().to_vec()),
        ("ticket_payload", ticket.encode().to_vec()),
        ("reattach_payload", request(1, false).encode().to_vec()),
        ("result_payload", result.encode().to_vec()),
        ("hint_payload", HintPayload { observed: observed(), path_id: PathId(1) }.encode().to_vec()),
        ("close_payload", ClosePayload { reason: 1, version: 2 }.encode().to_vec()),
        ("close_ack_payload", CloseAckPayload { cseq: 1 }.encode().to_vec()),
        ("address_v4", observed().encode().to_vec()),
        ("address_v6", observed_v6().encode().to_vec()),
    ]
}

fn frames() -> Vec<(&'static str, Vec<u8>)> {
    let tokens = [[1; 16], [2; 16]];
    let config = ConfigFrame {
        inner_v4: Some(([10, 0, 0, 2].into(), 24)),
        inner_v6: Some(([0xfd00, 0, 0, 0, 0, 0, 0, 2].into(), 64)),
        mtu: 1420,
    };
    let gateways = [
        AdvisedGateway { public: [3; 32], endpoint: observed() }.encode(),
        AdvisedGateway { public: [4; 32], endpoint: observed_v6() }.encode(),
    ];
    let advice = Frame::MoveAdvice(MoveAdvice::new(1, 2000, 30_000, &gateways));
    let part = ListPart::of(7, b"a signed list", 5).map_or(Frame::Fin, Frame::ListPart);
    let list: Vec<(&'static str, Vec<Frame<'_>>)> = vec![
        ("birth", vec![Frame::Fin, Frame::Want { tokens: 4, config: true }]),
        ("heartbeat", vec![Frame::Heartbeat(Heartbeat { seq: 1, ..Heartbeat::default() })]),
        ("heartbeat_ack", vec![Frame::HeartbeatAck(HeartbeatAck { seq: 1, ..HeartbeatAck::default() })]),
        ("tokens_config", vec![Frame::Tokens(TokenList::new(1, &tokens)), Frame::Config(config)]),
        ("rekey_req", vec![Frame::RekeyReq { part: 0, parts: 2, body: &[7; 40] }]),
        ("rekey_resp", vec![Frame::RekeyResp(&[8; 40]), Frame::RekeyWanted]),
        (
            "pmtu",
            vec![Frame::PmtuProbe { seq: 1, len: 1400 }, Frame::PmtuAck { seq: 1, len: 1400 }, Frame::Pad],
        ),
        ("close", vec![Frame::Close { reason: 1, version: 2 }, advice]),
        ("list", vec![Frame::ListWant { above: 6, offset: 5 }, part, Frame::ListPart(ListPart::none(6))]),
    ];
    let mut seeds: Vec<_> = list.into_iter().map(|(name, frames)| (name, written(&frames))).collect();
    seeds.push(("unknown", vec![0x3F, 1, 3, 0, 9, 9, 9, 0x01, 0, 0, 0]));
    seeds.push(("ip_packet", vec![0x45, 0, 0, 20, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1]));
    seeds
}

fn written(frames: &[Frame<'_>]) -> Vec<u8> {
    let mut bytes = vec![0; frames.iter().map(Frame::encoded_len).sum()];
    let mut writer = FrameWriter::new(&mut bytes);
    assert!(frames.iter().all(|frame| writer.push(frame)), "the buffer has the frames' length");
    bytes
}

fn request(path: u32, rebind: bool) -> ReattachPayload {
    ReattachPayload {
        ticket: Ticket([0; 32]),
        version: 7,
        owner_epoch: 3,
        path_id: PathId(path),
        rebind,
        warm: true,
        transport: TransportClass::Udp,
        reason: 1,
        observed: observed(),
        client_cid: Cid(9),
        client_nonce: [4; 16],
        quality: Quality::default(),
    }
}

/// Surroundings as `reattach.rs` reads them: flags, ticket age, port, address, check, last heard, path.
fn requests() -> Vec<(&'static str, Vec<u8>)> {
    let [p0, p1] = 4000u16.to_le_bytes();
    let around = |flags: u8| [flags, 1, p0, p1, 192, 0, 2, 9, 100, 200, 1, 0, 0, 0, 0, 0].to_vec();
    let with = |flags: u8, proof: ReattachPayload| [around(flags), proof.encode().to_vec()].concat();
    let foreign = ObservedAddress::new(([203, 0, 113, 1], 4000).into());
    vec![
        ("move", with(1, request(2, false))),
        ("rebind", with(9, request(1, true))),
        ("no_ticket", with(0, request(2, false))),
        ("fenced", with(3, request(2, false))),
        ("no_budget", with(5, request(2, false))),
        ("stale_version", with(1, ReattachPayload { version: 6, ..request(2, false) })),
        ("other_address", with(1, ReattachPayload { observed: foreign, ..request(2, false) })),
    ]
}

fn scripts() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("in_order", vec![0, 0, 10, 0, 20, 0, 30]),
        ("reordered", vec![1, 1, 10, 1, 20, 1, 30, 2, 2, 2, 0, 2, 1]),
        ("replayed", vec![0, 0, 10, 2, 0, 2, 0]),
        ("flipped", vec![1, 1, 10, 3, 0, 12, 255, 3, 0, 1, 1, 2, 0]),
        ("raw", vec![0, 4, 33, 0x10, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]),
    ]
}
