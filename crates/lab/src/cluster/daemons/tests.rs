//! What event files say about ownership.

use super::*;

#[test]
fn births_and_takeovers_are_facts_and_nothing_else_is() {
    let line = |event: &str| {
        format!(
            "{{\"ts\":\"2026-03-01T12:00:00.123456Z\",\"event\":\"{event}\",\"gateway\":\"gateway2\",\
             \"session\":\"5e55\",\"epoch\":7,\"version\":3}}"
        )
    };
    let takeover = fact(&line("TAKEOVER"), 1).unwrap();
    let at = unix_time("2026-03-01T12:00:00.123456Z").unwrap();
    assert_eq!(takeover, Fact { at, gateway: 1, session: "5e55".into(), epoch: 7, birth: false });
    assert_eq!(fact(&line("SESSION_BIRTH"), 1), Some(Fact { birth: true, ..takeover }));
    for other in ["RELEASE", "TERMINATION", "TRANSPORT_SWITCH"] {
        assert_eq!(fact(&line(other), 1), None);
    }
    assert_eq!(fact("", 1), None);
    assert_eq!(fact(&line("TAKEOVER").replace("5e55\"", "5e55"), 1), None);
}
