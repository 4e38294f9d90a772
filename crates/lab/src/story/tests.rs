//! Stories as people write them: right ones, and every kind of slip.

use super::*;

fn mistakes(text: &str) -> String {
    Story::parse("s", text).expect_err("must be refused").to_string()
}

#[test]
fn every_built_in_story_is_valid_and_named_like_its_file() {
    for (name, _) in BUILT_IN {
        let story = Story::load(name).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(story.name, *name);
        assert!(!story.title.is_empty() && story.expect.tcp_alive && story.expect.session_same);
    }
}

#[test]
fn a_whole_story_is_read() {
    let story = Story::parse(
        "commute",
        r#"
title = "train"
runs = 3
settle = "2s"
spacing = "2ms"
[network.lte]
delay = "30ms"
jitter = "4ms"
loss = "0.5%"
rate = "20mbit"
[[step]]
at = "2s"
do = "blackhole wifi up"
[[step]]
at = "1s"
do = "loss lte 5%"
every = "500ms"
times = 2
[expect]
gap = "1rtt + 15ms"
gap_down = "100ms"
lost_up = 4
switches = [1, 2]
detect = "0.2s"
"#,
    )
    .expect("valid");
    assert_eq!(story.name, "commute");
    assert_eq!(story.rtt(Uplink::Lte), Duration::from_millis(60));
    assert_eq!(story.rtt(Uplink::Wifi), Duration::from_millis(20));
    let at: Vec<u128> = story.steps.iter().map(|step| step.at.as_millis()).collect();
    assert_eq!(at, [1000, 1500, 2000]);
    assert_eq!(story.fault_at(), Duration::from_secs(1));
    assert_eq!(story.ends_at(), Duration::from_secs(4));
    let on = |limit: Option<Limit>| limit.map(|limit| limit.on(Duration::from_millis(20), story.spacing));
    assert_eq!(on(story.expect.gap_up), Some(Duration::from_millis(35)));
    assert_eq!(on(story.expect.gap_down), Some(Duration::from_millis(100)));
    assert_eq!((story.expect.lost_up, story.expect.lost_down), (Some(4), None));
    assert_eq!(story.expect.switches, Some((1, 2)));
}

#[test]
fn all_mistakes_are_reported_with_their_lines() {
    let text = "title = \"x\"\nsettle = \"2 weeks\"\n[[step]]\nat = \"1s\"\ndo = \"blackhol wifi\"\n\
                [[step]]\nat = \"soon\"\ndo = \"rebind dsl\"\n[expect]\ngap = \"2 parsec\"\n";
    let report = mistakes(text);
    let lines: Vec<&str> = report.lines().collect();
    assert_eq!(lines.len(), 5, "{report}");
    assert!(lines[0].starts_with("s:2: ") && lines[0].contains("250ms"));
    assert!(lines[1].starts_with("s:5: ") && lines[1].contains("did you mean \"blackhole\"?"));
    assert!(lines[2].starts_with("s:7: ") && lines[3].starts_with("s:8: ") && lines[4].starts_with("s:10: "));
}

#[test]
fn unknown_keys_and_syntax_errors_name_their_line() {
    assert!(mistakes("title = \"x\"\nexpectt = 1\n").starts_with("s:2: "));
    assert!(mistakes("title = \"x\n").starts_with("s:1: "));
    assert!(mistakes("title = \"x\"\n").contains("[[step]]"));
    assert!(mistakes("[[step]]\nat=\"1s\"\ndo=\"unpin\"\ntimes = 3\n").starts_with("s:4: "));
}

#[test]
fn actions_read_and_print_alike() {
    for text in [
        "link-down wifi",
        "link-up lte",
        "carrier-down wifi",
        "carrier-up wifi",
        "blackhole wifi",
        "blackhole wifi up",
        "blackhole lte down",
        "udp-block wifi",
        "udp-allow wifi",
        "clear wifi",
        "rebind lte",
        "jump lte",
        "pin wifi",
        "unpin",
        "mtu wifi 1280",
        "loss wifi 5%",
        "delay lte 30ms",
    ] {
        let action = Action::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(action.to_string(), text);
    }
    for wrong in [
        "",
        "link-down",
        "jump",
        "jump home",
        "blackhole wifi sideways",
        "delay wifi",
        "unpin wifi",
        "mtu wifi x",
    ] {
        assert!(Action::parse(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_story_that_is_not_there_is_answered_with_what_is() {
    assert!(Story::load("blackhol").expect_err("none").contains("\"blackhole\""));
    assert!(Story::load("/nowhere/story.toml").expect_err("none").contains("built in are planned"));
}

#[test]
fn what_is_about_nat_cannot_be_played_without_one() {
    let about_nat = |(name, text): &&(&str, &str)| Story::parse(name, text).unwrap().is_about_nat();
    let names: Vec<&str> = BUILT_IN.iter().filter(about_nat).map(|(name, _)| *name).collect();
    assert_eq!(names, ["rebind"]);
}
