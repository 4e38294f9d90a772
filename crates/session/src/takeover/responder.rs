//! The gateway's side of a takeover.

use core::fmt;

use jumpvpn_wire::{
    Cid, Cookie, HsRetry, SessionId, TAKEOVER_RESP_LEN, TakeoverInit, TakeoverInitPayload, TakeoverRefusal,
    TakeoverResp, TakeoverRespPayload,
};
use rand_core::CryptoRng;
use snow::HandshakeState;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{Before, TakenOver, prologue, request_tag, state};
use crate::noise::Seed;
use crate::{BindingContext, Credentials, HandshakeError, PublicKey, Responder, Suite, SuiteSet};

impl Responder {
    /// The HS_RETRY that carries `cookie` for this request. It names the request by its `cseq`; so should the cookie.
    pub fn write_takeover_retry(&self, init: &TakeoverInit<'_>, cookie: Cookie) -> [u8; HsRetry::LEN] {
        let cseq = init.header().map_or(0, |header| header.cseq);
        let mut retry = HsRetry { client_cid: Cid(cseq), cookie, mac: [0; 16] };
        retry.mac = self.macs.retry_mac(&retry, &init.mac());
        retry.encode()
    }

    /// Whether the request was made by the holder of these credentials, for this gateway. No public-key operation.
    pub fn check_takeover_mac(&self, credentials: &Credentials, init: &TakeoverInit<'_>) -> bool {
        let tag = request_tag(&credentials.request_mac(), init, &self.public());
        let epoch = init.header().map(|header| header.epoch);
        epoch == Ok(credentials.n() as u16) && bool::from(tag.ct_eq(&init.mac()))
    }

    /// Reads a request: two X25519 operations, so cookie, route token, budgets, the record and the MAC must have been
    /// looked at. The MAC is checked once more. `peer` is the client of the record. No state is kept here.
    ///
    /// # Errors
    /// `Mac`, `Noise`, `Malformed`, `Suite` (none in common with `suites`).
    pub fn read_takeover(
        &self,
        init: &TakeoverInit<'_>,
        sid: SessionId,
        peer: &PublicKey,
        credentials: &Credentials,
        suites: SuiteSet,
    ) -> Result<TakeoverRead, HandshakeError> {
        if !self.check_takeover_mac(credentials, init) {
            return Err(HandshakeError::Mac);
        }
        let seed = Seed::default();
        let prologue = prologue(&sid, init, &self.public());
        let mut noise = state(&seed, self.private.expose(), peer, credentials, &prologue, false)?;
        let mut plaintext = Zeroizing::new([0; TakeoverInitPayload::LEN]);
        noise.read_message(init.noise(), plaintext.as_mut_slice())?;
        let payload = TakeoverInitPayload::decode(plaintext.as_slice())?;
        let suite = SuiteSet::choose(SuiteSet::from_bits(payload.suites), suites);
        Ok(TakeoverRead {
            payload,
            suite: suite.ok_or(HandshakeError::Suite)?,
            cseq: init.header()?.cseq,
            before: Before { sid, n: credentials.n() },
            resume: Zeroizing::new(*credentials.resume()),
            seed,
            noise,
        })
    }
}

impl Credentials {
    /// The refusal of a request, as a datagram. `epoch`, `cseq` and `mac` of `refusal` are filled in here.
    pub fn refuse_takeover(
        &self,
        init: &TakeoverInit<'_>,
        refusal: &TakeoverRefusal,
    ) -> [u8; TakeoverRefusal::LEN] {
        let cseq = init.header().map_or(0, |header| header.cseq);
        let mut refusal = TakeoverRefusal { epoch: self.n() as u16, cseq, mac: [0; 16], ..*refusal };
        let covered = refusal.encode();
        refusal.mac = self.refusal_mac().tag(&[&covered[TakeoverRefusal::MAC_INPUT], &init.mac()]);
        refusal.encode()
    }
}

/// A request whose sender has proved to hold the client's private key and the session's resume secret.
pub struct TakeoverRead {
    /// What it says.
    pub payload: TakeoverInitPayload,
    /// Suite chosen.
    pub suite: Suite,
    cseq: u64,
    before: Before,
    resume: Zeroizing<[u8; 32]>,
    seed: Seed,
    noise: HandshakeState,
}

impl TakeoverRead {
    /// Writes TAKEOVER_RESP into `out`. The `suite` of the payload is filled in here.
    ///
    /// # Errors
    /// [`HandshakeError::Noise`] when the client's ephemeral key is not usable (small order), `NotAhead` when the key
    /// epochs are used up.
    pub fn respond(
        mut self,
        payload: &TakeoverRespPayload,
        rng: &mut dyn CryptoRng,
        out: &mut [u8; TAKEOVER_RESP_LEN],
    ) -> Result<TakenOver, HandshakeError> {
        self.seed.fill(rng);
        let payload = TakeoverRespPayload { suite: self.suite.number(), ..*payload };
        TakeoverResp::write_head(out, self.before.n.wrapping_add(1) as u16, self.cseq);
        let plaintext = Zeroizing::new(payload.encode());
        self.noise.write_message(plaintext.as_slice(), &mut out[TakeoverResp::NOISE])?;
        let lanes = self.payload.lanes.max(1);
        let (secret, context) =
            self.before.finish(&mut self.noise, &self.resume, self.suite, lanes, &payload)?;
        let binding = BindingContext::takeover(self.cseq, self.payload.path_id);
        let (local_cid, peer_cid) = (payload.server_cid, self.payload.client_cid);
        Ok(TakenOver { secret, context, binding, local_cid, peer_cid })
    }
}

impl fmt::Debug for TakeoverRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TakeoverRead")
            .field("cseq", &self.cseq)
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}
