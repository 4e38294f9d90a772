//! Tests of the presets.

use super::*;

#[test]
fn every_preset_is_within_its_own_bounds() {
    for name in PRESETS {
        assert_eq!(Policy::by_name(name).unwrap().validate(), [], "{name}");
    }
    assert_eq!(Policy::by_name("default"), None);
    assert_eq!(Policy::default(), Policy::by_name(PRESETS[0]).unwrap());
}

/// The published figures, one by one.
#[test]
fn spec_default_has_the_published_figures() {
    let policy = Policy::spec_default();
    assert_eq!(policy.session.max_lifetime, ms(28_800_000));
    assert_eq!(policy.session.transport_lost_ttl, ms(15_000));
    assert_eq!(policy.volatility.heartbeat_interval, ms(500));
    assert_eq!(policy.volatility.heartbeat_volatile, ms(2_000));
    assert_eq!(policy.volatility.loss_window, ms(2_000));
    assert_eq!(policy.volatility.loss_volatile_threshold, 200);
    assert_eq!(policy.volatility.max_consecutive_drops, 3);
    assert_eq!(policy.volatility.volatile_to_degraded, ms(4_000));
    assert_eq!(policy.switching.max_switches_per_min, 8);
    assert_eq!(policy.switching.switch_cooldown, ms(1_500));
    assert_eq!(policy.switching.recovery_window, ms(8_000));
    assert_eq!(policy.switching.switch_improvement_factor, 1_100);
    assert_eq!(policy.transport.max_candidate_count, 3);
    assert_eq!(policy.security.reattach_proof_max_age, ms(5_000));
    assert_eq!(policy.security.replay_window_size, 128);
}

/// A path that is probed more rarely than its proof ages is never warm; only `battery` wants that.
#[test]
fn standby_paths_stay_warm() {
    for name in PRESETS {
        let policy = Policy::by_name(name).unwrap();
        let warm = policy.probe.hot_interval < policy.security.reattach_proof_max_age;
        assert_eq!(warm, name != "battery", "{name}");
    }
}
