//! CIDs of the gateway: which slot of its table they lead to, and which one it draws next (docs/decisions/0016).
use std::hash::Hasher as _;

use jumpvpn_wire::Cid;
use rand_chacha::ChaCha20Rng;
use rand_core::Rng as _;
use siphasher::sip::SipHasher24;

/// Low bits of a CID, which hide the slot.
const SLOT_MASK: u64 = 0xff_ffff;

/// The key under which slots are hidden.
#[derive(Clone, Copy)]
pub(crate) struct CidKey(SipHasher24);

impl CidKey {
    /// The key of the gateway that starts with this generator: its second pair of numbers. Was it another one, no key
    /// epoch behind the first would be predicted, and every world would fail.
    pub fn of_gateway(mut rng: ChaCha20Rng) -> CidKey {
        let [_, _, one, two] = std::array::from_fn(|_| rng.next_u64());
        CidKey(SipHasher24::new_with_keys(one, two))
    }

    /// The next CID of the session that has `other`: it leads to the same slot.
    pub fn draw_beside(&self, other: Cid, rng: &mut ChaCha20Rng) -> Cid {
        let slot = other.0 ^ self.mask(other.0);
        let random = rng.next_u64() & !SLOT_MASK;
        Cid(random | (slot ^ self.mask(random)) & SLOT_MASK)
    }

    fn mask(&self, cid: u64) -> u64 {
        let mut hasher = self.0;
        hasher.write_u64(cid >> SLOT_MASK.count_ones());
        hasher.finish()
    }
}
