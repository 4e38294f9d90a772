//! The operations are really done: with keys that cannot work they fail.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;

#[test]
fn it_works_with_good_keys_and_fails_with_bad_ones() {
    let mut work = PublicKeyWork::new(&mut ChaCha20Rng::seed_from_u64(1)).unwrap();
    assert_eq!((work.handshake(), work.rekey()), (Some(()), Some(())));
    let kem_public = std::mem::replace(&mut work.kem_public, [0xff; jumpvpn_kem::PUBLIC_LEN]);
    assert_eq!((work.handshake(), work.rekey()), (Some(()), None), "no ML-KEM key");
    work.kem_public = kem_public;
    work.peer = [0; 32];
    assert_eq!((work.handshake(), work.rekey()), (None, None), "a point of small order");
}
