//! The owner's side of a change of gateways: what the ownership layer asks of the engine.
//!
//! A session that is given away is frozen from the moment the store is asked until it has answered: no packet passes,
//! no control message is answered, no timer ends it. It may already be served elsewhere, so an answer that is lost must
//! not wake it; only one that says "not made" does.
use std::time::Duration;

use jumpvpn_events::{EventKind, Reason, Time};
use jumpvpn_ownership::{Answer, Ask, Expected, Incarnation, Owner, Request};
use jumpvpn_policy::{AdmitCause, admit};
use jumpvpn_wire::Handle;

use super::birth::session_event;
use super::{Gateway, store_handle};
use crate::counters::OwnershipChange;

/// A client that was not heard for so long asks another gateway because it does not reach us, or because it has nothing to say:
/// it waits for no cooldown. Clients ask another one after some two seconds of silence.
const UNHEARD: Duration = Duration::from_secs(1);

/// What shall become of a session that is ours and not held.
#[derive(Clone, Copy)]
pub(super) enum Stray {
    Release(Incarnation),
    End,
}

impl Gateway {
    /// Takes in what the ownership layer asks.
    pub fn handle_ask(&mut self, ask: Ask, now: Time) {
        match ask {
            Ask::Release { handle, to } => self.asked_to_release(handle, to, now),
            Ask::Supersede { handle } => match self.slot_of(handle) {
                Some(slot) => self.close(slot, Reason::Superseded, now),
                None => self.look_up(handle, Stray::End),
            },
            Ask::Lost { handle } => {
                if let Some(slot) = self.slot_of(handle) {
                    self.lose(slot, Reason::OwnershipLost, now);
                }
            }
            Ask::Fenced => self.lose_everything(now),
            // Which life this is matters to the store alone: it names the owner in each record.
            Ask::Rejoined { .. } => {}
        }
    }

    fn slot_of(&self, handle: jumpvpn_ownership::Handle) -> Option<u32> {
        self.table.by_handle(Handle::new(handle.number())?)
    }

    fn asked_to_release(&mut self, handle: jumpvpn_ownership::Handle, to: Incarnation, now: Time) {
        let Some(slot) = self.slot_of(handle) else { return self.look_up(handle, Stray::Release(to)) };
        if let Err(reason) = self.may_release(slot, now) {
            return self.decline(handle, reason);
        }
        let Some(session) = self.table.session(slot) else { return };
        if session.writing.is_some() {
            // What is to be released is known once the store has answered.
            session.wanted_by = Some(to);
        } else {
            self.write_release(slot, to, now);
        }
    }

    fn decline(&mut self, handle: jumpvpn_ownership::Handle, reason: Reason) {
        self.core.counters.drops.record(reason);
        let reason_number = reason.number();
        self.core.ask(|id| Request::Decline { id, handle, reason_number });
    }

    /// A session that is asked for may be ours and served by nobody: its birth or its takeover was answered too late.
    fn look_up(&mut self, handle: jumpvpn_ownership::Handle, then: Stray) {
        let id = self.core.ask(|id| Request::Read { id, handle });
        self.writes.note_stray(id, then);
    }

    /// What the store has of such a session.
    pub(super) fn stray_answered(&mut self, answer: &Answer, then: Stray, now: Time) {
        let Answer::Found { rev, record, owner: Owner::Me, .. } = answer else { return };
        if !self.is_abandoned(record) || !self.core.fence.allows(now) {
            if let Stray::Release(_) = then {
                self.decline(record.handle, Reason::StoreBusy);
            }
            return;
        }
        let expected = Expected { rev: *rev, epoch: record.owner_epoch, version: record.version };
        let handle = record.handle;
        match then {
            Stray::Release(to) => {
                // Nobody holds it, so there is nothing to freeze and nothing to erase.
                let moves = record.moves.and_one(now);
                self.core.ask(|id| Request::Release { id, handle, expected, to, moves });
            }
            Stray::End => {
                let reason_number = Reason::Superseded.number();
                self.core.ask(|id| Request::Terminate { id, handle, expected, reason_number });
            }
        }
    }

    /// A move to another gateway is a move: the limits hold, unless we asked for it.
    fn may_release(&mut self, slot: u32, now: Time) -> Result<(), Reason> {
        if !self.core.fence.allows(now) {
            return Err(Reason::FenceExpired);
        }
        let session = self.table.session(slot).ok_or(Reason::UnknownSession)?;
        if session.frozen {
            return Err(Reason::HandoffPending);
        }
        if session.advised {
            return Ok(());
        }
        let is_heard = now.since(session.binding.heard) < UNHEARD;
        let cause = if is_heard { AdmitCause::Move } else { AdmitCause::MoveDeadPath };
        admit(&self.core.policy, now, cause, &session.history).map_err(|(reason, _)| reason)
    }

    /// Gives a session away that was asked for while its record was being written.
    pub(super) fn release_if_wanted(&mut self, slot: u32, now: Time) {
        let Some(session) = self.table.session(slot) else { return };
        let handle = store_handle(session.handle);
        if let Some(to) = session.wanted_by.take() {
            self.asked_to_release(handle, to, now);
        }
    }

    /// The store's answer to a release.
    pub(super) fn release_answered(&mut self, slot: u32, answer: &Answer, now: Time) {
        let Some(session) = self.table.session(slot) else { return };
        match answer {
            Answer::Committed { .. } => self.give_away(slot, now),
            // Whom it was for is gone. The record is still the one we know, so the release was not made and never will be.
            Answer::Conflict { current: Some(current), owner: Some(Owner::Me), .. }
                if current.0 == session.stored.rev =>
            {
                self.go_on(slot, now);
            }
            // Somebody else has it: our right had been over.
            Answer::Conflict { .. } => self.lose(slot, Reason::OwnershipLost, now),
            Answer::Refused { reason, .. } if *reason != Reason::FenceExpired => {
                self.core.counters.drops.record(*reason);
                self.go_on(slot, now);
            }
            // Not known, also when the right to act is over before the store has answered: frozen until all is dropped.
            _ => {}
        }
    }

    /// The change that it was frozen for, or that its end waited for, is settled and took nothing away. Its end is due now, if one
    /// is wanted.
    pub(super) fn go_on(&mut self, slot: u32, now: Time) {
        let Some(session) = self.table.session(slot) else { return };
        (session.writing, session.frozen) = (None, false);
        if let Some(reason) = session.end_wanted.take() {
            self.close(slot, reason, now);
        }
    }

    fn give_away(&mut self, slot: u32, now: Time) {
        self.erase(slot, true, Reason::OwnershipReleased, now);
        self.core.counters.ownership.note(OwnershipChange::Released);
    }

    /// Erases a session that is not ours any more, without a word to its client.
    pub(super) fn lose(&mut self, slot: u32, reason: Reason, now: Time) {
        self.erase(slot, false, reason, now);
        self.core.counters.ownership.note(OwnershipChange::Lost);
    }

    fn erase(&mut self, slot: u32, given: bool, reason: Reason, now: Time) {
        let Some(session) = self.take_out(slot) else { return };
        let event = session_event(&session, reason, EventKind::Release { given }, now);
        self.core.event(event);
    }

    /// The right to act is over: all sessions, all that is pending, and everything that was asked.
    fn lose_everything(&mut self, now: Time) {
        self.core.fence.valid_until = self.core.fence.valid_until.min(now);
        let slots: Vec<u32> = self.table.iter().map(|(slot, _)| slot).collect();
        slots.into_iter().for_each(|slot| self.lose(slot, Reason::FenceExpired, now));
        self.forget_all_pending();
        self.forget_all_takeovers();
        self.writes.forget();
        self.lost.forget();
        self.core.requests.clear();
    }
}
