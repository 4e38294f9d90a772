//! The agent and the gateway as they are, under every order of events up to a bound.
//!
//! An engine can be neither cloned nor hashed: it holds keys and a random generator. But it is a function of its inputs.
//! So a state is the history of steps, replayed from birth whenever it is needed, and two histories are the same state if
//! each engine took in the same inputs at the same times and the same datagrams are under way. An input that an engine
//! answered with [`Received::Dropped`], without an output and without an event, counts as none: that is what `Dropped`
//! promises. This throws out only what is equal, but for one thing: such an input may have used up a rate limit.
//!
//! The adversary is the network: it delivers in any order, loses, repeats, copies what it saw to the gateway from an
//! address of its own or from the other path's, and hands what it saw from the gateway to the agent again. It does not
//! make datagrams up (fuzzing and the symbolic models do).
//!
//! Not covered: rekeys and handshakes under attack (the session is attached when the exploration begins, and post-quantum
//! keys are off), several sessions, a store that fails, and everything beyond the bounds in [`Engines`].

use std::fmt;
use std::hash::{Hash, Hasher};

use stateright::{Model, Property};

mod world;

use world::World;
pub use world::{Broken, Mutant, Step};

type Promise = Property<Engines>;

/// What is explored.
#[derive(Clone, Copy, Debug)]
pub struct Engines {
    /// What has happened before the exploration begins; its steps do not count below.
    pub begin: &'static [Step],
    /// Steps of a history.
    pub depth: usize,
    /// Among them: losses, repetitions, copies.
    pub mischief: usize,
    /// Among them: what people and links do.
    pub deeds: usize,
    /// From one of so many states it is tried whether both sides find together again, and whether they end on dead paths.
    pub ends_every: Option<u64>,
    /// What is broken on purpose.
    pub mutant: Option<Mutant>,
}

/// A person has asked for the other path: its ticket is old, a probe is under way.
pub const JUMPING: &[Step] = &[Step::Jump];

/// The same, and the gateway has committed.
pub const JUMPED: &[Step] = &[Step::Jump, Step::Deliver(0), Step::Deliver(0), Step::Deliver(0)];

/// The link in use is gone.
pub const LINK_LOST: &[Step] = &[Step::Down(0)];

/// A person has ended the session and the gateway has heard of it.
pub const CLOSED: &[Step] = &[Step::Close, Step::Deliver(0)];

/// A history and what it leads to.
#[derive(Clone)]
pub struct History {
    steps: Vec<Step>,
    digest: u64,
    choices: Vec<Step>,
    broken: Vec<Broken>,
    committed: u64,
}

impl History {
    /// The promises that the last step broke.
    pub fn broken(&self) -> &[Broken] {
        &self.broken
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} broken {:?}", self.steps, self.broken)
    }
}

impl Hash for History {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.digest.hash(hasher);
    }
}

impl PartialEq for History {
    fn eq(&self, other: &History) -> bool {
        self.digest == other.digest
    }
}

impl Eq for History {}

impl Engines {
    fn replay(&self, steps: &[Step]) -> World {
        let mut world = World::attached(self.mutant);
        for step in steps {
            world.take(*step);
        }
        world
    }

    fn reach(&self, steps: Vec<Step>) -> History {
        let world = self.replay(&steps);
        let digest = world.digest();
        let mut broken = world.broken().to_vec();
        if broken.is_empty() && self.ends_every.is_some_and(|every| digest.is_multiple_of(every)) {
            let mut healed = self.replay(&steps);
            broken.extend(healed.heal().err());
            let mut starved = self.replay(&steps);
            broken.extend(starved.starve().err());
        }
        let choices = self.choices(&steps, &world);
        History { digest, choices, broken, committed: world.version() - 1, steps }
    }

    fn choices(&self, steps: &[Step], world: &World) -> Vec<Step> {
        let begun = self.begin.len();
        let count = |is: fn(&Step) -> bool| steps.iter().skip(begun).filter(|step| is(step)).count();
        let mischief = count(Step::is_mischief) < self.mischief;
        let deeds = count(Step::is_deed) < self.deeds;
        let mut choices = world.choices();
        choices.retain(|step| (mischief || !step.is_mischief()) && (deeds || !step.is_deed()));
        choices
    }
}

impl Model for Engines {
    type State = History;
    type Action = Step;

    fn init_states(&self) -> Vec<History> {
        vec![self.reach(self.begin.to_vec())]
    }

    fn actions(&self, state: &History, actions: &mut Vec<Step>) {
        if state.steps.len() < self.begin.len() + self.depth {
            actions.extend(&state.choices);
        }
    }

    fn next_state(&self, last: &History, action: Step) -> Option<History> {
        let mut steps = last.steps.clone();
        steps.push(action);
        Some(self.reach(steps))
    }

    fn properties(&self) -> Vec<Property<Engines>> {
        vec![
            Promise::always("at most one binding is ACTIVE", |_, state| {
                !state.broken.contains(&Broken::TwoActive)
            }),
            Promise::always("the version never falls", |_, state| {
                !state.broken.contains(&Broken::VersionFell)
            }),
            Promise::always("the session id never changes", |_, state| {
                !state.broken.contains(&Broken::SessionChanged)
            }),
            Promise::always("TERMINATED absorbs", |_, state| !state.broken.contains(&Broken::Resurrected)),
            Promise::always("no commit without a request, and one for each", |_, state| {
                !state.broken.contains(&Broken::CommitUnasked)
            }),
            Promise::always("the gateway is bound to an address the client has seen", |_, state| {
                !state.broken.contains(&Broken::Unaccepted)
            }),
            Promise::always("on good paths both sides find together", |_, state| {
                !state.broken.contains(&Broken::NeverHealed)
            }),
            Promise::always("on dead paths both sides end", |_, state| {
                !state.broken.contains(&Broken::NeverEnded)
            }),
            Promise::sometimes("a jump is committed", |_, state| state.committed > 0),
        ]
    }
}
