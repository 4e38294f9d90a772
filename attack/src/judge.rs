//! What must hold after every attack, whatever it was.
//!
//! Every session is what it was, on both sides. The victim's connection is unbroken and its stream right. The gateway's
//! memory did not grow, it reported what it refused, seldom enough, and sent nothing to anybody who had no right to it.
//! Both daemons are alive, end in good order, and their event files prove what happened.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use jumpvpn_lab::plan::{Family, family_name};
use jumpvpn_lab::stall::StallWatch;
use jumpvpn_lab::story::Direction;
use jumpvpn_lab::streams::TcpVerdict;
use jumpvpn_lab::tunnel;
use serde_json::Value;

use crate::carrier::Class;
use crate::field::Field;
use crate::ledger::Ledger;
use crate::siege::{self, Effort, Siege};
use crate::snapshot::Snapshot;
use crate::table::Scenario;

/// Growth of resident memory that is no growth: buffers of the allocator and of the kernel's page cache of the program
/// that are touched for the first time. A leak of one small entry for each of the thousands of datagrams of an attack
/// would exceed it.
const MEMORY_SLACK_LEN: u64 = 512 * 1024;
/// The agent of the lab's calm links calls a path silent after some 60 ms without an answer; a machine that stalls for a
/// third of that, with two daemons and the links in between, makes it so.
const STALL_ALLOWED: Duration = Duration::from_millis(20);
/// An attack that found something on a machine that stalled is played again at most this often; what it finds then counts.
const REPEATS_MAX: u32 = 2;
/// Bytes under way must arrive. Where a gateway was started again on a busy machine, eight seconds were seen to pass: TCP's
/// retransmission timer, doubled each time from 0.2 s on, comes next after 12.6 s.
const TCP_PATIENCE: Duration = Duration::from_secs(15);
/// The gateway reports each reason once a second; the clock of the event file may be a moment late.
const REPORT_SPACING: Duration = Duration::from_millis(950);

/// Plays a scenario over every class it is made for, prints a line each, and returns the number of findings.
///
/// # Errors
/// The network cannot be used any more.
pub(crate) fn play(
    field: &Field,
    scenario: &Scenario,
    family: Family,
    effort: Effort,
    seed: u64,
) -> io::Result<usize> {
    let mut finding_count = 0;
    for class in scenario.classes {
        let began = Instant::now();
        let mut played = play_over(field, (*class, family), scenario, effort, seed)?;
        let mut repeats = 0;
        while played.is_disturbed() && repeats < REPEATS_MAX {
            played = play_over(field, (*class, family), scenario, effort, seed)?;
            repeats += 1;
        }
        let Played { mut figures, findings, stall } = played;
        if repeats > 0 || !findings.is_empty() {
            figures.push(format!("played again {repeats} times, machine stalled {} ms", stall.as_millis()));
        }
        let name = format!("{}/{} over {}", scenario.name, class.name(), family_name(family));
        let verdict = if findings.is_empty() { "held" } else { "BROKEN" };
        let seconds = began.elapsed().as_secs_f64();
        println!("  {name:<34} {verdict}  {}, seed {seed}, {seconds:.1} s", figures.join(", "));
        findings.iter().for_each(|finding| println!("    {finding}"));
        finding_count += findings.len();
    }
    Ok(finding_count)
}

/// What became of one attack.
struct Played {
    figures: Vec<String>,
    findings: Vec<String>,
    /// The longest time for which an idle thread was not given the processor although it was due.
    stall: Duration,
}

impl Played {
    /// Whether something was found while the machine kept the daemons waiting: an agent whose path is silent for this
    /// long leaves it, as it should, and that was not the attacker.
    fn is_disturbed(&self) -> bool {
        !self.findings.is_empty() && self.stall > STALL_ALLOWED
    }
}

fn play_over(
    field: &Field,
    (class, family): (Class, Family),
    scenario: &Scenario,
    effort: Effort,
    seed: u64,
) -> io::Result<Played> {
    let watch = StallWatch::start()?;
    let told = Siege::lay(field, class, family, effort, seed).and_then(|mut siege| {
        let began = Instant::now();
        if let Err(error) = (scenario.attack)(&mut siege) {
            siege.findings.push(format!("the attack stopped: {error}"));
        }
        judge(siege, began)
    });
    let (figures, findings) =
        told.unwrap_or_else(|error| (Vec::new(), vec![format!("it could not be played: {error}")]));
    Ok(Played { figures, findings, stall: watch.longest() })
}

fn judge(mut siege: Siege<'_>, began: Instant) -> io::Result<(Vec<String>, Vec<String>)> {
    siege.field.trunk.let_pass();
    siege.tunnel.check()?;
    sessions(&mut siege)?;
    memory(&mut siege);
    streams(&mut siege, began);
    capture(&mut siege);
    let Siege { field, tunnel, mut findings, mut figures, reasons, .. } = siege;
    if let Err(error) = tunnel.stop() {
        findings.push(error.to_string());
    }
    let folder = siege::folder(field);
    let files = [("laptop", folder.join("agent.jsonl")), ("gateway", folder.join("gateway.jsonl"))];
    let named = [(files[0].0, files[0].1.as_path()), (files[1].0, files[1].1.as_path())];
    findings.extend(tunnel::audit(&named)?);
    let reports = reports(named[1].1)?;
    let count: usize = reports.values().map(Vec::len).sum();
    figures.push(format!("{count} reports"));
    for (reason, times) in &reports {
        if times.windows(2).any(|pair| pair[1].saturating_sub(pair[0]) < REPORT_SPACING) {
            findings.push(format!("{reason} was reported more than once in a second"));
        }
    }
    for reason in reasons.iter().filter(|reason| !reports.contains_key(**reason)) {
        findings.push(format!("nobody reported {reason}"));
    }
    Ok((figures, findings))
}

/// Every session is what it was.
fn sessions(siege: &mut Siege<'_>) -> io::Result<()> {
    let mut now = Snapshot::of(&siege.tunnel)?;
    // A rogue falls silent as it likes; a network that was disturbed makes states come and go.
    for row in &mut now.sessions {
        let before = siege.baseline.sessions.iter().find(|before| before.session == row.session);
        if let Some(before) = before.filter(|before| siege.is_restless || before.peer != "laptop") {
            (row.step, row.state) = (before.step, before.state.clone());
        }
    }
    let ours = siege.session.clone();
    siege.require(now.agent.session == ours, || format!("the session {ours:?} is not there any more"));
    let changes = now.changes_since(&siege.baseline);
    siege.findings.extend(changes);
    Ok(())
}

fn memory(siege: &mut Siege<'_>) {
    let (Some(warm), Some(now)) = (siege.memory, siege.tunnel.gateway_resident_len()) else { return };
    let growth = now.saturating_sub(warm);
    siege.figure(format!("memory +{} KiB", growth / 1024));
    siege.require(growth <= MEMORY_SLACK_LEN, || {
        format!("the gateway's resident memory grew from {} to {} KiB", warm / 1024, now / 1024)
    });
}

/// The victim's connection is unbroken, right and whole, and its datagrams arrived.
fn streams(siege: &mut Siege<'_>, began: Instant) {
    let end = Instant::now();
    siege.streams.stop_sending();
    let verdict = siege.streams.tcp.verdict(TCP_PATIENCE);
    siege.require(verdict == TcpVerdict::Alive, || {
        format!("the victim's TCP connection is {}", verdict.word())
    });
    let mut worst: f64 = 1.0;
    for direction in Direction::ALL {
        let account = siege.streams.udp.record(direction).account(began, end);
        worst = worst.min(1.0 - account.lost_count as f64 / account.sent_count.max(1) as f64);
    }
    siege.figure(format!("goodput {:.1} %", worst * 100.0));
    let share = siege.share;
    siege.require(worst >= share, || {
        format!("only {:.1} % of the victim's datagrams arrived, {:.1} % must", worst * 100.0, share * 100.0)
    });
}

/// The gateway sent nothing to anybody who had no right to it. The account takes a second where there are a hundred thousands of
/// datagrams, and the line waits for it: so it is drawn up when nothing else is judged any more.
fn capture(siege: &mut Siege<'_>) {
    let accepted = siege.accepted();
    let ledger = siege.field.trunk.look(|log| Ledger::of(log, &accepted));
    siege.figure(format!("{} forged, {} answered", ledger.forged_count, ledger.reply_count()));
    let answers = ledger.reply_count();
    siege.require(!siege.is_silence_due || answers == 0, || {
        format!("{answers} datagrams of strangers were answered")
    });
    siege.findings.extend(ledger.violations);
}

/// When each reason was reported as an event of security, since 1970.
fn reports(events: &Path) -> io::Result<BTreeMap<String, Vec<Duration>>> {
    let mut reports: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
    for line in fs::read_to_string(events)?.lines() {
        let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
        if event["event"] != "SECURITY" {
            continue;
        }
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        if let Some(at) = tunnel::unix_time(&text("ts")) {
            reports.entry(text("reason")).or_default().push(at);
        }
    }
    Ok(reports)
}
