//! Clocks of machines: they began at different moments, run at different rates, and some jump.
use std::time::Duration;

use jumpvpn_events::Time;

use crate::scenario::BEGIN;

/// One machine's clock, as a function of the world's time. It never runs backwards: engines live on a clock that the
/// kernel promises not to set back. Wall clocks that are set back are another matter, see `Server::start`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// What it showed when the world began.
    start: Time,
    /// How much faster it runs than the world's, parts per million.
    ppm: i64,
    /// Jumped ahead by so much since.
    jumped: Duration,
    /// Stood still for so long: a machine that is itself simulated was stopped.
    stood: Duration,
}

const MILLION: i128 = 1_000_000;

impl Clock {
    pub fn new(start: Time, ppm: i64) -> Clock {
        Clock { start, ppm, jumped: Duration::ZERO, stood: Duration::ZERO }
    }

    /// Jumps ahead.
    pub fn jump(&mut self, by: Duration) {
        self.jumped += by;
    }

    /// Has stood still for that long, up to now. Nobody may have looked at it meanwhile.
    pub fn stand_still(&mut self, span: Duration) {
        self.stood += span;
    }

    /// What it shows.
    pub fn at(&self, now: Time) -> Time {
        let passed = i128::from(now.as_nanos()) - i128::from(BEGIN.as_nanos());
        let shown = passed + passed * i128::from(self.ppm) / MILLION;
        self.start + Duration::from_nanos(u64::try_from(shown).unwrap_or(0)) + self.jumped - self.stood
    }

    /// When it shows `due`; in the far future at the latest.
    pub fn when(&self, due: Time) -> Time {
        let begin = i128::from((self.start + self.jumped).as_nanos()) - self.stood.as_nanos() as i128;
        let wanted = i128::from(due.as_nanos()) - begin;
        let passed = (wanted * MILLION).div_euclid(MILLION + i128::from(self.ppm)).max(0);
        let mut at = BEGIN + Duration::from_nanos(u64::try_from(passed).unwrap_or(u64::MAX / 4));
        // The division rounds down, by less than two nanoseconds of either clock.
        while self.at(at) < due && at < Time::MAX {
            at += Duration::from_nanos(1);
        }
        at
    }
}
