//! The cases. Times are checked with the stalls of the machine allowed for, which each run measures itself.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use jumpvpn_lab::bench::{self, Measurement};
use serde_json::Value;

/// All cases, in the order they run.
pub const ALL: &[(&str, fn())] = &[
    ("a_calm_link_delays_and_loses_nothing", a_calm_link_delays_and_loses_nothing),
    ("a_black_hole_of_200_ms_is_a_gap_of_200_ms", a_black_hole_of_200_ms_is_a_gap_of_200_ms),
    ("a_one_way_hole_hits_one_way", a_one_way_hole_hits_one_way),
    ("a_link_that_is_down_is_silent_and_comes_back", a_link_that_is_down_is_silent_and_comes_back),
    ("a_carrier_that_is_gone_is_silent_and_comes_back", a_carrier_that_is_gone_is_silent_and_comes_back),
    ("a_rebinding_kills_tcp_and_spares_the_way_up", a_rebinding_kills_tcp_and_spares_the_way_up),
    ("blocked_udp_spares_tcp", blocked_udp_spares_tcp),
    ("loss_and_reordering_are_counted", loss_and_reordering_are_counted),
    ("a_bottleneck_delays_what_exceeds_it", a_bottleneck_delays_what_exceeds_it),
    ("a_story_that_fails_says_so", a_story_that_fails_says_so),
    ("mistakes_have_their_exit_codes", mistakes_have_their_exit_codes),
    ("a_shell_sees_its_node", a_shell_sees_its_node),
    ("nothing_is_left_of_a_lab_that_was_killed", nothing_is_left_of_a_lab_that_was_killed),
    ("the_program_keeps_its_promise_on_a_planned_jump", the_program_keeps_its_promise_on_a_planned_jump),
    ("latency_can_be_measured", latency_can_be_measured),
    ("routers_follow_the_owner_epoch", || crate::cell::start("bird")),
    ("two_gateways_that_serve_at_once_are_seen_and_judged", || crate::cell::start("witness")),
    ("each_fault_of_the_store_has_its_effect", || crate::cell::start("store")),
];

/// First argument of this program when it is to measure instead of test.
pub const BENCH: &str = "bench";

/// A folder for the files of a case, empty.
pub fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("jumpvpn-lab-it-{}", std::process::id())).join(name);
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// This program again, whose labs are not taken for those of others on this machine.
pub fn program() -> Command {
    let mut program = Command::new("/proc/self/exe");
    program.env(jumpvpn_lab::namespace::GROUP, std::process::id().to_string());
    program
}

fn lab(arguments: &[&str]) -> Output {
    program().arg("lab").args(arguments).output().expect("start the lab")
}

/// Plays one run of a story and returns the report, and the run in it.
fn play(name: &str, story: &str) -> (Value, Value) {
    let folder = folder(name);
    let file = folder.join("story.toml");
    fs::write(&file, format!("runs = 1\n{story}")).expect("written");
    let out = folder.join("out");
    let output = lab(&["run", file.to_str().unwrap(), "--no-vpn", "--json", "--out", out.to_str().unwrap()]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(output.status.code(), Some(if report["pass"] == true { 0 } else { 1 }), "{output:?}");
    assert!(out.join("events.jsonl").is_file());
    fs::remove_dir_all(&folder).expect("removed");
    let run = report["runs"][0].clone();
    (report, run)
}

fn step(at: &str, action: &str) -> String {
    format!("[[step]]\nat = \"{at}\"\ndo = \"{action}\"\n")
}

fn number(run: &Value, key: &str, direction: &str) -> f64 {
    run[key][direction].as_f64().unwrap_or_else(|| panic!("no {key}.{direction} in {run}"))
}

/// How late things may be because this machine was busy, milliseconds.
fn slack(run: &Value) -> f64 {
    let sending = number(run, "sending_gap_ms", "up").max(number(run, "sending_gap_ms", "down")) - 5.0;
    run["machine_stall_ms"].as_f64().unwrap().max(sending) * 2.0
}

fn assert_between(what: &str, value: f64, least: f64, most: f64) {
    assert!((least..=most).contains(&value), "{what}: {value} is not in {least}..={most}");
}

fn a_calm_link_delays_and_loses_nothing() {
    let (report, run) = play("calm", &("settle = \"1s\"\n".to_owned() + &step("200ms", "clear wifi")));
    for direction in ["up", "down"] {
        // 10 ms one way: 20 ms there and back, ± 1 ms for both.
        assert_between("delay", number(&run, "delay_ms", direction), 10.0, 10.5);
        assert_eq!(number(&run, "lost", direction), 0.0);
        assert_between("gap", number(&run, "gap_ms", direction), 4.0, 7.0 + slack(&run));
    }
    assert_eq!((&report["pass"], &run["tcp"]), (&Value::Bool(true), &Value::from("alive")));
    assert_eq!(
        (&report["schema"], &run["event"]),
        (&Value::from("jumpvpn.lab/1"), &Value::from("clear wifi"))
    );
}

fn a_black_hole_of_200_ms_is_a_gap_of_200_ms() {
    let story =
        "settle = \"1s\"\n".to_owned() + &step("200ms", "blackhole wifi") + &step("400ms", "clear wifi");
    let (_, run) = play("hole", &story);
    for direction in ["up", "down"] {
        assert_between("gap", number(&run, "gap_ms", direction), 198.0 - slack(&run), 208.0 + slack(&run));
        assert_between("lost", number(&run, "lost", direction), 38.0 - slack(&run), 42.0);
    }
    assert_eq!(run["tcp"], "alive");
}

fn a_one_way_hole_hits_one_way() {
    let story = step("200ms", "blackhole wifi down") + &step("300ms", "clear wifi");
    let (_, run) = play("one-way", &story);
    assert_eq!(number(&run, "lost", "up"), 0.0);
    assert_between("lost", number(&run, "lost", "down"), 10.0, 22.0);
    assert_between("gap", number(&run, "gap_ms", "down"), 98.0 - slack(&run), 108.0 + slack(&run));
}

fn a_link_that_is_down_is_silent_and_comes_back() {
    let (_, run) = play("down", &(step("200ms", "link-down wifi") + &step("500ms", "link-up wifi")));
    for direction in ["up", "down"] {
        // The first question for the router's hardware address costs the way back up to one more spacing.
        assert_between("gap", number(&run, "gap_ms", direction), 295.0 - slack(&run), 330.0 + slack(&run));
    }
    assert_eq!(run["tcp"], "alive");
}

fn a_carrier_that_is_gone_is_silent_and_comes_back() {
    let story = step("200ms", "carrier-down wifi") + &step("500ms", "carrier-up wifi");
    let (_, run) = play("carrier", &story);
    // The kernel looks at a carrier that changed at most once a second: the way back may be that late.
    assert_between("gap", number(&run, "gap_ms", "up"), 295.0 - slack(&run), 1400.0 + slack(&run));
    assert!(number(&run, "lost", "down") > 10.0);
}

fn a_rebinding_kills_tcp_and_spares_the_way_up() {
    let (report, run) = play("rebind", &step("300ms", "rebind wifi"));
    assert_eq!(number(&run, "lost", "up"), 0.0);
    assert_between("lost", number(&run, "lost", "down"), 0.0, 3.0 + slack(&run));
    // The server answers the new address as soon as it hears from it.
    assert_between("gap", number(&run, "gap_ms", "down"), 4.0, 26.0 + slack(&run));
    assert_eq!((&run["tcp"], &report["pass"]), (&Value::from("broken"), &Value::Bool(false)));
}

fn blocked_udp_spares_tcp() {
    let (_, run) = play("udp", &step("200ms", "udp-block wifi"));
    assert!(number(&run, "lost", "up") > 200.0);
    assert_eq!(run["tcp"], "alive");
    assert!(number(&run, "tcp_stall_ms", "up") < 100.0 + slack(&run));
}

fn loss_and_reordering_are_counted() {
    let story =
        "settle = \"2s\"\n[network.wifi]\nloss = \"10%\"\n".to_owned() + &step("10ms", "jitter wifi 1ms");
    let (_, run) = play("loss", &story);
    for direction in ["up", "down"] {
        let share = number(&run, "lost", direction) / number(&run, "sent", direction);
        assert_between("share lost", share, 0.05, 0.15);
    }
    let (_, run) = play("reorder", &("settle = \"2s\"\n".to_owned() + &step("10ms", "reorder wifi 10%")));
    assert!(number(&run, "reordered", "up") > 10.0);
    assert_eq!(number(&run, "lost", "up"), 0.0);
}

fn a_bottleneck_delays_what_exceeds_it() {
    // 188 bytes each 5 ms are 300 kbit/s: at 250 kbit/s the queue grows until it is full, 250 ms.
    let story = "settle = \"3s\"\n".to_owned() + &step("10ms", "rate wifi 250kbit");
    let (_, run) = play("rate", &story);
    assert!(number(&run, "delay_ms", "up") > 100.0);
    assert!(number(&run, "lost", "up") > 0.0);
}

fn a_story_that_fails_says_so() {
    let story = step("200ms", "blackhole wifi")
        + &step("300ms", "clear wifi")
        + "[expect]\ngap = \"20ms\"\nlost = 0\n";
    let (report, _) = play("fails", &story);
    assert_eq!(report["pass"], false);
    let findings: Vec<&str> =
        report["findings"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(findings.len(), 4, "{findings:?}");
    assert!(findings[0].starts_with("gap up: median 1"), "{findings:?}");
}

fn mistakes_have_their_exit_codes() {
    let output = lab(&["run", "blackhol", "--no-vpn"]);
    assert_eq!(output.status.code(), Some(6));
    assert!(String::from_utf8_lossy(&output.stderr).contains("did you mean \"blackhole\"?"));
    assert_eq!(lab(&["shell", "moon", "--no-vpn"]).status.code(), Some(2));
    assert_eq!(lab(&["run", "rebind", "--runs", "0"]).status.code(), Some(2));
}

fn a_shell_sees_its_node() {
    let out = folder("shell");
    let output =
        lab(&["shell", "gateway", "--no-vpn", "--out", out.to_str().unwrap(), "--", "cat", "/proc/net/dev"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("eth0") && text.contains("lan0"), "{output:?}");
    let code =
        lab(&["shell", "server", "--no-vpn", "--out", out.to_str().unwrap(), "--", "sh", "-c", "exit 7"]);
    assert_eq!(code.status.code(), Some(7));
}

fn nothing_is_left_of_a_lab_that_was_killed() {
    let out = folder("killed");
    let mut lab = program()
        .args(["lab", "shell", "laptop", "--no-vpn", "--out", out.to_str().unwrap(), "--", "sleep", "600"])
        .stdin(Stdio::null())
        .spawn()
        .expect("start the lab");
    let mut below = Vec::new();
    // Outer program, process 1 inside, and what it runs.
    wait_until("the lab has started its program", || {
        below = descendants(lab.id());
        below.len() >= 2
    });
    // Another terminal finds the lab that runs.
    let joined =
        program().args(["lab", "shell", "server", "--", "cat", "/proc/net/route"]).output().expect("join");
    assert!(joined.status.success(), "{joined:?}");
    lab.kill().expect("killed");
    lab.wait().expect("waited");
    wait_until("everything has ended", || below.iter().all(|process| !is_alive(*process)));
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(120);
    while !holds() {
        assert!(Instant::now() < until, "{what}: not within two minutes");
        thread::sleep(Duration::from_millis(20));
    }
}

fn descendants(process: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    let children: Vec<u32> = listed.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let mut all = children.clone();
    // A lab has threads, and each thread its own children.
    for child in children {
        let threads = fs::read_dir(format!("/proc/{child}/task")).into_iter().flatten().flatten();
        for thread in threads {
            let listed = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            all.extend(listed.split_whitespace().filter_map(|number| number.parse::<u32>().ok()));
        }
    }
    all
}

fn is_alive(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// Whether there is a program under test; says so if not.
fn has_program(case: &str) -> bool {
    let given = std::env::var_os("JUMPVPN_BIN").is_some();
    if !given {
        eprintln!("SKIPPED {case}: set JUMPVPN_BIN to the program");
    }
    given
}

fn the_program_keeps_its_promise_on_a_planned_jump() {
    if !has_program("planned jump") {
        return;
    }
    let out = folder("planned");
    let output = lab(&["run", "planned", "--runs", "1", "--json", "--out", out.to_str().unwrap()]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let run = &report["runs"][0];
    assert_eq!((number(run, "lost", "up"), number(run, "lost", "down")), (0.0, 0.0), "{run}");
    assert_eq!(
        (&run["tcp"], &run["session_same"], &run["audit"]),
        (&Value::from("alive"), &Value::Bool(true), &Value::from("proven"))
    );
    assert!(out.join("run-1/agent.jsonl").is_file() && out.join("run-1/gateway.jsonl").is_file());
}

fn latency_can_be_measured() {
    if !has_program("latency") {
        return;
    }
    let output = program().args([BENCH, "latency"]).output().expect("start");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    let value = |name: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{text}"));
        line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{line}"))
    };
    assert_between("rtt_idle_ms", value("rtt_idle_ms"), 0.01, 20.0);
    assert!(value("rtt_loaded_ms") > 0.0);
}

/// Measures what the second argument names and prints a line per figure.
pub fn bench_inside() -> io::Result<ExitCode> {
    let measurement = match std::env::args().nth(2).as_deref() {
        Some("throughput") => Measurement::Throughput,
        Some("pps") => Measurement::Pps,
        _ => Measurement::Latency,
    };
    let figures = bench::measure(measurement, &folder("bench"), "laptop", &mut |what| eprintln!("{what}"))?;
    for figure in figures {
        let mut values = figure.values;
        values.sort_by(f64::total_cmp);
        println!("{} {:.6} {}", figure.name, values[values.len() / 2], figure.unit);
    }
    Ok(ExitCode::SUCCESS)
}
