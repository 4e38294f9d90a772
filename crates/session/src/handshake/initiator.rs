//! The agent's side of the handshake.

use jumpvpn_wire::{Cid, HS_INIT_LEN, HsInit, HsResp, HsRetry, InitPayload, RespPayload};
use rand_core::CryptoRng;
use snow::HandshakeState;
use zeroize::Zeroizing;

use super::{Established, HandshakeError, PublicMacs, birth, prologue};
use crate::noise::{self, PSK_SLOT, Seed};
use crate::{PresharedKey, PrivateKey, PublicKey, Suite, SuiteSet};

/// Everything a handshake needs besides randomness.
#[derive(Debug)]
pub struct InitiatorConfig<'a> {
    /// This client's identity.
    pub private: &'a PrivateKey,
    /// The gateway, pinned by configuration.
    pub gateway: &'a PublicKey,
    /// Operator's secret; none is 32 zero bytes.
    pub psk: Option<&'a PresharedKey>,
    /// Suites this client offers.
    pub suites: SuiteSet,
    /// CID this client will listen on.
    pub cid: Cid,
    /// What the client says; its `random` is replaced by fresh bytes.
    pub payload: InitPayload,
}

/// A handshake that waits for its answer.
pub struct Initiator {
    noise: HandshakeState,
    macs: PublicMacs,
    suites: SuiteSet,
    cid: Cid,
    /// The message as sent; a retransmission is byte-identical but for the cookie.
    message: [u8; HS_INIT_LEN],
}

impl Initiator {
    /// Writes HS_INIT into `out`.
    ///
    /// # Errors
    /// [`HandshakeError::Noise`] when the gateway's public key is not usable (small order).
    pub fn start(
        config: InitiatorConfig<'_>,
        rng: &mut dyn CryptoRng,
        out: &mut [u8; HS_INIT_LEN],
    ) -> Result<Self, HandshakeError> {
        let mut payload = config.payload;
        rng.fill_bytes(&mut payload.random);
        let mut message = [0; HS_INIT_LEN];
        HsInit::write_head(&mut message, config.suites.bits(), config.cid);
        let seed = Seed::default();
        seed.fill(rng);
        let mut state = noise::builder(noise::BIRTH, &seed)?
            .prologue(&prologue(&message))?
            .local_private_key(config.private.expose())?
            .remote_public_key(&config.gateway.0)?
            .psk(PSK_SLOT as u8, config.psk.map_or(&[0; 32], PresharedKey::expose))?
            .build_initiator()?;
        state.write_message(&payload.encode(), &mut message[HsInit::NOISE])?;
        let macs = PublicMacs::new(config.gateway);
        macs.write_mac1(&mut message);
        *out = message;
        Ok(Self { noise: state, macs, suites: config.suites, cid: config.cid, message })
    }

    /// The message as last sent, for a retransmission.
    pub fn message(&self) -> &[u8; HS_INIT_LEN] {
        &self.message
    }

    /// CID this client listens on.
    pub fn cid(&self) -> Cid {
        self.cid
    }

    /// Takes a cookie and writes the same HS_INIT with it into `out`.
    ///
    /// # Errors
    /// `Malformed`, `NotOurs` (another CID), `Mac` (not made by somebody who saw our request).
    pub fn handle_retry(
        &mut self,
        datagram: &[u8],
        out: &mut [u8; HS_INIT_LEN],
    ) -> Result<(), HandshakeError> {
        let retry = HsRetry::decode(datagram)?;
        if retry.client_cid != self.cid {
            return Err(HandshakeError::NotOurs);
        }
        let mac1 = HsInit::parse(&self.message)?.mac1();
        if !self.macs.check_retry(&retry, &mac1) {
            return Err(HandshakeError::Mac);
        }
        self.message[HsInit::COOKIE].copy_from_slice(&retry.cookie.0);
        *out = self.message;
        Ok(())
    }

    /// Finishes the handshake. A response that is refused does not destroy the attempt: it comes back with the
    /// error, and the genuine response is still accepted.
    ///
    /// # Errors
    /// `Malformed`, `NotOurs`, `Noise`, `Suite`.
    pub fn handle_response(
        mut self,
        datagram: &[u8],
    ) -> Result<(Established, RespPayload), (Box<Self>, HandshakeError)> {
        match self.read_response(datagram) {
            Ok((suite, payload)) => {
                let (sid, secret) = birth(&mut self.noise);
                let peer_cid = payload.server_cid;
                let local_cid = self.cid;
                Ok((Established { sid, suite, secret, local_cid, peer_cid }, payload))
            }
            Err(error) => Err((Box::new(self), error)),
        }
    }

    fn read_response(&mut self, datagram: &[u8]) -> Result<(Suite, RespPayload), HandshakeError> {
        let response = HsResp::parse(datagram)?;
        if response.client_cid() != self.cid {
            return Err(HandshakeError::NotOurs);
        }
        // Suite and server CID also stand in clear, where anybody on the path can change them: the sealed copies
        // decide, so that a tampered copy of the genuine response does no harm.
        let mut plaintext = Zeroizing::new([0; RespPayload::LEN]);
        self.noise.read_message(response.noise(), plaintext.as_mut_slice())?;
        let payload = RespPayload::decode(plaintext.as_slice())?;
        let suite = Suite::from_number(payload.suite).filter(|&suite| self.suites.contains(suite));
        let suite = suite.ok_or(HandshakeError::Suite)?;
        Ok((suite, payload))
    }
}

impl core::fmt::Debug for Initiator {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Initiator").field("cid", &self.cid).finish_non_exhaustive()
    }
}
