//! CIDs that lead to their slot of the session table by arithmetic, and tell nobody else which slot that is.
//!
//! A CID is `r ‖ (slot ⊕ F(r))`: 40 random bits, and 24 bits of slot number under the first 24 bits of SipHash-2-4 of
//! them, with a key drawn at start. Whoever does not hold the key sees 64 random bits; two CIDs of one session have
//! nothing in common unless their random parts are equal. A CID that leads somewhere is not yet valid: the slot must
//! hold this very CID (see [`Table`](super::table::Table)). The reasons are in docs/decisions/0016.
use jumpvpn_wire::Cid;
use rand_core::CryptoRng;
use siphasher::sip::SipHasher24;

/// Bits of a slot number: 16 million, more sessions than the memory of one machine holds.
const SLOT_BITS: u32 = 24;
const SLOT_MASK: u64 = (1 << SLOT_BITS) - 1;

/// Slots that CIDs can lead to.
pub(crate) const SLOT_COUNT_MAX: usize = 1 << SLOT_BITS;

/// What no CID is made to be: stands for "none" in the table.
pub(crate) const NO_CID: Cid = Cid(0);

/// The key under which slot numbers are hidden.
pub(crate) struct CidKey(SipHasher24);

impl CidKey {
    /// Draws a key.
    pub fn new(rng: &mut dyn CryptoRng) -> CidKey {
        CidKey(SipHasher24::new_with_keys(rng.next_u64(), rng.next_u64()))
    }

    /// A fresh CID that leads to `slot` (below [`SLOT_COUNT_MAX`]).
    pub fn mint(&self, slot: u32, rng: &mut dyn CryptoRng) -> Cid {
        loop {
            let random = rng.next_u64() >> SLOT_BITS;
            let cid = Cid(random << SLOT_BITS | (u64::from(slot) ^ self.mask(random)) & SLOT_MASK);
            if cid != NO_CID {
                return cid;
            }
        }
    }

    /// The slot that `cid` leads to, if it is one of ours at all.
    #[inline]
    pub fn slot(&self, cid: Cid) -> u32 {
        // invariant: the mask leaves 24 bits.
        ((cid.0 ^ self.mask(cid.0 >> SLOT_BITS)) & SLOT_MASK) as u32
    }

    #[inline]
    fn mask(&self, random: u64) -> u64 {
        self.0.hash(&random.to_le_bytes())
    }
}

#[cfg(test)]
mod tests;
