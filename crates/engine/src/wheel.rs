//! Hashed timing wheel (Varghese and Lauck, 1987, scheme 6): O(1) to set and to cancel a timer per slot of a
//! slab, all memory allotted at the start.
//!
//! Each key (a session's slot number) has at most one timer. Timers are approximate: one fires at the first
//! tick at or after its time; one beyond the wheel's horizon comes round and is put back by its owner, who
//! compares its own deadline with the clock.
use jumpvpn_events::Time;

/// Length of a tick. 4 ms: finer than the shortest wait of the protocol (10 ms of silence while traffic flows).
const TICK_NANOS: u64 = 4_000_000;
/// Slots of the wheel, a power of two: 4096 × 4 ms = 16.4 s, longer than the usual time to live without a
/// transport, so that most timers are set once.
const SLOT_COUNT: u64 = 4096;
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Node {
    next: u32,
    previous: u32,
    slot: u32,
}

/// The wheel over keys `0..capacity`.
pub struct Wheel {
    heads: Vec<u32>,
    nodes: Vec<Node>,
    /// One bit per slot: non-empty.
    occupied: Vec<u64>,
    /// Every tick below this one has been fired.
    current: u64,
}

impl Wheel {
    /// A wheel for keys `0..capacity`.
    pub fn new(capacity: usize, now: Time) -> Wheel {
        let idle = Node { next: NONE, previous: NONE, slot: NONE };
        Wheel {
            heads: vec![NONE; SLOT_COUNT as usize],
            nodes: vec![idle; capacity],
            occupied: vec![0; SLOT_COUNT as usize / 64],
            current: now.as_nanos() / TICK_NANOS,
        }
    }

    /// Sets the timer of `key` to `at`, or moves it.
    pub fn set(&mut self, key: u32, at: Time) {
        self.cancel(key);
        let tick = at.as_nanos().div_ceil(TICK_NANOS);
        let tick = tick.clamp(self.current, self.current + SLOT_COUNT - 1);
        let slot = (tick % SLOT_COUNT) as u32;
        let head = self.heads[slot as usize];
        self.nodes[key as usize] = Node { next: head, previous: NONE, slot };
        if head != NONE {
            self.nodes[head as usize].previous = key;
        }
        self.heads[slot as usize] = key;
        self.occupied[slot as usize / 64] |= 1 << (slot % 64);
    }

    /// Takes the timer of `key` off; nothing happens where it has none.
    pub fn cancel(&mut self, key: u32) {
        let Node { next, previous, slot } = self.nodes[key as usize];
        if slot == NONE {
            return;
        }
        match previous {
            NONE => self.heads[slot as usize] = next,
            node => self.nodes[node as usize].next = next,
        }
        if next != NONE {
            self.nodes[next as usize].previous = previous;
        }
        if self.heads[slot as usize] == NONE {
            self.occupied[slot as usize / 64] &= !(1 << (slot % 64));
        }
        self.nodes[key as usize].slot = NONE;
    }

    /// Takes one key whose tick has come; `None` when nothing is due at `now`.
    pub fn pop_due(&mut self, now: Time) -> Option<u32> {
        let now_tick = now.as_nanos() / TICK_NANOS;
        while self.current <= now_tick {
            let slot = self.current % SLOT_COUNT;
            let key = self.heads[slot as usize];
            if key != NONE {
                self.cancel(key);
                return Some(key);
            }
            match self.next_occupied() {
                Some(tick) if tick <= now_tick => self.current = tick,
                _ => self.current = now_tick + 1,
            }
        }
        None
    }

    /// When the next timer is due; `None` when none is set.
    pub fn next_due(&self) -> Option<Time> {
        self.next_occupied().map(|tick| Time::from_nanos(tick * TICK_NANOS))
    }

    /// First tick from `current` on whose slot holds a timer.
    fn next_occupied(&self) -> Option<u64> {
        let start = self.current % SLOT_COUNT;
        let words = SLOT_COUNT / 64;
        for step in 0..=words {
            let word_index = (start / 64 + step) % words;
            let mut word = self.occupied[word_index as usize];
            if step == 0 {
                word &= u64::MAX << (start % 64);
            } else if step == words {
                word &= !(u64::MAX << (start % 64));
            }
            if word != 0 {
                let slot = word_index * 64 + u64::from(word.trailing_zeros());
                return Some(self.current + (slot + SLOT_COUNT - start) % SLOT_COUNT);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
