//! The verbs that ask a daemon, against a socket that answers what the test says.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::thread::JoinHandle;

use serde_json::{Value, json};

use crate::bed::Bed;

/// Listens at `d.sock`, reads one request, writes `answers`, closes; answers the request.
fn daemon(bed: &Bed, answers: &[Value]) -> JoinHandle<Value> {
    let listener = UnixListener::bind(bed.0.join("d.sock")).unwrap();
    let lines: Vec<String> = answers.iter().map(|answer| format!("{answer}\n")).collect();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = String::new();
        BufReader::new(stream.try_clone().unwrap()).read_line(&mut request).unwrap();
        stream.write_all(lines.concat().as_bytes()).unwrap();
        serde_json::from_str(&request).unwrap()
    })
}

fn refusal(kind: &str) -> Value {
    json!({ "schema": "jumpvpn.error/1", "error": { "kind": kind, "reason": "SWITCH_COOLDOWN", "message": "Not yet." } })
}

#[test]
fn status() {
    let bed = Bed::new();
    let answer = json!({ "schema": "jumpvpn.status/1", "role": "agent", "state": "VOLATILE", "paths": [], "jumps": 0 });
    let asked = daemon(&bed, std::slice::from_ref(&answer));
    let ended = bed.run(&["status", "-s", "d.sock"]);
    assert_eq!((ended.code, ended.out.starts_with("state      VOLATILE\n")), (0, true), "{ended:?}");
    assert_eq!(asked.join().unwrap(), json!({ "request": "status" }));
}

#[test]
fn status_for_scripts() {
    let answer = json!({ "schema": "jumpvpn.status/1", "role": "agent", "state": "VOLATILE" });
    for (arguments, code) in
        [(&["--check"][..], 3), (&["--state", "volatile"], 0), (&["--json"], 0), (&["--json", "--check"], 3)]
    {
        let bed = Bed::new();
        let asked = daemon(&bed, std::slice::from_ref(&answer));
        let ended = bed.run(&[&["status", "-s", "d.sock"], arguments].concat());
        assert_eq!(ended.code, code, "{arguments:?} {ended:?}");
        if arguments.contains(&"--json") {
            assert_eq!(ended.json(), answer);
        }
        asked.join().unwrap();
    }
}

#[test]
fn show() {
    let bed = Bed::new();
    let asked = daemon(&bed, &[json!({ "schema": "jumpvpn.paths/1", "paths": [{ "name": "wlan0/udp4" }] })]);
    assert_eq!(bed.run(&["show", "paths", "-s", "d.sock"]).out, "  NAME\n  wlan0/udp4\n");
    assert_eq!(asked.join().unwrap(), json!({ "request": "show", "what": "paths" }));
}

#[test]
fn jump_and_pins() {
    let done = json!({ "schema": "jumpvpn.done/1", "done": true });
    let cases = [
        (&["jump", "--to", "lte"][..], json!({ "request": "jump", "to": "lte" }), "jumping to lte\n"),
        (&["jump"], json!({ "request": "jump" }), "jumping\n"),
        (&["pin", "lte"], json!({ "request": "pin", "path": "lte" }), "pinned to lte\n"),
        (&["unpin"], json!({ "request": "unpin" }), "unpinned\n"),
    ];
    for (arguments, request, said) in cases {
        let bed = Bed::new();
        let asked = daemon(&bed, std::slice::from_ref(&done));
        let ended = bed.run(&[arguments, &["-s", "d.sock"]].concat());
        assert_eq!((ended.code, ended.out.as_str()), (0, said), "{ended:?}");
        assert_eq!(asked.join().unwrap(), request);
    }
}

#[test]
fn refusals_have_their_exit_codes() {
    for (kind, code) in [("refused", 8), ("permission", 4), ("failed", 1), ("unknown_request", 1)] {
        let bed = Bed::new();
        let asked = daemon(&bed, &[refusal(kind)]);
        let ended = bed.run(&["jump", "--json", "-s", "d.sock"]);
        assert_eq!((ended.code, ended.err.as_str()), (code, "jumpvpn: SWITCH_COOLDOWN: Not yet.\n"));
        assert_eq!(ended.json()["error"]["reason"], "SWITCH_COOLDOWN");
        asked.join().unwrap();
    }
}

#[test]
fn events() {
    let bed = Bed::new();
    let event = json!({ "seq": 1, "event": "LINK" });
    let asked = daemon(&bed, &[event.clone(), json!({ "schema": "jumpvpn.end/1" })]);
    let ended = bed.run(&["events", "-s", "d.sock"]);
    assert_eq!((ended.code, ended.out), (0, format!("{event}\n")));
    assert_eq!(asked.join().unwrap(), json!({ "request": "events", "follow": false }));

    let bed = Bed::new();
    let asked = daemon(&bed, &[event.clone(), event.clone()]);
    let ended = bed.run(&["events", "--follow", "--format", "jsonl", "-s", "d.sock"]);
    assert_eq!((ended.code, ended.out.lines().count()), (0, 2));
    assert_eq!(asked.join().unwrap(), json!({ "request": "events", "follow": true }));
}

#[test]
fn nobody_answers() {
    let bed = Bed::new();
    assert_eq!(bed.run(&["status", "-s", "d.sock"]).code, 5);
    drop(UnixListener::bind(bed.0.join("d.sock")).unwrap());
    let refused = bed.run(&["status", "-s", "d.sock"]);
    assert_eq!((refused.code, refused.err.contains("nobody listens")), (5, true), "{refused:?}");
    std::fs::remove_file(bed.0.join("d.sock")).unwrap();
    let asked = daemon(&bed, &[]);
    let ended = bed.run(&["status", "-s", "d.sock"]);
    assert_eq!((ended.code, ended.err.contains("hung up")), (5, true), "{ended:?}");
    asked.join().unwrap();
}

/// A daemon with all its places taken hangs up without having read what is asked.
#[test]
fn a_refusal_before_the_request_is_shown() {
    let bed = Bed::new();
    let listener = UnixListener::bind(bed.0.join("d.sock")).unwrap();
    let refusing = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(format!("{}\n", refusal("failed")).as_bytes()).unwrap();
    });
    let ended = bed.run(&["status", "-s", "d.sock"]);
    assert_eq!((ended.code, ended.err.as_str()), (1, "jumpvpn: SWITCH_COOLDOWN: Not yet.\n"));
    refusing.join().unwrap();
}
