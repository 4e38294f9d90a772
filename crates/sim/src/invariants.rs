//! The promises, by name, and the books that are kept of each session to judge them.
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jumpvpn_events::{Event, EventKind, Reason, SessionLabel, State, Time};
use jumpvpn_policy::Policy;

/// A promise of the protocol that every world has to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// S1: at most one ACTIVE binding, one session for an inner address.
    OneBinding,
    /// S2: the session's id never changes and never comes again.
    SessionId,
    /// S3 and S7: what is committed changes only together with its one commit event.
    CommitEvents,
    /// S7: a dropped datagram changes nothing.
    DropsChangeNothing,
    /// S4: what was accepted once is not accepted again, and copies move nothing.
    Replay,
    /// Altered and invented datagrams are dropped.
    Forgery,
    /// S5: no packet passes and nothing is committed without a valid fence.
    Fence,
    /// S6: moves per minute, cooldown, attempts to recover.
    Bounds,
    /// Nothing follows TERMINATED.
    Absorbing,
    /// After its work is done, an engine's next timer lies in the future.
    Timer,
    /// Inner packets arrive at the right client, as they were sent, and at most a few times.
    Delivery,
    /// The gateway sends packets to no address that the client has not used and accepted.
    Address,
    /// What goes to an unproven address is no longer than what came from there.
    Amplification,
    /// Queues and tables stay within their bounds.
    Memory,
    /// No engine ran into a case it takes for impossible.
    Internal,
    /// An agent gives up for good only when a person says so.
    GivesUp,
    /// When all trouble is over, every client is attached again and packets flow both ways.
    Liveness,
    /// The event files of both sides prove the same story.
    Audit,
    /// The gateway answers each datagram as the reference model predicts.
    Model,
    /// K1 and K2: keys hang on their session, and no proof passes under keys that are over.
    Keys,
    /// K3: an end is said, with a reason that holds; no session takes another's place silently.
    Expiry,
    /// Nothing panics.
    Panic,
    /// I1: per session and instant at most one gateway may pass data.
    OneServes,
    /// I2: each owner epoch of a session is granted to one incarnation.
    OneGrant,
    /// I3: owner epoch, and (owner epoch, version), never fall: at the store, at the client, at a gateway.
    NoStepBack,
    /// I4: a receiver accepts no packet under an owner epoch below one that it has accepted.
    NoOldEpoch,
    /// I5: no pair of key and number seals two different packets.
    NonceOnce,
    /// I6: no store write because of a message that is unproven, or was accepted before.
    ProvenWrites,
    /// I7: after the tombstone of an incarnation there is no effect of it but erasure.
    DeadIsSilent,
    /// I8: a session that is being given away passes nothing.
    FrozenIsSilent,
    /// I9: an incarnation that has lost its right writes no heartbeat.
    FencedStops,
    /// I10: an inner address belongs to one live session.
    OneHolder,
    /// I11: queues and tables of gateways, nodes and the store stay within their bounds.
    CellMemory,
    /// I12: a blocked audit sink changes no transition.
    SinkIsMute,
    /// I13: a session that has expired or ended carries no data, and never lives again.
    OverIsOver,
    /// I14: when faults stop, every session with a live honest client is attached within D + 10 s, or was ended in words.
    CellLiveness,
}

impl Invariant {
    /// The invariants of a cell, I1 first.
    pub const CELL: [Invariant; 14] = [
        Invariant::OneServes,
        Invariant::OneGrant,
        Invariant::NoStepBack,
        Invariant::NoOldEpoch,
        Invariant::NonceOnce,
        Invariant::ProvenWrites,
        Invariant::DeadIsSilent,
        Invariant::FrozenIsSilent,
        Invariant::FencedStops,
        Invariant::OneHolder,
        Invariant::CellMemory,
        Invariant::SinkIsMute,
        Invariant::OverIsOver,
        Invariant::CellLiveness,
    ];
}

impl Invariant {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Invariant::OneBinding => "S1 one active binding",
            Invariant::SessionId => "S2 session id",
            Invariant::CommitEvents => "S3/S7 one commit event per version",
            Invariant::DropsChangeNothing => "S7 a drop changes nothing",
            Invariant::Replay => "S4 replay",
            Invariant::Forgery => "forgery",
            Invariant::Fence => "S5 fence",
            Invariant::Bounds => "S6 bounds",
            Invariant::Absorbing => "TERMINATED absorbs",
            Invariant::Timer => "no busy timer",
            Invariant::Delivery => "delivery",
            Invariant::Address => "accepted addresses only",
            Invariant::Amplification => "reply no longer than request",
            Invariant::Memory => "bounded memory",
            Invariant::Internal => "no internal fault",
            Invariant::GivesUp => "no giving up",
            Invariant::Liveness => "liveness",
            Invariant::Audit => "events verify",
            Invariant::Model => "as predicted",
            Invariant::Keys => "K1/K2 keys",
            Invariant::Expiry => "K3 expiry is explicit",
            Invariant::Panic => "no panic",
            Invariant::OneServes => "I1 one gateway passes data",
            Invariant::OneGrant => "I2 an epoch has one owner",
            Invariant::NoStepBack => "I3 epochs and versions never fall",
            Invariant::NoOldEpoch => "I4 nothing is accepted under an older epoch",
            Invariant::NonceOnce => "I5 a key and a number are used once",
            Invariant::ProvenWrites => "I6 only what is proven and fresh is written",
            Invariant::DeadIsSilent => "I7 the dead do nothing",
            Invariant::FrozenIsSilent => "I8 what is frozen is silent",
            Invariant::FencedStops => "I9 the fenced have no heartbeat",
            Invariant::OneHolder => "I10 an inner address has one session",
            Invariant::CellMemory => "I11 memory is bounded",
            Invariant::SinkIsMute => "I12 the sink changes nothing",
            Invariant::OverIsOver => "I13 what is over carries nothing",
            Invariant::CellLiveness => "I14 attached again or told",
        }
    }
}

/// A promise that was broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    pub invariant: Invariant,
    pub what: String,
}

/// What every judgement says.
pub(crate) type Verdict = Result<(), Breach>;

/// Breaks off unless `holds`.
pub(crate) fn ensure(holds: bool, invariant: Invariant, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(Breach { invariant, what: what() }) }
}

/// Datagrams an engine may send in one go: its outbox and the ring of packets that are sent again.
pub(crate) const BURST_LIMIT: usize = 256 + 512;

/// Whether no engine may ever count this.
pub(crate) fn is_impossible(reason: Reason) -> bool {
    matches!(reason, Reason::StateForbidden | Reason::Internal | Reason::TelemetryOverflow)
}

/// What one side has said of one session.
#[derive(Clone, Debug)]
struct Account {
    state: State,
    step: u64,
    commits: u64,
    closed: bool,
    switches: VecDeque<(Time, Reason)>,
    /// When it moved last, between paths or between gateways, as often as any limit counts.
    moves: VecDeque<Time>,
}

/// Moves of a session that are remembered: more than any policy allows in a minute.
const MOVES_REMEMBERED: usize = 256;

/// The book of one side: every session it ever spoke of.
#[derive(Default)]
pub(crate) struct Ledger {
    accounts: BTreeMap<SessionLabel, Account>,
    /// Committed moves of all sessions.
    pub switches: u64,
    /// Births.
    pub births: u64,
}

impl Ledger {
    /// Takes an event in and judges it against what was said before.
    pub fn note(&mut self, event: &Event) -> Verdict {
        let Some(label) = event.session else { return Ok(()) };
        let account = self.accounts.entry(label).or_insert_with(|| Account {
            state: State::Birth,
            step: 0,
            commits: 0,
            closed: false,
            switches: VecDeque::new(),
            moves: VecDeque::new(),
        });
        let ends = matches!(event.kind, EventKind::Termination { .. });
        let over = account.closed || (account.state == State::Terminated && !ends);
        ensure(!over, Invariant::Absorbing, || format!("{event:?} after the end"))?;
        if let EventKind::StateChange { from, to } = event.kind {
            let chained = from == account.state && event.step == account.step + 1;
            ensure(chained, Invariant::CommitEvents, || {
                format!("{event:?} after step {} in {}", account.step, account.state)
            })?;
            (account.state, account.step) = (to, event.step);
        }
        if event.kind.is_commit() {
            let next = account.commits + 1;
            // The owner before may have committed what nobody else learned.
            let leap = matches!(event.kind, EventKind::Takeover { .. }) && event.version > next;
            ensure(event.version == next || leap, Invariant::CommitEvents, || {
                format!("{event:?}, expected version {next}")
            })?;
            let birth = matches!(event.kind, EventKind::SessionBirth { .. });
            ensure(birth == (next == 1), Invariant::SessionId, || format!("{event:?} as commit {next}"))?;
            account.commits = event.version;
            self.births += u64::from(birth);
        }
        if let EventKind::TransportSwitch { .. } | EventKind::Takeover { .. } = event.kind {
            account.moves.push_back(event.at);
            account.moves.drain(..account.moves.len().saturating_sub(MOVES_REMEMBERED));
        }
        if let EventKind::TransportSwitch { .. } = event.kind {
            self.switches += 1;
            account.switches.push_back((event.at, event.reason));
        }
        account.closed |= ends;
        Ok(())
    }

    /// Commit events of a session so far.
    pub fn commits(&self, label: SessionLabel) -> u64 {
        self.accounts.get(&label).map_or(0, |account| account.commits)
    }

    /// Moves of a session since then, by the clock of who keeps the book.
    pub fn moves_since(&self, label: SessionLabel, since: Time) -> usize {
        let moves = self.accounts.get(&label).map(|account| account.moves.iter());
        moves.map_or(0, |moves| moves.filter(|at| **at >= since).count())
    }

    /// Whether the session's end was told.
    pub fn is_closed(&self, label: SessionLabel) -> bool {
        self.accounts.get(&label).is_some_and(|account| account.closed)
    }

    /// The limits of moves, as the gateway's policy names them, for a session that just moved.
    pub fn check_bounds(&mut self, label: SessionLabel, policy: &Policy) -> Verdict {
        let Some(account) = self.accounts.get_mut(&label) else { return Ok(()) };
        let Some((now, reason)) = account.switches.back().copied() else { return Ok(()) };
        while account.switches.front().is_some_and(|(at, _)| now.since(*at) >= Duration::from_secs(60)) {
            account.switches.pop_front();
        }
        let (count, cap) = (account.switches.len(), usize::from(policy.switching.max_switches_per_min));
        ensure(count <= cap, Invariant::Bounds, || format!("{count} moves in a minute, at most {cap}"))?;
        let before = account.switches.iter().rev().nth(1).map(|(at, _)| now.since(*at));
        let cooldown = policy.switching.switch_cooldown;
        let kept = may_hurry(reason) || before.is_none_or(|since| since >= cooldown);
        ensure(kept, Invariant::Bounds, || {
            format!("moved for {reason} {before:?} after a move, cooldown {cooldown:?}")
        })
    }
}

/// Reasons for which nobody waits for the cooldown: the path is dead, or it is the same path.
pub(crate) fn may_hurry(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::LinkDown
            | Reason::AddressGone
            | Reason::RouteGone
            | Reason::SocketError
            | Reason::PathSilent
            | Reason::PathSilentUplink
            | Reason::Resumed
            | Reason::NatRebinding
    )
}
