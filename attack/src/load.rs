//! Attacks by number: floods, greedy clients and crowds, against a gateway with many sessions.
//!
//! The clients are the real engine's agents, thousands in one thread ([`crate::swarm`]), in a network of their own
//! ([`crate::arena`]). Each row of [`TRIALS`] starts the real gateway and judges by itself. The short form, which every
//! change must pass, judges what holds on a machine of any speed: nothing is answered, nothing changes, nothing grows,
//! everybody gets through in the end. Shares of time are measured in the long form.

mod births;
mod crowd;
mod floods;
mod greedy;
mod newcomers;
mod share;

use std::io;
use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

use jumpvpn_lab::plan::{Family, family_name};
use jumpvpn_policy::Policy;

use crate::arena::Arena;
use crate::siege::Effort;

/// One attack.
#[derive(Debug)]
pub(crate) struct Trial {
    /// What it is called on the command line and in the table of clauses.
    pub(crate) name: &'static str,
    /// Clauses of the founding documents it is about (`docs/security/clauses.md`).
    pub(crate) clauses: &'static [&'static str],
    /// What the attackers do.
    pub(crate) how: &'static str,
    /// Whether it is played only when there is time.
    pub(crate) is_long: bool,
    /// Over what gateway and clients speak.
    pub(crate) families: &'static [Family],
    run: fn(&Arena, &mut Account) -> io::Result<()>,
}

/// All of them.
pub(crate) const TRIALS: &[Trial] = &[
    Trial {
        name: "floods",
        clauses: &["B4.3.1", "B4.3.2", "B4.3.3", "B4.3.4", "T2.4", "T6.1", "T6.3", "T6.4"],
        how: "every type of message from invented, captured and forged senders, over IPv4 and IPv6, as fast as one processor writes them",
        is_long: false,
        families: &Family::BOTH,
        run: floods::run,
    },
    Trial {
        name: "greedy-client",
        clauses: &["B4.5.1", "T6.2"],
        how: "a peer that flaps, collects tickets, forges inner sources, hoards sessions, rekeys, and sends garbage",
        is_long: false,
        families: &[Family::V4],
        run: greedy::run,
    },
    Trial {
        name: "crowd",
        clauses: &["B4.3.3", "T6.6"],
        how: "more clients than there is room for, all of them moving at once; 100,000 in the long form",
        is_long: false,
        families: &[Family::V4],
        run: crowd::run,
    },
    Trial {
        name: "births",
        clauses: &["B4.3.3"],
        how: "10,000 births and deaths, a million in the long form",
        is_long: false,
        families: &[Family::V4],
        run: births::run,
    },
    Trial {
        name: "newcomers",
        clauses: &["B4.3.1", "T6.1"],
        how: "clients without a session, under a flood of handshakes of people who know the gateway's key",
        is_long: false,
        families: &[Family::V4],
        run: newcomers::run,
    },
    Trial {
        name: "flood-share",
        clauses: &["B4.3.1", "T6.1"],
        how: "what 100 sessions keep of their goodput and of their time to jump under each flood",
        is_long: true,
        families: &[Family::V4],
        run: share::run,
    },
];

/// What a trial found and measured.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) effort: Effort,
    findings: Vec<String>,
    figures: Vec<String>,
}

impl Account {
    /// Notes a finding unless `holds`.
    pub(crate) fn require(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.findings.push(otherwise());
        }
    }

    /// Notes a figure for the report.
    pub(crate) fn figure(&mut self, words: impl Into<String>) {
        self.figures.push(words.into());
    }

    pub(crate) fn is_long(&self) -> bool {
        self.effort == Effort::Long
    }
}

/// Plays a trial, prints a line and the findings, and returns their number.
pub(crate) fn play(arena: &Arena, trial: &Trial, effort: Effort) -> usize {
    let began = Instant::now();
    let mut account = Account { effort, findings: Vec::new(), figures: Vec::new() };
    // In a thread of its own, so that a trial which keeps to one processor (`pin`) leaves the others to those after it.
    let played = thread::scope(|scope| scope.spawn(|| (trial.run)(arena, &mut account)).join());
    if let Err(error) = played.unwrap_or_else(|panic| resume_unwind(panic)) {
        account.findings.push(format!("the attack stopped: {error}"));
    }
    let Account { findings, figures, .. } = account;
    let verdict = if findings.is_empty() { "held" } else { "BROKEN" };
    println!(
        "  {:<18} {:<7} {verdict}  {:.1} s",
        trial.name,
        family_name(arena.family),
        began.elapsed().as_secs_f64()
    );
    figures.iter().for_each(|figure| println!("    {figure}"));
    findings.iter().for_each(|finding| println!("    FOUND: {finding}"));
    findings.len()
}

/// Rules of the clients: they stay where they are until they are told to jump, so that nothing moves but by us.
fn calm() -> Policy {
    let mut policy = Policy::laptop();
    policy.switching.min_improvement = Duration::from_secs(10);
    policy
}

/// A time in milliseconds.
fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// The `share` quantile of `times`, which are sorted here.
fn quantile(times: &mut [Duration], share: f64) -> Duration {
    times.sort();
    let last = times.len().saturating_sub(1);
    times.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
}
