//! Verdicts on runs with known figures.

use super::*;
use crate::gaps::Account;
use crate::tunnel::Switch;

const MS: Duration = Duration::from_millis(1);

fn run(gap: Duration, lost_count: u64) -> Run {
    let account = Account { sent_count: 400, lost_count, gap, ..Account::default() };
    Run {
        accounts: [account; 2],
        tcp_stalls: [gap; 2],
        tcp: TcpVerdict::Alive,
        ssh: None,
        agent: Some(AgentAccount {
            sessions: [Some("ab".to_owned()), Some("ab".to_owned())],
            active: [Some("wlan0/udp4".to_owned()), Some("wwan0/udp4".to_owned())],
            switches: vec![(30 * MS, jump("LINK_DOWN"))],
            noticed: Some(3 * MS),
            early_count: 0,
            audit: Vec::new(),
        }),
        start_up: 900 * MS,
        machine_stall: MS,
    }
}

fn jump(reason: &str) -> Switch {
    Switch {
        unix: Duration::ZERO,
        old_path: "wlan0/udp4".to_owned(),
        new_path: "wwan0/udp4".to_owned(),
        reason: reason.to_owned(),
        detect: Some(2 * MS),
    }
}

fn report(story: &str, runs: Vec<Run>) -> Report {
    let story = Story::load(story).expect("built in");
    Report::new(
        story,
        Played { runs, discarded_count: 0 },
        Some("jumpvpn 0.1.0".to_owned()),
        "/tmp/events.jsonl".to_owned(),
    )
}

#[test]
fn the_json_has_the_published_shape() {
    let json = report("link-down", vec![run(24 * MS, 2), run(26 * MS, 0), run(80 * MS, 4)]).json();
    assert_eq!((json["schema"].as_str(), json["story"].as_str()), (Some("jumpvpn.lab/1"), Some("link-down")));
    assert_eq!(json["pass"], true);
    assert_eq!(json["medians"]["gap_ms"]["up"], 26.0);
    let first = &json["runs"][0];
    assert_eq!(first["event"], "link-down wifi");
    assert_eq!((first["gap_ms"]["up"].as_f64(), first["lost"]["down"].as_u64()), (Some(24.0), Some(2)));
    assert_eq!((first["detect_ms"].as_f64(), first["tcp"].as_str()), (Some(3.0), Some("alive")));
    assert_eq!(first["session_same"], true);
}

#[test]
fn the_gap_is_judged_by_the_median_and_the_rest_by_each_run() {
    assert!(report("link-down", vec![run(34 * MS, 9), run(30 * MS, 9), run(300 * MS, 9)]).passed());
    let late = report("link-down", vec![run(36 * MS, 0), run(30 * MS, 0), run(300 * MS, 0)]);
    assert_eq!(late.findings().len(), 2, "{:?}", late.findings());
    assert!(late.findings()[0].contains("35.0 ms"));
    let lossy = report("planned", vec![run(5 * MS, 0), run(5 * MS, 1), run(5 * MS, 0)]);
    assert_eq!(
        lossy.findings(),
        [
            "run 2: 1 datagrams lost up, at most 0 promised",
            "run 2: 1 datagrams lost down, at most 0 promised"
        ]
    );
}

#[test]
fn a_dead_stream_or_another_session_fails_every_story() {
    let mut broken = run(MS, 0);
    broken.tcp = TcpVerdict::Broken("reset".to_owned());
    if let Some(agent) = &mut broken.agent {
        agent.sessions[1] = Some("cd".to_owned());
    }
    let report = report("blackhole", vec![broken]);
    assert_eq!(report.findings().len(), 2, "{:?}", report.findings());
    assert!(report.table().contains("FAIL: run 1: the TCP stream broke: reset"));
    assert_eq!(report.json()["runs"][0]["session_same"], false);
}

#[test]
fn a_broken_audit_fails_every_story_and_a_busy_machine_is_named() {
    let mut bad = run(MS, 0);
    bad.machine_stall = 38 * MS;
    if let Some(agent) = &mut bad.agent {
        agent.audit.push("gateway:11: backwards".to_owned());
        agent.early_count = 1;
    }
    let report = report("blackhole", vec![bad]);
    assert_eq!(
        report.findings(),
        [
            "run 1: 1 switches before anything had happened",
            "run 1: the audit is broken: gateway:11: backwards"
        ]
    );
    assert!(report.table().contains("kept a thread waiting for 38.0 ms"));
    assert_eq!(report.json()["runs"][0]["audit"], "broken");
}

#[test]
fn a_run_is_disturbed_by_the_machine_and_never_by_its_figures() {
    let spacing = 5 * MS;
    assert!(!run(900 * MS, 80).is_disturbed(spacing));
    let mut stalled = run(MS, 0);
    stalled.machine_stall = 5 * MS;
    assert!(stalled.is_disturbed(spacing));
    let mut late = run(MS, 0);
    late.accounts[1].sending_gap = 10 * MS;
    assert!(late.is_disturbed(spacing));
}

#[test]
fn budget_and_cooldown_are_watched() {
    let with = |switches: Vec<(Duration, Switch)>| {
        let mut run = run(MS, 0);
        if let Some(agent) = &mut run.agent {
            agent.switches = switches;
        }
        report("flap", vec![run])
    };
    let second = Duration::from_secs(1);
    assert!(with(vec![(MS, jump("LINK_DOWN")), (second, jump("LINK_DOWN"))]).passed());
    let eager = with(vec![(MS, jump("LINK_DOWN")), (second, jump("BETTER_PATH"))]);
    assert!(eager.findings()[0].contains("within 999.0 ms"), "{:?}", eager.findings());
    let many = with((0..9).map(|turn| (second * turn * 3, jump("LINK_DOWN"))).collect());
    assert_eq!(many.findings().len(), 2, "{:?}", many.findings());
}
