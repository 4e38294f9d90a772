//! Two nodes as they are, one session, one store, clocks that disagree, and a network that is late and loses.
//!
//! The nodes are `jumpvpn_ownership::Node`, with engines of a few lines. A message to or from the store is delivered at once, or made late:
//! then it arrives at any later time, or never, and whoever waits for it may be told that its outcome is unknown while it is still under
//! way. How many messages are late, and how often one clock ticks without the other, is bounded; everything within the
//! bounds is explored. A tick is a second; heartbeats go once a tick, the fence is 3 of them, death 5, and the clocks never disagree by
//! more than one.
//!
//! Late are those on which something hangs: transactions of heartbeats, tombstones and sessions, and looks at the heartbeats. Not covered:
//! three nodes, several sessions, rates of clocks below a tick, joining while others join. `jumpvpn_ownership`'s own tests have
//! some of it.

use stateright::{Model, Property};

mod world;

pub use world::{Broken, Step, World};

use jumpvpn_ownership::Mutant;

type Promise = Property<Cell>;

/// What the engines do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Story {
    /// The first node owns the session and keeps it while it can; the second one's client wants it.
    Takeover,
    /// The first node owns the session and gives it away when asked.
    Handoff,
    /// The same, and the second node's process dies after it has asked.
    HandoffToTheDead,
    /// The first node creates the session and ends it at once, and both clear up.
    Upkeep,
    /// The same, and it ends late.
    Kept,
    /// The first node's process dies, and no client claims the session.
    Orphan,
    /// The first node's process dies, and whoever saw that writes its tombstone; the second node's client wants the session.
    Witness,
}

impl Story {
    /// All of them.
    pub const ALL: [Story; 7] = [
        Story::Takeover,
        Story::Handoff,
        Story::HandoffToTheDead,
        Story::Upkeep,
        Story::Kept,
        Story::Orphan,
        Story::Witness,
    ];

    /// What has to happen in some history, or the story says nothing.
    pub const fn example(self) -> &'static str {
        match self {
            Story::Takeover | Story::Handoff | Story::Witness => MOVES,
            Story::HandoffToTheDead => ASKED,
            Story::Upkeep | Story::Kept | Story::Orphan => GOES,
        }
    }
}

const MOVES: &str = "the session changes its owner";
const ASKED: &str = "the session is asked for";
const GOES: &str = "the session ends and its record goes";
/// The example of a clock that stands still.
pub const OVERLAP: &str = "two serve at once while a clock stands still";

/// Messages that may be late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Among {
    /// All on which something hangs.
    All,
    /// The first node's heartbeats and their confirmations, so that more of them can be.
    Beats,
    /// Its heartbeats, and the second node's questions for them.
    Looks,
}

/// What is explored.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// What the engines do.
    pub story: Story,
    /// What has happened before the exploration begins; its late messages and ticks count.
    pub begin: &'static [Step],
    /// Ticks of a history.
    pub ticks: u8,
    /// Messages that may be late.
    pub late: u8,
    /// Ticks of one clock alone.
    pub slips: u8,
    /// Which messages may be late.
    pub among: Among,
    /// Ticks from the first sight of a heartbeat to the tombstone; 5 is safe.
    pub death: u8,
    /// The first node's clock may stand still for as long as it likes, as in a machine that is paused with its clock.
    pub standing_clock: bool,
    /// Who writes the tombstone of a process has not seen it end: it lives.
    pub mistaken: bool,
    /// What is broken in both nodes.
    pub mutant: Option<Mutant>,
}

impl Cell {
    /// The protocol as it is, within bounds of a minute.
    pub const fn of(story: Story, ticks: u8, late: u8, slips: u8) -> Cell {
        Cell {
            story,
            begin: &[],
            ticks,
            late,
            slips,
            among: Among::All,
            death: 5,
            standing_clock: false,
            mistaken: false,
            mutant: None,
        }
    }
}

impl Model for Cell {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let mut world = World::new(self);
        self.begin.iter().for_each(|step| world.take(self, *step));
        vec![world]
    }

    fn actions(&self, state: &World, steps: &mut Vec<Step>) {
        state.choices(self, steps);
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        let mut next = last.clone();
        next.take(self, step);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Cell>> {
        vec![
            Promise::always("one gateway serves", |_, state| !state.broke(Broken::TwoServe)),
            Promise::always("who serves is the owner", |_, state| !state.broke(Broken::NotTheOwner)),
            Promise::always("one epoch, one owner", |_, state| !state.broke(Broken::EpochTwice)),
            Promise::always("the dead change nothing", |_, state| !state.broke(Broken::DeadWrites)),
            Promise::always("the dead have no heartbeat", |_, state| !state.broke(Broken::HeartOfTheDead)),
            Promise::always("a session is given to the living", |_, state| {
                !state.broke(Broken::GivenToTheDead)
            }),
            Promise::always("what has ended stays so", |_, state| !state.broke(Broken::Resurrected)),
            Promise::always("every owner lives or has a tombstone", |_, state| {
                !state.broke(Broken::OwnerUnknown)
            }),
            Promise::sometimes(MOVES, |_, state| state.has_moved()),
            Promise::sometimes(ASKED, |_, state| state.was_asked()),
            Promise::sometimes(GOES, |_, state| state.is_cleared()),
            Promise::sometimes(OVERLAP, |_, state| state.has_overlap()),
        ]
    }
}
