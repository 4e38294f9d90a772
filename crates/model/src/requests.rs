//! One session and every order in which its requests can reach the gateway.
//!
//! The network is a set that only grows: each message ever sent may arrive any number of times, in any order, at any
//! later time, from any address, or never. What judges a request is the code of the gateway: [`verify`], its
//! [`TicketKeys`], its [`ControlWindow`] and its [`Machine`]. What surrounds them here (which answer goes where, what a
//! commit changes) are forty lines that follow `engine/src/gateway/reattach.rs`. Not covered: the AEAD (who does not hold the key
//! sends copies only), rebinding, the policy's budget, a second session, rekeys.
//!
//! A [`Mutant`] tells one of these functions a lie, or leaves one step out. It is a parameter of the model, so the code
//! under test is the same.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

use jumpvpn_events::{Reason, State as SessionState, Time};
use jumpvpn_session::{
    AddressRules, ControlWindow, Decision, Machine, Record, Request, TicketBinding, TicketKeys, Trigger,
    verify,
};
use jumpvpn_wire::{Cid, Handle, ObservedAddress, PathId, Quality, ReattachPayload, TransportClass};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use stateright::{Model, Property};

/// Longest life of a ticket here; time moves past it in one step.
const TICKET_AGE: Duration = Duration::from_secs(5);
/// When the model begins.
const START: Time = Time::from_millis(1_000_000);
/// The session's owner epoch.
const OWNER_EPOCH: u64 = 1;
/// Number of the address that is the attacker's; lower ones are those of the client's paths.
const ATTACKER: u8 = 2;

type Promise = Property<Requests>;

/// What is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Refusals are not told.
    SilentReject,
    /// The verifier is told that the session stands at whatever version the request names.
    VersionNotCompared,
    /// The verifier is told that the request came from whatever address it names.
    SourceNotCompared,
    /// The verifier is given a fresh ticket instead of the request's own.
    TicketNotChecked,
    /// Neither window nor watermark is kept.
    SequenceForgotten,
    /// Neither version nor sequence counts.
    NothingOrdered,
    /// A commit leaves the binding before it in place.
    OldBindingKept,
    /// A commit takes the version of the request and not the next one.
    VersionFromRequest,
    /// The answer to a commit names the version after the next.
    AnswerAhead,
    /// An ended session still takes requests (row 6 of section 7.2 left out).
    EndForgotten,
}

/// What is explored.
#[derive(Clone, Copy, Debug)]
pub struct Requests {
    /// Requests the client makes.
    pub request_count: u64,
    /// Paths it makes them for: 1 or 2.
    pub path_count: u8,
    /// Somebody sends copies from another address.
    pub attacker: bool,
    /// Tickets can grow old.
    pub time: bool,
    /// The session can end.
    pub end: bool,
    /// The client learns the version from tickets as well; else from results alone, as if every ticket were at hand
    /// before.
    pub learns_from_tickets: bool,
    /// What is broken.
    pub mutant: Option<Mutant>,
}

impl Requests {
    /// One path, no attacker: the rule of version and sequence alone.
    pub const fn version_rule(request_count: u64, mutant: Option<Mutant>) -> Requests {
        Requests {
            request_count,
            path_count: 1,
            attacker: false,
            time: false,
            end: false,
            learns_from_tickets: false,
            mutant,
        }
    }

    /// Two paths, an attacker, old tickets, an end.
    pub const fn everything(request_count: u64, mutant: Option<Mutant>) -> Requests {
        Requests {
            path_count: 2,
            attacker: true,
            time: true,
            end: true,
            learns_from_tickets: true,
            ..Requests::version_rule(request_count, mutant)
        }
    }
}

/// A message that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    /// A REATTACH.
    Request {
        /// Its sequence number.
        cseq: u64,
        /// Version it names.
        version: u64,
        /// Path it wants; the client accepted the address of this path.
        path: u8,
        /// Its ticket was issued after time moved.
        late: bool,
    },
    /// A RESULT.
    Result {
        /// Of which request.
        cseq: u64,
        /// Version it names.
        version: u64,
        /// Whether it says "committed".
        committed: bool,
    },
}

/// A binding at the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Binding {
    /// Path.
    pub path: u8,
    /// Address that is sent to.
    pub address: u8,
    /// Sequence number of the request that made it; 0 is the birth.
    pub cseq: u64,
}

/// A promise that a step broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Broken {
    /// A commit for another version than the session stood at when the client asked.
    OtherVersion,
    /// The version did not rise by one at a commit.
    VersionStep,
    /// An older request displaced a newer one.
    OlderRequest,
    /// A commit on a ticket that was too old.
    OldTicket,
    /// A commit without a request of the client for this path and address.
    NoRequest,
    /// Something moved after the end.
    AfterTheEnd,
}

/// The client, the gateway and the network.
#[derive(Clone, Debug)]
pub struct State {
    known: u64,
    next_cseq: u64,
    latest: u64,
    version: u64,
    watermark: u64,
    window: ControlWindow,
    machine: Machine,
    bindings: BTreeSet<Binding>,
    committed: Option<(u64, u64)>,
    late: bool,
    network: BTreeSet<Message>,
    broken: BTreeSet<Broken>,
}

impl State {
    /// What decides about the future; the window shows only in what it refuses, the machine in its state.
    fn essence(&self) -> impl Hash + Eq {
        let seen: Vec<bool> = (0..=self.next_cseq).map(|cseq| self.window.check(cseq)).collect();
        let numbers = (self.known, self.next_cseq, self.latest, self.version, self.watermark, self.late);
        let sets = (self.bindings.clone(), self.network.clone(), self.broken.clone());
        (numbers, sets, seen, self.machine.state().as_str(), self.committed)
    }

    /// Promises broken on the way here.
    pub fn broken(&self) -> &BTreeSet<Broken> {
        &self.broken
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.essence().hash(hasher);
    }
}

impl PartialEq for State {
    fn eq(&self, other: &State) -> bool {
        self.essence() == other.essence()
    }
}

impl Eq for State {}

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The client is told the version by a ticket.
    Probe,
    /// The client asks for a path.
    Ask(u8),
    /// A message arrives; a request does so from that address.
    Arrive(Message, u8),
    /// Every ticket issued so far grows too old.
    Wait,
    /// The gateway ends the session.
    End,
}

fn address(number: u8) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, number + 1], 40_000))
}

fn local() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 10], 0))
}

/// The node's keys: the same ones in every state, since no step makes the node rotate them.
fn tickets() -> TicketKeys {
    // invariant: this generator gives no zeros for this seed.
    TicketKeys::new(START, &mut ChaCha20Rng::seed_from_u64(1)).expect("good randomness")
}

fn issued(late: bool) -> Time {
    if late { START + TICKET_AGE + TICKET_AGE } else { START }
}

/// The sealed content of the request, with the ticket that the gateway issued for it.
fn proof(keys: &TicketKeys, cseq: u64, version: u64, path: u8, late: bool) -> ReattachPayload {
    let client_cid = Cid(cseq);
    let path_id = PathId(u32::from(path));
    let binding = TicketBinding {
        handle: handle(),
        owner_epoch: OWNER_EPOCH,
        version,
        path_id,
        class: TransportClass::Udp,
        observed: address(path),
        local: local(),
        client_cid,
    };
    ReattachPayload {
        ticket: keys.issue(issued(late), &binding, Cid(1000 + cseq)),
        version,
        owner_epoch: OWNER_EPOCH,
        path_id,
        rebind: false,
        warm: true,
        transport: TransportClass::Udp,
        reason: Reason::LinkDown.number(),
        observed: ObservedAddress::new(address(path)),
        client_cid,
        client_nonce: [0; 16],
        quality: Quality { loss_permille: 0, rtt_us: 0, age_ms: 0 },
    }
}

fn handle() -> Handle {
    Handle::new(7).expect("a small handle")
}

impl Requests {
    /// The gateway takes a request in.
    fn take(&self, state: &mut State, asked: (u64, u64, u8, bool), from: u8) {
        let (cseq, version, path, late) = asked;
        let ended = state.machine.state() == SessionState::Terminated;
        if ended && self.mutant != Some(Mutant::EndForgotten) {
            return;
        }
        if let Some((_, result)) = state.committed.filter(|(committed, _)| *committed == cseq) {
            let bound = state.bindings.iter().any(|binding| binding.address == from);
            if bound && !self.forgets_sequence() {
                state.network.insert(Message::Result { cseq, version: result, committed: true });
            }
            if !self.forgets_sequence() {
                return;
            }
        }
        let fresh = state.window.check(cseq) && cseq > state.watermark;
        if !fresh && !self.forgets_sequence() {
            return;
        }
        match self.judge(state, asked, from) {
            Decision::AddressMismatch => {}
            Decision::Reject { .. } => {
                self.consume(state, cseq);
                if self.mutant != Some(Mutant::SilentReject) {
                    let version = state.version;
                    state.network.insert(Message::Result { cseq, version, committed: false });
                }
            }
            Decision::Commit { .. } => self.commit(state, (cseq, version, path, late), from),
        }
    }

    fn forgets_sequence(&self) -> bool {
        matches!(self.mutant, Some(Mutant::SequenceForgotten | Mutant::NothingOrdered))
    }

    fn judge(&self, state: &State, (cseq, version, path, late): (u64, u64, u8, bool), from: u8) -> Decision {
        let keys = tickets();
        let lies_version = matches!(
            self.mutant,
            Some(Mutant::VersionNotCompared | Mutant::NothingOrdered | Mutant::VersionFromRequest)
        );
        let lies_source = self.mutant == Some(Mutant::SourceNotCompared);
        let fresh_ticket = self.mutant == Some(Mutant::TicketNotChecked);
        let proof = proof(&keys, cseq, version, path, late || (fresh_ticket && state.late));
        let record = Record {
            handle: handle(),
            version: if lies_version { version } else { state.version },
            owner_epoch: OWNER_EPOCH,
            fenced: false,
            allowed: &[TransportClass::Udp],
            addresses: AddressRules { own: &[], allow_local: false },
            binding_path: PathId(state.bindings.last().map_or(0, |binding| u32::from(binding.path))),
            last_heard: START,
            rebind: None,
            ticket_max_age: TICKET_AGE,
        };
        let source = if lies_source { address(path) } else { address(from) };
        let request = Request { proof: &proof, source, local: local(), class: TransportClass::Udp };
        verify(issued(state.late), &record, &request, &keys, Ok(()))
    }

    fn consume(&self, state: &mut State, cseq: u64) {
        if !self.forgets_sequence() {
            // It was fresh a moment ago.
            let marked = state.window.commit(cseq);
            assert!(marked, "a fresh number can be marked");
            state.watermark = state.watermark.max(cseq);
        }
    }

    fn commit(&self, state: &mut State, (cseq, version, path, late): (u64, u64, u8, bool), from: u8) {
        let newest = state.bindings.iter().map(|binding| binding.cseq).max().unwrap_or(0);
        let asked = state.network.contains(&Message::Request { cseq, version, path, late });
        let next = if self.mutant == Some(Mutant::VersionFromRequest) { version } else { state.version + 1 };
        let moved = [Trigger::JumpStarted, Trigger::JumpCommitted].map(|step| state.machine.apply(step));
        let findings = [
            (version != state.version, Broken::OtherVersion),
            (next != state.version + 1, Broken::VersionStep),
            (cseq <= newest, Broken::OlderRequest),
            (late != state.late, Broken::OldTicket),
            (!asked || from != path, Broken::NoRequest),
            (moved.iter().any(Result::is_err), Broken::AfterTheEnd),
        ];
        state.broken.extend(findings.into_iter().filter(|(is, _)| *is).map(|(_, broken)| broken));
        if self.mutant != Some(Mutant::OldBindingKept) {
            state.bindings.clear();
        }
        state.bindings.insert(Binding { path, address: from, cseq });
        state.version = next;
        self.consume(state, cseq);
        let told = next + u64::from(self.mutant == Some(Mutant::AnswerAhead));
        state.committed = Some((cseq, told));
        state.network.insert(Message::Result { cseq, version: told, committed: true });
    }

    /// The client: only an answer to its newest request counts, and its version never goes back.
    fn hear(state: &mut State, cseq: u64, version: u64) {
        if cseq == state.latest && version >= state.known {
            state.known = version;
        }
    }

    fn ask(state: &mut State, path: u8) -> Message {
        let cseq = state.next_cseq;
        state.next_cseq += 1;
        state.latest = cseq;
        let request = Message::Request { cseq, version: state.known, path, late: state.late };
        state.network.insert(request);
        request
    }

    /// Whether two more requests whose round trips lose nothing bring both sides together, whatever happened before.
    /// An ended session is beyond that.
    pub fn can_recover(&self, state: &State) -> bool {
        let mut state = state.clone();
        if state.machine.state() == SessionState::Terminated {
            return true;
        }
        (0..2).any(|_| {
            if self.learns_from_tickets {
                state.known = state.known.max(state.version);
            }
            let Message::Request { cseq, version, path, late } = Self::ask(&mut state, 0) else {
                return false;
            };
            self.take(&mut state, (cseq, version, path, late), path);
            let answers: Vec<Message> = state.network.iter().copied().collect();
            for answer in answers {
                if let Message::Result { cseq, version, .. } = answer {
                    Self::hear(&mut state, cseq, version);
                }
            }
            state.known == state.version && state.bindings.iter().any(|binding| binding.cseq == cseq)
        })
    }
}

impl Model for Requests {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut machine = Machine::new();
        // The first row of the table of transitions.
        machine.apply(Trigger::BirthComplete).expect("a session can be born");
        vec![State {
            known: 1,
            next_cseq: 1,
            latest: 0,
            version: 1,
            watermark: 0,
            window: ControlWindow::new(),
            machine,
            bindings: BTreeSet::from([Binding { path: 0, address: 0, cseq: 0 }]),
            committed: None,
            late: false,
            network: BTreeSet::new(),
            broken: BTreeSet::new(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if self.learns_from_tickets {
            actions.push(Action::Probe);
        }
        if state.next_cseq <= self.request_count {
            actions.extend((0..self.path_count).map(Action::Ask));
        }
        for message in &state.network {
            match message {
                Message::Request { path, .. } => {
                    actions.push(Action::Arrive(*message, *path));
                    actions.extend(self.attacker.then_some(Action::Arrive(*message, ATTACKER)));
                }
                Message::Result { .. } => actions.push(Action::Arrive(*message, 0)),
            }
        }
        if self.time && !state.late {
            actions.push(Action::Wait);
        }
        if self.end && state.machine.state() != SessionState::Terminated {
            actions.push(Action::End);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Probe => state.known = state.known.max(state.version),
            Action::Ask(path) => {
                Self::ask(&mut state, path);
            }
            Action::Arrive(Message::Request { cseq, version, path, late }, from) => {
                self.take(&mut state, (cseq, version, path, late), from);
            }
            Action::Arrive(Message::Result { cseq, version, .. }, _) => Self::hear(&mut state, cseq, version),
            Action::Wait => state.late = true,
            Action::End => {
                state.machine.apply(Trigger::Terminate).ok()?;
                state.version += 1;
            }
        }
        if state.machine.state() != SessionState::Terminated
            && last.machine.state() == SessionState::Terminated
        {
            state.broken.insert(Broken::AfterTheEnd);
        }
        (state != *last).then_some(state)
    }

    /// A gateway that takes a request for ever has no last version.
    fn within_boundary(&self, state: &State) -> bool {
        state.version <= self.request_count + 2
    }

    fn properties(&self) -> Vec<Property<Requests>> {
        vec![
            Promise::always("at most one binding is ACTIVE", |_, state| state.bindings.len() <= 1),
            Promise::always("a commit is for the version the session stands at", |_, state| {
                !state.broken.contains(&Broken::OtherVersion)
            }),
            Promise::always("the version rises by one at each commit", |_, state| {
                !state.broken.contains(&Broken::VersionStep)
            }),
            Promise::always("no older request displaces a newer one", |_, state| {
                !state.broken.contains(&Broken::OlderRequest)
            }),
            Promise::always("no commit on an old ticket", |_, state| {
                !state.broken.contains(&Broken::OldTicket)
            }),
            Promise::always("no commit without the client's request for this address", |_, state| {
                !state.broken.contains(&Broken::NoRequest)
            }),
            Promise::always("nothing moves after the end", |_, state| {
                !state.broken.contains(&Broken::AfterTheEnd)
            }),
            Promise::always("the client is never ahead of the gateway", |_, state| {
                state.known <= state.version
            }),
            Promise::always("two round trips bring both sides together", Requests::can_recover),
            Promise::sometimes("a jump is committed", |_, state| state.committed.is_some()),
        ]
    }
}
