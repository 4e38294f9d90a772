//! A machine that has nothing left: descriptors, memory, time of the processor, room in a queue.

use std::process::Command;
use std::time::Instant;

use crate::world::{Daemon, PATIENCE, World};

/// Sets a soft limit of a daemon that runs.
fn limit_files(daemon: &Daemon, soft: &str) {
    let id = daemon.id().to_string();
    let limit = format!("--nofile={soft}:");
    assert!(Command::new("prlimit").args(["--pid", &id, &limit]).status().unwrap().success());
}

fn open_files(daemon: &Daemon) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", daemon.id())).unwrap().count()
}

/// Share of one core that the daemon takes while `work` is done, in percent.
fn share(daemon: &Daemon, work: impl FnOnce()) -> u64 {
    let (began, before) = (Instant::now(), daemon.ticks());
    work();
    // A tick is 10 ms on every Linux that runs this (USER_HZ is 100).
    (daemon.ticks() - before) * 1000 / (began.elapsed().as_millis() as u64).max(1)
}

/// Waits until a daemon answers (nothing) or has ended: its exit code, if it was not a signal.
fn outcome(world: &World, verb: &str, daemon: &mut Daemon) -> Option<Option<i32>> {
    let mut ended = None;
    world.wait_until("it answers or ends", || {
        ended = daemon.ended();
        ended.is_some() || world.status(verb).is_some()
    });
    ended
}

#[test]
fn too_few_descriptors_at_the_start_are_a_refusal_in_words() {
    let Some(world) = World::new("too_few_descriptors_at_the_start_are_a_refusal_in_words") else { return };
    for verb in ["gateway", "agent"] {
        for (count, starts) in [(8, false), (20, false), (63, false), (64, true)] {
            std::fs::remove_file(world.bed.0.join(format!("{verb}.toml.log"))).ok();
            let (shell, log) = (format!("ulimit -n {count};"), world.log_file(verb));
            let mut daemon = match verb {
                "agent" => world.agent_behind(&shell, log),
                _ => world.gateway_behind(&shell, log),
            };
            let ended = outcome(&world, verb, &mut daemon);
            let log = daemon.log();
            assert_eq!(ended, if starts { None } else { Some(Some(1)) }, "{verb} with {count}: {log}");
            assert_eq!(log.contains("open files"), !starts, "{verb} with {count}: {log}");
            assert!(!log.contains("panicked"), "{log}");
            if starts {
                daemon.signal("TERM");
                assert_eq!(daemon.wait().0, Some(0));
            }
        }
    }
}

#[test]
fn a_session_outlives_a_time_without_descriptors() {
    let Some(world) = World::new("a_session_outlives_a_time_without_descriptors") else { return };
    let (_gateway, agent) = world.both();
    let session = world.agent_says("session");
    let active = world.active_link();
    let other = if active == "one0" { "two0" } else { "one0" };
    world.wait_until_ready(other);
    // Not one more than there are: no client, no socket for a link that comes.
    limit_files(&agent, &open_files(&agent).to_string());
    assert!(world.in_agent(&format!("ip link set {other} down")).0);
    assert!(world.in_agent(&format!("ip link set {other} up")).0);
    world.set_default_route(other);
    // Its old socket was closed, so one client at a time has a descriptor again, or the link has: who comes first.
    let ping = world.beside_agent("ping -q -i 0.02 -c 150 -W 10 10.77.0.1");
    limit_files(&agent, "3");
    let used = share(&agent, || {
        // A client knocks and is not let in.
        let knock = std::os::unix::net::UnixStream::connect(world.bed.0.join("agent.sock"));
        world.wait_until("it is said", || agent.log().contains("cannot take clients on the control socket"));
        let output = String::from_utf8(ping.wait_with_output().unwrap().stdout).unwrap();
        assert!(output.contains(" 0% packet loss"), "{output}");
        drop(knock);
    });
    assert!(used < 50, "{used} % of a core: it spins");
    assert_eq!(agent.log().matches("cannot take clients").count(), 1, "said once: {}", agent.log());
    limit_files(&agent, "1024");
    world.wait_until("clients are served again", || world.status("agent").is_some());
    world.wait_until_ready(other);
    assert_eq!((world.agent_says("session"), world.agent_says("state")), (session, "ATTACHED".into()));
}

#[test]
fn too_little_memory_at_the_start_is_a_refusal_in_words() {
    let Some(world) = World::new("too_little_memory_at_the_start_is_a_refusal_in_words") else { return };
    // Many peers: a large file, and large tables.
    let peer = std::fs::read_to_string(world.bed.0.join("gateway.toml")).unwrap();
    let peer = peer.split("[[peer]]").next().unwrap().to_owned();
    let mut text = peer.replace("10.77.0.1/24", "10.64.0.1/10");
    for number in 0..5000u32 {
        let inner = format!("10.{}.{}.{}", 65 + number / 60_000, number / 250 % 250, number % 250 + 1);
        text += &format!(
            "[[peer]]\nname = \"p{number}\"\npublic_key = \"{}\"\ninner = [\"{inner}\"]\n",
            key_of(number)
        );
    }
    world.bed.file("gateway.toml", &text);
    let program_len = std::fs::metadata(env!("CARGO_BIN_EXE_jumpvpn")).unwrap().len();
    let mut outcomes = (0, 0);
    for mebibytes in (16..=512_u64).step_by(16) {
        std::fs::remove_file(world.bed.0.join("gateway.toml.log")).ok();
        let shell = format!("ulimit -v {};", mebibytes * 1024);
        let mut daemon = world.gateway_behind(&shell, world.log_file("gateway"));
        let code = outcome(&world, "gateway", &mut daemon);
        let log = daemon.log();
        match code {
            None => {
                outcomes.1 += 1;
                break;
            }
            Some(code) => {
                // 127 is the loader's, and the kernel kills what does not even get that far: the limit is below the program.
                let is_below = mebibytes << 20 < program_len;
                let expected = [Some(1), Some(127)].contains(&code) || (code.is_none() && is_below);
                assert!(expected, "{mebibytes} MiB: {code:?} {log}");
                outcomes.0 += i32::from(log.contains("not enough memory"));
            }
        }
    }
    assert!(outcomes.0 > 0 && outcomes.1 == 1, "{outcomes:?}");
}

/// A public key that nobody has the private one of, different for each number.
fn key_of(number: u32) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |place: u32| char::from(DIGITS[(number >> (6 * place) & 63) as usize]);
    format!("Q{}{}{}{}AA=", digit(0), digit(1), digit(2), "A".repeat(37))
}

#[test]
fn a_side_that_stands_still_for_seconds_keeps_its_session() {
    let Some(world) = World::new("a_side_that_stands_still_for_seconds_keeps_its_session") else { return };
    let (mut gateway, mut agent) = world.both();
    let session = world.agent_says("session");
    for stopped in [&gateway, &agent] {
        let ping = world.beside_agent("ping -q -i 0.1 -c 40 -W 10 10.77.0.1");
        stopped.signal("STOP");
        std::thread::sleep(std::time::Duration::from_secs(2));
        stopped.signal("CONT");
        ping.wait_with_output().unwrap();
        world.wait_until("it is attached again", || world.agent_says("state") == "ATTACHED");
        assert!(world.pings("10.77.0.1"));
        assert_eq!(world.agent_says("session"), session);
    }
    let jumps = world.agent_says("jumps").as_u64().unwrap();
    assert!(jumps <= 4, "{jumps} jumps for two stalls: it flaps");
    for daemon in [&mut agent, &mut gateway] {
        daemon.signal("TERM");
        assert_eq!(daemon.wait().0, Some(0));
    }
    // Among other things: never two paths active, and every fact the same on both sides.
    world.verify_events();
}

/// Packets that the kernel dropped because nobody took them from the tunnel's interface.
fn dropped_by_the_device(world: &World) -> u64 {
    let (_, link) = world.in_agent("ip -j -s link show jump0");
    let link: serde_json::Value = serde_json::from_str(&link).unwrap();
    link[0]["stats64"]["tx"]["dropped"].as_u64().unwrap()
}

#[test]
fn a_queue_of_the_tunnel_that_runs_over_loses_packets_and_nothing_else() {
    let Some(world) = World::new("a_queue_of_the_tunnel_that_runs_over_loses_packets_and_nothing_else")
    else {
        return;
    };
    let (_gateway, agent) = world.both();
    let session = world.agent_says("session");
    let before = dropped_by_the_device(&world);
    agent.signal("STOP");
    // Far more at once than the queue of such a device has room for (500 packets).
    let burst = world.beside_agent("ping -q -l 5000 -c 5000 -W 1 10.77.0.1");
    world.wait_until("the queue has run over", || dropped_by_the_device(&world) > before + 1000);
    agent.signal("CONT");
    burst.wait_with_output().unwrap();
    world.wait_until_attached();
    assert!(world.pings("10.77.0.1"));
    assert_eq!(world.agent_says("session"), session);
}

/// Seconds that the threads of a process have waited for a processor though they could have run.
fn waited_for_a_processor(id: u32) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{id}/task")).unwrap();
    let waited = threads.filter_map(|thread| {
        // proc(5): time on a processor, time waiting for one (both ns), number of turns.
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().nth(1)?.parse::<f64>().ok()
    });
    waited.sum::<f64>() / 1e9
}

/// What spins for ever, and its end.
struct Spinner(std::process::Child);

impl Spinner {
    fn start() -> Spinner {
        Spinner(Command::new("taskset").args(["-c", "0", "sh", "-c", "while :; do :; done"]).spawn().unwrap())
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn a_side_that_gets_hardly_any_time_of_the_processor_keeps_its_session() {
    let Some(world) = World::new("a_side_that_gets_hardly_any_time_of_the_processor_keeps_its_session")
    else {
        return;
    };
    let (gateway, agent) = world.both();
    let session = world.agent_says("session");
    for starved in [&gateway, &agent] {
        let id = starved.id().to_string();
        let before = waited_for_a_processor(starved.id());
        // A hundredth and less of one core, for all its threads: a nice value of 19 weighs 15, each of the others 1024 (sched(7)).
        assert!(
            Command::new("taskset").args(["-a", "-c", "-p", "0", &id]).output().unwrap().status.success()
        );
        assert!(Command::new("renice").args(["-n", "19", "-g", &id]).output().unwrap().status.success());
        let spinners = [Spinner::start(), Spinner::start()];
        let packets = world.beside_agent("ping -q -i 0.005 -c 800 -W 10 10.77.0.1");
        world.wait_until("it has waited", || waited_for_a_processor(starved.id()) - before > 1.0);
        drop(spinners);
        packets.wait_with_output().unwrap();
        world.wait_until_attached();
        assert!(world.pings("10.77.0.1"));
        assert_eq!(world.agent_says("session"), session);
        assert!(
            Command::new("taskset").args(["-a", "-c", "-p", "0-1", &id]).output().unwrap().status.success()
        );
    }
    world.verify_events();
}

#[test]
fn a_side_that_stands_still_for_too_long_has_lost_its_session() {
    let Some(world) = World::new("a_side_that_stands_still_for_too_long_has_lost_its_session") else {
        return;
    };
    for file in ["gateway.toml", "agent.toml"] {
        let text = std::fs::read_to_string(world.bed.0.join(file)).unwrap();
        world
            .bed
            .file(file, &(text + "[policy]\npreset = \"laptop\"\nsession.transport_lost_ttl = \"15s\"\n"));
    }
    let (mut gateway, mut agent) = world.both();
    let session = world.agent_says("session");
    agent.signal("STOP");
    let ended = |status: serde_json::Value| {
        status["sessions"]["ATTACHED"] == 0 && status["sessions"]["VOLATILE"] == 0
    };
    let began = Instant::now();
    world.wait_until("the time to live is over", || world.status("gateway").is_some_and(ended));
    assert!(began.elapsed() < PATIENCE);
    agent.signal("CONT");
    world.wait_until("there is a new session", || {
        world.in_agent("ping -c 1 -W 1 10.77.0.1");
        let status = world.status("agent").unwrap_or_default();
        status["state"] == "ATTACHED" && status["session"] != session
    });
    assert!(world.pings("10.77.0.1"));
    for daemon in [&mut agent, &mut gateway] {
        daemon.signal("TERM");
        assert_eq!(daemon.wait().0, Some(0));
    }
    world.verify_events();
    let events = std::fs::read_to_string(world.bed.0.join("gateway.jsonl")).unwrap();
    let end = events.lines().find(|line| line.contains("\"TERMINATION\"")).unwrap();
    assert!(end.contains("TRANSPORT_LOST_TTL"), "{end}");
}

/// A link whose queue is full and never empties: its socket takes nothing more, and reports no room ever again.
#[test]
fn a_link_that_takes_nothing_more_does_not_hold_up_the_next_one() {
    let Some(world) = World::new("a_link_that_takes_nothing_more_does_not_hold_up_the_next_one") else {
        return;
    };
    let (_gateway, _agent) = world.both();
    let session = world.agent_says("session");
    let first = world.active_link();
    let second = if first == "one0" { "two0" } else { "one0" };
    world.wait_until_ready(second);
    let queue = format!("tc qdisc add dev {first} root tbf rate 8bit burst 1600 limit 100000000");
    if !world.in_agent(&queue).0 {
        return eprintln!("SKIPPED a_link_that_takes_nothing_more_…: this kernel has no tbf queue");
    }
    // Far more than a socket's buffer holds (4 MiB asked for, twice that allowed).
    let flood = world.beside_agent("ping -q -f -s 1300 -c 20000 -W 1 10.77.0.1");
    world.wait_until("the other link is taken", || world.active_link() == second);
    assert!(world.pings("10.77.0.1"), "and packets pass over it");
    assert_eq!((world.agent_says("session"), world.agent_says("state")), (session, "ATTACHED".into()));
    flood.wait_with_output().unwrap();
}
