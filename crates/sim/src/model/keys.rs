//! What somebody who knows every secret reads out of a handshake: the model draws an agent's numbers again.
//!
//! The private keys and the agents' generators are the world's, so the model makes the same `Initiator` a second time
//! and finishes it with the gateway's answer. Its keys are therefore those of the handshake on the wire and of no
//! other: an engine that derived them from anything else would not be understood (K1).
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use jumpvpn_policy::{Policy, PostQuantum};
use jumpvpn_session::{Established, Initiator, InitiatorConfig, PrivateKey, PublicKey, SuiteSet};
use jumpvpn_wire::{Cid, HS_INIT_LEN, HsInit, InitPayload, RespPayload, features};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::tap::Tap;

/// Who made an HS_INIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Maker {
    /// An agent in the gateway's list of peers.
    Client(usize),
    /// Somebody with a key of his own who knows the gateway's public key.
    Stranger,
    /// The same, and he offers no suite.
    Suiteless,
}

/// An HS_INIT that was honestly made.
pub(crate) struct Initiation {
    pub maker: Maker,
    pub features: u32,
    key: PrivateKey,
    /// Stands where the agent's generator stood.
    rng: ChaCha20Rng,
    bytes: [u8; HS_INIT_LEN],
}

/// Every HS_INIT that was honestly made, by the CID in it.
#[derive(Default)]
pub(crate) struct Initiations(BTreeMap<Cid, Arc<Initiation>>);

impl Initiations {
    /// An agent sends an HS_INIT. `false` when its numbers cannot be found in what it drew.
    pub fn learn(
        &mut self,
        (client, key): (usize, PrivateKey),
        gateway: &PublicKey,
        policy: &Policy,
        tap: &Tap,
        datagram: &[u8],
    ) -> bool {
        let Ok(init) = HsInit::parse(datagram) else { return false };
        let cid = init.client_cid();
        if self.0.contains_key(&cid) {
            return true;
        }
        let features = match policy.security.pq {
            PostQuantum::Off => 0,
            PostQuantum::On => features::PQ,
            PostQuantum::Required => features::PQ | features::PQ_REQUIRED,
        };
        let drawn = tap.draws().into_iter().find_map(|draw| {
            let mut rng = tap.again(draw);
            (rng.next_u64() == cid.0).then_some(rng)
        });
        let Some(mut rng) = drawn else { return false };
        // The agent fills the payload's random field; the handshake fills it once more.
        let mut random = [0; 16];
        rng.fill_bytes(&mut random);
        let mut bytes = [0; HS_INIT_LEN];
        let maker = Maker::Client(client);
        let initiation = Initiation { maker, features, key, rng, bytes };
        if initiation.begin(gateway, cid, &mut bytes).is_none()
            || bytes[..HsInit::MAC1.end] != datagram[..HsInit::MAC1.end]
        {
            return false;
        }
        self.0.insert(cid, Arc::new(Initiation { bytes, ..initiation }));
        true
    }

    /// Somebody who is no peer sends an HS_INIT.
    pub fn make(
        &mut self,
        maker: Maker,
        gateway: &PublicKey,
        mut rng: ChaCha20Rng,
    ) -> Option<[u8; HS_INIT_LEN]> {
        // The gateway has the same key in all worlds.
        static READY: OnceLock<Vec<(Cid, Arc<Initiation>)>> = OnceLock::new();
        let ready = READY.get_or_init(|| ready_made(gateway));
        let of_maker = || ready.iter().filter(|(_, initiation)| initiation.maker == maker);
        let at = rng.next_u64() as usize % of_maker().count().max(1);
        let (cid, initiation) = of_maker().nth(at)?;
        self.0.insert(*cid, Arc::clone(initiation));
        Some(initiation.bytes)
    }

    /// The one with that CID, without a cookie.
    pub fn bytes(&self, cid: Cid) -> Option<[u8; HS_INIT_LEN]> {
        self.0.get(&cid).map(|initiation| initiation.bytes)
    }

    /// The one that `datagram` is, but for its cookie.
    pub fn find(&self, datagram: &[u8]) -> Option<&Initiation> {
        let init = HsInit::parse(datagram).ok()?;
        let found = self.0.get(&init.client_cid())?.as_ref();
        (found.bytes[..HsInit::MAC1.end] == datagram[..HsInit::MAC1.end]).then_some(found)
    }

    /// What the HS_RESP to it establishes.
    pub fn finish(
        &self,
        gateway: &PublicKey,
        cid: Cid,
        response: &[u8],
    ) -> Option<(Established, RespPayload)> {
        let initiation = self.0.get(&cid)?;
        let initiator = initiation.begin(gateway, cid, &mut [0; HS_INIT_LEN])?;
        initiator.handle_response(response).ok()
    }
}

/// HS_INITs of strangers, made once for all worlds: making each anew, at four X25519 operations, took a quarter of the
/// time of all worlds. A burst of forty rarely has one twice, and the model knows what becomes of a second one.
fn ready_made(gateway: &PublicKey) -> Vec<(Cid, Arc<Initiation>)> {
    const COUNT: u64 = 512;
    let make = |number: u64| {
        let mut rng = ChaCha20Rng::seed_from_u64(number);
        // Numbers alone are the seeds of the keys of gateway and clients.
        rng.set_stream(1);
        let maker = if number.is_multiple_of(3) { Maker::Suiteless } else { Maker::Stranger };
        let (key, cid) = (PrivateKey::generate(&mut rng), Cid(rng.next_u64()));
        let mut bytes = [0; HS_INIT_LEN];
        let initiation = Initiation { maker, features: features::PQ, key, rng, bytes };
        initiation.begin(gateway, cid, &mut bytes)?;
        Some((cid, Arc::new(Initiation { bytes, ..initiation })))
    };
    (0..COUNT).filter_map(make).collect()
}

impl Initiation {
    fn begin(&self, gateway: &PublicKey, cid: Cid, out: &mut [u8; HS_INIT_LEN]) -> Option<Initiator> {
        let suites = if self.maker == Maker::Suiteless { SuiteSet::from_bits(0) } else { SuiteSet::ALL };
        let payload =
            InitPayload { features: self.features, policy: 0, lanes: 1, lifetime_s: 0, random: [0; 16] };
        let config = InitiatorConfig { private: &self.key, gateway, psk: None, suites, cid, payload };
        Initiator::start(config, &mut self.rng.clone(), out).ok()
    }
}
