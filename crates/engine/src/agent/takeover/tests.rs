//! Tests of the order in which gateways are asked.

use super::*;

const SESSIONS: u32 = 4_000;

fn session(number: u32) -> SessionId {
    let mut bytes = [0x5a; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    SessionId(bytes)
}

fn gateways(count: u8) -> Vec<PublicKey> {
    (1..=count).map(|number| PublicKey([number; 32])).collect()
}

/// How many sessions begin with each of them, without one that is gone.
fn begun_with(publics: &[PublicKey], gone: Option<usize>) -> Vec<u32> {
    let mut counts = vec![0; publics.len()];
    for number in 0..SESSIONS {
        let order = rendezvous(session(number), publics);
        if let Some(first) = order.into_iter().find(|gateway| Some(*gateway) != gone) {
            counts[first] += 1;
        }
    }
    counts
}

/// 1,000 of 4,000 with four gateways, with a standard deviation of 27: six of them are left on each side.
#[test]
fn sessions_spread_evenly_and_those_of_a_dead_gateway_over_all_others() {
    let publics = gateways(4);
    let all = begun_with(&publics, None);
    assert!(all.iter().all(|count| (835..=1165).contains(count)), "{all:?}");
    let left = begun_with(&publics, Some(2));
    let gained: Vec<u32> = left.iter().zip(&all).map(|(left, all)| left.saturating_sub(*all)).collect();
    assert_eq!((left[2], gained.iter().sum::<u32>()), (0, all[2]));
    // A third of its sessions to each, with a standard deviation of 15.
    assert!([0, 1, 3].iter().all(|at| gained[*at].abs_diff(all[2] / 3) <= 90), "{gained:?} of {all:?}");
}

#[test]
fn an_order_is_the_same_each_time_and_a_new_gateway_takes_its_share_alone() {
    let (four, five) = (gateways(4), gateways(5));
    for number in 0..SESSIONS {
        let order = rendezvous(session(number), &four);
        assert_eq!(order, rendezvous(session(number), &four));
        let mut with_new = rendezvous(session(number), &five);
        with_new.retain(|gateway| *gateway != 4);
        assert_eq!(with_new, order, "the others keep their places");
    }
    let reversed: Vec<PublicKey> = four.iter().rev().copied().collect();
    let by_place = |order: Vec<usize>, publics: &[PublicKey]| -> Vec<PublicKey> {
        order.into_iter().map(|gateway| publics[gateway]).collect()
    };
    assert_eq!(
        by_place(rendezvous(session(1), &four), &four),
        by_place(rendezvous(session(1), &reversed), &reversed),
        "whatever the order in the file"
    );
}
