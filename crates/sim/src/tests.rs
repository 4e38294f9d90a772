//! The simulator itself: worlds repeat themselves to the byte, and a gateway that errs is found out.
use std::path::Path;

use super::*;

const SHORT: Options = Options { seconds: 40, trace_lines: 0 };

#[test]
fn two_runs_of_a_seed_send_the_same_bytes() {
    let told = Options { trace_lines: usize::MAX, ..SHORT };
    for seed in 0..12 {
        let (first, second) = (tell_seed(seed, told), tell_seed(seed, told));
        // Each line of a datagram has a hash of its bytes, the report one of them all.
        assert_eq!(first.1, second.1, "seed {seed}");
        assert_eq!(first.0.unwrap().digest, second.0.unwrap().digest, "seed {seed}");
    }
}

#[test]
fn seeds_differ_from_each_other() {
    let digests: std::collections::BTreeSet<u64> =
        (0..8).map(|seed| run_seed(seed, SHORT).unwrap().digest).collect();
    assert_eq!(digests.len(), 8);
}

/// Every world that broke a promise once keeps it now.
#[test]
fn regressions_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kept: Regression = std::fs::read_to_string(&path).unwrap().parse().unwrap();
        let options = Options { seconds: kept.seconds, trace_lines: 0 };
        let outcome = if kept.cell {
            run_cell(kept.seed, options, None).map(drop)
        } else {
            run_seed(kept.seed, options).map(drop)
        };
        assert!(outcome.is_ok(), "{}: {}", path.display(), outcome.unwrap_err());
        count += 1;
    }
    assert!(count > 0);
}

#[test]
fn a_kept_world_reads_back() {
    for cell in [false, true] {
        let kept = Regression { seed: 7, seconds: 90, cell };
        assert_eq!(format!("# why\n\n{kept}").parse(), Ok(kept));
    }
    assert!("seed = x\nseconds = 1".parse::<Regression>().is_err());
    assert!("seed = 1".parse::<Regression>().is_err());
}

/// A gateway under other limits than the model believes in is a gateway that errs: each of these is noticed.
#[test]
fn the_model_finds_a_gateway_that_errs() {
    type Change = fn(&mut jumpvpn_policy::Policy);
    let changes: [(&str, Change); 4] = [
        ("tickets die at once", |policy| policy.security.reattach_proof_max_age = Duration::ZERO),
        ("nobody may move", |policy| policy.switching.max_switches_per_min = 0),
        ("hybrid keys are demanded", |policy| policy.security.pq = jumpvpn_policy::PostQuantum::Required),
        ("sessions end early", |policy| policy.session.max_lifetime = Duration::from_secs(3)),
    ];
    for (what, change) in changes {
        let noticed = (0..60).any(|seed| {
            let mut world = World::new(seed, SHORT.seconds, 0);
            world.mislead(change);
            let outcome = world.run();
            outcome.is_err_and(|breach| matches!(breach.invariant, Invariant::Model | Invariant::Expiry))
        });
        assert!(noticed, "{what}");
    }
}

#[test]
fn a_large_batch_in_which_nothing_happened_covers_nothing() {
    let batch = |seeds| WorldReport { seeds, ..WorldReport::default() };
    assert!(!batch(WorldFigures::COVERED_AFTER).missing().is_empty());
    assert_eq!(batch(WorldFigures::COVERED_AFTER - 1).missing(), Vec::<String>::new());
}

#[test]
fn a_clock_finds_its_way_back() {
    use crate::clock::Clock;
    use jumpvpn_events::Time;
    for ppm in [0, 100, -100, 20_000, -20_000] {
        let mut clock = Clock::new(Time::from_millis(77), ppm);
        clock.jump(Duration::from_secs(5));
        for millis in [0, 1, 999, 123_457] {
            let now = scenario::BEGIN + Duration::from_millis(millis) + Duration::from_nanos(millis);
            let when = clock.when(clock.at(now));
            let (shown, again, slack) = (clock.at(now), clock.at(when), Duration::from_nanos(2));
            assert!(again >= shown && again <= shown + slack, "{ppm} ppm after {millis} ms");
            assert!(when <= now + slack, "{ppm} ppm after {millis} ms");
        }
    }
}
