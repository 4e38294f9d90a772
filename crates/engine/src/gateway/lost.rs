//! Sessions that a key holder asks for and nobody knows: NO_SESSION.
//!
//! Four things are needed (docs/protocol.md, lost session): the route token opened under our key, the store
//! said *absent*, *over*, or *live* without an owner who serves it (not: nothing), the budget allows it, and we have the right to
//! act, when we ask and when we are answered: a gateway without it does not know whose the session is. Anything less
//! certain is silence; the client's own recovery window ends it then. One that lives is said to be *orphaned*, and its
//! client may take it over here.
use std::time::Duration;

use jumpvpn_events::Time;
use jumpvpn_ownership::{Answer, Owner, RecordState, Request, RequestId};
use jumpvpn_wire::{Cid, ControlHeader, Handle, NoSession, ResetToken};

use super::{From, Gateway, store_handle};
use crate::sketch::Bucket;

/// Questions to the store at once; further ones stay unanswered and the client asks again.
const OPEN_QUESTIONS: usize = 64;
/// Questions per second and at once: enough for a restarted gateway to tell 1,000 clients within 2 s.
const QUESTION_RATE: (u32, u32) = (500, 64);
/// A question that the store has not answered by then has lost its asker, who repeats it within 3 s, and its place.
const QUESTION_TTL: Duration = Duration::from_secs(5);

struct Question {
    id: RequestId,
    asked: Time,
    handle: Handle,
    from: From,
    cseq: u64,
}

/// The questions that wait for the store.
pub(crate) struct LostSessions {
    open: Vec<Question>,
    bucket: Bucket,
}

impl LostSessions {
    pub fn new() -> LostSessions {
        let bucket = Bucket::new(QUESTION_RATE.0, QUESTION_RATE.1);
        LostSessions { open: Vec::with_capacity(OPEN_QUESTIONS), bucket }
    }

    /// The answers to all of them mean nothing any more.
    pub fn forget(&mut self) {
        self.open.clear();
    }
}

impl Gateway {
    /// A token of ours names a session we do not hold: the store decides whether it is gone.
    pub(super) fn ask_whether_lost(&mut self, handle: Handle, from: From, header: &ControlHeader, now: Time) {
        if !self.core.fence.allows(now) {
            return;
        }
        if self.lost.open.len() == OPEN_QUESTIONS {
            self.lost.open.retain(|question| now < question.asked + QUESTION_TTL);
        }
        if self.lost.open.len() == OPEN_QUESTIONS || !self.lost.bucket.take(now) {
            return;
        }
        let stored = store_handle(handle);
        let id = self.core.ask(|id| Request::Read { id, handle: stored });
        self.lost.open.push(Question { id, asked: now, handle, from, cseq: header.cseq });
    }

    /// The store's answer to such a question.
    pub(super) fn lost_answered(&mut self, answer: &Answer, now: Time) {
        let Some(at) = self.lost.open.iter().position(|question| question.id == answer.id()) else { return };
        let Question { handle, from, cseq, .. } = self.lost.open.swap_remove(at);
        match self.fate(answer, now) {
            Some(Fate::Gone) => self.say_lost(from, handle, cseq),
            Some(Fate::Orphaned) => self.say_orphaned(from, handle, cseq),
            None => {}
        }
    }

    /// What the store says of a session that is not held here; `None` where nothing is certain or to be done.
    fn fate(&self, answer: &Answer, now: Time) -> Option<Fate> {
        if !self.core.fence.allows(now) {
            return None;
        }
        let (record, owner) = match answer {
            Answer::Absent { .. } => return Some(Fate::Gone),
            Answer::Found { record, owner, .. } => (record, *owner),
            _ => return None,
        };
        if record.state != RecordState::Live {
            return Some(Fate::Gone);
        }
        // Its owner judges by a clock of its own whether it is over.
        if owner == Owner::Alive {
            return None;
        }
        if now >= record.expires {
            return Some(Fate::Gone);
        }
        if !self.is_abandoned(record) {
            return None;
        }
        if record.sealed.is_empty() {
            // It was kept without credentials: nobody can go on with it.
            return Some(Fate::Gone);
        }
        let welcome = !self.draining && self.core.credentials_of(record).is_some();
        welcome.then_some(Fate::Orphaned)
    }

    /// Says that there is no such session any more.
    pub(super) fn say_lost(&mut self, from: From, handle: Handle, cseq: u64) {
        let reset_token = jumpvpn_session::reset_token(&self.core.reset_key, handle);
        self.say_no_session(from, cseq, false, reset_token);
    }

    /// Says that the session lives and may be taken over here.
    fn say_orphaned(&mut self, from: From, handle: Handle, cseq: u64) {
        let token = jumpvpn_session::reset_token(&self.core.reset_key, handle);
        self.say_no_session(from, cseq, true, jumpvpn_session::orphaned_proof(&token, cseq));
    }

    fn say_no_session(&mut self, from: From, cseq: u64, orphaned: bool, reset_token: ResetToken) {
        // The request names no client CID in clear.
        let message = NoSession { client_cid: Cid(0), cseq, orphaned, reset_token };
        self.reply(from, &message.encode());
    }
}

/// What became of a session that is not held here.
enum Fate {
    /// It is over, or nobody can go on with it.
    Gone,
    /// It lives, and nobody serves it.
    Orphaned,
}
