//! Troubles of a cell begin.
use std::time::Duration;

use jumpvpn_engine::gateway::Command;
use jumpvpn_events::{Reason, Time};
use jumpvpn_ownership::MemoryStore;
use jumpvpn_wire::{AdvisedGateway, ObservedAddress};

use super::{Gap, Happening, World};
use crate::cell::fault::Fault;
use crate::cell::machine::{News, endpoint, key};
use crate::client::Presence;
use crate::invariants::{Invariant, Verdict};
use crate::network::Quality;

/// How long a gateway that is ended by a person tells its clients where else to go, and how long its store then may take to note
/// that it has gone: as in `jumpvpn-runtime`.
const GOODBYE: Duration = Duration::from_millis(150);
const RESIGN_LIMIT: Duration = Duration::from_millis(250);

impl World {
    pub(super) fn trouble(&mut self, fault: Fault) -> Verdict {
        let now = self.now;
        self.trace.line(now, || format!("*** {fault:?}"));
        self.report.note(format!("fault {}", fault.name()), 1);
        if self.is_planted(Invariant::NoStepBack) {
            self.put_back_silently();
        }
        match fault {
            Fault::Black { client, link, up, down, lasts } => {
                self.blacken(client, link, (up, down), now + lasts)
            }
            Fault::Poor { client, link, loss, duplicate, late, delay, lasts } => {
                let quality = Quality { delay, jitter: delay / 4, loss, duplicate, late };
                let link = &mut self.clients[client].links[link];
                (link.up.trouble, link.down.trouble) =
                    (Some((quality, now + lasts)), Some((quality, now + lasts)));
            }
            Fault::Unplug { client, link, lasts } => return self.unplug(client, link, lasts),
            Fault::Cut { client, gateway, up, down, lasts } => {
                self.gaps.push(Gap { client, gateway, up, down, until: now + lasts });
            }
            Fault::ClientStall { client, lasts } => self.rest_client(client, Presence::Stalled, lasts),
            Fault::ClientSleep { client, lasts } => self.rest_client(client, Presence::Asleep, lasts),
            Fault::ClientRestart { client, lasts } => {
                self.clients[client].stop();
                self.clients[client].presence = Presence::Running;
                self.plan(now + lasts, Happening::ClientUp { client });
            }
            Fault::SlowStore { by, lasts } => self.store.moods.slow = (by, now + lasts),
            Fault::LossyStore { share, lasts } => self.store.moods.lossy = (share, now + lasts),
            Fault::Minority { lasts } => self.store.moods.minority = now + lasts,
            Fault::Majority { lasts } => self.store.moods.majority = now + lasts,
            Fault::FullStore { lasts } => self.store.moods.full = now + lasts,
            Fault::Reset { back, kept, mended } => self.reset_store(back, kept, mended),
            Fault::Attack { spacing, lasts } => {
                self.plan(now, Happening::Strike { spacing, until: now + lasts });
            }
            Fault::ReplayAll { shuffled } => self.replay_all(shuffled),
            fault => return self.trouble_at_gateway(fault),
        }
        Ok(())
    }

    fn trouble_at_gateway(&mut self, fault: Fault) -> Verdict {
        let now = self.now;
        match fault {
            Fault::Kill { gateway, down, remains } if self.machines[gateway].process.is_some() => {
                self.kill(gateway, down, remains);
            }
            Fault::CrashAt { gateway, moment, down, remains } => {
                self.machines[gateway].crash = Some((moment, down, remains));
            }
            Fault::Resign { gateway, down } => return self.resign(gateway, down),
            Fault::Stall { gateway, lasts } => self.rest_machine(gateway, Presence::Stalled, lasts),
            Fault::Freeze { gateway, lasts } => self.rest_machine(gateway, Presence::Asleep, lasts),
            Fault::StallClerk { gateway, lasts } => self.stall_clerk(gateway, now + lasts),
            Fault::Copy { gateway, lasts } => return self.copy(gateway, lasts),
            Fault::Wire { gateway, there, back, lasts } => {
                let wire = &mut self.machines[gateway].wire;
                wire.there = if there { now + lasts } else { wire.there };
                wire.back = if back { now + lasts } else { wire.back };
            }
            Fault::FullDisk { gateway, lasts } => self.machines[gateway].deaf_until = now + lasts,
            Fault::WallClock { gateway, minutes } => self.machines[gateway].minutes = minutes,
            Fault::Drain { gateway, span, lasts } => {
                self.plan(now + lasts, Happening::Undrain { machine: gateway });
                return self.drain(gateway, Some(span));
            }
            Fault::Handoff { client, to } => return self.hand_off(client, to),
            Fault::Close { client } => {
                return self.order(client, |session| Command::Close { session, reason: Reason::OwnerClosed });
            }
            _ => {}
        }
        Ok(())
    }

    fn blacken(&mut self, client: usize, link: Option<usize>, (up, down): (bool, bool), until: Time) {
        for (at, swallows) in self.clients[client].links.iter_mut().enumerate() {
            if link.is_none_or(|only| only == at) {
                swallows.up.black_until = if up { until } else { swallows.up.black_until };
                swallows.down.black_until = if down { until } else { swallows.down.black_until };
            }
        }
    }

    fn rest_client(&mut self, client: usize, presence: Presence, lasts: Duration) {
        if self.clients[client].is_running() {
            self.clients[client].presence = presence;
            self.plan(self.now + lasts, Happening::ClientWakes { client });
        }
    }

    fn rest_machine(&mut self, at: usize, presence: Presence, lasts: Duration) {
        let now = self.now;
        let machine = &mut self.machines[at];
        if machine.is_running() {
            machine.presence = presence;
            machine.stopped = (presence == Presence::Asleep).then_some(now);
            self.plan(now + lasts, Happening::GoOn { machine: at });
        }
    }

    fn stall_clerk(&mut self, at: usize, until: Time) {
        let Some(process) = &mut self.machines[at].process else { return };
        process.clerk_stands_until = until;
        let process = process.id;
        self.plan(until, Happening::ClerkGoesOn { machine: at, process });
        self.refresh_due(at);
    }

    /// A second machine goes on from here with the same memory of the store. Its engine's memory cannot be copied: it begins
    /// without sessions.
    fn copy(&mut self, gateway: usize, lasts: Duration) -> Verdict {
        let now = self.now;
        let rng = self.chance.fork();
        self.next_process += 1;
        let id = self.next_process;
        let original = &self.machines[gateway];
        let Some(process) = original.process.as_ref().filter(|_| original.is_running()) else {
            return Ok(());
        };
        let at = self.machines.len();
        let mut copy = original.copy(format!("copy{at}"));
        // The kernel's generator goes on from the same state, but is asked at other moments.
        copy.begin(id, &self.rules, process.node.clone(), process.tap.clone(), rng, now);
        let joined = process.node.fence().epoch;
        copy.doubtful_until = now + lasts + self.rules.profile.lease.mul_f64(1.02);
        self.unnoticed.insert(process.node.incarnation());
        let until = copy.doubtful_until;
        self.machines[gateway].doubtful_until = self.machines[gateway].doubtful_until.max(until);
        self.machines.push(copy);
        self.estrange();
        self.tell_engine(at, News::Joined(joined));
        self.plan(now + lasts, Happening::CopyEnds { machine: at });
        self.turn(at)
    }

    fn reset_store(&mut self, back: Option<Duration>, kept: bool, mended: Duration) {
        let now = self.now;
        let picture = back.and_then(|back| {
            let then = now - back;
            self.history.iter().rev().find(|(at, _)| *at <= then).map(|(_, picture)| picture.clone())
        });
        self.store.replace(picture.unwrap_or_default());
        self.history.clear();
        self.truth.store_replaced(self.store.life);
        if back.is_some() && kept {
            self.truth.store_kept();
            self.estrange();
        }
        self.plan(now + mended, Happening::StoreMended { empty: !kept });
    }

    /// From now on clients may be unable to prove themselves.
    pub(super) fn estrange(&mut self) {
        let present = self.clients.iter().filter_map(|client| client.facts.session);
        self.estranged.extend(present);
    }

    /// The planted bug: nobody is told that the store was put back.
    fn put_back_silently(&mut self) {
        let old = self.history.iter().rev().find(|(at, _)| self.now.since(*at) > Duration::from_secs(3));
        if let Some((_, picture)) = old {
            self.store.memory = picture.clone();
        }
    }

    /// Persons have pointed every gateway to the store that there is.
    pub(super) fn store_mended(&mut self, empty: bool) -> Verdict {
        let life = self.store.life;
        let untouched = self.machines.iter().all(|machine| machine.pinned != life);
        if empty && untouched {
            self.store.memory = MemoryStore::new();
        }
        self.machines.iter_mut().for_each(|machine| machine.pinned = life);
        Ok(())
    }

    fn resign(&mut self, at: usize, down: Duration) -> Verdict {
        if !self.machines[at].is_running() {
            return Ok(());
        }
        if let Some(process) = self.process_id(at) {
            self.plan(self.now + GOODBYE, Happening::Resigned { machine: at, process, down });
        }
        self.drain(at, Some(GOODBYE / 2))
    }

    /// The time to say goodbye is over, or the time to be noted as gone.
    pub(super) fn resigned(&mut self, at: usize, process: u64, down: Duration) -> Verdict {
        if self.process_id(at) != Some(process) {
            return Ok(());
        }
        let machine = &mut self.machines[at];
        let (shown, runs) = (machine.clock.at(self.now), machine.is_running());
        let Some(process) = machine.process.as_mut().filter(|process| runs && !process.resigning) else {
            self.kill(at, down, crate::cell::machine::Remains::All);
            return Ok(());
        };
        process.resigning = true;
        process.node.stop(shown);
        let process = process.id;
        self.plan(self.now + RESIGN_LIMIT, Happening::Resigned { machine: at, process, down });
        self.turn(at)
    }

    /// A person sends the sessions of a gateway away, or takes some again.
    fn drain(&mut self, at: usize, span: Option<Duration>) -> Verdict {
        let machine = &mut self.machines[at];
        let (shown, runs) = (machine.clock.at(self.now), machine.is_running());
        let Some(process) = machine.process.as_mut().filter(|_| runs) else { return Ok(()) };
        let command = span.map_or(Command::Undrain, |span| Command::Drain { span });
        process.renew();
        process.engine.handle_command(command, shown);
        process.node.drain(span.is_some(), shown);
        self.turn(at)
    }

    pub(super) fn undrain(&mut self, at: usize) -> Verdict {
        self.drain(at, None)
    }

    fn hand_off(&mut self, client: usize, to: usize) -> Verdict {
        let to = AdvisedGateway { public: key(to).public().0, endpoint: ObservedAddress::new(endpoint(to)) };
        self.order(client, |session| Command::Handoff { session, to })
    }

    /// A person wants something of a session, wherever it is.
    fn order(&mut self, client: usize, what: impl Fn(jumpvpn_events::SessionLabel) -> Command) -> Verdict {
        for at in 0..self.machines.len() {
            let machine = &mut self.machines[at];
            let (shown, runs) = (machine.clock.at(self.now), machine.is_running());
            let Some(process) = machine.process.as_mut().filter(|_| runs) else { continue };
            let found = process.seats.iter().find(|(_, seat)| seat.client == client);
            let Some(label) = found.map(|(label, _)| *label) else { continue };
            process.renew();
            process.engine.handle_command(what(label), shown);
            self.turn(at)?;
        }
        Ok(())
    }
}
