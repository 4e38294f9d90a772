//! Tests of the audit proof: good files pass, and each planted violation is found under its own rule.

use std::time::Duration;

use super::*;
use crate::json::write_line;
use crate::{BindingState, Event, EventKind, PathLabel, Reason, SessionLabel, State, Time};

/// A file in the making: what a well-behaved program writes about one session.
#[derive(Clone, Default)]
struct File {
    lines: Vec<String>,
    seq: u64,
    step: u64,
    /// 1 from the birth on where nothing else is said.
    epoch: u64,
    version: u64,
}

impl File {
    fn write(&mut self, kind: EventKind) -> &mut File {
        self.seq += 1;
        let event = Event {
            at: Time::ZERO,
            session: Some(SessionLabel([7; 16])),
            step: self.step,
            epoch: self.epoch.max(u64::from(self.version > 0)),
            version: self.version,
            reason: Reason::LinkDown,
            kind,
        };
        let mut line = String::new();
        write_line(&mut line, &event, self.seq, 0, "gw");
        self.lines.push(line);
        self
    }

    fn change(&mut self, from: State, to: State) -> &mut File {
        self.step += 1;
        self.write(EventKind::StateChange { from, to })
    }

    fn path(&mut self, path: &str, binding: BindingState) -> &mut File {
        self.write(EventKind::PathState { path: PathLabel::new(path), binding, rtt: None })
    }

    fn birth(&mut self) -> &mut File {
        self.version += 1;
        self.write(EventKind::SessionBirth { path: PathLabel::new("a") })
    }

    fn switch(&mut self) -> &mut File {
        self.version += 1;
        let (old_path, new_path) = (PathLabel::new("a"), PathLabel::new("b"));
        self.write(EventKind::TransportSwitch { old_path, new_path, detect: None, gap: None })
    }

    fn takeover(&mut self) -> &mut File {
        self.write(EventKind::Takeover { path: PathLabel::new("b"), gap: None })
    }

    fn terminate(&mut self) -> &mut File {
        self.version += 1;
        self.write(EventKind::Termination { committed: true, lifetime: Duration::ZERO, switches: 1 })
    }

    fn gap(&mut self, count: u64) -> &mut File {
        let first_seq = self.seq + 1;
        self.seq += count;
        self.write(EventKind::TelemetryGap { first_seq, last_seq: self.seq })
    }

    fn text(&self) -> String {
        self.lines.join("\n") + "\n"
    }

    fn rules(&self) -> Vec<Rule> {
        rules(&[&self.text()])
    }
}

fn rules(files: &[&str]) -> Vec<Rule> {
    let numbered = files.iter().enumerate().map(|(i, text)| (format!("file{i}"), text.as_bytes()));
    match verify_lines(numbered) {
        Ok(_) => Vec::new(),
        Err(findings) => findings.into_iter().map(|finding| finding.rule).collect(),
    }
}

fn life() -> File {
    let mut file = File::default();
    file.birth().path("a", BindingState::Active).change(State::Birth, State::Attached);
    file.change(State::Attached, State::Volatile).change(State::Volatile, State::Recovering);
    file.path("a", BindingState::Draining).switch().path("b", BindingState::Active);
    file.change(State::Recovering, State::Attached);
    file.terminate().change(State::Attached, State::Terminated).path("b", BindingState::Gone);
    file
}

/// The lines of a life, renumbered after a change to them.
fn renumbered(lines: &[String]) -> String {
    let mut out = String::new();
    for (index, line) in lines.iter().enumerate() {
        let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
        value["seq"] = (index + 1).into();
        out.push_str(&value.to_string());
        out.push('\n');
    }
    out
}

#[test]
fn a_good_life_is_proven() {
    let text = life().text();
    let summary = verify_lines([("gw", text.as_bytes()), ("agent", text.as_bytes())]).unwrap();
    let expected = Summary {
        files: 2,
        lines: 24,
        runs: 2,
        sessions: 1,
        transitions: 10,
        commits: 6,
        shared_facts: 3,
        missing: 0,
    };
    assert_eq!(summary, expected);
}

#[test]
fn nothing_is_proven_of_nothing() {
    assert_eq!(rules(&[]), []);
    assert_eq!(rules(&["", "\n\n"]), []);
}

/// Taking any single line of a life away is noticed at once, by its number.
#[test]
fn a_missing_line_is_found() {
    for index in 0..life().lines.len() - 1 {
        let mut file = life();
        file.lines.remove(index);
        assert!(file.rules().contains(&Rule::Sequence), "line {index}");
    }
}

/// Even if somebody renumbers the lines, a missing or doubled transition or commit is noticed.
#[test]
fn a_missing_or_doubled_fact_is_found_without_numbers() {
    let lines = life().lines;
    for index in 0..lines.len() - 1 {
        let fact =
            ["STATE_CHANGE", "SESSION_BIRTH", "TRANSPORT_SWITCH"].iter().any(|n| lines[index].contains(n));
        let terminated = lines[index].contains("\"to\":\"TERMINATED\"");
        if fact && !terminated {
            let without: Vec<String> =
                lines.iter().enumerate().filter(|(i, _)| *i != index).map(|(_, l)| l.clone()).collect();
            assert_ne!(rules(&[&renumbered(&without)]), [], "without line {index}");
        }
        if fact || lines[index].contains("\"TERMINATION\"") {
            let mut doubled = lines.clone();
            doubled.insert(index, lines[index].clone());
            assert_ne!(rules(&[&renumbered(&doubled)]), [], "line {index} doubled");
        }
    }
}

#[test]
fn steps_form_a_chain() {
    let mut file = File::default();
    file.birth().change(State::Birth, State::Attached).change(State::Volatile, State::Attached);
    assert_eq!(file.rules(), [Rule::Transition]);
    let mut file = File::default();
    file.birth().change(State::Attached, State::Volatile);
    assert_eq!(file.rules(), [Rule::Transition]);
}

#[test]
fn terminated_absorbs() {
    let mut file = life();
    file.change(State::Terminated, State::Attached);
    assert_eq!(file.rules(), [Rule::Absorbing]);
    let mut file = life();
    file.path("a", BindingState::Active);
    assert_eq!(file.rules(), [Rule::Absorbing]);
    let mut file = life();
    file.switch();
    assert_eq!(file.rules(), [Rule::Absorbing]);
    let mut file = life();
    file.write(EventKind::Termination { committed: false, lifetime: Duration::ZERO, switches: 0 });
    assert_eq!(file.rules(), [Rule::Absorbing]);
}

#[test]
fn two_active_paths_are_found() {
    let mut file = File::default();
    file.birth().path("a", BindingState::Active).path("a", BindingState::Active);
    assert_eq!(file.rules(), []);
    file.path("b", BindingState::Active);
    assert_eq!(file.rules(), [Rule::OneActive]);
}

#[test]
fn commits_rise_one_by_one() {
    let mut file = File::default();
    file.switch();
    assert_eq!(file.rules(), [Rule::Commit], "the first fact is a birth");
    let mut file = File::default();
    file.birth();
    file.version += 1;
    file.switch();
    assert_eq!(file.rules(), [Rule::Commit], "a version is missing");
    let mut file = File::default();
    file.birth().switch();
    file.version -= 1;
    file.change(State::Birth, State::Attached);
    assert_eq!(file.rules(), [Rule::Backwards]);
}

#[test]
fn a_gap_excuses_what_it_names() {
    let mut file = File::default();
    file.birth().path("a", BindingState::Active).change(State::Birth, State::Attached);
    file.step += 2;
    file.version += 1;
    file.gap(5).path("b", BindingState::Active).change(State::Recovering, State::Attached).switch();
    let text = file.text();
    let summary = verify_lines([("gw", text.as_bytes())]).unwrap();
    assert_eq!(summary.missing, 5);
    file.step -= 2;
    file.change(State::Attached, State::Volatile);
    assert_eq!(file.rules(), [Rule::Transition], "backwards is never excused");
}

#[test]
fn a_session_may_appear_after_a_gap() {
    let mut file = File { seq: 0, step: 3, version: 2, ..File::default() };
    file.gap(9);
    let gap = file.lines.pop().unwrap().replace(&SessionLabel([7; 16]).to_string(), &"0".repeat(32));
    file.lines.push(gap);
    file.change(State::Recovering, State::Attached).switch();
    assert_eq!(file.rules(), []);
}

#[test]
fn a_gap_excuses_one_hole_and_no_step_back() {
    let start = || {
        let mut file = File::default();
        file.birth().switch().change(State::Birth, State::Attached).change(State::Attached, State::Volatile);
        file
    };
    let mut file = start();
    file.gap(1);
    file.step -= 1;
    file.change(State::Volatile, State::Attached);
    assert_eq!(file.rules(), [Rule::Transition], "the same step twice");
    let mut file = start();
    file.version += 1;
    file.gap(1).switch();
    file.version += 1;
    file.switch();
    assert_eq!(file.rules(), [Rule::Commit], "a second hole");
    let mut file = start();
    file.version += 3;
    file.gap(3).switch();
    file.version -= 4;
    file.gap(1).switch();
    assert!(file.rules().contains(&Rule::Commit), "an earlier version after a gap");
}

#[test]
fn a_gap_does_not_excuse_other_holes() {
    let mut file = File::default();
    file.birth();
    file.seq += 1;
    file.gap(2);
    assert_eq!(file.rules(), [Rule::Sequence]);
    let mut file = File::default();
    file.birth().gap(2);
    file.seq += 1;
    file.change(State::Birth, State::Attached);
    assert_eq!(file.rules(), [Rule::Sequence]);
}

#[test]
fn a_restart_begins_a_new_run() {
    let mut file = File::default();
    file.birth().change(State::Birth, State::Attached);
    let before = file.text();
    // Another program run goes on with the session where the store had it.
    let mut after = File { version: 1, ..File::default() };
    after.change(State::Recovering, State::Attached).switch();
    let text = before.clone() + &after.text();
    assert_eq!(verify_lines([("gw", text.as_bytes())]).unwrap().runs, 2);
    // It must not tell the same fact again.
    let text = before.clone() + &before;
    assert!(rules(&[&text]).contains(&Rule::Commit));
}

#[test]
fn sides_must_agree_but_one_may_know_less() {
    let full = life();
    let mut short = File::default();
    short.birth().change(State::Birth, State::Attached);
    assert_eq!(rules(&[&full.text(), &short.text()]), []);
    let other_epoch = full.text().replace("\"epoch\":1", "\"epoch\":2");
    assert_eq!(rules(&[&full.text(), &other_epoch]), [Rule::Agreement; 3]);
    let mut other_kind = File::default();
    other_kind.birth().change(State::Birth, State::Attached).terminate();
    assert_eq!(rules(&[&full.text(), &other_kind.text()]), [Rule::Agreement]);
}

#[test]
fn what_is_no_event_is_found() {
    for text in ["{", "[]", "{\"seq\":1}", "null", "\u{0}"] {
        assert_eq!(rules(&[text]), [Rule::Shape], "{text}");
    }
    let broken = life().text().replace("\"to\":\"VOLATILE\"", "\"to\":\"ILL\"");
    assert!(rules(&[&broken]).contains(&Rule::Shape));
    let not_text: &[u8] = &[0xff, 0xfe, b'\n'];
    assert!(verify_lines([("x", not_text)]).is_err());
}

#[test]
fn findings_are_bounded() {
    let text = "?\n".repeat(5 * MAX_FINDINGS);
    assert_eq!(rules(&[&text, &text]).len(), MAX_FINDINGS);
}

/// A session that another gateway takes over at `version`, as that gateway tells it.
fn taken_over(epoch: u64, version: u64) -> File {
    let mut file = File { epoch, version, ..File::default() };
    file.takeover().change(State::Birth, State::Attached).path("path0", BindingState::Active);
    file
}

#[test]
fn a_takeover_goes_on_where_the_client_was() {
    let mut client = File::default();
    client.birth().change(State::Birth, State::Attached).switch();
    let mut first = client.clone();
    // The client never learned of this one.
    first.switch().write(EventKind::Release { given: false });
    client.change(State::Attached, State::Recovering);
    (client.epoch, client.version) = (2, 3);
    client.takeover().change(State::Recovering, State::Attached).switch();
    let mut second = taken_over(2, 3);
    second.switch();
    let files = [client.text(), first.text(), second.text()];
    assert_eq!(rules(&[&files[0], &files[1], &files[2]]), []);
    let summary = verify_lines(files.iter().map(|text| ("x", text.as_bytes()))).unwrap();
    assert_eq!(summary.shared_facts, 4, "birth, switch, takeover and another switch");
    // The first one goes on serving all the same: nobody took over at version 4.
    let forked = first.text().replace("\"epoch\":1", "\"epoch\":2");
    assert!(rules(&[&files[0], &forked]).contains(&Rule::Agreement));
}

#[test]
fn a_takeover_begins_a_higher_epoch() {
    let mut file = File::default();
    file.birth().change(State::Birth, State::Attached);
    file.version += 1;
    file.takeover();
    assert_eq!(file.rules(), [Rule::Commit]);
    let mut file = taken_over(2, 7);
    file.epoch = 1;
    file.takeover();
    assert!(file.rules().contains(&Rule::Backwards));
}

#[test]
fn what_was_given_away_is_told_of_again_only_when_it_comes_back() {
    let start = || {
        let mut file = taken_over(2, 7);
        file.write(EventKind::Release { given: true });
        file
    };
    let mut file = start();
    file.change(State::Attached, State::Volatile);
    assert_eq!(file.rules(), [Rule::Absorbing]);
    let mut file = start();
    (file.epoch, file.version, file.step) = (4, 6, 0);
    file.takeover().change(State::Birth, State::Attached).switch();
    assert_eq!(file.rules(), []);
}
