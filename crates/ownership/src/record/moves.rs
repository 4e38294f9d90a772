//! What a session has moved of late, as a record tells it to the next owner.

use std::time::Duration;

use jumpvpn_events::Time;

use super::BadRecord;

/// Most moves that are told: the highest limit per minute there is (`switching.max_switches_per_min`).
const COUNT_MAX: usize = 32;
/// A step of an age: a minute has 240 of them, which a byte can hold.
const STEP: Duration = Duration::from_millis(250);
/// The first age that is told no more: the limit is one per minute.
const AGES: u8 = 240;

/// When a session has moved of late, carried from owner to owner: the limit per minute holds wherever it goes. Only what its client
/// asked for counts. Being sent away is no move, and after the death of an owner the counting begins anew: no client
/// can bring it about, and no session shall stand still for it.
///
/// Each owner cuts the times to a quarter of a second, to the later side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Moves {
    /// When the last one was; [`Time::ZERO`] if there were none.
    last: Time,
    count: u8,
    /// How long before the last one each was, newest first, in steps; 0 beyond the count. The first is the last one.
    ages: [u8; COUNT_MAX],
}

impl Moves {
    /// Most bytes that the ages take in a record: that of the last move is not written.
    pub(super) const TAIL_MAX_LEN: usize = COUNT_MAX - 1;

    /// Moves at these times, newest first. What is a minute before the newest, and what is beyond the 32nd, is left out.
    pub fn of(newest_first: impl IntoIterator<Item = Time>) -> Moves {
        let mut times = newest_first.into_iter().peekable();
        let Some(last) = times.peek().copied() else { return Moves::default() };
        let mut moves = Moves { last, ..Moves::default() };
        for (place, time) in moves.ages.iter_mut().zip(times) {
            let steps = last.since(time).as_millis() / STEP.as_millis();
            match u8::try_from(steps) {
                Ok(age) if age < AGES => *place = age,
                _ => break,
            }
            moves.count += 1;
        }
        moves
    }

    /// When they were, newest first.
    pub fn times(&self) -> impl DoubleEndedIterator<Item = Time> + '_ {
        self.ages[..usize::from(self.count)].iter().map(|age| self.last - STEP * u32::from(*age))
    }

    /// With one more, now.
    #[must_use]
    pub fn and_one(self, now: Time) -> Moves {
        Moves::of(std::iter::once(now).chain(self.times()))
    }

    /// How many there are, 0 to 32.
    pub fn count(&self) -> u8 {
        self.count
    }

    /// When the last one was, if there was one.
    pub fn last(&self) -> Option<Time> {
        (self.count > 0).then_some(self.last)
    }

    /// What stands in a record behind all else: the ages but for the first.
    pub(super) fn tail(&self) -> &[u8] {
        &self.ages[usize::from(self.count > 0)..usize::from(self.count)]
    }

    /// From the parts of a record.
    pub(super) fn from_parts(count: u8, last: Option<Time>, tail: &[u8]) -> Result<Moves, BadRecord> {
        let bad = BadRecord::Field("moves");
        let ordered = tail.is_sorted() && tail.iter().all(|age| *age < AGES);
        let Some(last) = last else {
            return if count == 0 && tail.is_empty() { Ok(Moves::default()) } else { Err(bad) };
        };
        let mut moves = Moves { last, count, ..Moves::default() };
        match moves.ages.get_mut(1..usize::from(count)) {
            Some(ages) if ages.len() == tail.len() && ordered => ages.copy_from_slice(tail),
            _ => return Err(bad),
        }
        Ok(moves)
    }
}

#[cfg(test)]
mod tests;
