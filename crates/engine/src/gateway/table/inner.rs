//! From an inner address to the slot of its session, in steps that can be fetched ahead: a hash says which line of memory,
//! the line says which slots, the session says whether the address is its own.
use std::net::IpAddr;

use jumpvpn_prefetch as prefetch;
use rand_core::CryptoRng;
use siphasher::sip::SipHasher13;

/// Addresses of a bucket: so many tags and slots fill a line of memory.
const PLACE_COUNT: usize = 7;
/// Stands for no slot: there are 2^24 at most.
const VACANT: u32 = u32::MAX;

/// Where an address belongs, and by what it is told from most others there.
#[derive(Clone, Copy, Default)]
pub(super) struct Home {
    bucket: u32,
    tag: u32,
}

/// Up to seven addresses, each by 32 bits of its hash.
#[derive(Clone)]
#[repr(align(64))]
struct Bucket {
    tags: [u32; PLACE_COUNT],
    slots: [u32; PLACE_COUNT],
    /// Addresses that are further on because this bucket was full.
    passed: u32,
}

impl Bucket {
    const EMPTY: Bucket = Bucket { tags: [0; PLACE_COUNT], slots: [VACANT; PLACE_COUNT], passed: 0 };

    /// Slots of the addresses with this tag.
    fn slots(&self, tag: u32) -> impl Iterator<Item = u32> + '_ {
        let pairs = self.tags.iter().zip(&self.slots);
        pairs.filter(move |(held, slot)| **held == tag && **slot != VACANT).map(|(_, slot)| *slot)
    }

    fn place_of(&self, tag: u32, slot: u32) -> Option<usize> {
        (0..PLACE_COUNT).find(|place| self.tags[*place] == tag && self.slots[*place] == slot)
    }
}

/// The index. Addresses are an outsider's choice, so the hash is keyed.
pub(super) struct InnerIndex {
    buckets: Vec<Bucket>,
    key: SipHasher13,
}

impl InnerIndex {
    /// With room for `capacity` addresses (at most 2^25), all of it allotted now. Half of the places stay empty, so that few
    /// addresses are further on.
    pub fn new(capacity: usize, rng: &mut dyn CryptoRng) -> InnerIndex {
        let count = (capacity * 2).div_ceil(PLACE_COUNT).next_power_of_two();
        let mut buckets = Vec::with_capacity(count);
        prefetch::huge(&mut buckets);
        buckets.resize(count, Bucket::EMPTY);
        InnerIndex { buckets, key: SipHasher13::new_with_keys(rng.next_u64(), rng.next_u64()) }
    }

    /// Where `address` belongs.
    #[inline]
    pub fn home(&self, address: &IpAddr) -> Home {
        let hash = match address {
            IpAddr::V4(address) => self.key.hash(&address.octets()),
            IpAddr::V6(address) => self.key.hash(&address.octets()),
        };
        // invariant: the count is a power of two below 2^32.
        Home { bucket: hash as u32 & (self.buckets.len() - 1) as u32, tag: (hash >> 32) as u32 }
    }

    /// Fetches what [`InnerIndex::guess`] reads.
    #[inline]
    pub fn foresee(&self, home: Home) {
        prefetch::line(&self.buckets[home.bucket as usize]);
    }

    /// The slot an address most likely has, for fetching ahead.
    #[inline]
    pub fn guess(&self, home: Home) -> Option<u32> {
        self.buckets[home.bucket as usize].slots(home.tag).next()
    }

    /// The slot of an address; `is_there` says whether it is really that of a slot.
    #[inline]
    pub fn find(&self, home: Home, is_there: impl Fn(u32) -> bool) -> Option<u32> {
        let bucket = &self.buckets[home.bucket as usize];
        let found = bucket.slots(home.tag).find(|slot| is_there(*slot));
        if found.is_some() || bucket.passed == 0 { found } else { self.find_further(home, is_there) }
    }

    #[cold]
    fn find_further(&self, home: Home, is_there: impl Fn(u32) -> bool) -> Option<u32> {
        for bucket in self.from(home) {
            let found = bucket.slots(home.tag).find(|slot| is_there(*slot));
            if found.is_some() || bucket.passed == 0 {
                return found;
            }
        }
        None
    }

    /// Enters an address that is not there. Beyond the capacity it may be left out.
    pub fn insert(&mut self, home: Home, slot: u32) {
        let vacancy = |bucket: &Bucket| bucket.slots.iter().position(|held| *held == VACANT);
        let found = self.from(home).enumerate().find_map(|(far, bucket)| Some((far, vacancy(bucket)?)));
        if let Some((far, place)) = found {
            (0..far).for_each(|near| self.bucket_mut(home, near).passed += 1);
            let bucket = self.bucket_mut(home, far);
            (bucket.tags[place], bucket.slots[place]) = (home.tag, slot);
        }
    }

    /// Takes an address out that leads to `slot`, if it is there.
    pub fn remove(&mut self, home: Home, slot: u32) {
        let mut found = None;
        for (far, bucket) in self.from(home).enumerate() {
            found = bucket.place_of(home.tag, slot).map(|place| (far, place));
            if found.is_some() || bucket.passed == 0 {
                break;
            }
        }
        if let Some((far, place)) = found {
            (0..far).for_each(|near| self.bucket_mut(home, near).passed -= 1);
            self.bucket_mut(home, far).slots[place] = VACANT;
        }
    }

    /// All buckets, the one at home first.
    fn from(&self, home: Home) -> impl Iterator<Item = &Bucket> {
        let (before, after) = self.buckets.split_at(home.bucket as usize);
        after.iter().chain(before)
    }

    fn bucket_mut(&mut self, home: Home, far: usize) -> &mut Bucket {
        let at = (home.bucket as usize + far) % self.buckets.len();
        &mut self.buckets[at]
    }
}

const _: () = assert!(size_of::<Bucket>() == prefetch::LINE_LEN);

#[cfg(test)]
mod tests;
