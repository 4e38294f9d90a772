//! Tests of what the log shows.

use jumpvpn_events::{PathLabel, Reason, Time};

use super::*;

fn event(reason: Reason, kind: EventKind) -> Event {
    Event { at: Time::ZERO, session: None, step: 0, epoch: 0, version: 0, reason, kind }
}

#[test]
fn going_on_trying_is_said_once_per_outage() {
    let (lines, _log) = sync_channel(1);
    let started = event(Reason::HandshakeStarted, EventKind::Handshake { attempt: 1 });
    let failed = event(Reason::HandshakeTimeout, EventKind::Handshake { attempt: 1 });
    let born = event(Reason::BirthComplete, EventKind::SessionBirth { path: PathLabel::new("eth0/udp4") });
    let mut log = Rules::new(LogLevel::Normal, lines.clone());
    let shown: Vec<bool> = [&started, &failed, &started, &failed, &born, &started, &failed, &failed]
        .map(|event| log.shows(event))
        .to_vec();
    assert_eq!(shown, [true, true, false, false, true, true, true, false]);
    let mut log = Rules::new(LogLevel::Verbose, lines);
    assert!([&started, &failed, &started, &failed].into_iter().all(|event| log.shows(event)));
}
