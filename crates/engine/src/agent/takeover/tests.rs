//! Tests of the order in which gateways are asked.

use super::*;

const SESSIONS: u32 = 4_000;

fn session(number: u32) -> [u8; 16] {
    let mut bytes = [0x5a; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn gateways(count: u8) -> Vec<GatewayPeer> {
    let one = |number| GatewayPeer::of_file(PublicKey([number; 32]), Vec::new());
    (1..=count).map(one).collect()
}

/// How many sessions begin with each of them, without one that is gone.
fn begun_with(gateways: &[GatewayPeer], gone: Option<usize>) -> Vec<u32> {
    let mut counts = vec![0; gateways.len()];
    for number in 0..SESSIONS {
        let order = rendezvous(session(number), gateways);
        if let Some(first) = order.into_iter().find(|gateway| Some(*gateway) != gone) {
            counts[first] += 1;
        }
    }
    counts
}

/// 1,000 of 4,000 with four gateways, with a standard deviation of 27: six of them are left on each side.
#[test]
fn sessions_spread_evenly_and_those_of_a_dead_gateway_over_all_others() {
    let four = gateways(4);
    let all = begun_with(&four, None);
    assert!(all.iter().all(|count| (835..=1165).contains(count)), "{all:?}");
    let left = begun_with(&four, Some(2));
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
    let reversed: Vec<GatewayPeer> = gateways(4).into_iter().rev().collect();
    let by_place = |order: Vec<usize>, peers: &[GatewayPeer]| -> Vec<PublicKey> {
        order.into_iter().map(|gateway| peers[gateway].public).collect()
    };
    assert_eq!(
        by_place(rendezvous(session(1), &four), &four),
        by_place(rendezvous(session(1), &reversed), &reversed),
        "whatever the order in the file"
    );
}

/// Weights alike are no weights: the order is that of the hash alone, as it always was.
#[test]
fn without_weights_the_hash_decides() {
    let mut peers = gateways(8);
    let by_hash = |who: [u8; 16], peers: &[GatewayPeer]| {
        let hash = |gateway: &usize| {
            let mut hasher = SipHasher13::new_with_key(&who);
            hasher.write(&peers[*gateway].public.0);
            std::cmp::Reverse(hasher.finish())
        };
        let mut order: Vec<usize> = (0..peers.len()).collect();
        order.sort_by_key(hash);
        order
    };
    for weight in [1, 100] {
        peers.iter_mut().for_each(|peer| peer.weight = weight);
        for number in 0..SESSIONS {
            assert_eq!(rendezvous(session(number), &peers), by_hash(session(number), &peers));
        }
    }
}

/// 4,000 sessions by weights 1, 2 and 5: 500, 1,000 and 2,500 of them, with standard deviations of 21, 27 and 31; six of them are
/// left on each side.
#[test]
fn sessions_spread_by_weight_and_a_changed_weight_moves_no_others() {
    let mut peers = gateways(3);
    (peers[1].weight, peers[2].weight) = (2, 5);
    let counts = begun_with(&peers, None);
    for (count, (wanted, spread)) in counts.iter().zip([(500, 126), (1_000, 162), (2_500, 186)]) {
        assert!(count.abs_diff(wanted) <= spread, "{counts:?}");
    }
    for number in 0..SESSIONS {
        let before = rendezvous(session(number), &peers)[0];
        let mut heavier = gateways(3);
        (heavier[1].weight, heavier[2].weight) = (2, 9);
        let after = rendezvous(session(number), &heavier)[0];
        assert!(after == before || after == 2, "who got more weight is the only one to get more");
    }
}

#[test]
fn a_gateway_that_drains_is_asked_last_whatever_its_weight() {
    let mut peers = gateways(4);
    (peers[2].draining, peers[2].weight) = (true, 100);
    for number in 0..SESSIONS {
        let order = rendezvous(session(number), &peers);
        assert_eq!(order[3], 2);
        let mut left = rendezvous(session(number), &gateways(4));
        left.retain(|gateway| *gateway != 2);
        assert_eq!(order[..3], left, "and the others keep their places");
    }
    peers.iter_mut().for_each(|peer| peer.draining = true);
    assert_eq!(rendezvous(session(1), &peers).len(), 4, "if all drain, all are asked");
}

/// With up to four credentials, as many as are kept: the newest at every gateway, then each within two rounds of credentials, and all
/// of them at every gateway.
#[test]
fn no_credentials_wait_until_all_gateways_were_asked_with_all_others() {
    for (gateway_count, kept) in (1..=6).flat_map(|gateways| (1..=4).map(move |kept| (gateways, kept))) {
        let tried = |turn: usize| credentials_turn(turn, gateway_count) % kept;
        assert!((0..gateway_count).all(|turn| tried(turn) == 0), "the newest first");
        for from in gateway_count..100 {
            let soon: std::collections::BTreeSet<usize> = (from..from + 2 * kept).map(tried).collect();
            assert_eq!(soon.len(), kept, "{gateway_count} gateways, {kept} credentials, from turn {from}");
        }
        let all = (0..gateway_count * (kept + 1)).map(|turn| (turn % gateway_count, tried(turn)));
        let all: std::collections::BTreeSet<(usize, usize)> = all.collect();
        assert_eq!(all.len(), gateway_count * kept, "{gateway_count} gateways, {kept} credentials");
    }
}
