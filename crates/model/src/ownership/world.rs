//! A state: two nodes, their engines, the store, and what is under way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use jumpvpn_events::Time;
use jumpvpn_ownership::{
    Answer, Ask, Burial, Change, Deceased, Expected, Handle, Incarnation, Limits, MemoryStore, Moves, Node,
    NodeConfig, Operation, Outcome, Owner, Profile, RecordState, Request, RequestId, Rev, SessionRecord,
    Ticket, Upkeep, WallClock,
};
use rand_core::{TryCryptoRng, TryRng};

use super::{Among, Cell, Story};

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A second passes, on both clocks.
    Tick,
    /// It passes on one clock only.
    Slip(u8),
    /// The next message is delivered.
    Pass,
    /// It is made late.
    Late,
    /// A late message arrives.
    Arrive(u8),
    /// Whoever waits for a late message is told that its outcome is unknown.
    GiveUp(u8),
}

/// Promises that can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Broken {
    /// Two gateways let a session's packets pass.
    TwoServe,
    /// A gateway lets packets pass, and the record names another one, or none.
    NotTheOwner,
    /// One epoch was granted to two incarnations.
    EpochTwice,
    /// An incarnation without a heartbeat changed a session.
    DeadWrites,
    /// An incarnation has a tombstone and a heartbeat.
    HeartOfTheDead,
    /// A session got an owner without a heartbeat.
    GivenToTheDead,
    /// A session that had ended lives.
    Resurrected,
    /// The owner of a live session has neither heartbeat nor tombstone: nobody can ever take it.
    OwnerUnknown,
}

const TICK: Duration = Duration::from_secs(1);
const BEGIN: Time = Time::from_millis(100_000);
/// How long a request to the store lives, in the stories where it matters: records of ended sessions stay for longer.
const REQUEST_LIFE: u8 = 2;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Message {
    Request(u8, Incarnation, Ticket, Operation),
    Outcome(u8, Ticket, Outcome),
    /// A request whose outcome nobody waits for any more.
    Copy(Incarnation, Operation),
}

/// What an engine does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Engine {
    /// Packets pass, if the fence allows it.
    serving: Option<Expected>,
    /// A request is under way.
    asked: Option<RequestId>,
    /// It wants the session for its client.
    seeks: bool,
    generous: bool,
    /// The process is gone.
    crashed: bool,
    create_at: Option<u8>,
    end_at: Option<u8>,
    crash_at: Option<u8>,
    /// Somebody sees the process end, or believes so, and writes its tombstone.
    witness_at: Option<u8>,
}

/// A state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    nodes: [Node<Counter>; 2],
    engines: [Engine; 2],
    clocks: [u8; 2],
    store: MemoryStore,
    pending: VecDeque<Message>,
    /// With the tick at which each was sent.
    late: Vec<(u8, Message)>,
    late_count: u8,
    slip_count: u8,
    request_count: u64,
    granted: BTreeMap<u64, Incarnation>,
    has_ended: bool,
    has_moved: bool,
    was_asked: bool,
    has_overlap: bool,
    broken: BTreeSet<Broken>,
}

impl World {
    /// Both nodes have joined. The first one owns the session, if the story begins so.
    pub fn new(cell: &Cell) -> World {
        let mut world = World {
            nodes: [node(cell, 0), node(cell, 1)],
            engines: [Engine::default(), Engine { seeks: true, ..Engine::default() }],
            clocks: [0, 0],
            store: MemoryStore::new(),
            pending: VecDeque::new(),
            late: Vec::new(),
            late_count: 0,
            slip_count: 0,
            request_count: 0,
            granted: BTreeMap::new(),
            has_ended: false,
            has_moved: false,
            was_asked: false,
            has_overlap: false,
            broken: BTreeSet::new(),
        };
        match cell.story {
            Story::Takeover => {}
            Story::Handoff => world.engines[0].generous = true,
            Story::HandoffToTheDead => {
                world.engines[0].generous = true;
                world.engines[1].crash_at = Some(2);
            }
            Story::Upkeep | Story::Kept => {
                world.engines[0].create_at = Some(1);
                world.engines[0].end_at = Some(if cell.story == Story::Kept { 6 } else { 2 });
                world.engines[1].seeks = false;
            }
            Story::Orphan => {
                world.engines[0].crash_at = Some(1);
                world.engines[1].seeks = false;
            }
            Story::Witness => {
                world.engines[0].crash_at = Some(1).filter(|_| !cell.mistaken);
                world.engines[0].witness_at = Some(1);
            }
        }
        for index in [0, 1] {
            world.collect(index);
        }
        world.run_pending(cell);
        if world.engines[0].create_at.is_none() {
            world.create(0);
            world.run_pending(cell);
        }
        world
    }

    /// Whether that promise is broken.
    pub fn broke(&self, broken: Broken) -> bool {
        self.broken.contains(&broken)
    }

    pub(super) const fn has_moved(&self) -> bool {
        self.has_moved
    }

    pub(super) const fn was_asked(&self) -> bool {
        self.was_asked
    }

    pub(super) const fn has_overlap(&self) -> bool {
        self.has_overlap
    }

    pub(super) fn is_cleared(&self) -> bool {
        self.has_ended && self.record().is_none()
    }

    pub(super) fn choices(&self, cell: &Cell, steps: &mut Vec<Step>) {
        if !self.broken.is_empty() {
            return;
        }
        if !self.pending.is_empty() {
            steps.push(Step::Pass);
            if self.late_count < cell.late {
                steps.push(Step::Late);
            }
            return;
        }
        for (index, (_, message)) in self.late.iter().enumerate() {
            let index = index as u8;
            steps.push(Step::Arrive(index));
            if !matches!(message, Message::Copy(..)) {
                steps.push(Step::GiveUp(index));
            }
        }
        let most = self.clocks[0].max(self.clocks[1]);
        if most < cell.ticks && !self.overdue(cell) {
            steps.push(Step::Tick);
        }
        for (one, other) in [(0, 1), (1, 0)] {
            let ahead = self.clocks[one] > self.clocks[other];
            let stands = cell.standing_clock && one == 1;
            let slips = self.slip_count < cell.slips && !ahead && self.clocks[one] < cell.ticks;
            if (slips || stands && self.clocks[1] < cell.ticks) && !self.overdue(cell) {
                steps.push(Step::Slip(one as u8));
            }
        }
    }

    /// Where retention is explored, a request does not live for ever.
    fn overdue(&self, cell: &Cell) -> bool {
        let now = self.clocks[0].max(self.clocks[1]);
        upkeep(cell) && self.late.iter().any(|(sent, _)| now >= sent + REQUEST_LIFE)
    }

    pub(super) fn take(&mut self, cell: &Cell, step: Step) {
        match step {
            Step::Tick => {
                for index in [0, 1] {
                    self.tick(index);
                }
            }
            Step::Slip(index) => {
                self.slip_count += 1;
                self.tick(usize::from(index));
            }
            Step::Pass => {
                if let Some(message) = self.pending.pop_front() {
                    self.deliver(message);
                }
            }
            Step::Late => {
                self.late_count += 1;
                let now = self.clocks[0].max(self.clocks[1]);
                self.late.extend(self.pending.pop_front().map(|message| (now, message)));
            }
            Step::Arrive(index) => {
                let (_, message) = self.late.remove(usize::from(index));
                self.deliver(message);
            }
            Step::GiveUp(index) => self.give_up(usize::from(index)),
        }
        self.pass_unimportant(cell);
        self.check(cell);
    }

    fn give_up(&mut self, at: usize) {
        let (sent, message) = self.late.remove(at);
        match message {
            Message::Request(index, by, ticket, operation) => {
                if matches!(operation, Operation::Commit(_)) {
                    self.late.insert(at, (sent, Message::Copy(by, operation)));
                }
                self.outcome(index, ticket, Outcome::Unknown);
            }
            Message::Outcome(index, ticket, _) => self.outcome(index, ticket, Outcome::Unknown),
            Message::Copy(..) => {}
        }
    }

    /// Delivers what makes no difference when it is late, and everything once nothing may be late any more.
    fn pass_unimportant(&mut self, cell: &Cell) {
        let none_left = self.late_count >= cell.late;
        while let Some(message) = self.pending.front() {
            if !none_left && self.is_important(cell, message) {
                return;
            }
            if let Some(message) = self.pending.pop_front() {
                self.deliver(message);
            }
        }
    }

    fn run_pending(&mut self, cell: &Cell) {
        while let Some(message) = self.pending.pop_front() {
            self.deliver(message);
        }
        self.check(cell);
    }

    /// The second node's own heart beats on time: it is the first one's rights that are at stake.
    fn is_important(&self, cell: &Cell, message: &Message) -> bool {
        match message {
            Message::Request(index, _, _, Operation::Commit(transaction)) => {
                let about = |prefix: &[u8]| {
                    transaction.changes.iter().any(|change| change.key().0.starts_with(prefix))
                };
                match cell.among {
                    Among::All => *index == 0 || about(b"s/"),
                    Among::Beats | Among::Looks => *index == 0 && about(b"hb/"),
                }
            }
            Message::Request(index, _, _, Operation::List { prefix, .. }) => {
                cell.among != Among::Beats && *index == 1 && prefix.0.starts_with(b"hb/")
            }
            Message::Copy(..) => cell.among == Among::All,
            Message::Outcome(index, _, Outcome::Committed(_) | Outcome::Conflict(_)) => {
                cell.among != Among::Looks && *index == 0
            }
            Message::Outcome(index, _, Outcome::Listed { entries, .. }) => {
                let beats = entries.iter().any(|(key, _)| key.0.starts_with(b"hb/"));
                cell.among == Among::All && *index == 1 && beats
            }
            _ => false,
        }
    }

    fn now(&self, index: usize) -> Time {
        BEGIN + TICK * u32::from(self.clocks[index])
    }

    fn tick(&mut self, index: usize) {
        self.clocks[index] += 1;
        let (now, clock) = (self.now(index), self.clocks[index]);
        let engine = &mut self.engines[index];
        if engine.crash_at == Some(clock) {
            engine.crashed = true;
            engine.serving = None;
        }
        if engine.witness_at == Some(clock) {
            self.testify(index, now);
        }
        if self.engines[index].crashed {
            return;
        }
        self.nodes[index].handle_timeout(now);
        self.collect(index);
        self.act(index, clock);
    }

    /// What the witness writes, based on what stands there now, may be late as everything else. Where it does not hold any more, the
    /// witness looks again in the program; here nobody does.
    fn testify(&mut self, index: usize, now: Time) {
        let mut burial = Burial::new(place(index as u8), WallClock::default(), now);
        while matches!(burial.operation(), Operation::Read(_)) {
            if burial.advance(self.store.apply(&burial.operation())) != Ok(None) {
                return;
            }
        }
        self.pending.push_back(Message::Copy(Incarnation([0; 16]), burial.operation()));
    }

    fn act(&mut self, index: usize, clock: u8) {
        if self.engines[index].asked.is_some() {
            return;
        }
        if self.engines[index].create_at == Some(clock) {
            self.create(index);
        } else if self.engines[index].end_at.is_some_and(|at| at <= clock)
            && let Some(expected) = self.engines[index].serving.take()
        {
            self.ask(index, |id| Request::Terminate {
                id,
                handle: Handle::MAX,
                expected,
                reason_number: 302,
            });
        } else if self.engines[index].seeks && self.engines[index].serving.is_none() {
            self.ask(index, |id| Request::Read { id, handle: Handle::MAX });
        }
    }

    fn create(&mut self, index: usize) {
        let began = self.now(index);
        self.ask(index, |id| Request::Create { id, record: Box::new(session()), began });
    }

    fn ask(&mut self, index: usize, request: impl FnOnce(RequestId) -> Request) {
        self.request_count += 1;
        let id = RequestId(self.request_count);
        self.engines[index].asked = Some(id);
        let now = self.now(index);
        self.nodes[index].handle_request(request(id), now);
        self.collect(index);
    }

    /// What a node says: operations to the network, answers and questions to its engine.
    fn collect(&mut self, index: usize) {
        let by = self.nodes[index].incarnation();
        while let Some((ticket, operation)) = self.nodes[index].poll_operation() {
            self.pending.push_back(Message::Request(index as u8, by, ticket, operation));
        }
        while let Some(ask) = self.nodes[index].poll_ask() {
            self.asked(index, ask);
        }
        while let Some(answer) = self.nodes[index].poll_answer() {
            self.answered(index, answer);
        }
    }

    fn asked(&mut self, index: usize, ask: Ask) {
        match ask {
            Ask::Fenced => (self.engines[index].serving, self.engines[index].asked) = (None, None),
            Ask::Lost { .. } => self.engines[index].serving = None,
            Ask::Release { handle, to } => {
                self.was_asked = true;
                let serving = self.engines[index].serving;
                if let (true, Some(expected)) = (self.engines[index].generous, serving) {
                    // Frozen from here on.
                    self.engines[index].serving = None;
                    self.ask(index, |id| Request::Release {
                        id,
                        handle,
                        expected,
                        to,
                        moves: Moves::default(),
                    });
                } else {
                    let asked = self.engines[index].asked;
                    self.ask(index, |id| Request::Decline { id, handle, reason_number: 202 });
                    self.engines[index].asked = asked;
                }
            }
            Ask::Supersede { .. } | Ask::Rejoined { .. } => {}
        }
    }

    fn answered(&mut self, index: usize, answer: Answer) {
        let id = answer.id();
        if self.engines[index].asked != Some(id) {
            return;
        }
        self.engines[index].asked = None;
        match answer {
            Answer::Found { rev, record, .. } if record.state == RecordState::Live => {
                let seen = Box::new((rev, (*record).clone()));
                let next = SessionRecord { owner_epoch: record.owner_epoch + 1, ..*record };
                self.ask(index, |id| Request::Take { id, seen, record: Box::new(next) });
            }
            Answer::Committed { rev, .. } => self.committed(index, rev),
            // It could not be given away, and is still this one's.
            Answer::Conflict { current: Some(current), owner: Some(Owner::Me), .. } => {
                let live = current.1.state == RecordState::Live;
                self.engines[index].serving = live.then(|| expected(current.0, &current.1));
            }
            _ => {}
        }
    }

    /// What was written says which request it was.
    fn committed(&mut self, index: usize, rev: Rev) {
        let me = self.nodes[index].incarnation();
        let mine = self
            .record()
            .filter(|(at, record)| *at == rev && record.owner == me && record.state == RecordState::Live);
        let granted = self.granted.values().any(|owner| *owner == me);
        // A late confirmation of what has changed since: the node held it when it answered.
        self.engines[index].serving = mine.map(|(rev, record)| expected(rev, &record)).filter(|_| granted);
    }

    fn deliver(&mut self, message: Message) {
        match message {
            Message::Request(index, by, ticket, operation) => {
                let outcome = self.apply(by, &operation);
                self.pending.push_back(Message::Outcome(index, ticket, outcome));
            }
            Message::Copy(by, operation) => {
                self.apply(by, &operation);
            }
            Message::Outcome(index, ticket, outcome) => self.outcome(index, ticket, outcome),
        }
    }

    fn outcome(&mut self, index: u8, ticket: Ticket, outcome: Outcome) {
        let index = usize::from(index);
        if self.engines[index].crashed {
            return;
        }
        let now = self.now(index);
        self.nodes[index].handle_outcome(ticket, outcome, now);
        self.nodes[index].handle_timeout(now);
        self.collect(index);
    }

    fn has(&self, prefix: &[u8], of: Incarnation) -> bool {
        self.store.entries().any(|(key, _)| key.0.strip_prefix(prefix).is_some_and(|rest| *rest == of.0))
    }

    fn record(&self) -> Option<(Rev, SessionRecord)> {
        let (_, stored) = self.store.entries().find(|(key, _)| key.0.starts_with(b"s/"))?;
        Some((stored.rev, SessionRecord::decode(&stored.value, WallClock::default()).ok()?.1))
    }

    /// The store does what it is asked, and what it should not have been asked is noted.
    fn apply(&mut self, by: Incarnation, operation: &Operation) -> Outcome {
        let before = self.record();
        let writer_lives = self.has(b"hb/", by);
        let outcome = self.store.apply(operation);
        let (Outcome::Committed(_), Operation::Commit(transaction)) = (&outcome, operation) else {
            return outcome;
        };
        let is_put = |change: &Change| matches!(change, Change::Put { key, .. } if key.0.starts_with(b"s/"));
        if let (true, Some((_, now))) = (transaction.changes.iter().any(is_put), self.record()) {
            self.judge(before.map(|(_, record)| record), &now, writer_lives);
        }
        outcome
    }

    fn judge(&mut self, before: Option<SessionRecord>, now: &SessionRecord, writer_lives: bool) {
        if !writer_lives {
            self.broken.insert(Broken::DeadWrites);
        }
        if now.state != RecordState::Live {
            self.has_ended = true;
            return;
        }
        if self.has_ended {
            self.broken.insert(Broken::Resurrected);
        }
        let granted = *self.granted.entry(now.owner_epoch).or_insert(now.owner);
        if granted != now.owner {
            self.broken.insert(Broken::EpochTwice);
        }
        if before.is_none_or(|before| before.owner != now.owner) && !self.has(b"hb/", now.owner) {
            self.broken.insert(Broken::GivenToTheDead);
        }
        self.has_moved |= now.moved;
    }

    fn check(&mut self, cell: &Cell) {
        let record = self.record();
        let served: Vec<usize> = (0..2)
            .filter(|index| {
                let fence = self.nodes[*index].fence();
                self.engines[*index].serving.is_some() && fence.allows(self.now(*index))
            })
            .collect();
        let owner_is = |of: Incarnation| {
            record.as_ref().is_some_and(|(_, record)| record.owner == of && record.state == RecordState::Live)
        };
        if cell.standing_clock {
            // It breaks every argument from time, and nothing else.
            self.has_overlap |= served.len() > 1;
        } else {
            if served.iter().any(|index| !owner_is(self.nodes[*index].incarnation())) {
                self.broken.insert(Broken::NotTheOwner);
            }
            if served.len() > 1 {
                self.broken.insert(Broken::TwoServe);
            }
        }
        let beats = self.store.entries().filter_map(|(key, _)| key.0.strip_prefix(b"hb/")?.try_into().ok());
        if beats.map(Incarnation).any(|of| self.has(b"dead/", of)) {
            self.broken.insert(Broken::HeartOfTheDead);
        }
        if let Some((_, record)) = record.filter(|(_, record)| record.state == RecordState::Live)
            && !self.has(b"hb/", record.owner)
            && !self.has(b"dead/", record.owner)
        {
            self.broken.insert(Broken::OwnerUnknown);
        }
    }
}

const fn upkeep(cell: &Cell) -> bool {
    matches!(cell.story, Story::Upkeep | Story::Kept | Story::Orphan)
}

fn expected(rev: Rev, record: &SessionRecord) -> Expected {
    Expected { rev, epoch: record.owner_epoch, version: record.version }
}

fn session() -> SessionRecord {
    SessionRecord {
        handle: Handle::MAX,
        sid: [1; 16],
        peer: [2; 32],
        state: RecordState::Live,
        owner_epoch: 1,
        owner: Incarnation([0; 16]),
        version: 1,
        inner_v4: Some([10, 77, 0, 2].into()),
        inner_v6: None,
        created: BEGIN,
        expires: Time::MAX,
        moved: false,
        moves: Moves::default(),
        key_epoch: 0,
        sealed: Vec::new(),
    }
}

/// Who that node is, and where.
const fn place(index: u8) -> Deceased {
    Deceased { node_id: [0, 0, 0, index + 1], boot_id: [index; 16], data_dir: [index; 16] }
}

fn node(cell: &Cell, index: u8) -> Node<Counter> {
    // Elsewhere the look at everything never comes around.
    let ticks = |count: u32| if upkeep(cell) { TICK * count } else { TICK * 1_000 };
    let Deceased { node_id, boot_id, data_dir } = place(index);
    let config = NodeConfig {
        node_id,
        name: String::new(),
        public: [0; 32],
        cell: 1,
        store_generation: None,
        boot_id,
        data_dir,
        profile: Profile { heartbeat: TICK, lease: TICK * 3, death: TICK * u32::from(cell.death) },
        clock: WallClock::default(),
        upkeep: Upkeep {
            retention: TICK * u32::from(REQUEST_LIFE + 1),
            unheld: ticks(2),
            pass: ticks(1),
            page: Duration::ZERO,
        },
        limits: Limits::CELL,
        orphan_ttl: TICK * 2,
    };
    let mut node = Node::new(config, Counter(u64::from(index) << 32), BEGIN);
    if let Some(mutant) = cell.mutant {
        node.break_by(mutant);
    }
    node
}

/// Names that differ.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Counter(u64);

impl TryRng for Counter {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|number| number as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 += 1;
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for part in out.chunks_mut(8) {
            let number = self.try_next_u64()?.to_be_bytes();
            part.copy_from_slice(&number[8 - part.len()..]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Counter {}
