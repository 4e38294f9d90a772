//! The index does what a map does, also where buckets are full.
use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::*;

fn address(number: u32) -> IpAddr {
    match number % 2 {
        0 => Ipv6Addr::from(u128::from(number)).into(),
        _ => std::net::Ipv4Addr::from(number).into(),
    }
}

/// A slot stands for the address of this number.
fn find(index: &InnerIndex, number: u32) -> Option<u32> {
    index.find(index.home(&address(number)), |slot| slot == number)
}

#[test]
fn it_does_what_a_map_does_while_buckets_overflow() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    // Two buckets with 14 places: with up to 14 addresses nearly each is full at some time.
    let mut index = InnerIndex::new(7, &mut rng);
    assert_eq!(index.buckets.len(), 2);
    let (mut map, mut most) = (BTreeMap::new(), 0);
    for _ in 0..20_000 {
        let number = rng.next_u32() % 40;
        let home = index.home(&address(number));
        if map.remove(&number).is_some() {
            index.remove(home, number);
        } else if map.len() < 14 {
            index.insert(home, number);
            map.insert(number, ());
        }
        index.remove(home, 77);
        for number in 0..40 {
            assert_eq!(find(&index, number), map.contains_key(&number).then_some(number));
        }
        most = most.max(index.buckets.iter().map(|bucket| bucket.passed).sum());
    }
    assert!(most > 2, "no bucket overflowed");
    for number in map.into_keys() {
        index.remove(index.home(&address(number)), number);
    }
    assert!(index.buckets.iter().all(|bucket| bucket.passed == 0));
}

#[test]
fn of_two_addresses_with_one_tag_each_leads_to_its_own_slot() {
    let mut index = InnerIndex::new(8, &mut ChaCha8Rng::seed_from_u64(6));
    let home = index.home(&address(1));
    index.insert(home, 1);
    index.insert(home, 2);
    assert_eq!(index.guess(home), Some(1));
    assert_eq!(index.find(home, |slot| slot == 2), Some(2));
    index.remove(home, 1);
    assert_eq!(index.find(home, |slot| slot == 1), None);
    assert_eq!(index.find(home, |slot| slot == 2), Some(2));
}

#[test]
fn what_does_not_fit_displaces_nothing() {
    let mut index = InnerIndex::new(1, &mut ChaCha8Rng::seed_from_u64(7));
    assert_eq!(index.buckets.len(), 1);
    for number in 0..9 {
        index.insert(index.home(&address(number)), number);
    }
    assert!((0..7).all(|number| find(&index, number) == Some(number)));
    assert_eq!((find(&index, 7), find(&index, 8)), (None, None));
}
