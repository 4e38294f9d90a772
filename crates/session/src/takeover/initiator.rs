//! The agent's side of a takeover.

use core::fmt;

use jumpvpn_wire::{
    ControlHeader, HsRetry, Kind, RouteToken, SessionId, TAKEOVER_INIT_LEN, TakeoverInit,
    TakeoverInitPayload, TakeoverRefusal, TakeoverResp, TakeoverRespPayload,
};
use rand_core::CryptoRng;
use snow::HandshakeState;
use zeroize::Zeroizing;

use super::{Before, TakenOver, prologue, request_tag, state};
use crate::handshake::PublicMacs;
use crate::kdf::MacKey;
use crate::noise::Seed;
use crate::{BindingContext, Credentials, HandshakeError, PrivateKey, PublicKey, Suite, SuiteSet};

/// Everything a takeover needs besides randomness.
#[derive(Debug)]
pub struct TakeoverConfig<'a> {
    /// This client's identity.
    pub private: &'a PrivateKey,
    /// The gateway that is asked, pinned by configuration.
    pub gateway: &'a PublicKey,
    /// Credentials of an epoch that the store may still know.
    pub credentials: &'a Credentials,
    /// The session.
    pub sid: SessionId,
    /// Highest owner epoch this client ever accepted.
    pub owner_epoch: u64,
    /// Version this client knows.
    pub version: u64,
    /// Number of this control message.
    pub cseq: u64,
    /// A route token of the session.
    pub token: RouteToken,
    /// Which token key sealed `token`, 0..=7.
    pub token_config: u8,
    /// What the client says; its `random` is replaced by fresh bytes, its `suites` must not be empty.
    pub payload: TakeoverInitPayload,
}

/// A takeover that waits for its answer.
pub struct TakeoverInitiator {
    noise: HandshakeState,
    macs: PublicMacs,
    request: MacKey,
    refusal: MacKey,
    resume: Zeroizing<[u8; 32]>,
    gateway: PublicKey,
    before: Before,
    cseq: u64,
    payload: TakeoverInitPayload,
    /// The message as last sent; with a cookie it differs in cookie and MAC alone.
    message: [u8; TAKEOVER_INIT_LEN],
}

impl TakeoverInitiator {
    /// Writes TAKEOVER_INIT into `out`.
    ///
    /// # Errors
    /// [`HandshakeError::Noise`] when the gateway's public key is not usable (small order).
    pub fn start(
        config: TakeoverConfig<'_>,
        rng: &mut dyn CryptoRng,
        out: &mut [u8; TAKEOVER_INIT_LEN],
    ) -> Result<Self, HandshakeError> {
        let mut payload = config.payload;
        rng.fill_bytes(&mut payload.random);
        let credentials = config.credentials;
        let header = ControlHeader {
            kind: Kind::TakeoverInit,
            token_config: config.token_config,
            epoch: credentials.n() as u16,
            token: config.token,
            cseq: config.cseq,
        };
        let mut message = [0; TAKEOVER_INIT_LEN];
        TakeoverInit::write_head(&mut message, &header, config.owner_epoch, config.version);
        let prologue = prologue(&config.sid, &TakeoverInit::parse(&message)?, config.gateway);
        let seed = Seed::default();
        seed.fill(rng);
        let private = config.private.expose();
        let mut noise = state(&seed, private, config.gateway, credentials, &prologue, true)?;
        noise.write_message(&payload.encode(), &mut message[TakeoverInit::NOISE])?;
        let mut initiator = Self {
            noise,
            macs: PublicMacs::new(config.gateway),
            request: credentials.request_mac(),
            refusal: credentials.refusal_mac(),
            resume: Zeroizing::new(*credentials.resume()),
            gateway: *config.gateway,
            before: Before { sid: config.sid, n: credentials.n() },
            cseq: config.cseq,
            payload,
            message,
        };
        initiator.write_mac()?;
        *out = initiator.message;
        Ok(initiator)
    }

    fn write_mac(&mut self) -> Result<(), HandshakeError> {
        let tag = request_tag(&self.request, &TakeoverInit::parse(&self.message)?, &self.gateway);
        self.message[TakeoverInit::MAC].copy_from_slice(&tag);
        Ok(())
    }

    /// The message as last sent, for a retransmission.
    pub fn message(&self) -> &[u8; TAKEOVER_INIT_LEN] {
        &self.message
    }

    /// Number of the request.
    pub fn cseq(&self) -> u64 {
        self.cseq
    }

    /// Key epoch whose credentials are used.
    pub fn n(&self) -> u32 {
        self.before.n
    }

    fn mac(&self) -> Result<[u8; 16], HandshakeError> {
        Ok(TakeoverInit::parse(&self.message)?.mac())
    }

    /// Takes a cookie and writes the same request with it into `out`.
    ///
    /// # Errors
    /// `Malformed`, `NotOurs` (another request), `Mac` (not made by somebody who saw our request).
    pub fn handle_retry(
        &mut self,
        datagram: &[u8],
        out: &mut [u8; TAKEOVER_INIT_LEN],
    ) -> Result<(), HandshakeError> {
        let retry = HsRetry::decode(datagram)?;
        if retry.client_cid.0 != self.cseq {
            return Err(HandshakeError::NotOurs);
        }
        if !self.macs.check_retry(&retry, &self.mac()?) {
            return Err(HandshakeError::Mac);
        }
        self.message[TakeoverInit::COOKIE].copy_from_slice(&retry.cookie.0);
        self.write_mac()?;
        *out = self.message;
        Ok(())
    }

    /// What reads refusals of the message as last sent, also when a response has come before.
    pub fn refusals(&self) -> TakeoverRefusals {
        let mut mac = [0; 16];
        mac.copy_from_slice(&self.message[TakeoverInit::MAC]);
        TakeoverRefusals { key: self.refusal.clone(), cseq: self.cseq, epoch: self.before.n as u16, mac }
    }

    /// Reads a refusal. The takeover stays as it is: what follows from a refusal is the caller's to decide.
    ///
    /// # Errors
    /// As [`TakeoverRefusals::read`].
    pub fn read_refusal(&self, datagram: &[u8]) -> Result<TakeoverRefusal, HandshakeError> {
        self.refusals().read(datagram)
    }

    /// Finishes the takeover. A response that is refused does not destroy the attempt: it comes back with the error,
    /// and the genuine response is still accepted.
    ///
    /// # Errors
    /// `Malformed`, `NotOurs`, `Noise`, `Suite`, `NotAhead`.
    pub fn handle_response(
        mut self,
        datagram: &[u8],
    ) -> Result<(TakenOver, TakeoverRespPayload), (Box<Self>, HandshakeError)> {
        match self.read_response(datagram) {
            Ok(finished) => Ok(finished),
            Err(error) => Err((Box::new(self), error)),
        }
    }

    fn read_response(&mut self, datagram: &[u8]) -> Result<(TakenOver, TakeoverRespPayload), HandshakeError> {
        let response = TakeoverResp::parse(datagram)?;
        let epoch = self.before.n.wrapping_add(1) as u16;
        if (response.cseq(), response.epoch()) != (self.cseq, epoch) {
            return Err(HandshakeError::NotOurs);
        }
        let mut plaintext = Zeroizing::new([0; TakeoverRespPayload::LEN]);
        self.noise.read_message(response.noise(), plaintext.as_mut_slice())?;
        let payload = TakeoverRespPayload::decode(plaintext.as_slice())?;
        let request = TakeoverInit::parse(&self.message)?;
        if payload.owner_epoch <= request.owner_epoch() || payload.version <= request.version() {
            return Err(HandshakeError::NotAhead);
        }
        let offered = SuiteSet::from_bits(self.payload.suites);
        let suite = Suite::from_number(payload.suite).filter(|&suite| offered.contains(suite));
        let suite = suite.ok_or(HandshakeError::Suite)?;
        let lanes = self.payload.lanes.max(1);
        let (secret, context) = self.before.finish(&mut self.noise, &self.resume, suite, lanes, &payload)?;
        let binding = BindingContext::takeover(self.cseq, self.payload.path_id);
        let (local_cid, peer_cid) = (self.payload.client_cid, payload.server_cid);
        Ok((TakenOver { secret, context, binding, local_cid, peer_cid }, payload))
    }
}

/// Reads refusals of one request.
pub struct TakeoverRefusals {
    key: MacKey,
    cseq: u64,
    epoch: u16,
    mac: [u8; 16],
}

impl TakeoverRefusals {
    /// Reads a refusal.
    ///
    /// # Errors
    /// `Malformed`, `NotOurs` (another request), `Mac` (not made by somebody who knows the session, for this request).
    pub fn read(&self, datagram: &[u8]) -> Result<TakeoverRefusal, HandshakeError> {
        let refusal = TakeoverRefusal::decode(datagram)?;
        if (refusal.cseq, refusal.epoch) != (self.cseq, self.epoch) {
            return Err(HandshakeError::NotOurs);
        }
        let covered: [&[u8]; 2] = [&datagram[TakeoverRefusal::MAC_INPUT], &self.mac];
        if self.key.verify(&covered, &refusal.mac) { Ok(refusal) } else { Err(HandshakeError::Mac) }
    }
}

impl fmt::Debug for TakeoverRefusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TakeoverRefusals").field("cseq", &self.cseq).finish_non_exhaustive()
    }
}

impl fmt::Debug for TakeoverInitiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TakeoverInitiator")
            .field("cseq", &self.cseq)
            .field("n", &self.before.n)
            .finish_non_exhaustive()
    }
}
