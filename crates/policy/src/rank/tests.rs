//! Tests of the order.

use proptest::prelude::*;

use super::*;

fn alive(id: u32, rtt_ms: u64) -> PathView {
    let rtt = Some(Duration::from_millis(rtt_ms));
    PathView { health: Health::Alive, warm: true, rtt, ..PathView::new(id, Class::Udp, Time::ZERO) }
}

fn order(paths: &[PathView]) -> Vec<u32> {
    rank(&Policy::spec_default(), Time::from_millis(1_000), paths).into_iter().map(|rank| rank.id).collect()
}

#[test]
fn bands_go_before_quality() {
    let dead = PathView { health: Health::Dead, ..alive(1, 1) };
    let unproven = PathView { health: Health::Unproven, ..alive(2, 1) };
    let suspect = PathView { health: Health::Suspect, ..alive(3, 1) };
    let held = PathView { held_until: Some(Time::MAX), ..alive(4, 1) };
    let lossy = PathView { loss_permille: 201, ..alive(5, 1) };
    let good = alive(6, 900);
    assert_eq!(order(&[dead, unproven, suspect, held, lossy, good]), [6, 5, 4, 3, 2, 1]);
}

#[test]
fn preference_goes_before_cost_and_cost_before_warmth() {
    let preferred = PathView { preference: 1, ..alive(1, 500) };
    let cold = PathView { warm: false, ..alive(2, 20) };
    assert_eq!(order(&[alive(4, 20), alive(3, 21), cold, preferred]), [1, 4, 2, 3]);
}

#[test]
fn class_loss_and_meter_cost_what_the_policy_says() {
    let policy = Policy::spec_default();
    let cost = |path: PathView| cost_us(&policy, &path);
    assert_eq!(cost(alive(1, 20)), 20_000);
    assert_eq!(cost(PathView { class: Class::Tcp, ..alive(1, 20) }), 45_000);
    assert_eq!(cost(PathView { class: Class::Tls, ..alive(1, 20) }), 70_000);
    assert_eq!(cost(PathView { metered: true, ..alive(1, 20) }), 70_000);
    assert_eq!(cost(PathView { loss_permille: 25, ..alive(1, 20) }), 45_000);
    assert_eq!(cost(PathView { rtt: None, ..alive(1, 20) }), 1_000_000);
    assert_eq!(cost(PathView { rtt: Some(Duration::MAX), ..alive(1, 20) }), u64::MAX);
}

#[test]
fn a_class_that_is_not_allowed_is_forbidden() {
    let mut policy = Policy::spec_default();
    policy.transport.allowed = crate::ClassSet::EMPTY.with(Class::Tcp);
    let ranked = rank(&policy, Time::ZERO, &[alive(1, 1)]);
    assert_eq!((ranked[0].band, ranked[0].score), (Band::Forbidden, 0));
}

pub(crate) fn any_path() -> impl Strategy<Value = PathView> {
    let health = prop_oneof![
        3 => Just(Health::Alive),
        1 => Just(Health::Suspect),
        1 => Just(Health::Dead),
        1 => Just(Health::Unproven)
    ];
    let class = prop_oneof![Just(Class::Udp), Just(Class::Tcp), Just(Class::Tls)];
    let time = prop_oneof![Just(Time::ZERO), Just(Time::MAX), (0..20_000_u64).prop_map(Time::from_millis)];
    let rtt = proptest::option::of(prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::MAX),
        (1..2_000_u64).prop_map(Duration::from_millis)
    ]);
    let numbers = (0..6_u32, any::<u16>(), -1..2_i32, any::<u8>());
    let marks = (
        any::<bool>(),
        any::<bool>(),
        proptest::option::of(time.clone()),
        proptest::option::of(time.clone()),
    );
    (health, class, rtt, numbers, marks, time).prop_map(|(health, class, rtt, numbers, marks, up_since)| {
        PathView {
            id: numbers.0,
            class,
            health,
            warm: marks.0,
            rtt,
            loss_permille: numbers.1,
            preference: numbers.2,
            metered: marks.1,
            up_since,
            flap_count: numbers.3,
            left_at: marks.2,
            held_until: marks.3,
        }
    })
}

proptest! {
    /// The order does not depend on the order of the input, and points never contradict bands.
    #[test]
    fn the_order_is_total(mut paths in proptest::collection::vec(any_path(), 0..8), now in 0..20_000_u64) {
        paths.sort_by_key(|path| path.id);
        paths.dedup_by_key(|path| path.id);
        let policy = Policy::laptop();
        let ranked = rank(&policy, Time::from_millis(now), &paths);
        paths.reverse();
        prop_assert_eq!(&ranked, &rank(&policy, Time::from_millis(now), &paths));
        prop_assert_eq!(ranked.len(), paths.len());
        for pair in ranked.windows(2) {
            prop_assert!(pair[0].band <= pair[1].band);
            prop_assert!(pair[0].band == pair[1].band || pair[0].score > pair[1].score || pair[0].score == 0);
        }
        prop_assert!(ranked.iter().all(|rank| rank.score <= 1_000));
    }
}
