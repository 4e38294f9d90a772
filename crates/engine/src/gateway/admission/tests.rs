//! Tests of admission.
use super::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::time::Duration;

fn admission() -> Admission {
    Admission::new(&mut ChaCha20Rng::seed_from_u64(3))
}

#[test]
fn an_ephemeral_is_answered_once() {
    let mut admission = admission();
    assert_eq!(admission.check_ephemeral(&[1; 32]), Ok(()));
    assert_eq!(admission.check_ephemeral(&[1; 32]), Ok(()), "not answered yet");
    admission.note_ephemeral(&[1; 32]);
    assert_eq!(admission.check_ephemeral(&[1; 32]), Err(Reason::HandshakeReplay));
    assert_eq!(admission.check_ephemeral(&[2; 32]), Ok(()));
}

#[test]
fn load_asks_for_cookies_and_the_budget_ends() {
    let mut admission = admission();
    let now = Time::from_millis(1000);
    assert!(!admission.cookie_needed(now));
    let admitted = (0..1000).filter(|_| admission.take_handshake(now).is_ok()).count();
    assert_eq!(admitted, 256);
    assert!(admission.cookie_needed(now));
    assert!(!admission.cookie_needed(now + Duration::from_secs(1)));
}

#[test]
fn a_prefix_is_limited_without_touching_others() {
    let mut admission = admission();
    let now = Time::from_millis(1000);
    let one: IpAddr = "2001:db8::1".parse().unwrap();
    let same_network: IpAddr = "2001:db8::ffff".parse().unwrap();
    let other: IpAddr = "2001:db8:0:1::1".parse().unwrap();
    assert_eq!((0..10).filter(|_| admission.check_prefix(one, now).is_ok()).count(), 5);
    assert_eq!(admission.check_prefix(same_network, now), Err(Reason::PrefixRateLimited));
    assert_eq!(admission.check_prefix(other, now), Ok(()));
}

#[test]
fn cookies_for_takeovers_are_not_used_up_by_handshakes() {
    let mut admission = admission();
    let now = Time::from_millis(1000);
    assert_eq!((0..5000).filter(|_| admission.may_retry(now)).count(), 2000);
    assert_eq!((0..5000).filter(|_| admission.may_retry_takeover(now)).count(), 2000);
    assert!(!admission.may_retry(now) && !admission.may_retry_takeover(now));
    // Newcomers find some again at once, whatever the flood.
    assert_eq!((0..5000).filter(|_| admission.may_retry(now + Duration::from_millis(10))).count(), 200);
}
