//! Datagrams for floods, in the real wire format: forged from nothing, or from what somebody on a path has captured.

use jumpvpn_runtime::SystemRandom;
use jumpvpn_session::{Initiator, InitiatorConfig, PrivateKey, PublicKey, SuiteSet};
use jumpvpn_wire::{
    CONTROL_HEADER_LEN, Cid, ControlHeader, DataHeader, HS_INIT_LEN, HsInit, InitPayload, Kind, RouteToken,
    features,
};
use rand_core::Rng;

/// Different datagrams of a flood, sent round and round: enough that no cache of the gateway holds them all, few enough
/// that making them takes no time.
pub const COUNT: usize = 1024;
/// Handshakes with a correct `mac1`; each costs its maker two public-key operations.
const HANDSHAKE_COUNT: usize = 256;
/// Types of this version that mean nothing (docs/protocol.md, 4.2).
const VACANT_CODES: [u8; 2] = [0x1e, 0x1f];
/// A DATA datagram of a common length.
const DATA_LEN: usize = 256;

fn random(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    SystemRandom.fill_bytes(&mut bytes);
    bytes
}

fn many(mut make: impl FnMut(u64) -> Vec<u8>) -> Vec<Vec<u8>> {
    (0..COUNT as u64).map(&mut make).collect()
}

/// A control message of this kind with that token and number; what is sealed is noise.
fn control(kind: Kind, token: RouteToken, token_config: u8, epoch: u16, cseq: u64) -> Vec<u8> {
    let mut datagram = random(kind.min_len());
    let header = ControlHeader { kind, token_config, epoch, token, cseq };
    datagram[..CONTROL_HEADER_LEN].copy_from_slice(&header.encode());
    datagram
}

/// Control messages under invented route tokens, of one kind.
#[must_use]
pub fn unknown_tokens(kind: Kind) -> Vec<Vec<u8>> {
    let token = || RouteToken(SystemRandom.next_u64().to_le_bytes().repeat(2).try_into().unwrap_or([0; 16]));
    many(|number| control(kind, token(), 0, 0, number))
}

/// Control messages of one kind under the token of a captured one, with new numbers and without a proof.
#[must_use]
pub fn captured_token(kind: Kind, captured: &[u8]) -> Option<Vec<Vec<u8>>> {
    let header = ControlHeader::parse(captured).ok()?;
    let ControlHeader { token, token_config, epoch, cseq, .. } = header;
    Some(many(|number| control(kind, token, token_config, epoch, cseq + 1 + number)))
}

/// DATA under the CID of a captured one, with new numbers and without a seal.
#[must_use]
pub fn captured_cid(captured: &[u8]) -> Option<Vec<Vec<u8>>> {
    let header = DataHeader::parse(captured).ok()?;
    Some(many(|number| data(DataHeader { pn: header.pn.wrapping_add(1 + number as u32), ..header })))
}

/// DATA under invented CIDs.
#[must_use]
pub fn unknown_cids() -> Vec<Vec<u8>> {
    many(|number| {
        let cid = Cid(SystemRandom.next_u64());
        data(DataHeader { generation: 0, lane: 0, cid, pn: number as u32 })
    })
}

fn data(header: DataHeader) -> Vec<u8> {
    let mut datagram = random(DATA_LEN);
    if let Some(head) = datagram.first_chunk_mut() {
        header.write(head);
    }
    datagram
}

/// HS_INIT of somebody who does not know the gateway's key.
#[must_use]
pub fn handshakes_without_mac() -> Vec<Vec<u8>> {
    many(|_| {
        let mut datagram = random(HS_INIT_LEN);
        datagram[0] = Kind::HsInit.code();
        datagram[1] = 0;
        datagram[HsInit::COOKIE].fill(0);
        datagram
    })
}

/// HS_INIT with a correct `mac1`, of clients the gateway does not know, without a cookie.
#[must_use]
pub fn handshakes_without_cookie(gateway: &PublicKey) -> Vec<Vec<u8>> {
    let make = |_| {
        let private = PrivateKey::generate(&mut SystemRandom);
        let payload =
            InitPayload { features: features::PQ, policy: 0, lanes: 1, lifetime_s: 0, random: [0; 16] };
        let cid = Cid(SystemRandom.next_u64());
        let config =
            InitiatorConfig { private: &private, gateway, psk: None, suites: SuiteSet::ALL, cid, payload };
        let mut out = [0; HS_INIT_LEN];
        Initiator::start(config, &mut SystemRandom, &mut out).ok()?;
        Some(out.to_vec())
    };
    (0..HANDSHAKE_COUNT).filter_map(make).collect()
}

/// Everything that nobody says to a gateway: what gateways say, in the right length, and types that mean nothing.
#[must_use]
pub fn foreign_types() -> Vec<Vec<u8>> {
    let is_foreign = |kind: &Kind| !kind.is_control() && !matches!(kind, Kind::Data | Kind::HsInit);
    let said = Kind::ALL.into_iter().filter(is_foreign).map(|kind| (kind.code(), kind.min_len()));
    let types: Vec<(u8, usize)> =
        said.chain(VACANT_CODES.map(|code| (code, Kind::Reattach.min_len()))).collect();
    many(|number| {
        let (code, len) = types[number as usize % types.len()];
        let mut datagram = random(len);
        datagram[0] = code;
        datagram
    })
}

/// Every type cut short, too long, with reserved bits, of other versions.
#[must_use]
pub fn malformed() -> Vec<Vec<u8>> {
    many(|number| {
        let mut datagram = random(1 + number as usize % 220);
        // All first bytes but those of well-formed DATA, whose CID would be unknown.
        datagram[0] = (number / 4) as u8;
        if let Some(reserved) = datagram.get_mut(1..4) {
            reserved.fill(0xff);
        }
        datagram
    })
}
