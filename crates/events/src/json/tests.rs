//! Tests of the writer: what it writes is JSON, and says what the event says.

use serde_json::Value;

use super::*;
use crate::{BindingState, PathLabel, Reason, SessionLabel, State, Time};

fn event(kind: EventKind) -> Event {
    let session = Some(SessionLabel([0x5a; 16]));
    Event {
        at: Time::from_millis(5),
        session,
        step: 3,
        epoch: 1,
        version: 2,
        reason: Reason::PathSilent,
        kind,
    }
}

fn parsed(event: &Event) -> Value {
    let mut line = String::new();
    write_line(&mut line, event, 7, 1_772_366_400_123_456_789, "gw \"one\"\n");
    assert!(!line.contains('\n'));
    serde_json::from_str(&line).unwrap()
}

#[test]
fn a_switch_has_every_column() {
    let value = parsed(&event(EventKind::TransportSwitch {
        old_path: PathLabel::new("wlan0/udp4"),
        new_path: PathLabel::new("wwan0/udp4"),
        detect: Some(Duration::from_micros(30_250)),
        gap: None,
    }));
    let expected = serde_json::json!({
        "ts": "2026-03-01T12:00:00.123456Z", "seq": 7, "event": "TRANSPORT_SWITCH",
        "session": "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a", "step": 3, "epoch": 1, "version": 2,
        "reason": "PATH_SILENT", "severity": "notice", "gateway": "gw \"one\"\n",
        "old_path": "wlan0/udp4", "new_path": "wwan0/udp4", "detect_ms": 30.25, "gap_ms": null,
    });
    assert_eq!(value, expected);
}

#[test]
fn every_kind_is_json_of_its_name() {
    let path = PathLabel::new("eth0/tcp4");
    let kinds = [
        EventKind::StateChange { from: State::Attached, to: State::Volatile },
        EventKind::SessionBirth { path },
        EventKind::TransportSwitch { old_path: path, new_path: path, detect: None, gap: None },
        EventKind::Takeover { path, gap: None },
        EventKind::Release { given: true },
        EventKind::Termination { committed: true, lifetime: Duration::MAX, switches: 1 },
        EventKind::Rekey { key_epoch: 1 },
        EventKind::PathState { path, binding: BindingState::Active, rtt: None },
        EventKind::Policy { threshold: u64::MAX, observed: 0 },
        EventKind::Security { count: u32::MAX },
        EventKind::Link { path, up: true },
        EventKind::Handshake { attempt: 1 },
        EventKind::GatewayList { serial: 1 },
        EventKind::TelemetryGap { first_seq: 1, last_seq: 2 },
    ];
    for (kind, name) in kinds.into_iter().zip(EventKind::NAMES) {
        assert_eq!(parsed(&event(kind))["event"], name);
    }
}

#[test]
fn an_event_of_no_session_says_null() {
    let mut event = event(EventKind::Security { count: 1 });
    event.session = None;
    assert_eq!(parsed(&event)["session"], Value::Null);
}

#[test]
fn every_character_survives() {
    let nasty: String = (0..0x300).chain([0x2028, 0x2029, 0x1f600]).filter_map(char::from_u32).collect();
    let mut out = String::new();
    write_string(&mut out, &nasty);
    assert!(!out.contains(['\n', '\u{2028}', '\u{2029}']));
    assert_eq!(serde_json::from_str::<String>(&out).unwrap(), nasty);
}

#[test]
fn days_are_those_of_the_calendar() {
    let known = [
        ((1970, 1, 1), Some(0)),
        ((1970, 12, 31), Some(364)),
        ((1972, 3, 1), Some(790)),
        ((2000, 2, 29), Some(11_016)),
        ((2026, 11, 21), Some(20_778)),
        ((2100, 3, 1), Some(47_541)),
        ((9999, 12, 31), Some(2_932_896)),
        ((1969, 12, 31), None),
        ((2026, 2, 29), None),
        ((2100, 2, 29), None),
        ((2026, 13, 1), None),
        ((2026, 0, 1), None),
        ((2026, 4, 31), None),
        ((2026, 1, 0), None),
    ];
    for ((year, month, day), days) in known {
        assert_eq!(days_since_1970(year, month, day), days, "{year}-{month}-{day}");
    }
    // Day by day, without a gap: each date is one after the one before.
    let mut last = None;
    for year in 1970..2101 {
        for (month, day) in (1..=12).flat_map(|month| (1..=31).map(move |day| (month, day))) {
            if let Some(days) = days_since_1970(year, month, day) {
                assert_eq!(days, last.map_or(0, |last: u64| last + 1));
                last = Some(days);
            }
        }
    }
    assert_eq!(last, Some(47_846));
}

#[test]
fn dates_are_those_of_the_calendar() {
    for (seconds, text) in [
        (0_u128, "1970-01-01T00:00:00.000000Z"),
        (951_782_399, "2000-02-28T23:59:59.000000Z"),
        (951_868_799, "2000-02-29T23:59:59.000000Z"),
        (1_709_164_800, "2024-02-29T00:00:00.000000Z"),
        (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
        (1_798_761_599, "2026-12-31T23:59:59.000000Z"),
    ] {
        let mut out = String::new();
        write_timestamp(&mut out, seconds * 1_000_000_000);
        assert_eq!(out, text);
    }
    write_timestamp(&mut String::new(), u128::MAX);
}
