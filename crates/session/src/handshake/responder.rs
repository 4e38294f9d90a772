//! The gateway's side of the handshake.

use jumpvpn_wire::{Cid, Cookie, HS_RESP_LEN, HsInit, HsResp, HsRetry, InitPayload, RespPayload};
use rand_core::CryptoRng;
use snow::HandshakeState;
use zeroize::Zeroizing;

use super::{Established, HandshakeError, PublicMacs, birth, prologue};
use crate::noise::{self, PSK_SLOT, Seed};
use crate::{PresharedKey, PrivateKey, PublicKey, Suite, SuiteSet};

/// A gateway's identity, ready to read requests.
pub struct Responder {
    pub(crate) private: PrivateKey,
    public: PublicKey,
    pub(crate) macs: PublicMacs,
}

impl Responder {
    /// With the gateway's private key.
    pub fn new(private: PrivateKey) -> Self {
        let public = private.public();
        Self { macs: PublicMacs::new(&public), private, public }
    }

    /// The gateway's public key.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// Row 2 of section 7.3: whether the sender knows the gateway's public key. No public-key operation.
    pub fn check_mac1(&self, datagram: &[u8]) -> bool {
        HsInit::parse(datagram).is_ok_and(|init| self.macs.check_mac1(&init))
    }

    /// The HS_RETRY that carries `cookie` for this request.
    pub fn write_retry(&self, init: &HsInit<'_>, cookie: Cookie) -> [u8; HsRetry::LEN] {
        let mut retry = HsRetry { client_cid: init.client_cid(), cookie, mac: [0; 16] };
        retry.mac = self.macs.retry_mac(&retry, &init.mac1());
        retry.encode()
    }

    /// Rows 7 and 8 of section 7.3: two X25519 operations, so `mac1`, cookie and budgets must have been checked.
    /// No state is kept here.
    ///
    /// # Errors
    /// `Malformed`, `Mac`, `Suite` (none in common with `suites`), `Noise`.
    pub fn read_init(&self, datagram: &[u8], suites: SuiteSet) -> Result<InitRead, HandshakeError> {
        let init = HsInit::parse(datagram)?;
        if !self.macs.check_mac1(&init) {
            return Err(HandshakeError::Mac);
        }
        let offer = SuiteSet::from_bits(init.suites());
        let suite = SuiteSet::choose(offer, suites).ok_or(HandshakeError::Suite)?;
        let seed = Seed::default();
        let mut state = noise::builder(noise::BIRTH, &seed)?
            .prologue(&prologue(init.bytes()))?
            .local_private_key(self.private.expose())?
            .build_responder()?;
        let mut plaintext = Zeroizing::new([0; InitPayload::LEN]);
        state.read_message(&init.bytes()[HsInit::NOISE], plaintext.as_mut_slice())?;
        let payload = InitPayload::decode(plaintext.as_slice())?;
        let peer = remote(&state).ok_or(HandshakeError::Noise)?;
        let (ephemeral, client_cid) = (init.ephemeral(), init.client_cid());
        Ok(InitRead { peer, payload, ephemeral, client_cid, suite, seed, noise: state })
    }
}

impl core::fmt::Debug for Responder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Responder").field("public", &self.public).finish_non_exhaustive()
    }
}

fn remote(state: &HandshakeState) -> Option<PublicKey> {
    state.get_remote_static().and_then(|key| key.first_chunk::<32>()).map(|key| PublicKey(*key))
}

/// A request whose sender has proved to hold the private key of `peer`; whether it may do anything is the
/// caller's to decide.
pub struct InitRead {
    /// The client.
    pub peer: PublicKey,
    /// What it asks for.
    pub payload: InitPayload,
    /// Its ephemeral key: the mark by which a repeated request is known.
    pub ephemeral: [u8; 32],
    /// CID it listens on.
    pub client_cid: Cid,
    /// Suite chosen.
    pub suite: Suite,
    seed: Seed,
    noise: HandshakeState,
}

impl InitRead {
    /// Writes HS_RESP into `out`. `suite` and `server_cid` of the payload are filled in here.
    ///
    /// # Errors
    /// [`HandshakeError::Noise`] when the client's ephemeral key is not usable (small order).
    pub fn respond(
        mut self,
        psk: Option<&PresharedKey>,
        payload: &RespPayload,
        server_cid: Cid,
        rng: &mut dyn CryptoRng,
        out: &mut [u8; HS_RESP_LEN],
    ) -> Result<Established, HandshakeError> {
        self.seed.fill(rng);
        let suite = self.suite;
        let payload = RespPayload { suite: suite.number(), server_cid, ..*payload };
        let psk: &[u8; 32] = psk.map_or(&[0; 32], PresharedKey::expose);
        self.noise.set_psk(PSK_SLOT, psk)?;
        HsResp::write_head(out, suite.number(), self.client_cid, server_cid);
        let plaintext = Zeroizing::new(payload.encode());
        self.noise.write_message(plaintext.as_slice(), &mut out[HsResp::NOISE])?;
        let (sid, secret) = birth(&mut self.noise);
        Ok(Established { sid, suite, secret, local_cid: server_cid, peer_cid: self.client_cid })
    }
}

impl core::fmt::Debug for InitRead {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("InitRead")
            .field("peer", &self.peer)
            .field("client_cid", &self.client_cid)
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}
