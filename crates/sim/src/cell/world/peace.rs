//! The end of all trouble, what is owed then, and the last judgements.
use std::time::Duration;

use jumpvpn_events::{SessionLabel, State, Time};

use super::{Happening, World};
use crate::audit;
use crate::cell::store::Moods;
use crate::cell::store::Wire;
use crate::client::{Client, Presence};
use crate::invariants::{Breach, Invariant, Verdict, ensure, is_impossible};
use crate::scenario::BEGIN;

/// What a session is owed when faults stop: this much beside the time after which an owner is declared dead.
const GRACE: Duration = Duration::from_secs(10);
/// After the last trouble every client has so long to carry packets both ways again, also if it has to be born: as in the other
/// worlds, and the time of one death.
const PATIENCE: Duration = Duration::from_secs(120);
/// What the limit of moves counts over.
const MINUTE: Duration = Duration::from_secs(60);
/// It has to stay well for so long.
const STEADY: Duration = Duration::from_secs(3);
/// User packets after all trouble: one each 40 ms.
const CALM_SPACING: Duration = Duration::from_millis(40);

impl World {
    /// All trouble is over: links carry, processes run, the store answers, everybody talks.
    pub(super) fn calm_down(&mut self) -> Verdict {
        let now = self.now;
        self.calm = true;
        self.trace.line(now, || "*** all trouble is over".to_owned());
        self.store.moods = Moods::default();
        if self.is_planted(Invariant::CellLiveness) {
            self.store.moods.majority = Time::MAX;
        }
        self.gaps.clear();
        self.store_mended(true)?;
        for at in 0..self.machines.len() {
            let machine = &mut self.machines[at];
            (machine.wire, machine.crash) = (Wire::default(), None);
            if at >= self.rules.gateways {
                machine.stop();
                continue;
            }
            if let Some(process) = self.process_id(at) {
                self.go_on(at)?;
                self.clerk_goes_on(at, process)?;
                self.undrain(at)?;
            }
            self.start(at)?;
        }
        for index in 0..self.clients.len() {
            if self.clients[index].presence != Presence::Running {
                self.client_wakes(index)?;
            }
            self.client_up(index)?;
            for link in 0..self.clients[index].links.len() {
                self.clients[index].links[link].heal();
                self.link_back(index, link)?;
            }
            talk(&mut self.clients[index]);
            let facts = &self.clients[index].facts;
            if let Some(label) =
                facts.session.filter(|label| facts.state != State::Birth && !self.estranged.contains(label))
            {
                self.owed.insert((index, label));
            }
        }
        let deadline = now + self.rules.profile.death.mul_f64(1.01) + GRACE;
        self.plan(deadline, Happening::Deadline { last: false });
        Ok(())
    }

    /// After each instant: who may pass what, and whether what is owed was given.
    pub(super) fn judge_instant(&mut self) -> Verdict {
        let mut may = Vec::new();
        for at in 0..self.machines.len() {
            let machine = &self.machines[at];
            let Some(process) = machine.process.as_ref().filter(|_| machine.is_running()) else { continue };
            if self.is_doubtful(at) || !process.right().allows(machine.clock.at(self.now)) {
                continue;
            }
            let who = process.node.incarnation();
            let held = process.seats.keys().filter(|label| !self.is_frozen(at, **label));
            may.extend(held.map(|label| (*label, who)));
        }
        self.truth.may_pass(&may)?;
        if self.calm && !self.owed.is_empty() {
            let settled: Vec<(usize, SessionLabel)> =
                self.owed.iter().copied().filter(|owed| self.is_settled(*owed)).collect();
            self.owed.retain(|owed| !settled.contains(owed));
        }
        Ok(())
    }

    /// Whether a session goes on, or was ended in words.
    fn is_settled(&self, (index, label): (usize, SessionLabel)) -> bool {
        let client = &self.clients[index];
        let since = |at: Time| at > self.calm_at;
        let goes_on = client.facts.state == State::Attached
            && client.facts.session == Some(label)
            && since(client.up.last_delivery)
            && since(client.down.last_delivery);
        goes_on || client.ledger.is_closed(label)
    }

    /// I14. The limit of moves holds in trouble and out of it: a session that has used it up is owed its word when that lets go.
    pub(super) fn deadline(&mut self, last: bool) -> Verdict {
        let late = self.owed.clone();
        let mut excused = false;
        for index in 0..self.clients.len() {
            let owed = late.iter().find(|(client, _)| *client == index);
            if let Some((_, label)) = owed.filter(|_| !last)
                && self.has_used_its_moves_up(index, *label)
            {
                excused = true;
                continue;
            }
            let client = &self.clients[index];
            let (facts, up, down) =
                (client.facts.clone(), client.up.last_delivery, client.down.last_delivery);
            self.truth.judge(Invariant::CellLiveness, owed.is_none(), || {
                format!("client {index} has had no word: {facts:?}, last packet up {up:?}, down {down:?}")
            })?;
        }
        if excused {
            self.plan(self.now + MINUTE, Happening::Deadline { last: true });
        }
        Ok(())
    }

    /// Whether a session has moved as often, in the minute before all trouble was over and since, as it may in a minute.
    fn has_used_its_moves_up(&self, index: usize, label: SessionLabel) -> bool {
        let client = &self.clients[index];
        let since = client.clock.at(self.now) - (self.now.since(self.calm_at) + MINUTE);
        let allowed = usize::from(self.rules.policy.switching.max_switches_per_min);
        client.ledger.moves_since(label, since) >= allowed
    }

    /// Whether there is nothing more to see.
    pub(super) fn is_over(&mut self) -> Result<bool, Breach> {
        if !self.calm {
            return Ok(false);
        }
        let recent = |at: Time| self.now.since(at) < Duration::from_secs(1);
        let well = |client: &Client| {
            let attached = client.facts.state == State::Attached
                && recent(client.up.last_delivery)
                && recent(client.down.last_delivery);
            attached || client.facts.session.is_some_and(|label| self.estranged.contains(&label))
        };
        if !self.clients.iter().all(well) {
            self.well_since = None;
            let late = self.now.since(self.calm_at) > PATIENCE;
            ensure(!late, Invariant::Liveness, || {
                let words = |client: &Client| format!("client {}: {:?}", client.index, client.facts);
                self.clients.iter().map(words).collect::<Vec<_>>().join("; ")
            })?;
            return Ok(false);
        }
        let since = *self.well_since.get_or_insert(self.now);
        self.report.longest_recovery = self.report.longest_recovery.max(since.since(self.calm_at));
        let deadline_over =
            !self.queue.values().any(|happening| matches!(happening, Happening::Deadline { .. }));
        Ok(deadline_over && self.now.since(since) > STEADY)
    }

    /// The last judgements: counters of impossible things, and the event files.
    pub(super) fn close_books(&mut self) -> Verdict {
        for client in &self.clients {
            let Some(engine) = &client.engine else { continue };
            for (reason, count) in engine.counters().drops.iter() {
                ensure(!is_impossible(reason), Invariant::Internal, || {
                    format!("client {}: {reason} was counted {count} times", client.index)
                })?;
            }
        }
        for at in 0..self.machines.len() {
            self.note_process(at);
        }
        if self.manner.sink {
            let logs = self.clients.iter().map(|client| &client.log);
            let proof = audit::prove(logs.chain(self.machines.iter().map(|machine| &machine.log)))?;
            self.report.events = proof.lines;
        }
        self.report.seeds = 1;
        self.report.births = self.clients.iter().map(|client| client.ledger.births).sum();
        self.report.jumps = self.clients.iter().map(|client| client.ledger.switches).sum();
        self.report.virtual_time = self.now.since(BEGIN);
        self.report.steps = self.steps;
        self.report.own.pardons = self.truth.pardons;
        for (invariant, count) in &self.truth.checks {
            self.report.own.note_checks(*invariant, *count);
        }
        Ok(())
    }

    /// What a process has counted, before it is lost.
    pub(super) fn note_process(&mut self, at: usize) {
        let Some(process) = &self.machines[at].process else { return };
        let counts = process.node.status().counts;
        for (reason, count) in process.engine.counters().drops.iter() {
            self.report.note(format!("gateway {reason}"), count);
        }
        self.report.note("buried", counts.burials);
        self.report.note("swept", counts.swept);
        self.report.note("reconciled", counts.reconciled);
        self.report.note("copy seen", u64::from(process.node.status().clone_seen));
    }
}

fn talk(client: &mut Client) {
    for flow in [&mut client.up, &mut client.down] {
        flow.spacing = Some(CALM_SPACING);
        flow.pause = Duration::ZERO;
    }
}
