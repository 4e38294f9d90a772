//! What is asked of a store and what it answers, as values.

use jumpvpn_events::{Reason, Time};

use crate::{Handle, Incarnation, Moves, SessionRecord};

/// Pairs an answer with its request. The asker never uses a number twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Revision of a record: rises with every change that is committed anywhere in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rev(pub u64);

/// What the record must still be for a change to apply. All three have to match: a revision alone could be
/// handed out again by a store that was restored from a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Expected {
    /// Revision from the last answer about the record.
    pub rev: Rev,
    /// Its `owner_epoch`.
    pub epoch: u64,
    /// Its `version`.
    pub version: u64,
}

/// One thing asked of a store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// Keep a new session. Refused if its handle, or one of its inner addresses, belongs to another one. A session of the same client
    /// that another gateway serves is ended for it, unless that one may be younger.
    Create {
        /// Number of the request.
        id: RequestId,
        /// The session.
        record: Box<SessionRecord>,
        /// When the client's handshake was answered, on the clock of the process. A session that the store may have learned of after
        /// that belongs to a later handshake, and stays.
        began: Time,
    },
    /// Replace the record of a live session. Neither `owner_epoch` nor `version` may fall, and the handle, the
    /// session id, the peer and the inner addresses may not change.
    Update {
        /// Number of the request.
        id: RequestId,
        /// What the record must still be.
        expected: Expected,
        /// What it becomes.
        record: Box<SessionRecord>,
    },
    /// End a session: its version rises by one, its inner addresses become free, and a tombstone stays for at least ten
    /// minutes, so that the answer "it is over" is certain.
    Terminate {
        /// Number of the request.
        id: RequestId,
        /// Which session.
        handle: Handle,
        /// What the record must still be.
        expected: Expected,
        /// Number of the reason code.
        reason_number: u16,
    },
    /// Look a session up.
    Read {
        /// Number of the request.
        id: RequestId,
        /// Which session.
        handle: Handle,
    },
    /// Become the owner of a live session whose client has proven itself here. From a dead owner it is taken, from a live one asked
    /// for; of one's own it is an update to the next owner epoch. The answer takes up to two seconds, and is never
    /// [`Answer::Unknown`].
    Take {
        /// Number of the request.
        id: RequestId,
        /// What [`Request::Read`] has found.
        seen: Box<(Rev, SessionRecord)>,
        /// What the record becomes: `owner_epoch` is one above that of `seen`.
        record: Box<SessionRecord>,
    },
    /// Give a session away that [`Ask::Release`] asked for. From this request on the engine lets no packet of it pass.
    /// If nobody wishes for that record any more, the answer is [`Answer::Conflict`] with that record and [`Owner::Me`].
    Release {
        /// Number of the request.
        id: RequestId,
        /// Which session.
        handle: Handle,
        /// What the record must still be.
        expected: Expected,
        /// To whom.
        to: Incarnation,
        /// Its moves so far, with this one if its client asked for it.
        moves: Moves,
    },
    /// Keep a session that [`Ask::Release`] asked for.
    Decline {
        /// Number of the request.
        id: RequestId,
        /// Which session.
        handle: Handle,
        /// Number of the reason code.
        reason_number: u16,
    },
}

impl Request {
    /// Number of the request.
    pub const fn id(&self) -> RequestId {
        match self {
            Request::Create { id, .. }
            | Request::Update { id, .. }
            | Request::Terminate { id, .. }
            | Request::Read { id, .. }
            | Request::Take { id, .. }
            | Request::Release { id, .. }
            | Request::Decline { id, .. } => *id,
        }
    }

    /// Handle of the session it is about.
    pub fn handle(&self) -> Handle {
        match self {
            Request::Create { record, .. }
            | Request::Update { record, .. }
            | Request::Take { record, .. } => record.handle,
            Request::Terminate { handle, .. }
            | Request::Read { handle, .. }
            | Request::Release { handle, .. }
            | Request::Decline { handle, .. } => *handle,
        }
    }

    /// Whether it may be refused because too many wait: nothing that is held here depends on it. What does, changes and ends of
    /// own sessions, is bounded by those.
    pub const fn is_refusable(&self) -> bool {
        matches!(self, Request::Create { .. } | Request::Read { .. } | Request::Take { .. })
    }
}

/// What a store says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The change is made and will not be lost.
    Committed {
        /// Number of the request.
        id: RequestId,
        /// Revision of the record from now on.
        rev: Rev,
        /// The moves that the record has now: of a [`Request::Take`], those since an owner died.
        moves: Moves,
    },
    /// The change is not made and never will be: the record is not what was expected.
    Conflict {
        /// Number of the request.
        id: RequestId,
        /// The record that stands in the way; `None` if there is no record at all.
        current: Option<Box<(Rev, SessionRecord)>>,
        /// Whose it is; `None` if there is no record.
        owner: Option<Owner>,
    },
    /// The store did not answer a [`Request::Read`] in time. Of a change it may be reported by whoever stands between the engine and the
    /// node, and means that it may or may not have been made.
    Unknown {
        /// Number of the request.
        id: RequestId,
    },
    /// The change is not made: the store is full, the fence is over, or the record breaks the rules.
    Refused {
        /// Number of the request.
        id: RequestId,
        /// Why.
        reason: Reason,
    },
    /// There is no record of that handle. This is certain, not a timeout.
    Absent {
        /// Number of the request.
        id: RequestId,
    },
    /// The record; it may be one of a terminated session.
    Found {
        /// Number of the request.
        id: RequestId,
        /// Its revision.
        rev: Rev,
        /// The record.
        record: Box<SessionRecord>,
        /// Whose it is.
        owner: Owner,
    },
    /// The answer to [`Request::Decline`].
    Noted {
        /// Number of the request.
        id: RequestId,
    },
}

/// Whose a session is, for the gateway that asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// It is the one that asked.
    Me,
    /// An incarnation that will never act again.
    Dead,
    /// Another one that may act.
    Alive,
}

/// What is asked of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    /// Another gateway wants this session. The answer is [`Request::Release`] or [`Request::Decline`].
    Release {
        /// Which session.
        handle: Handle,
        /// For whom.
        to: Incarnation,
    },
    /// The client was born again on another gateway: end this session ([`Request::Terminate`]).
    Supersede {
        /// Which session.
        handle: Handle,
    },
    /// The session belongs to somebody else now: erase it at once, with its keys, and tell its client nothing.
    Lost {
        /// Which session.
        handle: Handle,
    },
    /// The right to act is over: drop every session and every key at once.
    Fenced,
    /// The gateway has joined, as this incarnation, with no sessions.
    Rejoined {
        /// The new incarnation.
        incarnation: Incarnation,
    },
}

impl Answer {
    /// Number of the request it answers.
    pub const fn id(&self) -> RequestId {
        match self {
            Answer::Committed { id, .. }
            | Answer::Conflict { id, .. }
            | Answer::Unknown { id }
            | Answer::Refused { id, .. }
            | Answer::Absent { id }
            | Answer::Noted { id }
            | Answer::Found { id, .. } => *id,
        }
    }
}
