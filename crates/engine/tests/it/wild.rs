//! Journeys with everything that can go wrong, in seeded order: gateways die, come back and drain, links come and go,
//! datagrams are lost, repeated and damaged, the store is late or does not let go. A seed that fails is one to keep.
use jumpvpn_engine::gateway::Command;
use jumpvpn_events::{EventKind, Reason, State};
use jumpvpn_policy::Policy;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::journey::Journey;
use crate::town::Manner;
use crate::world::ms;

/// Journeys in a run of the tests, some four seconds; sixty of them passed once.
const SEEDS: u64 = 16;

struct Fate {
    rng: ChaCha20Rng,
    /// Gateways that take nobody any more until they are started again.
    drained: [bool; 2],
}

impl Fate {
    fn below(&mut self, limit: u32) -> u32 {
        self.rng.next_u32() % limit
    }

    fn strike(&mut self, journey: &mut Journey) {
        let at = self.below(2) as usize;
        match self.below(12) {
            0 | 1 => journey.kill(at),
            2 => {
                journey.kill(at);
                journey.town.bury(at);
            }
            3..6 => self.start_again(journey, at),
            6 => {
                let span = ms(u64::from(self.below(3000)));
                if journey.alive[at] {
                    journey.town.gateways[at].handle_command(Command::Drain { span }, journey.now);
                    self.drained[at] = true;
                }
            }
            7 => journey.set_links(&[at]),
            8 => journey.set_links(&[0, 1]),
            9 => self.spoil(journey),
            10 => journey.town.manner = if at == 0 { Manner::Prompt } else { Manner::Late },
            _ => journey.town.refuse_release = (at == 0).then_some(Reason::OwnerAlive),
        }
    }

    fn start_again(&mut self, journey: &mut Journey, at: usize) {
        journey.restart(at);
        self.drained[at] = false;
    }

    /// From now on datagrams are lost and damaged.
    fn spoil(&mut self, journey: &mut Journey) {
        let mut rng = ChaCha20Rng::seed_from_u64(self.rng.next_u64());
        let (loss, damage) = (self.below(60), self.below(10));
        journey.intercept = Some(Box::new(move |flight| {
            if rng.next_u32() % 100 < damage {
                let at = rng.next_u32() as usize % flight.bytes.len();
                flight.bytes[at] ^= 1 << (rng.next_u32() % 8);
            }
            rng.next_u32() % 100 < loss
        }));
    }

    /// Everything works again.
    fn heal(&mut self, journey: &mut Journey) {
        journey.intercept = None;
        journey.town.manner = Manner::Prompt;
        journey.town.refuse_release = None;
        for at in 0..2 {
            if !journey.alive[at] || self.drained[at] {
                self.start_again(journey, at);
            }
        }
        journey.set_links(&[0, 1]);
        journey.town.answer_all(false);
    }
}

/// Lets time pass; an answer of a late store comes after each slice.
fn pass(journey: &mut Journey, millis: u64) {
    for _ in 0..millis.div_ceil(50) {
        journey.exchange(ms(50));
        if journey.town.manner == Manner::Late {
            journey.town.answer_all(false);
        }
    }
}

fn travel(seed: u64) -> (usize, usize) {
    let mut policy = Policy::laptop();
    policy.session.transport_lost_ttl = ms(60_000);
    let mut journey = Journey::new(policy, seed);
    let mut fate = Fate { rng: ChaCha20Rng::seed_from_u64(seed), drained: [false; 2] };
    pass(&mut journey, 2000);
    for _ in 0..12 {
        fate.strike(&mut journey);
        let millis = u64::from(fate.below(2500));
        pass(&mut journey, millis);
    }
    fate.heal(&mut journey);
    // Longer than the slowest pause of the agent: that between two handshakes.
    pass(&mut journey, 40_000);
    let since = journey.now;
    journey.run_with_traffic(ms(500));
    assert_eq!(journey.agent.state(), State::Attached, "seed {seed}: {:#?}", journey.agent_events);
    assert!(journey.back_after(since).is_some_and(|back| back < ms(100)), "seed {seed}");
    journey.audit();
    // A packet is the present owner's, or nobody's.
    for (at, from, own) in &journey.heard {
        assert_eq!(from, own, "seed {seed}: a packet of gateway {from} counted at {at:?}");
    }
    let count = |wanted: fn(&EventKind) -> bool| {
        journey.agent_events.iter().filter(|event| wanted(&event.kind)).count()
    };
    let births = count(|kind| matches!(kind, EventKind::SessionBirth { .. }));
    (births, count(|kind| matches!(kind, EventKind::Takeover { .. })))
}

#[test]
fn whatever_happens_there_is_one_owner_and_an_honest_account() {
    let (mut births, mut takeovers) = (0, 0);
    for seed in 0..SEEDS {
        let (born, taken) = travel(seed);
        births += born;
        takeovers += taken;
    }
    assert!(
        births >= SEEDS as usize && takeovers > 2 * SEEDS as usize,
        "{births} births, {takeovers} takeovers"
    );
}
