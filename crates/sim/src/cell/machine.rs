//! A gateway's machine, and the process on it: the real engine and the real ownership node, on two threads.
//!
//! The two talk as `jumpvpn-runtime` lets them: words and news on queues that take their time, the right to act as one number
//! that both see at once.
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use jumpvpn_engine::Gateway;
use jumpvpn_engine::gateway::{Cell, Config};
use jumpvpn_events::{SessionLabel, Time};
use jumpvpn_ownership::{
    Answer, Ask, Fence, Handle, Incarnation, Limits, Node, NodeConfig, Outcome, Request, RequestId, Ticket,
    WallClock,
};
use jumpvpn_session::{PrivateKey, StoreKeys};
use jumpvpn_wire::{AdvisedGateway, ObservedAddress};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::plan::Rules;
use super::store::Wire;
use crate::audit::Log;
use crate::client::Presence;
use crate::clock::Clock;
use crate::flight::Flight;
use crate::server::{gateway_config, wall_minute};
use crate::tap::Tap;

/// Before a right that was not renewed ends, the clients are asked to go elsewhere: as `jumpvpn-runtime` does.
const WARNING: Duration = Duration::from_secs(1);
/// Milliseconds from 1970 to the origin of virtual time.
pub(crate) const ORIGIN_MS: u64 = 1_767_225_600_000;
/// Datagrams and outcomes that wait for a process without a processor; a socket's buffer holds about as many.
pub(crate) const INBOX_COUNT: usize = 512;

/// Where a gateway listens.
pub(crate) fn endpoint(gateway: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 10 + gateway as u8], 4747))
}

/// Its static key.
pub(crate) fn key(gateway: usize) -> PrivateKey {
    PrivateKey::generate(&mut ChaCha20Rng::seed_from_u64(300 + gateway as u64))
}

/// When a process dies at its next operation for the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Before it leaves.
    Before,
    /// When it has left.
    Sent,
    /// When it has taken effect.
    Between,
    /// When its outcome has arrived.
    After,
}

/// What a process finds when it is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remains {
    /// The same machine and the same directory: what was there before is dead for certain.
    All,
    /// The machine was started again.
    Directory,
    /// Another directory: a new machine under the old name.
    Nothing,
}

/// Something that waits for a process without a processor.
pub(crate) enum Waiting {
    Datagram(Flight),
    Outcome(u64, Ticket, Outcome),
}

/// From the node to the engine.
pub(crate) enum News {
    Answer(Answer),
    Ask(Ask),
    Joined(u64),
    FenceEnding,
}

/// What can be seen of a session at a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    pub client: usize,
    pub version: u64,
    pub epoch: u64,
    pub address: SocketAddr,
}

/// A process.
pub(crate) struct Process {
    pub id: u64,
    pub engine: Gateway,
    pub node: Node<Tap>,
    /// Hears what the node draws; never asked.
    pub tap: Tap,
    /// The life of the store it was started with.
    pub store_life: u32,
    /// The incarnation of which the engine has heard last, by its number in this process.
    heard: u64,
    pub news: VecDeque<(Time, News)>,
    pub words: VecDeque<(Time, Request)>,
    warned: Option<Time>,
    pub seats: BTreeMap<SessionLabel, Seat>,
    /// Sessions that are being given away, with the request.
    pub frozen: BTreeMap<Handle, RequestId>,
    /// Sessions that are being taken over.
    pub taking: BTreeMap<RequestId, Handle>,
    /// Its thread for the store does not run until then.
    pub clerk_stands_until: Time,
    /// The incarnation that has the right to act, and those that had it.
    pub member: Option<Incarnation>,
    pub fenced: Vec<Incarnation>,
    /// A person wants it to end.
    pub resigning: bool,
}

impl Process {
    /// The right to act as the engine sees it.
    pub fn right(&self) -> Fence {
        let fence = self.node.fence();
        if fence.epoch == self.heard { fence } else { Fence { epoch: self.heard, valid_until: Time::ZERO } }
    }

    /// Tells the engine the right to act, which is one number for both threads.
    pub fn renew(&mut self) {
        let right = self.right();
        self.engine.handle_fence(right);
    }

    /// The engine hears something.
    pub fn hear(&mut self, news: News, shown: Time) {
        match news {
            News::Answer(answer) => self.engine.handle_ownership(answer, shown),
            News::Ask(ask) => {
                if ask == Ask::Fenced {
                    self.words.clear();
                    self.frozen.clear();
                    self.taking.clear();
                }
                self.engine.handle_ask(ask, shown);
            }
            News::Joined(epoch) => {
                self.heard = epoch;
                self.renew();
            }
            News::FenceEnding => {
                self.renew();
                self.engine.handle_fence_ending(shown);
            }
        }
    }

    /// When the engine is to be warned of the end of its right.
    pub fn warning_due(&self, shown: Time) -> Option<Time> {
        let until = self.node.fence().valid_until;
        (shown < until && self.warned != Some(until)).then_some(until - WARNING)
    }

    /// Whether it is due now; it is said once for each end.
    pub fn is_warned(&mut self, shown: Time) -> bool {
        let due = self.warning_due(shown).is_some_and(|due| due <= shown);
        if due {
            self.warned = Some(self.node.fence().valid_until);
        }
        due
    }
}

/// A machine.
pub(crate) struct Machine {
    /// Which gateway it is; a copied machine has the number of its original.
    pub gateway: usize,
    pub clock: Clock,
    /// Its wall clock is off by so many minutes, for the next process.
    pub minutes: i64,
    pub presence: Presence,
    /// When it was stopped, where its clock stands still meanwhile.
    pub stopped: Option<Time>,
    pub process: Option<Process>,
    boot: u8,
    directory: u8,
    /// The life of the store that it believes in; another one is refused.
    pub pinned: u32,
    pub wire: Wire,
    pub crash: Option<(Moment, Duration, Remains)>,
    /// Nobody takes events until then.
    pub deaf_until: Time,
    pub waiting: VecDeque<Waiting>,
    pub log: Log,
    /// Its clock stood still, or there is a copy of it: it may believe that its right holds until then, and be wrong.
    pub doubtful_until: Time,
    pub due: Option<Time>,
    wall: WallClock,
}

impl Machine {
    pub fn new(gateway: usize, clock: Clock, name: String) -> Machine {
        Machine {
            gateway,
            clock,
            minutes: 0,
            presence: Presence::Running,
            stopped: None,
            process: None,
            boot: 1,
            directory: 1,
            pinned: 1,
            wire: Wire::default(),
            crash: None,
            deaf_until: Time::ZERO,
            waiting: VecDeque::new(),
            log: Log::new(name),
            doubtful_until: Time::ZERO,
            due: None,
            wall: WallClock::default(),
        }
    }

    /// A copy of this machine as it stands, without the engine's memory.
    pub fn copy(&self, name: String) -> Machine {
        let mut copy = Machine::new(self.gateway, self.clock, name);
        (copy.boot, copy.directory, copy.pinned) = (self.boot, self.directory, self.pinned);
        (copy.minutes, copy.wall) = (self.minutes, self.wall);
        copy
    }

    /// What the next process finds.
    pub fn leave(&mut self, remains: Remains) {
        match remains {
            Remains::All => {}
            Remains::Directory => self.boot = self.boot.wrapping_add(1),
            Remains::Nothing => {
                self.boot = self.boot.wrapping_add(1);
                self.directory = self.directory.wrapping_add(1);
            }
        }
    }

    /// Whether the process can do anything now.
    pub fn is_running(&self) -> bool {
        self.presence == Presence::Running && self.process.is_some()
    }

    /// Wall clock time in milliseconds, as the process has it.
    pub fn wall_ms(&self, now: Time) -> u64 {
        self.wall.wall_ms(self.clock.at(now))
    }

    /// Ends the process.
    pub fn stop(&mut self) {
        self.process = None;
        self.due = None;
        self.waiting.clear();
        (self.presence, self.stopped) = (Presence::Running, None);
    }

    /// Starts a process.
    pub fn start(&mut self, id: u64, rules: &Rules, rngs: [ChaCha20Rng; 2], now: Time) -> bool {
        let shown = self.clock.at(now);
        let wall_ms = (ORIGIN_MS + now.as_millis()).saturating_add_signed(self.minutes * 60_000);
        self.wall = WallClock { zero_ms: wall_ms.saturating_sub(shown.as_millis()) };
        let [engine, node] = rngs;
        let tap = Tap::new(node);
        let node = Node::new(self.node_config(rules), tap.clone(), shown);
        self.begin(id, rules, node, tap, engine, now)
    }

    /// Starts an engine beside a node.
    pub fn begin(
        &mut self,
        id: u64,
        rules: &Rules,
        node: Node<Tap>,
        tap: Tap,
        rng: ChaCha20Rng,
        now: Time,
    ) -> bool {
        let shown = self.clock.at(now);
        let Some(config) = self.config(rules, now) else { return false };
        let Ok(engine) = Gateway::new(config, Box::new(rng), shown) else { return false };
        self.process = Some(Process {
            id,
            engine,
            node,
            tap,
            store_life: self.pinned,
            heard: 0,
            news: VecDeque::new(),
            words: VecDeque::new(),
            warned: None,
            seats: BTreeMap::new(),
            frozen: BTreeMap::new(),
            taking: BTreeMap::new(),
            clerk_stands_until: Time::ZERO,
            member: None,
            fenced: Vec::new(),
            resigning: false,
        });
        self.log.begin_run();
        true
    }

    fn config(&self, rules: &Rules, now: Time) -> Option<Config> {
        let others = (0..rules.gateways).filter(|other| *other != self.gateway);
        let advised = |other: usize| AdvisedGateway {
            public: key(other).public().0,
            endpoint: ObservedAddress::new(endpoint(other)),
        };
        let keys = StoreKeys::from_secret(&[7; 32]).ok()?;
        let minute = wall_minute(now, self.minutes);
        let own = [endpoint(self.gateway)];
        Some(Config {
            node: node_id(self.gateway),
            cell: Some(Cell { name: "cell".into(), keys, others: others.map(advised).collect() }),
            ..gateway_config(key(self.gateway), &own, rules.clients, rules.policy.clone(), minute)
        })
    }

    fn node_config(&self, rules: &Rules) -> NodeConfig {
        let machine = self.gateway as u8;
        NodeConfig {
            node_id: node_id(self.gateway),
            name: format!("gw{machine}"),
            public: key(self.gateway).public().0,
            cell: 1,
            store_generation: None,
            boot_id: [machine, self.boot, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            data_dir: [machine, self.directory, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            profile: rules.profile,
            clock: self.wall,
            upkeep: rules.upkeep,
            limits: Limits::CELL,
            orphan_ttl: rules.orphan_ttl,
        }
    }
}

fn node_id(gateway: usize) -> [u8; 4] {
    [0, 0, 0, gateway as u8 + 1]
}
