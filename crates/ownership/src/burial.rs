//! Declaring a gateway dead on behalf of somebody who has seen its process end: the others need not wait for it.
//!
//! Whoever holds the lock of a gateway's data directory knows that no process of this run of the machine acts from there. If the last
//! incarnation that joined under the gateway's name says in its heartbeat that it lives on this run of the machine and in this
//! directory, it is dead for certain, however it ended. A successor concludes the same when it joins; this is for a machine
//! on which none starts, or not at once.
//!
//! Deliberately not here: the lock, the store, and how long its answers are waited for.

use jumpvpn_events::Time;

use crate::node::keys::{self, Heartbeat};
use crate::{Incarnation, Operation, Outcome, StoreError, Stored, Transaction, WallClock};

/// Who is to be declared dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deceased {
    /// Its node id.
    pub node_id: [u8; 4],
    /// Id of this run of the machine.
    pub boot_id: [u8; 16],
    /// Id of the data directory whose lock the caller holds for as long as this takes.
    pub data_dir: [u8; 16],
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has a tombstone now: its sessions can be taken over at once.
    Buried(Incarnation),
    /// Nobody waits for it: it has written its own tombstone, another one has, or it never joined.
    NothingLeft,
    /// The last life of this name is, or was, on another machine, on an earlier run of this one, or in another directory: nothing
    /// that is known here says that it has ended.
    Elsewhere(Incarnation),
    /// What stands in the store is of a kind that this program does not know.
    Unreadable,
}

#[derive(Clone, Debug)]
enum Step {
    /// Which incarnation joined last under this name?
    Name,
    /// Does its heart beat, and where?
    Heartbeat(Incarnation),
    Write(Incarnation, Transaction),
}

/// A declaration under way. It does no I/O: [`Burial::operation`] goes to the store, its outcome into [`Burial::advance`], until there is a
/// verdict.
#[derive(Clone, Debug)]
pub struct Burial {
    of: Deceased,
    unix_ms: u64,
    step: Step,
}

impl Burial {
    /// Begins; `now` is for people, who find it in the tombstone.
    pub fn new(of: Deceased, clock: WallClock, now: Time) -> Burial {
        Burial { of, unix_ms: clock.wall_ms(now), step: Step::Name }
    }

    /// What to ask the store next. After an unknown outcome it is the same again.
    pub fn operation(&self) -> Operation {
        match &self.step {
            Step::Name => Operation::Read(keys::node(self.of.node_id)),
            Step::Heartbeat(of) => Operation::Read(keys::heartbeat(*of)),
            Step::Write(_, transaction) => Operation::Commit(transaction.clone()),
        }
    }

    /// Takes the outcome of [`Burial::operation`] in; the verdict, if that settles it.
    ///
    /// # Errors
    /// The store cannot be believed any more.
    pub fn advance(&mut self, outcome: Outcome) -> Result<Option<Verdict>, StoreError> {
        Ok(match (&self.step, outcome) {
            (_, Outcome::Lost(error)) => return Err(error),
            (Step::Name, Outcome::Found(name)) => self.named(name),
            (Step::Heartbeat(of), Outcome::Found(beat)) => self.judge(*of, beat),
            (Step::Write(of, _), Outcome::Committed(_)) => Some(Verdict::Buried(*of)),
            // A heartbeat that was on its way when the process ended has arrived; after it none can.
            (Step::Write(of, _), Outcome::Conflict(current))
                if current.first().is_some_and(Option::is_some) =>
            {
                self.step = Step::Heartbeat(*of);
                None
            }
            // A copy of this write, whose outcome was unknown, or somebody else's.
            (Step::Write(..), Outcome::Conflict(_)) => Some(Verdict::NothingLeft),
            _ => None,
        })
    }

    fn named(&mut self, name: Option<Stored>) -> Option<Verdict> {
        let Some(name) = name else { return Some(Verdict::NothingLeft) };
        let Ok(last) = (*name.value).try_into() else { return Some(Verdict::Unreadable) };
        self.step = Step::Heartbeat(Incarnation(last));
        None
    }

    fn judge(&mut self, of: Incarnation, beat: Option<Stored>) -> Option<Verdict> {
        // A heartbeat goes in the transaction that writes the tombstone, and in no other.
        let Some(stored) = beat else { return Some(Verdict::NothingLeft) };
        let Some(beat) = Heartbeat::decode(&stored.value) else { return Some(Verdict::Unreadable) };
        if !beat.is_from(self.of.boot_id, self.of.data_dir) {
            return Some(Verdict::Elsewhere(of));
        }
        // No incarnation writes it: the number of none.
        let by = Incarnation::new(self.of.node_id, [0; 12]);
        self.step = Step::Write(of, keys::burial(of, by, &stored, self.unix_ms));
        None
    }
}

#[cfg(test)]
mod tests;
