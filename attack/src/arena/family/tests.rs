//! Invented addresses.
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use super::*;

#[test]
fn whoever_is_invented_is_neither_gateway_nor_client() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for family in Family::ALL {
        for _ in 0..1000 {
            let (anyone, stranger) = (family.anyone(&mut rng), family.stranger(&mut rng));
            for address in [anyone, stranger] {
                assert_eq!(Family::of(address), *family);
                assert!(
                    !family.clients().contains(&address) && address != family.gateway().ip(),
                    "{address}"
                );
            }
            assert!(family.strangers().contains(&stranger), "{stranger}");
            assert!(!family.strangers().contains(&anyone), "{anyone}");
        }
    }
}
