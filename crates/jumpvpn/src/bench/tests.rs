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
    let size = memory::Size { small: 2, large: 6, rounds: 1 };
    let figures = memory::measure(&size, &mut Progress::new("memory")).unwrap();
    // Other tests use memory meanwhile: the figures of so few sessions mean nothing.
    assert_eq!(names(&figures), ["session_idle_bytes", "session_live_bytes"]);
}

#[test]
fn handshake_in_small() {
    let size = handshake::Size { births_per_round: 2, rounds: 2 };
    let figures = handshake::measure(&size, &mut Progress::new("handshake")).unwrap();
    assert_eq!(names(&figures), ["handshake_per_s_core"]);
    assert!(all_positive(&figures), "{figures:?}");
}

#[test]
fn reattach_in_small() {
    let size = reattach::Size { sessions: 3, rounds: 3 };
    let figures = reattach::measure(&size, &mut Progress::new("reattach")).unwrap();
    assert_eq!(names(&figures), ["reattach_per_s_core"]);
    assert!(all_positive(&figures), "{figures:?}");
}

#[test]
fn reject_in_small() {
    let size = reject::Size { datagrams_per_round: 100, rounds: 2 };
    let figures = reject::measure(&size, &mut Progress::new("reject")).unwrap();
    assert_eq!(names(&figures), ["reject_unknown_token_ns", "reject_bad_aead_ns", "reject_no_mac1_ns"]);
    assert!(all_positive(&figures), "{figures:?}");
}

#[test]
fn lookup_in_small() {
    let size = lookup::Size { few: 2, many: 5, packets_per_round: 20, rounds: 2 };
    let figures = lookup::measure(&size, &mut Progress::new("lookup")).unwrap();
    let expected = [
        "lookup_flatness_5",
        "lookup_sessions",
        "lookup_2_ns",
        "lookup_5_ns",
        "packet_flatness_5",
        "packet_2_in_ns",
        "packet_2_out_ns",
        "packet_5_in_ns",
        "packet_5_out_ns",
    ];
    assert_eq!(names(&figures), expected);
    assert!(all_positive(&figures), "{figures:?}");
}
