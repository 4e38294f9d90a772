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
fn the_newest_ephemerals_are_remembered() {
    let mut admission = admission();
    let ephemeral = |number: usize| {
        let mut key = [1; 32];
        key[..8].copy_from_slice(&number.to_le_bytes());
        key
    };
    for number in 0..=EPHEMERAL_COUNT {
        admission.note_ephemeral(&ephemeral(number));
    }
    assert_eq!(admission.check_ephemeral(&ephemeral(0)), Ok(()), "one more than there are places for");
    for number in 1..=EPHEMERAL_COUNT {
        let known = admission.check_ephemeral(&ephemeral(number));
        assert_eq!(known, Err(Reason::HandshakeReplay), "number {number}");
    }
}

#[test]
fn takeovers_have_a_budget_of_their_own() {
    let mut admission = admission();
    let now = Time::from_millis(1000);
    assert_eq!((0..1000).filter(|_| admission.take_takeover(now).is_ok()).count(), 256);
    let later = now + Duration::from_millis(100);
    assert_eq!((0..1000).filter(|_| admission.take_takeover(later).is_ok()).count(), 200);
    assert_eq!((0..1000).filter(|_| admission.take_handshake(later).is_ok()).count(), 256);
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
    assert_eq!((0..5000).filter(|number| admission.may_retry(anywhere(*number), now)).count(), 2000);
    assert_eq!((0..5000).filter(|_| admission.may_retry_takeover(now)).count(), 2000);
    assert!(!admission.may_retry(anywhere(5000), now) && !admission.may_retry_takeover(now));
    // Newcomers find some again at once, whatever the flood.
    let later = now + Duration::from_millis(10);
    assert_eq!((0..5000).filter(|number| admission.may_retry(anywhere(*number), later)).count(), 1000);
}

/// An address in a network of its own.
fn anywhere(number: u32) -> IpAddr {
    Ipv4Addr::from(0x0b00_0000 + number * 256).into()
}

#[test]
fn a_flood_of_one_network_leaves_the_cookies_of_all_others_alone() {
    let mut admission = admission();
    let one = |number: u32| IpAddr::from(Ipv4Addr::from(0x0b00_0000 + number % 256));
    let other: IpAddr = "192.0.2.1".parse().unwrap();
    // A million a second for a second, of which 100,000 could be answered.
    for millis in 1000..2000 {
        let now = Time::from_millis(millis);
        for number in 0..1000 {
            admission.may_retry(one(number), now);
        }
        assert!(millis % 5 > 0 || admission.may_retry(other, now), "nothing left after {} ms", millis - 1000);
    }
    // At the worst moment, a newcomer's whole network finds what it may have.
    let (now, third) = (Time::from_millis(1999), IpAddr::from([198, 51, 100, 1]));
    assert_eq!((0..1000).filter(|_| admission.may_retry(third, now)).count(), 200);
}

#[test]
fn whoever_forges_a_network_takes_its_cookies_only_where_they_run_short() {
    let mut admission = admission();
    let victim: IpAddr = "192.0.2.1".parse().unwrap();
    // 50,000 a second: half of what there is.
    for millis in 1000..3000 {
        let now = Time::from_millis(millis);
        assert!((0..50).all(|_| admission.may_retry(victim, now)), "refused after {} ms", millis - 1000);
    }
}
