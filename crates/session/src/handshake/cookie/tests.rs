//! A cookie is good for one address, one CID, ten seconds.

use super::*;
use crate::testing::rng;

const CID: Cid = Cid(5);

fn source() -> SocketAddr {
    "192.0.2.1:1000".parse().unwrap()
}

#[test]
fn a_cookie_is_bound_to_address_port_and_cid() {
    let now = Time::from_millis(123_456);
    let keys = CookieKeys::new(now, &mut rng(1)).unwrap();
    let cookie = keys.issue(now, source(), CID);
    assert!(keys.check(now, source(), CID, &cookie));
    assert!(
        keys.check(now, "[::ffff:192.0.2.1]:1000".parse().unwrap(), CID, &cookie),
        "one peer, two spellings"
    );
    assert!(!keys.check(now, "192.0.2.2:1000".parse().unwrap(), CID, &cookie));
    assert!(!keys.check(now, "192.0.2.1:1001".parse().unwrap(), CID, &cookie));
    assert!(!keys.check(now, source(), Cid(6), &cookie));
    for bit in 0..24 * 8 {
        let mut forged = cookie;
        forged.0[bit / 8] ^= 1 << (bit % 8);
        assert!(!keys.check(now, source(), CID, &forged), "bit {bit}");
    }
    let other = CookieKeys::new(now, &mut rng(2)).unwrap();
    assert!(!other.check(now, source(), CID, &cookie), "another process");
}

#[test]
fn a_cookie_lives_ten_seconds_and_never_comes_from_the_future() {
    let now = Time::from_millis(50_000);
    let keys = CookieKeys::new(now, &mut rng(1)).unwrap();
    let cookie = keys.issue(now, source(), CID);
    assert!(keys.check(now + COOKIE_MAX_AGE, source(), CID, &cookie));
    assert!(!keys.check(now + COOKIE_MAX_AGE + Duration::from_millis(1), source(), CID, &cookie));
    assert!(!keys.check(now - Duration::from_millis(1), source(), CID, &cookie));
}

#[test]
fn a_cookie_survives_one_rotation() {
    let mut rng = rng(3);
    let start = Time::from_millis(1);
    let mut keys = CookieKeys::new(start, &mut rng).unwrap();
    let late = start + COOKIE_ROTATION - Duration::from_millis(1);
    keys.refresh(late, &mut rng).unwrap();
    let cookie = keys.issue(late, source(), CID);
    let first = keys.current.tag(&[b"x"]);
    keys.refresh(start + COOKIE_ROTATION, &mut rng).unwrap();
    assert_ne!(keys.current.tag(&[b"x"]), first, "rotated");
    keys.refresh(start + COOKIE_ROTATION + Duration::from_millis(1), &mut rng).unwrap();
    assert!(keys.check(start + COOKIE_ROTATION, source(), CID, &cookie));
    keys.refresh(start + 2 * COOKIE_ROTATION, &mut rng).unwrap();
    assert!(!keys.check(late, source(), CID, &cookie), "two rotations are one too many");
}

#[test]
fn after_a_long_pause_no_old_key_stays() {
    let mut rng = rng(4);
    let mut keys = CookieKeys::new(Time::ZERO, &mut rng).unwrap();
    let cookie = keys.issue(Time::ZERO, source(), CID);
    keys.refresh(Time::ZERO + 2 * COOKIE_ROTATION, &mut rng).unwrap();
    assert!(!keys.check(Time::ZERO, source(), CID, &cookie));
}
