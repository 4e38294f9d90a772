//! Sinks of events that fail, each in its own way, while a session lives, jumps and carries packets.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::world::{Daemon, World};

/// Opening and reading must not wait.
const O_NONBLOCK: i32 = 0o4000;

/// The counters of a sink of the agent.
fn sink(world: &World, name: &str) -> Value {
    world.agent_says("telemetry")[name].clone()
}

fn is_stuck(world: &World, name: &str) -> bool {
    sink(world, name)["stuck"] == true
}

/// Echo requests sent over a jump and links that come and go, and how many of them may be lost: what is on a link in the
/// moment it goes away. A sink that holds packets up for the time of its trouble would cost most of them.
const PINGS: u32 = 200;
const LOST_MAX: u32 = 2;

/// What must hold whatever becomes of the events: packets pass during a jump and links that come and go.
fn session_lives_on(world: &World) {
    let session = world.agent_says("session");
    let first = world.active_link();
    let second = if first == "one0" { "two0" } else { "one0" };
    world.wait_until_ready(second);
    let ping = world.beside_agent(&format!("ping -q -i 0.02 -c {PINGS} -W 10 10.77.0.1"));
    world.wait_until("the jump is committed", || {
        world.bed.run(&["jump", "--to", second, "-s", "agent.sock"]);
        world.active_link() == second
    });
    // What is still on its way over the path that was left must not be cut off.
    world.wait_until_ready(&first);
    world.flap_standby();
    let output = String::from_utf8(ping.wait_with_output().unwrap().stdout).unwrap();
    let received = output.split(", ").find_map(|part| part.strip_suffix(" received")?.parse::<u32>().ok());
    assert!(received.is_some_and(|received| received + LOST_MAX >= PINGS), "{output}");
    assert_eq!((world.agent_says("session"), world.agent_says("state")), (session, "ATTACHED".into()));
}

fn end(mut daemon: Daemon) {
    daemon.signal("TERM");
    assert_eq!(daemon.wait().0, Some(0));
}

/// The gaps in lines of events: first and last number.
fn gaps(text: &str) -> Vec<(u64, u64)> {
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let gaps = lines.filter(|line| line["event"] == "TELEMETRY_GAP");
    gaps.map(|gap| (gap["first_seq"].as_u64().unwrap(), gap["last_seq"].as_u64().unwrap())).collect()
}

/// Proves the lines together with the gateway's, and answers how many the proof found missing.
fn prove(world: &World, text: &str) -> u64 {
    world.bed.file("proof.jsonl", text);
    let ended = world.bed.run(&["events", "verify", "--json", "proof.jsonl", "gateway.jsonl"]);
    assert_eq!(ended.code, 0, "{} {}", ended.out, ended.err);
    ended.json()["missing"].as_u64().unwrap()
}

#[test]
fn a_full_disk_is_counted_and_told_once() {
    let Some(world) = World::new("a_full_disk_is_counted_and_told_once") else { return };
    std::fs::create_dir(world.bed.0.join("small")).unwrap();
    world.edit("agent.toml", "agent.jsonl", "small/agent.jsonl");
    let gateway = world.gateway();
    world.wait_until("the gateway answers", || world.status("gateway").is_some());
    // Where `ip netns exec` puts a process, mounts are its own.
    let agent = world.agent_behind("mount -t tmpfs -o size=64k none small &&", world.log_file("agent"));
    world.wait_until_attached();
    let small = agent.sees(&std::fs::canonicalize(world.bed.0.join("small")).unwrap());
    let mut filler = File::create(small.join("filler")).unwrap();
    while filler.write(&[0; 1024]).is_ok_and(|len| len > 0) {}
    // The last page of the file has still room for some lines.
    world.wait_until("the loss shows", || {
        world.flap_standby();
        is_stuck(&world, "file")
    });
    session_lives_on(&world);
    assert!(is_stuck(&world, "file"));
    drop(filler);
    std::fs::remove_file(small.join("filler")).unwrap();
    // No further event is needed for the gap.
    world.wait_until("the gap is written", || !is_stuck(&world, "file"));
    session_lives_on(&world);
    let dropped = sink(&world, "file")["dropped"].as_u64().unwrap();
    let text = std::fs::read_to_string(small.join("agent.jsonl")).unwrap();
    let gaps = gaps(&text);
    assert_eq!(gaps.len(), 1, "{text}");
    assert_eq!(gaps[0].1 - gaps[0].0 + 1, dropped);
    assert_eq!(prove(&world, &text), dropped, "and the proof says so");
    let log = agent.log();
    assert_eq!(log.matches("cannot write events").count(), 1, "{log}");
    assert_eq!(log.matches("are missing").count(), 1, "{log}");
    end(agent);
    end(gateway);
}

#[test]
fn a_fifo_without_a_reader_is_no_reason_not_to_start() {
    let Some(world) = World::new("a_fifo_without_a_reader_is_no_reason_not_to_start") else { return };
    let fifo = world.bed.0.join("agent.jsonl");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let (gateway, agent) = world.both();
    assert!(agent.log().contains("cannot write events"), "{}", agent.log());
    session_lives_on(&world);
    assert!(is_stuck(&world, "file"));
    let mut text = String::new();
    // Somebody reads for a while, leaves, and another one comes: each finds a gap and whole lines.
    for reader in 0..2 {
        let mut pipe = File::options().read(true).custom_flags(O_NONBLOCK).open(&fifo).unwrap();
        world.wait_until("the gap is told", || !is_stuck(&world, "file"));
        world.flap_standby();
        pipe.read_to_string(&mut text).ok();
        assert_eq!(gaps(&text).len(), reader + 1, "{text}");
        drop(pipe);
        world.wait_until("the broken pipe shows", || {
            world.flap_standby();
            is_stuck(&world, "file")
        });
    }
    assert_eq!(gaps(&text)[0].0, 1, "all from the first one on: {text}");
    let missing: u64 = gaps(&text).iter().map(|(first, last)| last - first + 1).sum();
    assert_eq!(prove(&world, &text), missing);
    session_lives_on(&world);
    end(agent);
    end(gateway);
}

#[test]
fn a_stuck_or_closed_standard_error_disturbs_nothing() {
    let Some(world) = World::new("a_stuck_or_closed_standard_error_disturbs_nothing") else { return };
    let gateway = world.gateway();
    world.wait_until("the gateway answers", || world.status("gateway").is_some());
    let (mut reader, writer) = std::io::pipe().unwrap();
    // Of four pages: one that has but a single page counts as full with its first line.
    rustix::pipe::fcntl_setpipe_size(&writer, 16_384).unwrap();
    let agent = world.agent_behind("", writer);
    world.wait_until_attached();
    world.wait_until("the loss shows", || {
        world.flap_standby();
        is_stuck(&world, "log")
    });
    session_lives_on(&world);
    let mut some = vec![0; 65_536];
    let len = reader.read(&mut some).unwrap();
    assert!(len > 0);
    world.wait_until("the log goes on", || {
        world.flap_standby();
        !is_stuck(&world, "log")
    });
    let len = reader.read(&mut some).unwrap();
    let text = String::from_utf8_lossy(&some[..len]).into_owned();
    assert!(text.contains("lines are missing here: stderr was stuck"), "{text}");
    // A closed pipe, in the middle and before the start: no signal, no panic.
    drop(reader);
    session_lives_on(&world);
    assert!(is_stuck(&world, "log"));
    end(agent);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let agent = world.agent_behind("", writer);
    world.wait_until_attached();
    session_lives_on(&world);
    end(agent);
    let agent = world.agent_behind("exec 2>&-;", Stdio::null());
    world.wait_until_attached();
    session_lives_on(&world);
    end(agent);
    end(gateway);
    world.verify_events();
}

#[test]
fn an_error_without_a_reader_is_still_an_exit_code() {
    let Some(world) = World::new("an_error_without_a_reader_is_still_an_exit_code") else { return };
    world.edit("agent.toml", "[agent]", "[agnet]");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(world.agent_behind("", writer).wait().0, Some(6));
}

#[test]
fn followers_that_never_read_disturb_nothing() {
    let Some(world) = World::new("followers_that_never_read_disturb_nothing") else { return };
    let (gateway, agent) = world.both();
    let followers: Vec<UnixStream> = (0..20)
        .map(|_| {
            let mut stream = UnixStream::connect(world.bed.0.join("agent.sock")).unwrap();
            // One that is refused is closed before it has asked.
            stream.write_all(b"{\"request\":\"events\",\"follow\":true}\n").ok();
            stream
        })
        .collect();
    // Those for whom there was no place are gone soon; the others leave room for who asks.
    world.wait_until("the agent answers", || world.status("agent").is_some());
    session_lives_on(&world);
    assert_eq!(world.agent_says("telemetry")["queue"]["dropped"], 0);
    drop(followers);
    end(agent);
    end(gateway);
    world.verify_events();
}

#[test]
fn a_file_that_is_rotated_or_deleted_goes_on() {
    let Some(world) = World::new("a_file_that_is_rotated_or_deleted_goes_on") else { return };
    let (gateway, agent) = world.both();
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let (path, moved) = (world.bed.0.join("agent.jsonl"), world.bed.0.join("agent.jsonl.1"));
    std::fs::rename(&path, &moved).unwrap();
    agent.signal("HUP");
    world.wait_until("there is a new file", || path.exists());
    session_lives_on(&world);
    world.wait_until("events are in the new file", || !read(&path).is_empty());
    assert_eq!(prove(&world, &(read(&moved) + &read(&path))), 0, "the parts are one file");
    std::fs::remove_file(&path).unwrap();
    world.flap_standby();
    world.wait_until("there is a new file", || !read(&path).is_empty());
    assert_eq!(sink(&world, "file")["dropped"], 0);
    end(agent);
    end(gateway);
}
