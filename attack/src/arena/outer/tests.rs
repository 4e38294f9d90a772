//! Invented addresses.
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use super::*;

#[test]
fn whoever_is_invented_is_neither_gateway_nor_client() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for family in Family::BOTH {
        for _ in 0..1000 {
            let (anyone, stranger) = (anyone(family, &mut rng), stranger(family, &mut rng));
            for address in [anyone, stranger] {
                assert_eq!(Family::of(address), family);
                assert!(!clients(family).contains(&address) && address != gateway(family).ip(), "{address}");
            }
            assert!(strangers(family).contains(&stranger), "{stranger}");
            assert!(!strangers(family).contains(&anyone), "{anyone}");
        }
    }
}
