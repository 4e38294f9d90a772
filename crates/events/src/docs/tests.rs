//! Tests of the page and the schema: they speak of every reason and of what the writer writes.

use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::json::write_line;
use crate::{Event, PathLabel, Time};

#[test]
fn the_page_has_every_reason_once() {
    let page = docs_markdown();
    for reason in Reason::ALL {
        let heading = format!("\n### {} ({})\n", reason.code(), reason.number());
        assert_eq!(page.matches(&heading).count(), 1, "{reason}");
    }
}

/// Every line the writer writes has exactly the keys the schema names, whatever the kind.
#[test]
fn the_schema_names_the_keys_of_every_line() {
    let schema: Value = serde_json::from_str(&json_schema()).unwrap();
    let path = PathLabel::new("eth0/udp4");
    let span = Duration::from_millis(1);
    let kinds = [
        EventKind::StateChange { from: State::Birth, to: State::Attached },
        EventKind::SessionBirth { path },
        EventKind::TransportSwitch { old_path: path, new_path: path, detect: None, gap: Some(span) },
        EventKind::Takeover { path, gap: None },
        EventKind::Release { given: true },
        EventKind::Termination { committed: false, lifetime: span, switches: 0 },
        EventKind::Rekey { key_epoch: 1 },
        EventKind::PathState { path, binding: BindingState::Gone, rtt: None },
        EventKind::Policy { threshold: 1, observed: 2 },
        EventKind::Security { count: 1 },
        EventKind::Link { path, up: false },
        EventKind::Handshake { attempt: 1 },
        EventKind::GatewayList { serial: 1 },
        EventKind::TelemetryGap { first_seq: 1, last_seq: 2 },
    ];
    let common: Vec<&str> = schema["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for kind in kinds {
        let event = Event {
            at: Time::ZERO,
            session: None,
            step: 0,
            epoch: 0,
            version: 0,
            reason: Reason::BirthComplete,
            kind,
        };
        let mut line = String::new();
        write_line(&mut line, &event, 1, 0, "gw");
        let line: Value = serde_json::from_str(&line).unwrap();
        let choice = schema["oneOf"].as_array().unwrap().iter();
        let shape = choice.clone().find(|s| s["properties"]["event"]["const"] == line["event"]).unwrap();
        let own = shape["required"].as_array().unwrap().iter().filter_map(Value::as_str);
        let mut expected: Vec<&str> = common.iter().copied().chain(own).collect();
        let mut written: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
        expected.sort_unstable();
        written.sort_unstable();
        assert_eq!(written, expected, "{}", kind.name());
    }
}
