//! Tables from answers of the daemon.

use super::*;

#[test]
fn known_columns_come_first() {
    let answer = json!({ "schema": "jumpvpn.show/1", "paths": [
        { "zeta": 1, "rtt_ms": 20.04567, "name": "wlan0/udp4", "loss": 0.0 },
        { "zeta": null, "rtt_ms": 7, "name": "wwan0/udp4", "loss": 0.25 },
    ]});
    assert_eq!(
        page(&answer),
        "  NAME        RTT_MS  LOSS  ZETA\n  wlan0/udp4  20.046     0     1\n  wwan0/udp4       7  0.25     -\n"
    );
}

#[test]
fn several_subjects_have_headings() {
    let answer =
        json!({ "sessions": [], "policy": { "name": "server", "switching": { "switch_cooldown": "5s" } } });
    assert_eq!(
        page(&answer),
        "sessions\n  none\n\npolicy\n  KEY                        VALUE\n  name                       server\n  \
         switching.switch_cooldown  5s\n"
    );
}

#[test]
fn cells() {
    assert_eq!(cell(&json!(null)), "-");
    assert_eq!(cell(&json!(["10.77.0.2", "fd77::2"])), "10.77.0.2, fd77::2");
    assert_eq!(cell(&json!(true)), "yes");
    assert_eq!(cell(&json!("\u{1b}[31mred")), "[31mred");
    assert_eq!(pairs(&json!({ "kind": "memory", "healthy": true })), "healthy yes, kind memory");
    assert_eq!(nonzero(json!({ "BAD_SEAL": 0, "MALFORMED": 3 }).as_object().unwrap()), "MALFORMED 3");
}
