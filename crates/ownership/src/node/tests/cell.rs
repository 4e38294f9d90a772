//! Some nodes, one store, and engines that do what they are asked; in virtual time, with one clock for all.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::*;
use crate::ledger::Seeded;
use crate::ledger::rules::record;
use crate::{Change, Hint, MemoryStore, Moves, Request};

/// One way to the store.
const LATENCY: Duration = Duration::from_millis(1);

/// When a store that is cut off is given up.
const TIMEOUT: Duration = Duration::from_secs(1);

pub(super) struct Member {
    pub node: Node<Seeded>,
    /// What the engine lets pass.
    pub serving: BTreeSet<Handle>,
    pub answers: Vec<Answer>,
    pub asks: Vec<Ask>,
    /// Whether the engine gives sessions away.
    pub generous: bool,
    /// Nothing reaches the store or comes back.
    pub cut: bool,
    /// Operations are carried out, and nobody hears of it.
    pub deaf: bool,
    /// The process is gone.
    pub crashed: bool,
    /// What the engine says of a session's moves when it gives one away; what the record says, unless there is something.
    pub says: Option<Moves>,
}

pub(super) enum Flight {
    Request(usize, Ticket, Operation),
    Outcome(usize, Ticket, Outcome),
    Hint(usize, Hint),
}

pub(super) struct Cell {
    pub now: Time,
    pub members: Vec<Member>,
    pub store: MemoryStore,
    flights: BTreeMap<(Time, u64), Flight>,
    flight_count: u64,
    next_id: u64,
    /// Whether the store tells of changes in mailboxes.
    pub watched: bool,
    /// Keys that were put or deleted, by their first letters.
    pub writes: BTreeMap<String, u64>,
}

pub(super) fn config(name: &str, index: u8) -> NodeConfig {
    NodeConfig {
        node_id: [0, 0, 0, index],
        name: name.into(),
        public: [0; 32],
        cell: 7,
        store_generation: None,
        boot_id: [index; 16],
        data_dir: [index; 16],
        profile: Profile::DEFAULT,
        clock: crate::WallClock { zero_ms: 1_700_000_000_000 },
        upkeep: Upkeep::DEFAULT,
        limits: Limits::CELL,
        orphan_ttl: Duration::from_secs(120),
    }
}

impl Cell {
    /// So many nodes that have joined.
    pub fn new(count: u8) -> Cell {
        Cell::of((1..=count).map(|index| config(&format!("gw{index}"), index)))
    }

    /// Those nodes, which have joined.
    pub fn of(configs: impl IntoIterator<Item = NodeConfig>) -> Cell {
        let mut cell = Cell {
            now: Time::from_millis(10_000),
            members: Vec::new(),
            store: MemoryStore::new(),
            flights: BTreeMap::new(),
            flight_count: 0,
            next_id: 0,
            watched: false,
            writes: BTreeMap::new(),
        };
        for config in configs {
            cell.add(config);
        }
        cell.run(Duration::from_secs(2));
        for member in &cell.members {
            assert_eq!(member.node.status().standing, Standing::Member);
        }
        cell
    }

    pub fn add(&mut self, config: NodeConfig) -> usize {
        let seed = 1_000 + self.members.len() as u64;
        self.members.push(Member {
            node: Node::new(config, Seeded(seed), self.now),
            serving: BTreeSet::new(),
            answers: Vec::new(),
            asks: Vec::new(),
            generous: true,
            cut: false,
            deaf: false,
            crashed: false,
            says: None,
        });
        let index = self.members.len() - 1;
        self.settle(index);
        index
    }

    /// A process that begins where another one of that configuration has ended.
    pub fn restart(&mut self, index: usize, config: NodeConfig) {
        let member = self.add(config);
        self.members.swap_remove(index);
        assert_eq!(member, self.members.len(), "it takes the other's place");
        self.flights.retain(|_, flight| {
            let (Flight::Request(of, ..) | Flight::Outcome(of, ..) | Flight::Hint(of, _)) = flight;
            if *of == member {
                *of = index;
                return true;
            }
            *of != index
        });
    }

    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        self.run_until(end, |_| false);
        self.now = end;
    }

    /// Until something has happened, or that time.
    pub fn run_until(&mut self, end: Time, mut done: impl FnMut(&Cell) -> bool) -> bool {
        loop {
            if done(self) {
                return true;
            }
            let flight = self.flights.first_key_value().map(|((at, _), _)| *at);
            let alive = self.members.iter().enumerate().filter(|(_, member)| !member.crashed);
            let timer = alive.filter_map(|(index, member)| Some((member.node.poll_timeout()?, index))).min();
            match (flight, timer) {
                (Some(at), timer) if at <= end && timer.is_none_or(|(due, _)| at <= due) => {
                    self.now = self.now.max(at);
                    let (_, flight) = self.flights.pop_first().unwrap();
                    self.land(flight);
                }
                (_, Some((due, index))) if due <= end => {
                    self.now = self.now.max(due);
                    self.members[index].node.handle_timeout(self.now);
                    self.settle(index);
                }
                _ => return false,
            }
            self.check();
        }
    }

    /// A word that comes to a node now.
    pub fn hint(&mut self, index: usize, hint: Hint) {
        self.land(Flight::Hint(index, hint));
    }

    fn fly(&mut self, at: Time, flight: Flight) {
        self.flight_count += 1;
        self.flights.insert((at, self.flight_count), flight);
    }

    fn land(&mut self, flight: Flight) {
        match flight {
            Flight::Request(index, ticket, operation) => {
                let outcome = self.store.apply(&operation);
                if let (Operation::Commit(transaction), Outcome::Committed(rev)) = (&operation, &outcome) {
                    for key in transaction.changes.iter().map(Change::key) {
                        let kind = key.0.iter().take_while(|byte| **byte != b'/');
                        let kind = kind.map(|byte| char::from(*byte)).collect();
                        *self.writes.entry(kind).or_default() += 1;
                    }
                    let changed = transaction.changes.iter().map(Change::key);
                    let watched = self.watched;
                    let to_mail = changed.filter(|key| watched && key.0.starts_with(b"req/"));
                    for hint in to_mail.map(|key| Hint::Changed { key: key.clone(), rev: *rev }) {
                        (0..self.members.len())
                            .for_each(|of| self.fly(self.now + LATENCY, Flight::Hint(of, hint.clone())));
                    }
                }
                if self.members[index].deaf {
                    self.fly(self.now + TIMEOUT, Flight::Outcome(index, ticket, Outcome::Unknown));
                } else {
                    self.fly(self.now + LATENCY, Flight::Outcome(index, ticket, outcome));
                }
            }
            Flight::Hint(index, hint) => {
                if !self.members[index].crashed {
                    self.members[index].node.hint(&hint, self.now);
                    self.members[index].node.handle_timeout(self.now);
                    self.settle(index);
                }
            }
            Flight::Outcome(index, ticket, outcome) => {
                if !self.members[index].crashed {
                    self.members[index].node.handle_outcome(ticket, outcome, self.now);
                    self.settle(index);
                }
            }
        }
    }

    /// Carries out what the node says.
    fn settle(&mut self, index: usize) {
        while let Some((ticket, operation)) = self.members[index].node.poll_operation() {
            if self.members[index].cut {
                self.fly(self.now + TIMEOUT, Flight::Outcome(index, ticket, Outcome::Unknown));
            } else {
                self.fly(self.now + LATENCY, Flight::Request(index, ticket, operation));
            }
        }
        let member = &mut self.members[index];
        while let Some(answer) = member.node.poll_answer() {
            member.answers.push(answer);
        }
        if let Some(ask) = member.node.poll_ask() {
            member.asks.push(ask);
            match ask {
                Ask::Fenced => member.serving.clear(),
                Ask::Lost { handle } => {
                    member.serving.remove(&handle);
                }
                Ask::Release { handle, to } => self.asked_to_release(index, handle, to),
                Ask::Supersede { handle } => {
                    self.members[index].serving.remove(&handle);
                    let expected = self.members[index].node.held[&handle].expected();
                    let reason_number = Reason::Superseded.number();
                    self.ask(index, |id| Request::Terminate { id, handle, expected, reason_number });
                }
                Ask::Rejoined { .. } => {}
            }
            self.settle(index);
        }
    }

    fn asked_to_release(&mut self, index: usize, handle: Handle, to: Incarnation) {
        let member = &mut self.members[index];
        if member.generous {
            member.serving.remove(&handle);
            let Held { record, .. } = &member.node.held[&handle];
            let moves = member.says.unwrap_or(record.moves.and_one(self.now));
            let expected = member.node.held[&handle].expected();
            self.ask(index, |id| Request::Release { id, handle, expected, to, moves });
        } else {
            let reason_number = Reason::SwitchCooldown.number();
            self.ask(index, |id| Request::Decline { id, handle, reason_number });
        }
    }

    /// Hands a request in; its number.
    pub fn ask(&mut self, index: usize, request: impl FnOnce(RequestId) -> Request) -> RequestId {
        self.next_id += 1;
        let id = RequestId(self.next_id);
        self.members[index].node.handle_request(request(id), self.now);
        self.settle(index);
        id
    }

    /// The answer, once it is there.
    pub fn answer(&mut self, index: usize, id: RequestId) -> Answer {
        let find = |cell: &Cell| cell.members[index].answers.iter().find(|answer| answer.id() == id).cloned();
        let there = self.run_until(self.now + Duration::from_secs(60), |cell| find(cell).is_some());
        assert!(there, "no answer to {id:?}");
        find(self).unwrap()
    }

    /// Asks for a session whose handshake was answered then; the number of the request.
    pub fn ask_to_create(&mut self, index: usize, new: &SessionRecord, began: Time) -> RequestId {
        self.ask(index, |id| Request::Create { id, record: Box::new(new.clone()), began })
    }

    pub fn create(&mut self, index: usize, new: &SessionRecord) -> Answer {
        let id = self.ask_to_create(index, new, self.now);
        let answer = self.answer(index, id);
        if matches!(answer, Answer::Committed { .. }) {
            self.members[index].serving.insert(new.handle);
        }
        answer
    }

    pub fn read(&mut self, index: usize, handle: Handle) -> (Rev, SessionRecord, Owner) {
        let id = self.ask(index, |id| Request::Read { id, handle });
        match self.answer(index, id) {
            Answer::Found { rev, record, owner, .. } => (rev, *record, owner),
            other => panic!("{other:?}"),
        }
    }

    /// Asks for a session as it was seen, with nothing changed but its owner; the number of the request.
    pub fn ask_to_take(&mut self, index: usize, seen: (Rev, SessionRecord)) -> RequestId {
        let next = SessionRecord { owner_epoch: seen.1.owner_epoch + 1, ..seen.1.clone() };
        self.ask(index, |id| Request::Take { id, seen: Box::new(seen), record: Box::new(next) })
    }

    /// What a gateway does for a client that has proven itself.
    pub fn take(&mut self, index: usize, handle: Handle) -> Answer {
        let (rev, seen, _) = self.read(index, handle);
        let next = SessionRecord {
            owner_epoch: seen.owner_epoch + 1,
            version: seen.version + 1,
            key_epoch: seen.key_epoch + 1,
            ..seen.clone()
        };
        let (seen, next) = (Box::new((rev, seen)), Box::new(next));
        let id = self.ask(index, |id| Request::Take { id, seen, record: next });
        let answer = self.answer(index, id);
        if matches!(answer, Answer::Committed { .. }) {
            self.members[index].serving.insert(handle);
        }
        answer
    }

    pub fn stop(&mut self, index: usize) {
        self.members[index].node.stop(self.now);
        self.settle(index);
    }

    pub fn crash(&mut self, index: usize) {
        self.members[index].crashed = true;
        self.members[index].serving.clear();
    }

    /// No session passes data in two places; what passes is what the store says.
    fn check(&self) {
        let mut seen = BTreeSet::new();
        for member in self.members.iter().filter(|member| !member.crashed) {
            if !member.node.fence().allows(self.now) {
                continue;
            }
            for handle in &member.serving {
                assert!(seen.insert(*handle), "{handle:?} is served twice at {:?}", self.now);
            }
        }
    }
}

/// A session of its own client.
pub(super) fn session(number: u16) -> SessionRecord {
    record(number)
}
