//! The screen, and what `--check` asks for.

use super::*;

fn attached() -> Value {
    json!({
        "schema": "jumpvpn.status/1", "role": "agent", "state": "ATTACHED",
        "session": "00112233445566778899aabbccddeeff", "step": 4, "epoch": 1, "version": 2,
        "gateway": "192.0.2.10:4747", "inner": ["10.77.0.2"],
        "paths": [{ "name": "wlan0/udp4", "class": "udp", "binding": "ACTIVE", "health": "alive", "rtt_ms": 21.5 }],
        "pinned": "wlan0/udp4", "packets": { "in": 5, "out": 7 }, "bytes": { "in": 500, "out": 700 }, "drops": { "NOT_ATTACHED": 2 },
        "jumps": 1,
        "last_jump": { "from": "wwan0/udp4", "to": "wlan0/udp4", "reason": "PATH_SILENT", "detect_ms": 180.0, "gap_ms": 221.5 },
    })
}

#[test]
fn screen_of_an_agent() {
    let expected = "\
state      ATTACHED
session    00112233445566778899aabbccddeeff, step 4, epoch 1, version 2
gateway    192.0.2.10:4747
inner      10.77.0.2
jumps      1, the last from wwan0/udp4 to wlan0/udp4 (PATH_SILENT), noticed after 180 ms, gap 221.5 ms
pinned     wlan0/udp4
traffic    in 5 packets, 500 bytes; out 7 packets, 700 bytes
drops      NOT_ATTACHED 2

  NAME        BINDING  HEALTH  RTT_MS
  wlan0/udp4  ACTIVE   alive     21.5
";
    assert_eq!(screen(&attached(), false), expected);
    assert!(screen(&attached(), true).starts_with("state      \u{1b}[32mATTACHED\u{1b}[0m\n"));
}

#[test]
fn screen_of_an_agent_without_a_session() {
    let text = screen(&json!({ "state": "BIRTH", "session": null, "jumps": 0, "paths": [] }), false);
    assert_eq!(
        text,
        "state      BIRTH\ngateway    -\ninner      -\njumps      0\ndrops      none\n\n  none\n"
    );
}

#[test]
fn screen_of_a_gateway() {
    let status = json!({
        "role": "gateway", "sessions": { "ATTACHED": 2, "DEGRADED": 0 }, "shards": 2,
        "store": { "kind": "memory", "healthy": true }, "limits": {}, "drops": { "BAD_SEAL": 0, "MALFORMED": 7 },
    });
    let expected = "sessions   ATTACHED 2\nshards     2\nstore      healthy yes, kind memory\nlimits     -\n\
                    drops      MALFORMED 7\n";
    assert_eq!(screen(&status, false), expected);
}

#[test]
fn check_wants_a_state() {
    assert!(checked(&attached(), None).is_ok());
    assert!(checked(&attached(), Some(StateName::Attached)).is_ok());
    let failure = checked(&attached(), Some(StateName::Degraded)).unwrap_err();
    assert_eq!(
        (failure.code, failure.message.as_str()),
        (Code::NotAttached, "the session is ATTACHED, not DEGRADED")
    );
    assert!(checked(&json!({ "sessions": {} }), None).is_ok());
}
