//! An agent with two links, and a cell of two gateways that come and go, in virtual time.
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use jumpvpn_engine::agent::{Config, GatewayPeer, Link, Notice, Status};
use jumpvpn_engine::{Agent, Received, SocketKey, TRANSMIT_BUFFER_LEN};
use jumpvpn_events::{Event, Reason, Time};
use jumpvpn_policy::Policy;
use jumpvpn_session::SuiteSet;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::town::{KEYS, Town};
use crate::world::{CLIENT_INNER, GATEWAY_INNER, key, link, ms, packet};

/// Where the gateways listen.
pub const AT: [&str; 2] = ["192.0.2.10:4747", "192.0.2.20:4747"];
/// One way, on each link.
const DELAY: Duration = Duration::from_millis(10);

/// A datagram on its way, as somebody on the path sees it.
pub struct Flight {
    pub link: usize,
    pub up: bool,
    /// The gateway it goes to or comes from.
    pub at: usize,
    pub bytes: Vec<u8>,
}

/// Somebody on the path: may change what he sees, and says whether to take it away.
pub type Intercept = Box<dyn FnMut(&mut Flight) -> bool>;

pub struct Journey {
    pub agent: Agent,
    pub town: Town,
    pub now: Time,
    /// Gateways that run and can be reached.
    pub alive: [bool; 2],
    /// Whether the machine of a gateway that does not run says so.
    pub refuses: bool,
    links: Vec<Link>,
    flying: BTreeMap<(Time, u64), Flight>,
    /// On their way back: when they arrive, on which link, from where.
    refusals: VecDeque<(Time, usize, usize)>,
    sent: u64,
    pub agent_events: Vec<Event>,
    pub notices: Vec<Notice>,
    /// When inner packets arrived.
    pub at_agent: Vec<Time>,
    pub at_gateway: Vec<(Time, usize)>,
    /// From which gateway each came to the agent, and which one it had for its own then.
    pub heard: Vec<(Time, usize, usize)>,
    pub drops: Vec<(Time, Reason)>,
    pub intercept: Option<Intercept>,
    /// What the gateways told, and in which of its lives each did.
    told: Vec<(usize, u32, Event)>,
    lives: [u32; 2],
    /// Every datagram that was handed in: (when, up, gateway, bytes).
    pub seen: Vec<(Time, bool, usize, Vec<u8>)>,
}

impl Journey {
    pub fn new(policy: Policy, seed: u64) -> Journey {
        Journey::between(2, None, policy, seed)
    }

    /// One whose agent has the second gateway from a list that is over then.
    pub fn with_second_until(until: Time, seed: u64) -> Journey {
        Journey::between(2, Some(until), Policy::laptop(), seed)
    }

    /// The agent knows that many of the gateways.
    fn between(known: usize, second_until: Option<Time>, policy: Policy, seed: u64) -> Journey {
        let town = Town::with_policy(policy.clone());
        let now = town.now;
        let peer = |at: usize| GatewayPeer {
            public: key(KEYS[at]).public(),
            psk: None,
            endpoints: vec![AT[at].parse().unwrap()],
            weight: 1,
            draining: false,
            until: second_until.filter(|_| at == 1),
        };
        let gateways = (0..known).map(peer).collect();
        let config = Config { private: key(2), gateways, suites: SuiteSet::ALL, policy };
        let mut journey = Journey {
            agent: Agent::new(config, Box::new(ChaCha20Rng::seed_from_u64(seed)), now),
            town,
            now,
            alive: [true; 2],
            refuses: false,
            links: vec![link(0, "wifi"), link(1, "lte")],
            flying: BTreeMap::new(),
            refusals: VecDeque::new(),
            sent: 0,
            agent_events: Vec::new(),
            notices: Vec::new(),
            at_agent: Vec::new(),
            at_gateway: Vec::new(),
            heard: Vec::new(),
            drops: Vec::new(),
            intercept: None,
            told: Vec::new(),
            lives: [0; 2],
            seen: Vec::new(),
        };
        journey.set_links(&[0, 1]);
        journey
    }

    /// One that has been on its way for three seconds, at gateway 0.
    pub fn begun(seed: u64) -> Journey {
        Journey::begun_with(2, seed)
    }

    /// The same; the agent knows that many of the gateways.
    pub fn begun_with(known: usize, seed: u64) -> Journey {
        let mut journey = Journey::between(known, None, Policy::laptop(), seed);
        journey.run_with_traffic(ms(3000));
        assert_eq!(journey.serving(), 0);
        assert_eq!(journey.status().key_epoch, 1, "hybrid keys");
        journey
    }

    pub fn set_links(&mut self, up: &[usize]) {
        let links: Vec<Link> = up.iter().map(|index| self.links[*index].clone()).collect();
        self.agent.handle_links(&links, &[], self.now);
        self.collect();
    }

    pub fn status(&self) -> Status {
        self.agent.status(self.now)
    }

    /// The gateway that the agent has for its own.
    pub fn serving(&self) -> usize {
        let own = self.status().gateway_key;
        KEYS.iter().position(|seed| key(*seed).public() == own).unwrap()
    }

    /// The process of a gateway ends; its place in the store is not taken from it yet.
    pub fn kill(&mut self, at: usize) {
        self.alive[at] = false;
    }

    /// It runs again, with the store and without memory.
    pub fn restart(&mut self, at: usize) {
        self.restart_with(at, |_| ());
    }

    /// The same, with another configuration.
    pub fn restart_with(&mut self, at: usize, change: impl FnOnce(&mut jumpvpn_engine::gateway::Config)) {
        self.town.now = self.now;
        self.collect();
        self.lives[at] += 1;
        self.town.restart_with(at, change);
        self.alive[at] = true;
    }

    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        self.collect();
        loop {
            let refusal = self.refusals.front().map(|(at, ..)| *at);
            let arrival = self.flying.keys().next().map(|(at, _)| *at).into_iter().chain(refusal).min();
            let timers = (0..2).filter(|at| self.alive[*at]).map(|at| self.town.gateways[at].poll_timeout());
            let due = timers.chain([arrival, self.agent.poll_timeout()]).flatten().min();
            let next = due.unwrap_or(Time::MAX).max(self.now);
            if next > end {
                self.now = end;
                self.town.now = end;
                return;
            }
            (self.now, self.town.now) = (next, next);
            self.deliver();
            self.agent.handle_timeout(next);
            for at in (0..2).filter(|at| self.alive[*at]) {
                self.town.gateways[at].handle_timeout(next);
            }
            self.collect();
            assert!(self.agent.poll_timeout().is_none_or(|due| due > next), "agent timer stands still");
        }
    }

    /// Lets time pass with a packet both ways every 5 ms.
    pub fn run_with_traffic(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.exchange(ms(5));
        }
    }

    /// A packet both ways, and some time.
    pub fn exchange(&mut self, span: Duration) {
        self.send_up();
        self.send_down();
        self.run(span);
    }

    fn send_up(&mut self) {
        let mut buffer = packet(CLIENT_INNER, GATEWAY_INNER, self.sent);
        if let Ok(transmit) = self.agent.handle_packet(&mut buffer, self.now) {
            self.fly_up(transmit.socket, transmit.destination, buffer[..transmit.len].to_vec());
        }
    }

    fn send_down(&mut self) {
        let alive = self.alive;
        for at in (0..2).filter(|at| alive[*at]) {
            let mut buffer = packet(GATEWAY_INNER, CLIENT_INNER, self.sent);
            if let Ok(transmit) = self.town.gateways[at].handle_packet(&mut buffer, self.now) {
                self.fly_down(at, transmit.destination, buffer[..transmit.len].to_vec());
            }
        }
    }

    fn outer(link: usize) -> SocketAddr {
        SocketAddr::from(([203, 0, 113, link as u8 + 1], 40_000))
    }

    fn fly_up(&mut self, socket: SocketKey, to: SocketAddr, bytes: Vec<u8>) {
        let at = AT.iter().position(|address| *address == to.to_string()).unwrap();
        self.fly(Flight { link: socket.0 as usize, up: true, at, bytes });
    }

    fn fly_down(&mut self, at: usize, to: SocketAddr, bytes: Vec<u8>) {
        // What goes elsewhere is somebody else's.
        if let Some(link) = (0..2).find(|link| Journey::outer(*link) == to) {
            self.fly(Flight { link, up: false, at, bytes });
        }
    }

    fn fly(&mut self, mut flight: Flight) {
        if self.intercept.as_mut().is_some_and(|takes| takes(&mut flight)) {
            return;
        }
        self.sent += 1;
        self.flying.insert((self.now + DELAY, self.sent), flight);
    }

    fn deliver(&mut self) {
        while let Some(entry) = self.flying.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let Flight { link, up, at, mut bytes } = entry.remove();
            self.seen.push((self.now, up, at, bytes.clone()));
            if !up {
                let from = AT[at].parse().unwrap();
                match self.agent.handle_datagram(SocketKey(link as u32), from, &mut bytes, self.now) {
                    Received::Packet(_) => {
                        self.at_agent.push(self.now);
                        self.heard.push((self.now, at, self.serving()));
                    }
                    Received::Dropped(reason) => self.drops.push((self.now, reason)),
                    Received::Consumed => {}
                }
            } else if self.alive[at] {
                if let Received::Packet(_) = self.town.hand_in(at, Journey::outer(link), &bytes) {
                    self.at_gateway.push((self.now, at));
                }
            } else if self.refuses {
                self.refusals.push_back((self.now + DELAY, link, at));
            }
        }
        while let Some((_, link, at)) = self.refusals.front().copied().filter(|(due, ..)| *due <= self.now) {
            self.refusals.pop_front();
            self.refuse(link, AT[at].parse::<SocketAddr>().unwrap().ip());
        }
    }

    /// The machine `by`, or somebody who pretends to be it, says that nobody is there.
    pub fn refuse(&mut self, link: usize, by: IpAddr) {
        self.agent.handle_refused(SocketKey(link as u32), by, self.now);
    }

    fn collect(&mut self) {
        let mut buffer = [0; TRANSMIT_BUFFER_LEN];
        while let Some(transmit) = self.agent.poll_transmit(&mut buffer, self.now) {
            self.fly_up(transmit.socket, transmit.destination, buffer[..transmit.len].to_vec());
        }
        self.town.settle();
        let lives = self.lives;
        self.told.extend(self.town.events.drain(..).map(|(at, event)| (at, lives[at], event)));
        for (at, to, bytes) in std::mem::take(&mut self.town.sent) {
            self.fly_down(at, to, bytes);
        }
        self.agent_events.extend(std::iter::from_fn(|| self.agent.poll_event()));
        self.notices.extend(std::iter::from_fn(|| self.agent.poll_notice()));
    }

    /// When inner packets pass both ways again, counted from `since`.
    pub fn back_after(&self, since: Time) -> Option<Duration> {
        let up = self.at_gateway.iter().map(|(at, _)| *at).find(|at| *at > since)?;
        let down = self.at_agent.iter().copied().find(|at| *at > since)?;
        Some(up.max(down).since(since))
    }

    /// The audit over the events of all sides.
    pub fn audit(&self) {
        let mut texts = vec![String::new(); 3];
        let gateways = self.told.iter().map(|(at, life, event)| (*at, *life, event));
        let told = gateways.chain(self.agent_events.iter().map(|event| (2, 0, event)));
        let mut numbers = [(0, 0); 3];
        for (file, life, event) in told {
            let (before, number) = &mut numbers[file];
            // Each process begins with 1.
            *number = if *before == life { *number + 1 } else { 1 };
            *before = life;
            jumpvpn_events::json::write_line(&mut texts[file], event, *number, 0, "gw");
            texts[file].push('\n');
        }
        let files = texts.iter().enumerate().map(|(at, text)| (["a", "b", "client"][at], text.as_bytes()));
        let summary = jumpvpn_events::verify::verify_lines(files);
        let summary = summary.unwrap_or_else(|findings| panic!("{findings:#?}\n{}", texts[2]));
        assert!(summary.shared_facts > 0);
    }
}
