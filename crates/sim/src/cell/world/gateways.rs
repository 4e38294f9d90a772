//! Gateways' processes: engine and node, what they tell each other, and what they ask of the store.
use std::time::Duration;

use jumpvpn_engine::TRANSMIT_BUFFER_LEN;
use jumpvpn_events::{EventKind, Time};
use jumpvpn_ownership::{
    Answer, Ask, Change, Compare, Hint, Incarnation, Operation, Outcome, Request, Rev, Standing, Ticket,
    Transaction,
};

use super::{Happening, World};
use crate::cell::machine::{INBOX_COUNT, Moment, News, Remains, Seat, Waiting};
use crate::cell::store::Under;
use crate::client::Presence;
use crate::invariants::{BURST_LIMIT, Breach, Invariant, Verdict, ensure};

/// From one thread to the other, mostly; sometimes the other one has no processor for a while.
const HOP: (Duration, Duration) = (Duration::from_micros(2), Duration::from_millis(2));
const SLOW_HOP: Duration = Duration::from_millis(300);
/// A supervisor starts a process again after this time, and the process gives a store up that it does not know.
const SUPERVISION: Duration = Duration::from_secs(1);
/// Between two pictures of the store that it can be put back to.
const HISTORY_PAUSE: Duration = Duration::from_millis(500);
/// Requests that wait at a node: a few of each client, and what a gateway asks about sessions that it does not know: 64, and as many
/// again after each 5 s in which the clerk has no processor, which are 20 s here at most. Far below what a node admits (4,096), so
/// that a leak shows.
const REQUESTS: (usize, usize) = (5 * 64, 16);
/// Handshakes of one client that may wait.
const PENDING_PER_CLIENT: usize = 8;
/// Keys in the store: a name and a heartbeat for each node, and for each client and each life of a node what it leaves behind.
const KEYS_PER_LIFE: usize = 8;

impl World {
    /// A process starts, if there is none and the store is the one that it knows.
    pub(super) fn start(&mut self, at: usize) -> Verdict {
        let now = self.now;
        if self.machines[at].process.is_some() {
            return Ok(());
        }
        if self.machines[at].pinned != self.store.life {
            self.plan(now + SUPERVISION, Happening::Start { machine: at });
            return Ok(());
        }
        self.next_process += 1;
        let rngs = [self.chance.fork(), self.chance.fork()];
        let (id, mutant) = (self.next_process, self.mutant());
        let started = self.machines[at].start(id, &self.rules, rngs, now);
        ensure(started, Invariant::Internal, || "no gateway with this randomness".to_owned())?;
        self.trace.line(now, || format!("gw{at}     starts as process {id}"));
        self.report.own.lives += 1;
        if let Some(process) = &mut self.machines[at].process {
            mutant.into_iter().for_each(|mutant| process.node.break_by(mutant));
        }
        self.turn(at)
    }

    /// The process is gone, and starts again if it is not a copy.
    pub(super) fn kill(&mut self, at: usize, down: Duration, remains: Remains) {
        self.trace.line(self.now, || format!("gw{at}     is gone, {remains:?} remains"));
        self.note_process(at);
        self.machines[at].stop();
        self.machines[at].leave(remains);
        if at < self.rules.gateways {
            self.plan(self.now + down, Happening::Start { machine: at });
        }
    }

    /// Whether that process can do something now; if it is gone, whatever is for it is nobody's.
    fn is_up(&self, at: usize, process: u64) -> bool {
        self.machines[at].is_running() && self.process_id(at) == Some(process)
    }

    pub(super) fn process_id(&self, at: usize) -> Option<u64> {
        self.machines[at].process.as_ref().map(|process| process.id)
    }

    fn clerk_stands(&self, at: usize) -> bool {
        self.machines[at].process.as_ref().is_some_and(|process| self.now < process.clerk_stands_until)
    }

    /// Everything that node and engine have to say.
    pub(super) fn turn(&mut self, at: usize) -> Verdict {
        self.turn_node(at)?;
        self.settle_engine(at)?;
        Ok(())
    }

    fn turn_node(&mut self, at: usize) -> Verdict {
        loop {
            self.note_right(at);
            let machine = &mut self.machines[at];
            let Some(process) = &mut machine.process else { return Ok(()) };
            process.renew();
            let Some((ticket, operation)) = process.node.poll_operation() else { break };
            let by = process.node.incarnation();
            self.submit(at, by, ticket, operation)?;
        }
        self.warn(at);
        while let Some(process) = &mut self.machines[at].process {
            let news = match process.node.poll_ask() {
                Some(Ask::Rejoined { .. }) => News::Joined(process.node.fence().epoch),
                Some(ask) => News::Ask(ask),
                None => match process.node.poll_answer() {
                    Some(answer) => News::Answer(answer),
                    None => break,
                },
            };
            self.tell_engine(at, news);
        }
        self.end_lost(at);
        Ok(())
    }

    /// A process whose store cannot be believed ends.
    fn end_lost(&mut self, at: usize) {
        let Some(process) = &mut self.machines[at].process else { return };
        process.tap.clear();
        match process.node.standing() {
            Standing::Lost(_) | Standing::Foreign => {
                self.report.note("store refused", 1);
                self.kill(at, SUPERVISION, Remains::All);
            }
            _ => {}
        }
    }

    /// Follows who has the right to act.
    fn note_right(&mut self, at: usize) {
        let Some(process) = &mut self.machines[at].process else { return };
        let (standing, me) = (process.node.standing(), process.node.incarnation());
        let member = (*standing == Standing::Member).then_some(me);
        if process.member != member {
            let lost = process.member.take();
            self.report.note("right lost", u64::from(lost.is_some()));
            self.report.note("joined", u64::from(member.is_some()));
            process.fenced.extend(lost);
            process.member = member;
        }
    }

    fn warn(&mut self, at: usize) {
        let machine = &mut self.machines[at];
        let shown = machine.clock.at(self.now);
        if machine.process.as_mut().is_some_and(|process| process.is_warned(shown)) {
            self.report.note("fence ending", 1);
            self.tell_engine(at, News::FenceEnding);
        }
    }

    fn hop(&mut self) -> Duration {
        if self.chance.chance(20) {
            self.chance.span(HOP.1, SLOW_HOP)
        } else {
            self.chance.scale(HOP.0, HOP.1)
        }
    }

    pub(super) fn tell_engine(&mut self, at: usize, news: News) {
        let ready = self.now + self.hop();
        let Some(process) = &mut self.machines[at].process else { return };
        let ready = process.news.back().map_or(ready, |(before, _)| ready.max(*before));
        process.news.push_back((ready, news));
        let process = process.id;
        self.plan(ready, Happening::News { machine: at, process });
    }

    fn tell_node(&mut self, at: usize, request: Request) {
        let ready = self.now + self.hop();
        let Some(process) = &mut self.machines[at].process else { return };
        let ready = process.words.back().map_or(ready, |(before, _)| ready.max(*before));
        process.words.push_back((ready, request));
        let process = process.id;
        self.plan(ready, Happening::Words { machine: at, process });
    }

    /// The node's news reach the engine.
    pub(super) fn news(&mut self, at: usize, process: u64) -> Verdict {
        if !self.is_up(at, process) {
            return Ok(());
        }
        while let Some(news) = self.next_news(at) {
            self.trace.line(self.now, || format!("gw{at} <--- node {}", words_of(&news)));
            let unfrozen = self.thaw(at, &news);
            let answered = if let News::Answer(answer) = &news { Some(answer.id()) } else { None };
            let machine = &mut self.machines[at];
            let shown = machine.clock.at(self.now);
            let Some(process) = &mut machine.process else { break };
            process.renew();
            process.hear(news, shown);
            if let Some(handle) = unfrozen {
                process.frozen.remove(&handle);
            }
            answered.and_then(|id| process.taking.remove(&id));
            self.settle_engine(at)?;
        }
        Ok(())
    }

    fn next_news(&mut self, at: usize) -> Option<News> {
        let now = self.now;
        let process = self.machines[at].process.as_mut()?;
        process.news.front().filter(|(ready, _)| *ready <= now)?;
        process.news.pop_front().map(|(_, news)| news)
    }

    /// The session that is frozen no longer after these news. Given away it is gone; not given away it goes on, if that is
    /// true: no copy of the change that could still be made may be on its way.
    fn thaw(&self, at: usize, news: &News) -> Option<jumpvpn_ownership::Handle> {
        let News::Answer(answer) = news else { return None };
        let process = self.machines[at].process.as_ref()?;
        let released = process.frozen.iter().find(|(_, id)| **id == answer.id()).map(|(handle, _)| *handle);
        // Taken anew by its own client, it goes on under another epoch, and what it was frozen for cannot be made any more.
        let renewed = process.taking.get(&answer.id()).filter(|handle| process.frozen.contains_key(handle));
        let handle = released.or(renewed.copied())?;
        match answer {
            Answer::Committed { .. } if released.is_some() => return Some(handle),
            Answer::Committed { .. } => {}
            Answer::Unknown { .. } => return None,
            _ if released.is_none() => return None,
            _ => {}
        }
        let (id, me) = (process.id, process.node.incarnation());
        let mut under = self.store.under.values().filter(|under| under.process == id);
        let pending =
            under.any(|under| gives_away(&under.operation, me, handle) && self.store.may_commit(under));
        // Whose clock stood still may be dead without knowing it: others have taken the session then, and I1 and I7 judge that.
        let taken = self.is_doubtful(at) && self.truth.is_dead(me);
        (!pending && (taken || !self.truth.is_given_away(handle, me))).then_some(handle)
    }

    /// The engine's words reach the node.
    pub(super) fn words(&mut self, at: usize, process: u64) -> Verdict {
        if !self.is_up(at, process) || self.clerk_stands(at) {
            return Ok(());
        }
        let now = self.now;
        let machine = &mut self.machines[at];
        let shown = machine.clock.at(now);
        let Some(process) = &mut machine.process else { return Ok(()) };
        while process.words.front().is_some_and(|(ready, _)| *ready <= now) {
            if let Some((_, request)) = process.words.pop_front() {
                process.node.handle_request(request, shown);
            }
        }
        self.turn(at)
    }

    pub(super) fn hint(&mut self, at: usize, process: u64, hint: &Hint) -> Verdict {
        if !self.is_up(at, process) || self.clerk_stands(at) {
            return Ok(());
        }
        let machine = &mut self.machines[at];
        let shown = machine.clock.at(self.now);
        if let Some(process) = &mut machine.process {
            process.node.hint(hint, shown);
        }
        self.turn(at)
    }

    /// An operation leaves for the store, unless the process dies of it.
    fn submit(&mut self, at: usize, by: Incarnation, ticket: Ticket, operation: Operation) -> Verdict {
        let now = self.now;
        self.judge_heartbeat(at, &operation)?;
        let crash = self.machines[at].crash;
        if let Some((Moment::Before, down, remains)) = crash {
            self.crash(at, down, remains);
            return Ok(());
        }
        let Some(process) = &self.machines[at].process else { return Ok(()) };
        let (life, wire) = (process.store_life, self.machines[at].wire);
        let (process, told) = (process.id, false);
        let under = Under {
            machine: at,
            process,
            by,
            ticket,
            operation,
            life,
            told,
            outcome: None,
            pending: false,
            answered: false,
        };
        let (key, fate) = self.store.submit(under, wire, now, &mut self.luck);
        if let Some(applied) = fate.applied {
            self.plan(applied, Happening::Apply(key));
        }
        self.plan(fate.answered, Happening::Outcome(key));
        self.report.own.operations += 1;
        if let Some((Moment::Sent, down, remains)) = crash {
            self.crash(at, down, remains);
        }
        Ok(())
    }

    fn crash(&mut self, at: usize, down: Duration, remains: Remains) {
        self.machines[at].crash = None;
        self.report.note("crash", 1);
        self.kill(at, down, remains);
    }

    /// I9.
    fn judge_heartbeat(&mut self, at: usize, operation: &Operation) -> Verdict {
        let Operation::Commit(transaction) = operation else { return Ok(()) };
        let forged = self.is_planted(Invariant::FencedStops);
        for change in &transaction.changes {
            let Change::Put { key, .. } = change else { continue };
            let beat = key.0.strip_prefix(b"hb/");
            let beat = beat.or_else(|| key.0.strip_prefix(b"dead/").filter(|_| forged));
            let Some(who) = beat.and_then(|rest| rest.try_into().ok()).map(Incarnation) else { continue };
            let fenced =
                self.machines[at].process.as_ref().is_some_and(|process| process.fenced.contains(&who));
            self.truth
                .judge(Invariant::FencedStops, !fenced, || format!("a heartbeat of {who:?} after its end"))?;
        }
        Ok(())
    }

    /// An operation takes effect.
    pub(super) fn apply(&mut self, key: u64) -> Verdict {
        let now = self.now;
        let Some(under) = self.store.under.get_mut(&key) else { return Ok(()) };
        let (at, process, by) = (under.machine, under.process, under.by);
        if self.manner.plant == Some(Invariant::OneHolder)
            && let Operation::Commit(transaction) = &mut under.operation
        {
            let of_address = |compare: &Compare| compare.key().0.starts_with(b"a/");
            transaction.compares.retain(|compare| !of_address(compare));
        }
        let Some((operation, outcome)) = self.store.apply(key, now, &mut self.luck) else { return Ok(()) };
        self.digest(&(&operation, format!("{outcome:?}")));
        if let (Operation::Commit(transaction), Outcome::Committed(rev)) = (&operation, &outcome) {
            self.report.own.commits += 1;
            self.trace.line(now, || format!("store   {rev:?} by {by:?}: {}", keys_of(&operation)));
            self.truth.committed(by, transaction, &self.store.memory)?;
            // A burial deletes the heart beat of somebody else.
            let is_beat =
                |change: &Change| matches!(change, Change::Put { key, .. } if key.0.starts_with(b"hb/"));
            let beats = transaction.changes.iter().any(is_beat);
            if beats && at >= self.rules.gateways {
                self.unnoticed.remove(&by);
            }
            self.remember();
            self.hint_all(transaction, *rev);
            self.judge_store()?;
        }
        if self.process_id(at) == Some(process)
            && let Some((Moment::Between, down, remains)) = self.machines[at].crash
        {
            self.crash(at, down, remains);
        }
        Ok(())
    }

    /// A picture of the store, now and then.
    fn remember(&mut self) {
        if self.history.last().is_none_or(|(at, _)| self.now >= *at + HISTORY_PAUSE) {
            self.history.push((self.now, self.store.memory.clone()));
        }
    }

    /// The store tells of a change in a mailbox, if it feels like it.
    fn hint_all(&mut self, transaction: &Transaction, rev: Rev) {
        let mail = transaction.changes.iter().map(Change::key).find(|key| key.0.starts_with(b"req/"));
        let Some(key) = mail else { return };
        for machine in 0..self.machines.len() {
            if let Some(process) = self.process_id(machine)
                && self.luck.chance(500)
            {
                let vague = self.luck.chance(300);
                let hint = if vague { Hint::Anything } else { Hint::Changed { key: key.clone(), rev } };
                let at = self.now + self.luck.scale(Duration::from_micros(100), Duration::from_millis(20));
                self.plan(at, Happening::Hint { machine, process, hint });
            }
        }
    }

    /// The outcome of an operation arrives.
    pub(super) fn outcome(&mut self, key: u64) -> Verdict {
        let Some((at, process, ticket, outcome)) = self.store.answer(key) else { return Ok(()) };
        if self.process_id(at) != Some(process) {
            return Ok(());
        }
        self.report.note("outcome unknown", u64::from(outcome == Outcome::Unknown));
        let waiting = Waiting::Outcome(process, ticket, outcome);
        if !self.machines[at].is_running() || self.clerk_stands(at) {
            self.machines[at].waiting.push_back(waiting);
            return Ok(());
        }
        self.take_waiting(at, waiting)
    }

    /// Takes in what has waited.
    fn take_waiting(&mut self, at: usize, waiting: Waiting) -> Verdict {
        match waiting {
            Waiting::Datagram(flight) => self.arrive_at_machine(at, flight),
            Waiting::Outcome(id, ticket, outcome) => {
                if self.process_id(at) != Some(id) {
                    return Ok(());
                }
                let machine = &mut self.machines[at];
                let shown = machine.clock.at(self.now);
                if let Some(process) = &mut machine.process {
                    process.node.handle_outcome(ticket, outcome, shown);
                }
                self.turn(at)?;
                if let Some((Moment::After, down, remains)) = self.machines[at].crash {
                    self.crash(at, down, remains);
                }
                Ok(())
            }
        }
    }

    /// A process has a processor again, or its machine goes on. Either of its threads may be first.
    pub(super) fn go_on(&mut self, at: usize) -> Verdict {
        let now = self.now;
        let machine = &mut self.machines[at];
        if machine.presence == Presence::Running || machine.process.is_none() {
            return Ok(());
        }
        if let Some(since) = machine.stopped.take() {
            machine.clock.stand_still(now.since(since));
            let longest = self.rules.profile.lease.mul_f64(1.02);
            machine.doubtful_until = machine.doubtful_until.max(now + longest);
        }
        machine.presence = Presence::Running;
        self.trace.line(now, || format!("gw{at}     goes on"));
        let Some(process) = self.process_id(at) else { return Ok(()) };
        let waiting = std::mem::take(&mut self.machines[at].waiting);
        let (datagrams, outcomes): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|waiting| matches!(waiting, Waiting::Datagram(_)));
        let engine_first = self.chance.chance(500);
        let (first, second) = if engine_first { (datagrams, outcomes) } else { (outcomes, datagrams) };
        for waiting in first.into_iter().chain(second) {
            self.take_or_keep(at, waiting)?;
        }
        self.news(at, process)?;
        self.words(at, process)?;
        self.turn(at)
    }

    fn take_or_keep(&mut self, at: usize, waiting: Waiting) -> Verdict {
        if matches!(waiting, Waiting::Outcome(..)) && self.clerk_stands(at) {
            self.machines[at].waiting.push_back(waiting);
            return Ok(());
        }
        self.take_waiting(at, waiting)
    }

    /// The thread for the store runs again.
    pub(super) fn clerk_goes_on(&mut self, at: usize, process: u64) -> Verdict {
        if self.process_id(at) != Some(process) {
            return Ok(());
        }
        if let Some(process) = &mut self.machines[at].process {
            process.clerk_stands_until = process.clerk_stands_until.min(self.now);
        }
        if !self.machines[at].is_running() {
            // Its whole process stands still.
            return Ok(());
        }
        for waiting in std::mem::take(&mut self.machines[at].waiting) {
            self.take_waiting(at, waiting)?;
        }
        self.words(at, process)?;
        self.turn(at)
    }

    pub(super) fn keep_waiting(&mut self, at: usize, waiting: Waiting) {
        let machine = &mut self.machines[at];
        if machine.waiting.len() < INBOX_COUNT {
            machine.waiting.push_back(waiting);
        }
    }

    /// The timers of a gateway that are due.
    pub(super) fn machine_timers(&mut self, at: usize) -> Verdict {
        let now = self.now;
        if !self.machines[at].is_running() || self.machines[at].due.is_none_or(|due| due > now) {
            return Ok(());
        }
        let stands = self.clerk_stands(at);
        let machine = &mut self.machines[at];
        let shown = machine.clock.at(now);
        if let Some(process) = &mut machine.process {
            if !stands && process.node.poll_timeout().is_some_and(|due| due <= shown) {
                process.node.handle_timeout(shown);
            }
            process.renew();
            if process.engine.poll_timeout().is_some_and(|due| due <= shown) {
                process.engine.handle_timeout(shown);
            }
        }
        if stands {
            self.settle_engine(at)?;
        } else {
            self.turn(at)?;
        }
        let due = self.machines[at].due;
        ensure(due.is_none_or(|due| due > now), Invariant::Timer, || {
            format!("gateway {at} wants to be called at {due:?}, it is {now:?}")
        })
    }

    /// Everything that the engine has to say. How many changes it asked the store for.
    pub(super) fn settle_engine(&mut self, at: usize) -> Result<u32, Breach> {
        let mut writes = 0;
        while let Some(process) = &mut self.machines[at].process {
            let Some(request) = process.engine.poll_ownership_request() else { break };
            match &request {
                Request::Release { id, handle, .. } => drop(process.frozen.insert(*handle, *id)),
                Request::Take { id, record, .. } => drop(process.taking.insert(*id, record.handle)),
                _ => {}
            }
            writes += u32::from(!matches!(request, Request::Read { .. }));
            self.report.note(name_of(&request), 1);
            self.trace.line(self.now, || format!("gw{at}     asks {}", words_of_request(&request)));
            self.tell_node(at, request);
        }
        self.observe_engine(at)?;
        let mut buffer = [0; TRANSMIT_BUFFER_LEN];
        for sent in 0.. {
            let machine = &mut self.machines[at];
            let shown = machine.clock.at(self.now);
            let Some(process) = &mut machine.process else { break };
            let Some(transmit) = process.engine.poll_transmit(&mut buffer, shown) else { break };
            self.truth.judge(Invariant::CellMemory, sent < BURST_LIMIT, || {
                "a gateway does not stop sending".to_owned()
            })?;
            self.send_down(at, transmit, &buffer[..transmit.len], None)?;
        }
        self.refresh_due(at);
        Ok(writes)
    }

    /// Reads events and rows.
    fn observe_engine(&mut self, at: usize) -> Verdict {
        let (now, sink) = (self.now, self.manner.sink);
        let machine = &mut self.machines[at];
        let shown = machine.clock.at(now);
        let Some(process) = &mut machine.process else { return Ok(()) };
        while process.engine.poll_route().is_some() {}
        if sink && now >= machine.deaf_until {
            while let Some(event) = process.engine.poll_event() {
                if let EventKind::Takeover { .. } = event.kind {
                    self.report.own.takeovers += 1;
                }
                machine.log.push(&event);
            }
            if self.manner.plant == Some(Invariant::SinkIsMute) {
                // A sink that costs an engine something.
                self.network.bits();
            }
        }
        process.seats = process
            .engine
            .sessions(shown)
            .map(|row| {
                // invariant: peers are named by their numbers.
                let client = row.peer.parse().unwrap_or(usize::MAX);
                let seat = Seat { client, version: row.version, epoch: row.epoch, address: row.address };
                (row.session, seat)
            })
            .collect();
        let id = process.id;
        for (label, seat) in &process.seats {
            self.truth.stands(id, *label, seat.epoch, seat.version)?;
        }
        self.judge_memory(at)
    }

    /// I11 at a gateway.
    fn judge_memory(&mut self, at: usize) -> Verdict {
        let Some(process) = &self.machines[at].process else { return Ok(()) };
        let (status, clients) = (process.engine.status(), self.rules.clients);
        let requests = process.node.status().pending_count + process.words.len();
        let limits = if self.is_planted(Invariant::CellMemory) { 0 } else { clients };
        let held = process.seats.len() <= limits
            && status.pending <= PENDING_PER_CLIENT * limits
            && status.takeovers <= PENDING_PER_CLIENT * limits
            && requests <= REQUESTS.0 + REQUESTS.1 * limits;
        let seats = process.seats.len();
        self.truth.judge(Invariant::CellMemory, held, || {
            format!("gateway {at}: {seats} sessions, {status:?}, {requests} requests for {clients} clients")
        })
    }

    /// I11 at the store.
    fn judge_store(&mut self) -> Verdict {
        let births = self.report.seen_of("create") as usize;
        let limit = KEYS_PER_LIFE
            * (1 + self.report.seen_of("joined") as usize + self.report.own.lives as usize + births);
        let count = self.store.memory.key_count();
        self.truth.judge(Invariant::CellMemory, count <= limit, || format!("{count} keys, at most {limit}"))
    }

    pub(super) fn refresh_due(&mut self, at: usize) {
        let stands = self.clerk_stands(at);
        let now = self.now;
        let machine = &mut self.machines[at];
        let shown = machine.clock.at(now);
        let Some(process) = &machine.process else { return };
        let clerk = [process.node.poll_timeout(), process.warning_due(shown)];
        let clerk = clerk.into_iter().flatten().filter(|_| !stands);
        let due: Option<Time> = clerk.chain(process.engine.poll_timeout()).min();
        machine.due = due.map(|due| machine.clock.when(due));
    }
}

/// Whether it gives that session to somebody else.
fn gives_away(operation: &Operation, me: Incarnation, handle: jumpvpn_ownership::Handle) -> bool {
    let Operation::Commit(transaction) = operation else { return false };
    transaction.changes.iter().any(|change| match change {
        Change::Put { key, value } if key.0.starts_with(b"s/") => {
            let record = jumpvpn_ownership::SessionRecord::decode(value, Default::default());
            record.is_ok_and(|(_, record)| record.handle == handle && record.owner != me)
        }
        _ => false,
    })
}

fn keys_of(operation: &Operation) -> String {
    let Operation::Commit(transaction) = operation else { return String::new() };
    let words: Vec<String> = transaction.changes.iter().map(words_of_change).collect();
    words.join(", ")
}

fn words_of_change(change: &Change) -> String {
    match change {
        Change::Put { key, value } if key.0.starts_with(b"s/") => {
            match jumpvpn_ownership::SessionRecord::decode(value, Default::default()) {
                Ok((_, record)) => format!(
                    "put {} owner {:?} epoch {} v{} {:?}",
                    key.0.escape_ascii(),
                    record.owner,
                    record.owner_epoch,
                    record.version,
                    record.state
                ),
                Err(_) => "put nonsense".to_owned(),
            }
        }
        Change::Put { key, .. } => format!("put {}", key.0.escape_ascii()),
        Change::Delete { key } => format!("delete {}", key.0.escape_ascii()),
    }
}

fn words_of(news: &News) -> String {
    match news {
        News::Answer(Answer::Found { id, record, owner, .. }) => {
            format!("{id:?} found epoch {} v{} {owner:?}", record.owner_epoch, record.version)
        }
        News::Answer(Answer::Conflict { id, owner, .. }) => format!("{id:?} conflict {owner:?}"),
        News::Answer(answer) => format!("{answer:?}"),
        News::Ask(ask) => format!("{ask:?}"),
        News::Joined(epoch) => format!("joined {epoch}"),
        News::FenceEnding => "fence ending".to_owned(),
    }
}

fn name_of(request: &Request) -> &'static str {
    match request {
        Request::Create { .. } => "create",
        Request::Update { .. } => "update",
        Request::Terminate { .. } => "terminate",
        Request::Read { .. } => "read",
        Request::Take { .. } => "take",
        Request::Release { .. } => "release",
        Request::Decline { .. } => "decline",
    }
}

fn words_of_request(request: &Request) -> String {
    format!("{} {:?} {:?}", name_of(request), request.id(), request.handle())
}
