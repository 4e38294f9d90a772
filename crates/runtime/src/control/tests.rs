//! Tests of the control socket: rights of the file, bounds, stale and living sockets, following.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use jumpvpn_events::{Event, EventKind, Reason, Time};
use serde_json::{Value, json};

use super::*;
use crate::telemetry::{Options, Writer};

struct Echo;

impl Console for Echo {
    fn ask(&self, request: &Request) -> Result<Value, Refused> {
        match request {
            Request::Status => Ok(json!({ "schema": "jumpvpn.status/1" })),
            Request::Jump { .. } => {
                Err(Refused::by_engine(Reason::SwitchCooldown, Some(Duration::from_millis(700))))
            }
            _ => Ok(json!({ "done": true })),
        }
    }
}

struct Bed {
    dir: PathBuf,
    path: PathBuf,
    writer: Writer,
}

impl Bed {
    fn new(name: &str) -> Bed {
        let dir = std::env::temp_dir().join(format!("jumpvpn-control-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let options =
            Options { lane_count: 1, log_level: crate::telemetry::LogLevel::Quiet, ..Options::default() };
        Bed { path: dir.join("control.sock"), dir, writer: Telemetry::start(options).unwrap() }
    }

    fn start(&self) -> Result<ControlSocket, SocketError> {
        let socket = ControlSocket::bind(&self.path)?;
        socket.serve(Box::new(Echo), self.writer.telemetry().clone()).map(|()| socket)
    }

    fn connect(&self) -> Peer {
        let stream = UnixStream::connect(&self.path).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Peer(BufReader::new(stream))
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.dir).unwrap();
    }
}

struct Peer(BufReader<UnixStream>);

impl Peer {
    fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    fn ask(&mut self, line: &str) -> Value {
        self.send(format!("{line}\n").as_bytes());
        self.receive()
    }

    fn receive(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

#[test]
fn several_requests_on_one_connection() {
    let bed = Bed::new("several");
    let _server = bed.start().unwrap();
    let mut peer = bed.connect();
    assert_eq!(peer.ask(r#"{"request":"status"}"#)["schema"], "jumpvpn.status/1");
    let refused = peer.ask(r#"{"request":"jump","to":"lte"}"#);
    assert_eq!(refused["error"]["reason"], "SWITCH_COOLDOWN");
    assert_eq!(refused["error"]["retry_after_ms"], 700);
    assert_eq!(peer.ask("what?")["error"]["kind"], "unknown_request");
    assert_eq!(peer.ask(r#"{"request":"unpin"}"#)["done"], true);
}

#[test]
fn the_file_is_for_owner_and_group_and_goes_away() {
    let bed = Bed::new("mode");
    let server = bed.start().unwrap();
    let mode = std::fs::metadata(&bed.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o660);
    drop(server);
    assert!(!bed.path.exists());
}

#[test]
fn a_living_daemon_is_not_replaced_a_dead_one_is() {
    let bed = Bed::new("stale");
    drop(UnixListener::bind(&bed.path).unwrap());
    assert!(bed.path.exists(), "left behind by a dead process");
    let server = bed.start().unwrap();
    let error = bed.start().err().unwrap();
    assert!(matches!(error, SocketError::AlreadyRunning { .. }), "{error}");
    assert_eq!(bed.connect().ask(r#"{"request":"status"}"#)["schema"], "jumpvpn.status/1");
    drop(server);
    std::fs::write(&bed.path, "a file").unwrap();
    assert!(matches!(bed.start().err().unwrap(), SocketError::NotASocket { .. }));
}

#[test]
fn a_successors_file_is_left_alone() {
    let bed = Bed::new("successor");
    let server = bed.start().unwrap();
    std::fs::remove_file(&bed.path).unwrap();
    let successor = UnixListener::bind(&bed.path).unwrap();
    drop(server);
    assert!(bed.path.exists());
    drop(successor);
}

#[test]
fn a_request_without_end_is_refused() {
    let bed = Bed::new("endless");
    let _server = bed.start().unwrap();
    let mut peer = bed.connect();
    peer.send(&[b'x'; REQUEST_MAX_LEN]);
    assert_eq!(peer.receive()["error"]["kind"], "unknown_request");
    assert_eq!(peer.0.read(&mut [0; 1]).unwrap(), 0, "and the connection is closed");
}

#[test]
fn clients_beyond_the_limit_are_told_so() {
    let bed = Bed::new("limit");
    let _server = bed.start().unwrap();
    let mut peers: Vec<Peer> = (0..CLIENTS_MAX).map(|_| bed.connect()).collect();
    for peer in &mut peers {
        peer.ask(r#"{"request":"status"}"#);
    }
    assert_eq!(bed.connect().receive()["error"]["kind"], "failed");
    drop(peers.pop());
    // The place is free once the client's thread saw the end: ask until it did.
    loop {
        let mut peer = bed.connect();
        // Whoever is refused is told so and hung up on, perhaps before the request is out.
        match peer.0.get_mut().write_all(b"{\"request\":\"status\"}\n") {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => panic!("{error}"),
            _ if peer.receive().get("schema").is_some() => break,
            _ => {}
        }
    }
}

/// Bytes by a fixed rule (the constants of Knuth's MMIX generator), with line feeds among them.
fn garbage(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if state >> 60 == 0 { b'\n' } else { (state >> 33) as u8 }
    };
    (0..len).map(next).collect()
}

#[test]
fn every_line_of_garbage_is_answered_once_whatever_it_is_cut_into() {
    let bed = Bed::new("garbage");
    let _server = bed.start().unwrap();
    let mut peers: Vec<Peer> = (0..CLIENTS_MAX).map(|_| bed.connect()).collect();
    for round in 0..20 {
        for (number, peer) in peers.iter_mut().enumerate() {
            let seed = (round * CLIENTS_MAX + number) as u64;
            let mut bytes = garbage(seed, 1 + number * 97);
            bytes.push(b'\n');
            // All clients have pieces of a line in the daemon at the same time.
            bytes.chunks(1 + number * 13).for_each(|piece| peer.send(piece));
        }
        for (number, peer) in peers.iter_mut().enumerate() {
            let seed = (round * CLIENTS_MAX + number) as u64;
            let lines = garbage(seed, 1 + number * 97).iter().filter(|byte| **byte == b'\n').count() + 1;
            for _ in 0..lines {
                assert_eq!(peer.receive()["error"]["kind"], "unknown_request");
            }
        }
    }
    for peer in &mut peers {
        assert_eq!(
            peer.ask(r#"{"request":"status"}"#)["schema"],
            "jumpvpn.status/1",
            "and nothing is left over"
        );
    }
}

#[test]
fn clients_that_leave_in_the_middle_of_a_line_leave_their_place() {
    let bed = Bed::new("leavers");
    let _server = bed.start().unwrap();
    for round in 0..8 * CLIENTS_MAX {
        let mut peer = UnixStream::connect(&bed.path).unwrap();
        // A client that is refused finds its connection closed; it leaves all the same.
        peer.write_all(&garbage(round as u64, 3000)).ok();
    }
    // As long as all places are taken, a newcomer may be closed before it has said anything.
    let is_served = || {
        let mut peer = UnixStream::connect(&bed.path).unwrap();
        let mut line = String::new();
        let asked = peer.write_all(b"{\"request\":\"status\"}\n");
        asked.and_then(|()| BufReader::new(peer).read_line(&mut line)).is_ok() && line.contains("\"schema\"")
    };
    while !is_served() {}
}

#[test]
fn followers_get_events_from_now_on() {
    let bed = Bed::new("follow");
    let _server = bed.start().unwrap();
    let mut feed = bed.writer.telemetry().feed(0);
    let mut push = || {
        let (reason, kind) = (Reason::HandshakeStarted, EventKind::Handshake { attempt: 1 });
        feed.push(Event { at: Time::ZERO, session: None, step: 0, epoch: 0, version: 0, reason, kind });
    };
    push();
    let mut peer = bed.connect();
    peer.send(b"{\"request\":\"events\",\"follow\":true}\n");
    // Nothing says when the subscription has begun, but it began when something arrives.
    peer.0.get_mut().set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut line = String::new();
    while peer.0.read_line(&mut line).is_err() {
        push();
    }
    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(event["event"], "HANDSHAKE");
    assert!(event["seq"].as_u64().unwrap() > 1, "what happened before is not followed: {event}");
}

#[test]
fn the_last_events_are_held() {
    let bed = Bed::new("held");
    let _server = bed.start().unwrap();
    let mut feed = bed.writer.telemetry().feed(0);
    for attempt in 1..=300 {
        let (reason, kind) = (Reason::HandshakeStarted, EventKind::Handshake { attempt });
        feed.push(Event { at: Time::ZERO, session: None, step: 0, epoch: 0, version: 0, reason, kind });
    }
    let mut peer = bed.connect();
    let first = peer.ask(r#"{"request":"events","follow":false}"#);
    assert_eq!(first["seq"], 45, "the oldest of 256");
    for seq in 46..=300 {
        assert_eq!(peer.receive()["seq"], seq);
    }
    assert_eq!(peer.receive()["schema"], "jumpvpn.end/1");
    assert_eq!(
        peer.ask(r#"{"request":"status"}"#)["schema"],
        "jumpvpn.status/1",
        "and the connection goes on"
    );
}

#[test]
fn others_may_look_but_not_touch() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: needs root to become somebody else");
        return;
    }
    let bed = Bed::new("rights");
    let _server = bed.start().unwrap();
    // The file's mode would keep `nobody` out: let everybody connect, as a member of the group could.
    std::fs::set_permissions(&bed.path, std::fs::Permissions::from_mode(0o666)).unwrap();
    let script = r#"
import os, socket, sys
os.setgid(65534); os.setuid(65534)
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
peer.sendall(b'{"request":"status"}\n{"request":"unpin"}\n')
reader = peer.makefile()
print(reader.readline(), end=""); print(reader.readline(), end="")
"#;
    let output = match std::process::Command::new("python3").arg("-c").arg(script).arg(&bed.path).output() {
        Ok(output) => output,
        Err(error) => return eprintln!("SKIPPED: no python3 to become somebody else with: {error}"),
    };
    let text = String::from_utf8(output.stdout).unwrap();
    let replies: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        replies[0]["schema"],
        "jumpvpn.status/1",
        "{text} {}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(replies[1]["error"]["kind"], "permission");
}

#[test]
fn those_who_follow_leave_room_for_those_who_ask() {
    let bed = Bed::new("followers");
    let _server = bed.start().unwrap();
    let mut followers: Vec<_> = (0..FOLLOWERS_MAX)
        .map(|_| {
            let mut peer = bed.connect();
            peer.send(b"{\"request\":\"events\",\"follow\":true}\n");
            peer
        })
        .collect();
    // Each of them is served, so each has its place.
    let (reason, kind) = (Reason::HandshakeStarted, EventKind::Handshake { attempt: 1 });
    let event = Event { at: Time::ZERO, session: None, step: 0, epoch: 0, version: 0, reason, kind };
    let mut feed = bed.writer.telemetry().feed(0);
    for peer in &mut followers {
        let short = Some(Duration::from_millis(20));
        peer.0.get_mut().set_read_timeout(short).unwrap();
        let mut line = String::new();
        // One event is enough, if its subscription was in time.
        while peer.0.read_line(&mut line).is_err() {
            feed.push(event);
        }
    }
    let refused = bed.connect().ask(r#"{"request":"events","follow":true}"#);
    assert!(refused["error"]["message"].as_str().unwrap().contains("follow the events"), "{refused}");
    assert_eq!(bed.connect().ask(r#"{"request":"status"}"#)["schema"], "jumpvpn.status/1");
}
