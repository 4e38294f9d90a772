//! Parsers: whatever is accepted is written again as the same bytes.

use jumpvpn_wire::{
    CloseAckPayload, ClosePayload, ControlHeader, DATA_HEADER_LEN, DataHeader, Frame, FrameReader,
    FrameWriter, HintPayload, HsInit, HsResp, HsRetry, InitPayload, Kind, NoSession, ObservedAddress,
    ProbePayload, ReattachPayload, ReplyHeader, RespPayload, ResultPayload, TakeoverInit,
    TakeoverInitPayload, TakeoverRefusal, TakeoverResp, TakeoverRespPayload, TicketPayload, is_ip_packet,
};

/// One datagram, or one plaintext of any kind.
pub fn wire_datagram(data: &[u8]) {
    headers(data);
    if let Ok(retry) = HsRetry::decode(data) {
        assert_eq!(retry.encode(), data);
    }
    if let Ok(lost) = NoSession::decode(data) {
        assert_eq!(lost.encode(), data);
    }
    if let Ok(init) = HsInit::parse(data) {
        assert_eq!(init.bytes(), data);
        assert_eq!(init.cookie().is_none(), data[HsInit::COOKIE].iter().all(|&byte| byte == 0));
    }
    if let Ok(response) = HsResp::parse(data) {
        let mut head = [0; HsResp::LEN];
        HsResp::write_head(&mut head, response.suite(), response.client_cid(), response.server_cid());
        assert_eq!(head[HsResp::HEAD], data[HsResp::HEAD]);
    }
    takeover(data);
    plaintexts(data);
}

fn takeover(data: &[u8]) {
    if let Ok(init) = TakeoverInit::parse(data) {
        let header = init.header().expect("it was parsed");
        assert_eq!(init.cookie().is_none(), data[TakeoverInit::COOKIE].iter().all(|&byte| byte == 0));
        let mut head = [0; TakeoverInit::LEN];
        TakeoverInit::write_head(&mut head, &header, init.owner_epoch(), init.version());
        head[TakeoverInit::COOKIE].copy_from_slice(&data[TakeoverInit::COOKIE]);
        assert_eq!(head[..TakeoverInit::NOISE.start], data[..TakeoverInit::NOISE.start]);
    }
    if let Ok(response) = TakeoverResp::parse(data) {
        let mut head = [0; TakeoverResp::LEN];
        TakeoverResp::write_head(&mut head, response.epoch(), response.cseq());
        assert_eq!(head[..TakeoverResp::NOISE.start], data[..TakeoverResp::NOISE.start]);
    }
    if let Ok(refusal) = TakeoverRefusal::decode(data) {
        assert_eq!(refusal.encode(), data);
    }
    if let Ok(payload) = TakeoverInitPayload::decode(data) {
        assert_eq!(payload.encode(), data);
    }
    if let Ok(payload) = TakeoverRespPayload::decode(data) {
        assert_eq!(payload.encode(), data);
    }
}

fn headers(data: &[u8]) {
    if let Ok(kind) = Kind::of(data) {
        assert_eq!(kind.code(), data[0]);
        assert!(kind.accepts_len(data.len()) && kind.min_len() <= data.len());
    }
    if let Ok(header) = DataHeader::parse(data) {
        let mut out = [0; DATA_HEADER_LEN];
        header.write(&mut out);
        assert_eq!(out, data[..DATA_HEADER_LEN]);
    }
    if let Ok(header) = ControlHeader::parse(data) {
        assert_eq!(header.encode(), data[..ControlHeader::LEN]);
    }
    if let Ok(header) = ReplyHeader::parse(data) {
        assert_eq!(header.encode(), data[..ReplyHeader::LEN]);
    }
}

fn plaintexts(data: &[u8]) {
    if let Ok(payload) = ProbePayload::decode(data) {
        assert_eq!(payload.encode(), data[..ProbePayload::LEN]);
    }
    if let Ok(payload) = InitPayload::decode(data) {
        assert_eq!(payload.encode(), data);
    }
    if let Ok(payload) = RespPayload::decode(data) {
        assert_eq!(payload.encode(), data);
    }
    if let Ok(payload) = TicketPayload::decode(data) {
        assert_eq!(payload.encode(), data);
    }
    if let Ok(payload) = ReattachPayload::decode(data) {
        assert_eq!(payload.encode(), data);
    }
    if let Ok(payload) = ResultPayload::decode(data) {
        assert_eq!(payload.encode(), data);
    }
    if let Ok(payload) = HintPayload::decode(data) {
        assert_eq!(payload.encode(), data);
    }
    if let Ok(payload) = ClosePayload::decode(data) {
        assert_eq!(payload.encode(), data);
    }
    if let Ok(payload) = CloseAckPayload::decode(data) {
        assert_eq!(payload.encode(), data);
    }
    if let Ok(address) = ObservedAddress::decode(data) {
        assert_eq!(address.encode(), data);
        assert_eq!(ObservedAddress::new(address.socket_addr()), address);
    }
}

/// One DATA plaintext.
pub fn wire_frames(data: &[u8]) {
    if is_ip_packet(data) {
        // The reader must refuse, not misread, what should have gone to the tunnel.
        assert!(FrameReader::new(data).all(|frame| frame.is_err()));
        return;
    }
    let mut out = vec![0; data.len()];
    let mut writer = FrameWriter::new(&mut out);
    let mut kept = Vec::new();
    for frame in FrameReader::new(data) {
        let Ok(frame) = frame else { break };
        assert!(frame.encoded_len() <= data.len());
        assert!(writer.push(&frame), "what was read fits where it came from");
        kept.push(frame);
    }
    let len = writer.len();
    let again: Vec<Frame<'_>> = FrameReader::new(&out[..len]).filter_map(Result::ok).collect();
    assert_eq!(again, kept);
}
