//! Which faults come, whom they meet, and which runs do not count.

use super::*;

#[test]
fn every_kind_of_fault_comes_once_before_one_comes_again() {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let [one, two] = [shuffled(&mut random), shuffled(&mut random)];
    assert_eq!(one.len(), 17);
    assert_ne!(one, two);
    for kind in &one {
        assert_eq!(two.iter().filter(|other| *other == kind).count(), 1, "{kind}");
    }
    let again = shuffled(&mut ChaCha8Rng::seed_from_u64(7));
    assert_eq!(one, again, "the seed decides");
}

#[test]
fn most_faults_meet_the_owner() {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let met = (0..400).filter(|_| aimed(Fault::GatewayKilled(0), 2, &mut random) == Fault::GatewayKilled(2));
    let count = met.count();
    // Three quarters and a third of the rest: 333 of 400.
    assert!((300..370).contains(&count), "{count}");
}

#[test]
fn a_run_without_effect_does_not_count() {
    let figures = Figures { step_count: 9, move_count: 2, packet_counts: [800, 900], key_count: 3 };
    assert_eq!(too_little(8, figures), None);
    assert!(too_little(0, Figures::default()).is_some(), "nothing happened");
    assert!(too_little(9, figures).is_some(), "three moves are wanted");
    for side in [0, 1] {
        let mut deaf = figures;
        deaf.packet_counts[side] = 799;
        assert!(too_little(8, deaf).is_some());
    }
}

#[test]
fn a_fault_of_one_gateway_silences_no_other() {
    let from = unix_now();
    let one = silences(Fault::GatewayKilled(1), from);
    assert!(matches!(one[..], [Silence { gateway: 1, .. }]), "{one:?}");
    assert!(one[0].from == from && one[0].to >= from);
    assert_eq!(silences(Fault::LeaderCut, from).len(), COUNT);
}
