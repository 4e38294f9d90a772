//! Sessions that a key holder asks for and nobody knows: NO_SESSION.
//!
//! Three things are needed (docs/protocol.md, lost session): the route token opened under our key, the store
//! said *absent*, *over*, or *live here* where it is not (not: nothing), and the budget allows it. Anything less
//! certain is silence; the client's own recovery window ends it then.
use std::time::Duration;

use jumpvpn_events::Time;
use jumpvpn_ownership::{Answer, Owner, RecordState, Request, RequestId};
use jumpvpn_wire::{Cid, ControlHeader, Handle, NoSession};

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
}

impl Gateway {
    /// A token of ours names a session we do not hold: the store decides whether it is gone.
    pub(super) fn ask_whether_lost(&mut self, handle: Handle, from: From, header: &ControlHeader, now: Time) {
        if self.lost.open.len() == OPEN_QUESTIONS {
            self.lost.open.retain(|question| now < question.asked + QUESTION_TTL);
        }
        if self.lost.open.len() == OPEN_QUESTIONS || !self.lost.bucket.take(now) {
            return;
        }
        self.core.next_request += 1;
        let id = RequestId(self.core.next_request);
        self.lost.open.push(Question { id, asked: now, handle, from, cseq: header.cseq });
        self.core.requests.push_back(Request::Read { id, handle: store_handle(handle) });
    }

    /// The store's answer to such a question.
    pub(super) fn lost_answered(&mut self, answer: &Answer) {
        let Some(at) = self.lost.open.iter().position(|question| question.id == answer.id()) else { return };
        let question = self.lost.open.swap_remove(at);
        let gone = match answer {
            Answer::Absent { .. } => true,
            // Live on this node but not served by it: the answer to its end got lost, or the process is a new one.
            Answer::Found { record, owner, .. } => {
                matches!(record.state, RecordState::Terminated { .. })
                    || (*owner == Owner::Me && self.is_abandoned(record))
            }
            _ => false,
        };
        if !gone {
            return;
        }
        let message = NoSession {
            orphaned: false,
            // The request names no client CID in clear.
            client_cid: Cid(0),
            cseq: question.cseq,
            reset_token: jumpvpn_session::reset_token(&self.core.reset_key, question.handle),
        };
        self.reply(question.from, &message.encode());
    }
}
