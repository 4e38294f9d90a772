//! Gateways of one cell without a network between them, over a store that answers when a test wants it to.
//!
//! The store is a double: it says what the ownership layer says of records, owners and handoffs, at once or later, in any
//! order. The layer itself has its own tests.
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use jumpvpn_engine::gateway::{Cell, Config, SessionRow};
use jumpvpn_engine::{Gateway, Received, SocketKey, TRANSMIT_BUFFER_LEN};
use jumpvpn_events::{Event, Reason, Time};
use jumpvpn_ownership::{
    Answer, Ask, Expected, Fence, Handle, Incarnation, Moves, Owner, RecordState, Request, RequestId, Rev,
    SessionRecord,
};
use jumpvpn_policy::Policy;
use jumpvpn_session::StoreKeys;
use jumpvpn_wire::AdvisedGateway;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::members::Members;
use crate::rogue::{Rogue, hello_to};
use crate::world::{GATEWAY, GATEWAY_INNER, MALLORY_INNER, gateway_config, key, packet};

/// Seeds of the gateways' keys.
pub const KEYS: [u64; 2] = [1, 21];

/// A handoff that waits for the owner.
struct Wanted {
    by: usize,
    id: RequestId,
    record: SessionRecord,
}

/// The records of the cell.
#[derive(Default)]
pub struct Store {
    pub records: BTreeMap<Handle, (Rev, SessionRecord)>,
    dead: BTreeSet<Incarnation>,
    wanted: BTreeMap<Handle, Wanted>,
    /// Changes that were committed.
    pub writes: u64,
}

impl Store {
    fn put(&mut self, record: SessionRecord) -> Rev {
        self.writes += 1;
        let rev = Rev(self.writes);
        self.records.insert(record.handle, (rev, record));
        rev
    }

    fn commit(&mut self, id: RequestId, record: SessionRecord) -> Answer {
        let moves = record.moves;
        Answer::Committed { id, rev: self.put(record), moves }
    }

    fn owner(&self, me: Incarnation, record: &SessionRecord) -> Owner {
        match record.owner {
            owner if owner == me => Owner::Me,
            owner if self.dead.contains(&owner) => Owner::Dead,
            _ => Owner::Alive,
        }
    }

    fn conflict(&self, me: Incarnation, id: RequestId, handle: Handle) -> Answer {
        let current = self.records.get(&handle);
        let owner = current.map(|(_, record)| self.owner(me, record));
        Answer::Conflict { id, current: current.cloned().map(Box::new), owner }
    }

    /// The record, if it is live, as expected, and `me` may change it.
    fn may_change(&self, me: Incarnation, handle: Handle, expected: &Expected) -> bool {
        self.records.get(&handle).is_some_and(|(rev, record)| {
            let now = Expected { rev: *rev, epoch: record.owner_epoch, version: record.version };
            record.state == RecordState::Live && now == *expected && self.owner(me, record) != Owner::Alive
        })
    }

    /// Holder of one of the addresses of a record.
    fn holder(&self, record: &SessionRecord) -> Option<Handle> {
        let mut live = self.records.values().filter(|(_, other)| other.state == RecordState::Live);
        let shares = |other: &SessionRecord| {
            other.addresses().any(|address| record.addresses().any(|own| own == address))
        };
        live.find(|(_, other)| shares(other)).map(|(_, other)| other.handle)
    }
}

/// How the store treats the gateways.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It answers at once.
    Prompt,
    /// It answers when [`Town::answer_all`] is called: what is asked takes effect at once, what is said waits.
    Late,
    /// What is asked takes effect only then, too.
    Slow,
    /// Questions are answered at once; changes wait.
    Held,
}

pub struct Town {
    pub now: Time,
    pub gateways: Vec<Gateway>,
    pub incarnations: Vec<Incarnation>,
    pub store: Store,
    pub manner: Manner,
    asked: Vec<(usize, Request)>,
    said: Vec<(usize, Answer)>,
    pub sent: Vec<(usize, SocketAddr, Vec<u8>)>,
    pub events: Vec<(usize, Event)>,
    /// What each owner says to a wish for its session, instead of asking its engine.
    pub refuse_release: Option<Reason>,
    /// The ownership layer itself, in place of the double.
    pub members: Option<Members>,
    policy: Policy,
    lives: u8,
}

pub fn keys() -> StoreKeys {
    StoreKeys::from_secret(&[7; 32]).unwrap()
}

impl Town {
    pub fn new() -> Town {
        Town::with_policy(Policy::laptop())
    }

    pub fn with_policy(policy: Policy) -> Town {
        let mut town = Town {
            now: Time::from_millis(1_000_000),
            gateways: Vec::new(),
            incarnations: Vec::new(),
            store: Store::default(),
            manner: Manner::Prompt,
            asked: Vec::new(),
            said: Vec::new(),
            sent: Vec::new(),
            events: Vec::new(),
            refuse_release: None,
            members: None,
            policy,
            lives: 0,
        };
        for at in 0..KEYS.len() {
            let (gateway, incarnation) = town.life(at);
            town.gateways.push(gateway);
            town.incarnations.push(incarnation);
        }
        town
    }

    /// Two gateways that have joined a cell, with the ownership layer itself behind them.
    pub fn of_members() -> Town {
        Town::of_members_with(Policy::laptop())
    }

    pub fn of_members_with(policy: Policy) -> Town {
        let mut town = Town::with_policy(policy);
        town.members = Some(Members::new(KEYS.len(), town.now));
        for gateway in &mut town.gateways {
            gateway.handle_fence(Fence { epoch: 0, valid_until: Time::ZERO });
        }
        town.run(Duration::from_millis(100));
        town
    }

    /// The process is gone, and nobody is told. What is left here is an engine that may do nothing.
    pub fn kill(&mut self, at: usize) {
        let Some(members) = &mut self.members else { return };
        members.kill(at);
        (self.gateways[at], self.incarnations[at]) = self.life(at);
        self.gateways[at].handle_fence(Fence { epoch: 0, valid_until: Time::ZERO });
    }

    /// A new process begins where one was killed.
    pub fn start(&mut self, at: usize) {
        if let Some(members) = &mut self.members {
            members.start(at, self.now);
        }
        self.settle();
    }

    pub fn config(&self, at: usize) -> Config {
        let others = (0..KEYS.len()).filter(|other| *other != at).map(|other| AdvisedGateway {
            public: key(KEYS[other]).public().0,
            endpoint: jumpvpn_wire::ObservedAddress::new(GATEWAY.parse().unwrap()),
        });
        Config {
            private: key(KEYS[at]),
            node: [0, 0, 0, at as u8 + 1],
            cell: Some(Cell { name: "town".into(), keys: keys(), others: others.collect() }),
            started_minute: 1000 + u32::from(self.lives),
            ..gateway_config(0, self.policy.clone())
        }
    }

    /// The gateway starts again as another incarnation, with another configuration.
    pub fn configure(&mut self, at: usize, change: impl FnOnce(&mut Config)) {
        let mut config = self.config(at);
        change(&mut config);
        (self.gateways[at], self.incarnations[at]) = self.life_of(config);
    }

    fn life(&mut self, at: usize) -> (Gateway, Incarnation) {
        self.life_of(self.config(at))
    }

    fn life_of(&mut self, config: Config) -> (Gateway, Incarnation) {
        self.lives += 1;
        let incarnation = Incarnation::new(config.node, [self.lives; 12]);
        let rng = Box::new(ChaCha20Rng::seed_from_u64(100 + u64::from(self.lives)));
        let mut gateway = Gateway::new(config, rng, self.now).unwrap();
        gateway.handle_fence(Fence { epoch: 1, valid_until: Time::MAX });
        (gateway, incarnation)
    }

    /// The process died, and everybody knows.
    pub fn bury(&mut self, at: usize) {
        self.store.dead.insert(self.incarnations[at]);
    }

    /// The process dies, is known to be dead, and starts again without anything in memory.
    pub fn restart(&mut self, at: usize) {
        self.restart_with(at, |_| ());
    }

    /// The same, with another configuration.
    pub fn restart_with(&mut self, at: usize, change: impl FnOnce(&mut Config)) {
        self.bury(at);
        self.asked.retain(|(gateway, _)| *gateway != at);
        self.said.retain(|(gateway, _)| *gateway != at);
        self.configure(at, change);
    }

    /// Hands a datagram to a gateway, and takes in what that causes.
    pub fn hand_in(&mut self, at: usize, source: SocketAddr, bytes: &[u8]) -> Received {
        let local = GATEWAY.parse::<SocketAddr>().unwrap().ip();
        let mut bytes = bytes.to_vec();
        let received = self.gateways[at].handle_datagram(SocketKey(0), source, local, &mut bytes, self.now);
        self.settle();
        received
    }

    /// Everything the gateways have to say, and to ask.
    pub fn settle(&mut self) {
        let mut buffer = [0; TRANSMIT_BUFFER_LEN];
        loop {
            let mut quiet = true;
            for at in 0..self.gateways.len() {
                while let Some(request) = self.gateways[at].poll_ownership_request() {
                    quiet = false;
                    self.asked.push((at, request));
                }
                while let Some(transmit) = self.gateways[at].poll_transmit(&mut buffer, self.now) {
                    self.sent.push((at, transmit.destination, buffer[..transmit.len].to_vec()));
                }
                let events = std::iter::from_fn(|| self.gateways[at].poll_event());
                self.events.extend(events.map(|event| (at, event)));
            }
            match self.manner {
                Manner::Prompt => {
                    self.carry_out();
                    self.say_all();
                }
                Manner::Late => self.carry_out(),
                Manner::Held => self.answer_questions(),
                Manner::Slow => {}
            }
            if let Some(members) = &mut self.members {
                quiet &= !members.exchange(&mut self.gateways, self.now);
            }
            if quiet {
                return;
            }
        }
    }

    /// The store does what it was asked, and answers it; the answers in reverse order, where a test wants that.
    pub fn answer_all(&mut self, reversed: bool) {
        self.carry_out();
        if reversed {
            self.said.reverse();
        }
        self.say_all();
        self.settle();
    }

    /// Everything that was asked, in the reverse order; a store may do that.
    pub fn reverse_asked(&mut self) {
        self.asked.reverse();
    }

    /// Answers that are on their way.
    pub fn said_count(&self) -> usize {
        self.said.len()
    }

    /// What was asked and is not carried out.
    pub fn asked(&self) -> Vec<&Request> {
        self.asked.iter().map(|(_, request)| request).collect()
    }

    fn answer_questions(&mut self) {
        let is_read = |(_, request): &mut (usize, Request)| matches!(request, Request::Read { .. });
        for (at, read) in self.asked.extract_if(.., is_read).collect::<Vec<_>>() {
            if let Some(answer) = self.submit(at, read) {
                self.gateways[at].handle_ownership(answer, self.now);
            }
        }
    }

    fn carry_out(&mut self) {
        for (at, request) in std::mem::take(&mut self.asked) {
            if let Some(members) = &mut self.members {
                members.submit(at, request, self.now);
            } else if let Some(answer) = self.submit(at, request) {
                self.said.push((at, answer));
            }
        }
    }

    fn say_all(&mut self) {
        for (at, answer) in std::mem::take(&mut self.said) {
            self.gateways[at].handle_ownership(answer, self.now);
        }
    }

    fn submit(&mut self, at: usize, request: Request) -> Option<Answer> {
        let (me, id, handle) = (self.incarnations[at], request.id(), request.handle());
        let store = &mut self.store;
        Some(match request {
            Request::Create { record, .. } => match store.holder(&record) {
                Some(holder) => store.conflict(me, id, holder),
                None => store.commit(id, SessionRecord { owner: me, ..*record }),
            },
            Request::Update { expected, record, .. } => {
                if store.may_change(me, handle, &expected) {
                    store.commit(id, SessionRecord { owner: me, ..*record })
                } else {
                    store.conflict(me, id, handle)
                }
            }
            Request::Terminate { expected, reason_number, .. } => {
                if store.may_change(me, handle, &expected) {
                    let mut record = store.records[&handle].1.clone();
                    record.state = RecordState::Terminated { reason_number };
                    store.commit(id, record)
                } else {
                    store.conflict(me, id, handle)
                }
            }
            Request::Read { .. } => match store.records.get(&handle) {
                None => Answer::Absent { id },
                Some((rev, record)) => {
                    let owner = store.owner(me, record);
                    Answer::Found { id, rev: *rev, record: Box::new(record.clone()), owner }
                }
            },
            Request::Take { seen, record, .. } => return self.take(at, id, &seen, *record),
            Request::Release { expected, to, moves, .. } => {
                if !store.may_change(me, handle, &expected) {
                    return Some(store.conflict(me, id, handle));
                }
                let mut record = store.records[&handle].1.clone();
                (record.owner, record.owner_epoch, record.moves) = (to, record.owner_epoch + 1, moves);
                let released = store.commit(id, record);
                if let Some(wanted) = store.wanted.remove(&handle) {
                    let owner = self.incarnations[wanted.by];
                    let taken = store.commit(wanted.id, SessionRecord { owner, moves, ..wanted.record });
                    self.said.push((wanted.by, taken));
                }
                released
            }
            Request::Decline { reason_number, .. } => {
                if let Some(wanted) = store.wanted.remove(&handle) {
                    let reason = Reason::from_number(reason_number).unwrap();
                    self.said.push((wanted.by, Answer::Refused { id: wanted.id, reason }));
                }
                Answer::Noted { id }
            }
        })
    }

    fn take(
        &mut self,
        at: usize,
        id: RequestId,
        seen: &(Rev, SessionRecord),
        record: SessionRecord,
    ) -> Option<Answer> {
        let (me, handle, store) = (self.incarnations[at], record.handle, &mut self.store);
        if store.records.get(&handle) != Some(seen) {
            return Some(store.conflict(me, id, handle));
        }
        if store.owner(me, &seen.1) != Owner::Alive {
            // A session whose owner died was moved, it did not move.
            let moves = if seen.1.owner == me { seen.1.moves.and_one(self.now) } else { Moves::default() };
            return Some(store.commit(id, SessionRecord { owner: me, moves, ..record }));
        }
        if let Some(reason) = self.refuse_release {
            return Some(Answer::Refused { id, reason });
        }
        let owner = self.incarnations.iter().position(|incarnation| *incarnation == seen.1.owner).unwrap();
        store.wanted.insert(handle, Wanted { by: at, id, record });
        self.gateways[owner].handle_ask(Ask::Release { handle, to: me }, self.now);
        None
    }

    /// Lets time pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.now = (self.now + Duration::from_millis(5)).min(end);
            self.members.iter_mut().for_each(|members| members.handle_timeout(self.now));
            self.gateways.iter_mut().for_each(|gateway| gateway.handle_timeout(self.now));
            self.settle();
            if self.members.is_some() {
                self.check_one_owner();
            }
        }
    }

    /// At most one gateway would send a packet to the client.
    fn check_one_owner(&mut self) {
        let now = self.now;
        let sends = |gateway: &mut Gateway| {
            gateway.handle_packet(&mut packet(GATEWAY_INNER, MALLORY_INNER, 0), now).is_ok()
        };
        let owners = self.gateways.iter_mut().filter_map(|gateway| sends(gateway).then_some(())).count();
        assert!(owners <= 1, "two gateways serve one session");
    }

    /// What a gateway has sent to that address since it was asked last.
    pub fn take_sent(&mut self, at: usize, to: SocketAddr) -> Vec<Vec<u8>> {
        let ours =
            |(from, destination, _): &mut (usize, SocketAddr, Vec<u8>)| *from == at && *destination == to;
        self.sent.extract_if(.., ours).map(|(_, _, bytes)| bytes).collect()
    }

    /// The event file that this gateway would have written.
    pub fn event_file(&self, at: usize) -> String {
        let mut text = String::new();
        let ours = self.events.iter().filter(|(from, _)| *from == at);
        for (number, (_, event)) in ours.enumerate() {
            jumpvpn_events::json::write_line(&mut text, event, number as u64 + 1, 0, "gw");
            text.push('\n');
        }
        text
    }

    pub fn rows(&self, at: usize) -> Vec<SessionRow> {
        self.gateways[at].sessions(self.now).collect()
    }

    /// A client of gateway 0, born.
    pub fn birth(&mut self, seed: u64, source: SocketAddr) -> Rogue {
        self.birth_at(0, seed, source)
    }

    /// A client of a gateway, as far born as the store answers.
    pub fn birth_at(&mut self, at: usize, seed: u64, source: SocketAddr) -> Rogue {
        let mut client = self.shake_hands_with(at, seed, 0, source);
        let fin = client.frames(&[jumpvpn_wire::Frame::Fin]);
        assert_eq!(self.hand_in(at, source, &fin), Received::Consumed);
        client
    }

    /// A client of gateway 0, before its confirmation.
    pub fn shake_hands(&mut self, seed: u64, number: u64, source: SocketAddr) -> Rogue {
        self.shake_hands_with(0, seed, number, source)
    }

    fn shake_hands_with(&mut self, at: usize, seed: u64, number: u64, source: SocketAddr) -> Rogue {
        let (initiator, init) = hello_to(seed, KEYS[at], number);
        assert_eq!(self.hand_in(at, source, &init), Received::Consumed);
        let answer = self.take_sent(at, source).pop().unwrap();
        Rogue::of_answer(initiator, &answer, seed, source)
    }

    /// The request with a cookie for `source`.
    pub fn with_cookie(
        &mut self,
        at: usize,
        source: SocketAddr,
        initiator: &mut jumpvpn_session::TakeoverInitiator,
    ) -> Vec<u8> {
        let bare = *initiator.message();
        assert_eq!(self.hand_in(at, source, &bare), Received::Dropped(Reason::CookieRequired));
        let retry = self.take_sent(at, source).pop().expect("no cookie was given out");
        let mut out = [0; jumpvpn_wire::TAKEOVER_INIT_LEN];
        initiator.handle_retry(&retry, &mut out).unwrap();
        out.to_vec()
    }

    /// Asks a gateway to take the session over, up to its answer.
    pub fn ask(&mut self, at: usize, client: &mut Rogue) -> (jumpvpn_session::TakeoverInitiator, Vec<u8>) {
        let mut initiator = client.ask_takeover(KEYS[at]);
        let init = self.with_cookie(at, client.source, &mut initiator);
        assert_eq!(self.hand_in(at, client.source, &init), Received::Consumed);
        let answer = self.take_sent(at, client.source).pop().expect("no answer to a takeover");
        (initiator, answer)
    }

    /// The same, and takes the answer in.
    pub fn agree(&mut self, at: usize, client: &mut Rogue) {
        let (initiator, answer) = self.ask(at, client);
        let (taken, payload) = initiator.handle_response(&answer).map_err(|(_, error)| error).unwrap();
        client.adopt(taken, &payload);
    }

    /// The whole takeover: the client goes on at that gateway.
    pub fn move_to(&mut self, at: usize, client: &mut Rogue) {
        self.agree(at, client);
        let fin = client.frames(&[jumpvpn_wire::Frame::Fin]);
        assert_eq!(self.hand_in(at, client.source, &fin), Received::Consumed);
    }
}
