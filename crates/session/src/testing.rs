//! What several test modules share: a seeded random source, hexadecimal text, a finished handshake.

use jumpvpn_wire::{Cid, HS_INIT_LEN, HS_RESP_LEN, HsInit, InitPayload, RespPayload};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use crate::{
    EpochContext, Established, HandshakeError, InitRead, Initiator, InitiatorConfig, PresharedKey,
    PrivateKey, Responder, SuiteSet,
};

pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

pub(crate) fn array<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().unwrap()
}

/// A client and a gateway that know each other.
pub(crate) struct Pair {
    pub(crate) client: PrivateKey,
    pub(crate) responder: Responder,
    pub(crate) rng: ChaCha20Rng,
}

pub(crate) const CLIENT_CID: Cid = Cid(0xC1);
pub(crate) const SERVER_CID: Cid = Cid(0x51);

impl Pair {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = rng(seed);
        let client = PrivateKey::generate(&mut rng);
        let responder = Responder::new(PrivateKey::generate(&mut rng));
        Self { client, responder, rng }
    }

    pub(crate) fn start_with(
        &mut self,
        suites: SuiteSet,
        psk: Option<&PresharedKey>,
    ) -> (Initiator, [u8; HS_INIT_LEN]) {
        let mut out = [0; HsInit::LEN];
        let config = InitiatorConfig {
            private: &self.client,
            gateway: &self.responder.public(),
            psk,
            suites,
            cid: CLIENT_CID,
            payload: InitPayload { features: 3, lifetime_s: 60, ..InitPayload::default() },
        };
        let initiator = Initiator::start(config, &mut self.rng, &mut out).unwrap();
        (initiator, out)
    }

    pub(crate) fn start(&mut self) -> (Initiator, [u8; HS_INIT_LEN]) {
        self.start_with(SuiteSet::ALL, None)
    }

    pub(crate) fn read(&self, init: &[u8]) -> Result<InitRead, HandshakeError> {
        self.responder.read_init(init, SuiteSet::ALL)
    }

    pub(crate) fn respond(
        &mut self,
        init: &[u8],
        psk: Option<&PresharedKey>,
    ) -> (Established, [u8; HS_RESP_LEN]) {
        let mut out = [0; HS_RESP_LEN];
        let payload = RespPayload { owner_epoch: 1, owner_salt: [9; 16], ..RespPayload::default() };
        let read = self.read(init).unwrap();
        let established = read.respond(psk, &payload, SERVER_CID, &mut self.rng, &mut out).unwrap();
        (established, out)
    }

    /// Client's and gateway's view of one finished handshake.
    pub(crate) fn establish(&mut self) -> (Established, Established) {
        let (initiator, init) = self.start();
        let (server, response) = self.respond(&init, None);
        let (client, _) = initiator.handle_response(&response).unwrap();
        (client, server)
    }
}

/// Epoch 0 of a fresh session.
pub(crate) fn context(established: &Established) -> EpochContext {
    EpochContext {
        sid: established.sid,
        n: 0,
        owner_epoch: 1,
        owner_salt: [9; 16],
        suite: established.suite,
        lanes: 1,
    }
}
