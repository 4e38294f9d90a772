//! Event lines as the daemons write them.

use super::*;

#[test]
fn times_are_read_as_they_are_written() {
    for nanos in [0u128, 951_782_400_000_000_000, 1_772_366_400_123_456_000, 4_102_444_799_999_999_000] {
        let mut text = String::new();
        jumpvpn_events::json::write_timestamp(&mut text, nanos);
        let read = unix_time(&text).expect("a time");
        assert!(read.as_nanos().abs_diff(nanos) <= 1, "{text} {read:?}");
    }
    assert_eq!(unix_time("yesterday"), None);
}

#[test]
fn switches_are_found_among_other_events() {
    let line = r#"{"ts":"2026-03-01T12:00:00.500000Z","seq":4,"event":"TRANSPORT_SWITCH","session":"ab","reason":"LINK_DOWN","old_path":"wlan0/udp4","new_path":"wwan0/udp4","detect_ms":1.250,"gap_ms":null}"#;
    let found = switch(line).expect("a switch");
    assert!(found.is_jump() && found.from_dead_path());
    assert_eq!(found.detect, Some(Duration::from_micros(1250)));
    assert_eq!(switch(r#"{"ts":"2026-03-01T12:00:00.500000Z","event":"REKEY"}"#), None);
}

#[test]
fn merged_lines_are_in_order_of_time_and_stay_json() {
    let folder = std::env::temp_dir().join(format!("jumpvpn-lab-merge-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let part = folder.join("agent.jsonl");
    fs::write(&part, "{\"ts\":\"2999-01-01T00:00:00.000000Z\",\"seq\":1}\n").expect("written");
    let mut notes = Vec::new();
    note(&mut notes, 2, "link-down \"wifi\"");
    let merged = folder.join("events.jsonl");
    merge(&mut File::create(&merged).expect("a file"), 2, &notes, &[("laptop", &part)]).expect("merged");
    let text = fs::read_to_string(&merged).expect("read");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["what"], "link-down \"wifi\"");
    assert_eq!((lines[1]["node"].as_str(), lines[1]["run"].as_u64()), (Some("laptop"), Some(2)));
    fs::remove_dir_all(&folder).expect("removed");
}
