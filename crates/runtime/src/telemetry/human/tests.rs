//! Tests of the lines for people.

use jumpvpn_events::{PathLabel, Reason, SessionLabel, State, Time};

use super::*;

fn line(session: Option<SessionLabel>, reason: Reason, kind: EventKind) -> String {
    let event = Event { at: Time::ZERO, session, step: 2, epoch: 1, version: 3, reason, kind };
    let mut line = String::new();
    write_event(&mut line, &event);
    line
}

#[test]
fn a_jump_reads_like_a_sentence() {
    let kind = EventKind::TransportSwitch {
        old_path: PathLabel::new("wlan0/udp4"),
        new_path: PathLabel::new("wwan0/udp4"),
        detect: Some(Duration::from_micros(312_400)),
        gap: None,
    };
    let severity = Reason::PathSilent.severity().as_str();
    assert_eq!(
        line(Some(SessionLabel([0xab; 16])), Reason::PathSilent, kind),
        format!(
            "{severity}: jumped from wlan0/udp4 to wwan0/udp4, detected in 312.4 ms [PATH_SILENT] session abababab version 3\n"
        )
    );
}

#[test]
fn an_event_without_session() {
    let kind = EventKind::StateChange { from: State::Birth, to: State::Attached };
    let text = line(None, Reason::BirthComplete, kind);
    assert!(text.ends_with("BIRTH -> ATTACHED [BIRTH_COMPLETE]\n"), "{text}");
}

#[test]
fn levels_show_their_severities() {
    assert!(!LogLevel::Quiet.shows(Severity::Notice));
    assert!(LogLevel::Normal.shows(Severity::Info));
    assert!(!LogLevel::Normal.shows(Severity::Debug));
    assert!(LogLevel::Verbose.shows(Severity::Debug));
}
