//! The proof of one session within one run of the program.

use super::Rule;
use super::line::{Detail, Line};
use crate::{BindingState, State};

/// What is known about the session after the lines so far.
pub(super) struct Thread {
    step: u64,
    /// `None` if it cannot be known: the session came from an earlier run, or lines were lost.
    state: Option<State>,
    epoch: u64,
    version: u64,
    /// Version of the last commit.
    committed: u64,
    active: Option<String>,
    terminated: bool,
    /// The program gave the session away, or lost it.
    released: bool,
    /// A TERMINATION line was read.
    closed: bool,
    /// Lines were lost, so the next transition / the next commit may skip some.
    lost_transitions: bool,
    lost_commits: bool,
}

/// Where violations go.
pub(super) type Found = Vec<(Rule, String)>;

impl Thread {
    /// A session that begins with this run.
    pub fn new() -> Thread {
        Thread {
            step: 0,
            state: Some(State::Birth),
            epoch: 0,
            version: 0,
            committed: 0,
            active: None,
            terminated: false,
            released: false,
            closed: false,
            lost_transitions: false,
            lost_commits: false,
        }
    }

    /// A session that an earlier run had brought to that version.
    pub fn restored(epoch: u64, version: u64) -> Thread {
        Thread { state: None, epoch, version, committed: version, ..Thread::new() }
    }

    /// Whether the program no longer has the session.
    pub fn is_released(&self) -> bool {
        self.released
    }

    /// Lines were lost: holes are allowed once, running backwards is not.
    pub fn lose(&mut self) {
        self.lost_transitions = true;
        self.lost_commits = true;
        self.state = self.state.filter(|state| *state == State::Terminated);
        self.active = None;
    }

    /// Takes the next line of the session.
    pub fn take(&mut self, line: &Line, found: &mut Found) {
        self.check_order(line, found);
        if self.released {
            found.push((Rule::Absorbing, format!("{} after RELEASE", line.name)));
        }
        self.released |= matches!(line.detail, Detail::Release);
        match &line.detail {
            Detail::StateChange { from, to } => self.take_transition(line.step, *from, *to, found),
            Detail::PathState { path, binding } => self.take_path(path, *binding, found),
            Detail::Termination { .. } if self.closed => {
                found.push((Rule::Absorbing, "a second TERMINATION".to_owned()));
            }
            _ => {}
        }
        if line.detail.is_commit() {
            self.take_commit(line, found);
        }
        self.closed |= matches!(line.detail, Detail::Termination { .. });
        (self.epoch, self.version) = (self.epoch, self.version).max((line.epoch, line.version));
    }

    /// Nothing runs backwards, and nothing is ahead of what was told: a line may be written just before the
    /// transition or commit it belongs to, so one step ahead is in order.
    fn check_order(&self, line: &Line, found: &mut Found) {
        let transition = matches!(line.detail, Detail::StateChange { .. });
        if line.step < self.step && !transition {
            found.push((Rule::Backwards, format!("step {} after step {}", line.step, self.step)));
        }
        if line.step > self.step + 1 && !transition && !self.lost_transitions {
            let text = format!("step {} after step {}: a STATE_CHANGE is missing", line.step, self.step);
            found.push((Rule::Transition, text));
        }
        if (line.epoch, line.version) < (self.epoch, self.version) && !line.detail.is_commit() {
            let text = format!("({}, {}) after ({}, {})", line.epoch, line.version, self.epoch, self.version);
            found.push((Rule::Backwards, text));
        }
        if line.version > self.committed + 1 && !line.detail.is_commit() && !self.lost_commits {
            let text =
                format!("version {} after commit {}: a commit is missing", line.version, self.committed);
            found.push((Rule::Commit, text));
        }
    }

    fn take_transition(&mut self, step: u64, from: State, to: State, found: &mut Found) {
        let next = self.step + 1;
        if step != next && !(self.lost_transitions && step > next) {
            let text = format!("STATE_CHANGE of step {step} where step {next} was expected");
            found.push((Rule::Transition, text));
        } else if let Some(state) = self.state.filter(|state| *state != from) {
            let text = format!("step {step} starts in {from}, but the session was in {state}");
            found.push((Rule::Transition, text));
        }
        if self.terminated {
            found.push((Rule::Absorbing, format!("step {step} leaves TERMINATED for {to}")));
        }
        self.step = self.step.max(step);
        self.state = Some(to);
        self.terminated |= to == State::Terminated;
        self.lost_transitions = false;
    }

    fn take_commit(&mut self, line: &Line, found: &mut Found) {
        let next = self.committed + 1;
        if matches!(line.detail, Detail::Takeover) {
            // Its version is its own; its epoch is judged below.
            if line.epoch == self.epoch {
                found.push((Rule::Commit, format!("a TAKEOVER within epoch {}", line.epoch)));
            }
        } else if line.version != next && !(self.lost_commits && line.version > next) {
            let text = format!("{} of version {} where version {next} was expected", line.name, line.version);
            found.push((Rule::Commit, text));
        }
        if matches!(line.detail, Detail::Birth) != (line.version == 1) {
            let text = format!("{} cannot be version {}: only SESSION_BIRTH is 1", line.name, line.version);
            found.push((Rule::Commit, text));
        }
        if line.epoch < self.epoch {
            let text = format!("commit of epoch {} after epoch {}", line.epoch, self.epoch);
            found.push((Rule::Backwards, text));
        }
        if self.closed && !matches!(line.detail, Detail::Termination { .. }) {
            found.push((Rule::Absorbing, format!("{} after TERMINATION", line.name)));
        }
        self.committed = line.version;
        self.lost_commits = false;
    }

    fn take_path(&mut self, path: &str, binding: BindingState, found: &mut Found) {
        let was_active = self.active.as_deref() == Some(path);
        if binding != BindingState::Active {
            if was_active {
                self.active = None;
            }
            return;
        }
        if let Some(other) = self.active.as_deref().filter(|_| !was_active) {
            found.push((Rule::OneActive, format!("{path} becomes ACTIVE while {other} is")));
        }
        if self.terminated {
            found.push((Rule::Absorbing, format!("{path} becomes ACTIVE after TERMINATED")));
        }
        self.active = Some(path.to_owned());
    }
}
