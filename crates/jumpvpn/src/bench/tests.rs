//! Every measurement in small: sessions are really born, and the figures have their published names.

use super::*;

fn names(figures: &[report::Figure]) -> Vec<&str> {
    figures.iter().map(report::Figure::name).collect()
}

fn all_positive(figures: &[report::Figure]) -> bool {
    figures.iter().all(|figure| figure.median() > 0.0)
}

#[test]
fn memory_in_small() {
    let size = memory::Size { small: 2, large: 6, rounds: 1, worn: 2 };
    let figures = memory::measure(&size, &mut Progress::new("memory")).unwrap();
    // Other tests use memory meanwhile: the figures of so few sessions mean nothing.
    assert_eq!(names(&figures), ["session_idle_bytes", "session_live_bytes", "session_growth_bytes"]);
}

#[test]
fn handshake_in_small() {
    let size = handshake::Size { births_per_round: 2, rounds: 2 };
    let figures = handshake::measure(&size, &mut Progress::new("handshake")).unwrap();
    let expected = ["handshake_per_s_core", "handshake_public_key_us", "handshake_public_key_share"];
    assert_eq!(names(&figures), expected);
    assert!(all_positive(&figures), "{figures:?}");
}

#[test]
fn reattach_in_small() {
    let size = reattach::Size { sessions: 3, rounds: 3, storm_sessions: 100 };
    let figures = reattach::measure(&size, &mut Progress::new("reattach")).unwrap();
    let expected = [
        "reattach_per_s_core",
        "reattach_storm_sessions",
        "reattach_storm_lost",
        "reattach_storm_p99_ms",
        "reattach_storm_all_ms",
        "reattach_storm_per_s_core",
    ];
    assert_eq!(names(&figures), expected);
    let (lost, others): (Vec<_>, Vec<_>) =
        figures.into_iter().partition(|figure| figure.name() == "reattach_storm_lost");
    assert_eq!(lost[0].median(), 0.0);
    assert!(all_positive(&others), "{others:?}");
}

#[test]
fn reject_in_small() {
    let size = reject::Size { datagrams_per_round: 100, rounds: 2 };
    let figures = reject::measure(&size, &mut Progress::new("reject")).unwrap();
    let expected = [
        "reject_unknown_token_ns",
        "reject_bad_aead_ns",
        "reject_no_mac1_ns",
        "reject_unknown_cid_ns",
        "reject_data_bad_aead_ns",
        "reject_data_replay_ns",
        "reject_wrong_length_ns",
    ];
    assert_eq!(names(&figures), expected);
    assert!(all_positive(&figures), "{figures:?}");
}

#[test]
fn lookup_in_small() {
    let size = lookup::Size { few: 2, many: &[5, 9], packets_per_round: 20, rounds: 2 };
    let figures = lookup::measure(&size, &mut Progress::new("lookup")).unwrap();
    let expected = [
        "lookup_flatness_5",
        "packet_flatness_5",
        "lookup_flatness",
        "packet_flatness",
        "lookup_2_ns",
        "packet_2_in_ns",
        "packet_2_out_ns",
        "lookup_5_ns",
        "packet_5_in_ns",
        "packet_5_out_ns",
        "lookup_9_ns",
        "packet_9_in_ns",
        "packet_9_out_ns",
    ];
    assert_eq!(names(&figures), expected);
    assert!(all_positive(&figures), "{figures:?}");
}

#[test]
fn events_in_small() {
    let figures = events::measure(&events::Size { rounds: 2 }, &mut Progress::new("events")).unwrap();
    let expected =
        ["event_ok_ns", "event_failing_ns", "event_flooded_ns", "event_failing_share", "event_flooded_share"];
    assert_eq!(names(&figures), expected);
    assert!(all_positive(&figures), "{figures:?}");
}

/// Nobody may be lost, and nothing may be written but the takeover itself and heartbeats.
fn check_journey(name: &str, figures: &[report::Figure], writes_max: f64) {
    let whats = ["sessions", "lost", "all_s", "p50_ms", "p99_ms", "writes_per_session", "record_bytes"];
    assert_eq!(names(figures), whats.map(|what| format!("{name}_{what}")));
    let median = |at: usize| figures[at].median();
    assert_eq!(median(1), 0.0, "{figures:?}");
    assert!(median(2) > 0.0 && median(3) > 0.0 && median(4) >= median(3), "{figures:?}");
    assert!((1.0..=writes_max).contains(&median(5)), "{figures:?}");
    assert!((100.0..=600.0).contains(&median(6)), "{figures:?}");
}

#[test]
fn takeover_in_small() {
    let size = takeover::Size { sessions: 40, rounds: 1 };
    let figures = takeover::measure_takeover(&size, &mut Progress::new("takeover")).unwrap();
    // One transaction each; heartbeats of two gateways for as long as it takes are few.
    check_journey("takeover", &figures, 2.0);
}

#[test]
fn drain_in_small() {
    let size = takeover::Size { sessions: 40, rounds: 1 };
    let figures = takeover::measure_drain(&size, &mut Progress::new("drain")).unwrap();
    // A word in a mailbox and a release each, and twelve heartbeats or so of two gateways in the time of the drain.
    check_journey("drain", &figures, 6.0);
}
