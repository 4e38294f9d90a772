//! The ownership layer itself behind the gateways of a town, in place of the double: a node each, over one store in memory.
use jumpvpn_engine::Gateway;
use jumpvpn_events::Time;
use jumpvpn_ownership::{
    Limits, MemoryStore, Node, NodeConfig, Outcome, Profile, Request, Upkeep, WallClock,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::time::Duration;

use crate::town::KEYS;
use crate::world::key;

/// How a node reaches the store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    Good,
    /// Nothing arrives there.
    Cut,
    /// Everything arrives, and no answer comes back.
    Deaf,
}

/// The nodes and their store.
pub struct Members {
    nodes: Vec<Option<Node<ChaCha20Rng>>>,
    store: MemoryStore,
    pub wires: Vec<Wire>,
    lives: u64,
}

impl Members {
    pub fn new(count: usize, now: Time) -> Members {
        let mut members = Members {
            nodes: Vec::new(),
            store: MemoryStore::new(),
            wires: vec![Wire::Good; count],
            lives: 0,
        };
        for at in 0..count {
            let node = members.life(at, now);
            members.nodes.push(Some(node));
        }
        members
    }

    fn life(&mut self, at: usize, now: Time) -> Node<ChaCha20Rng> {
        self.lives += 1;
        let config = NodeConfig {
            node_id: [0, 0, 0, at as u8 + 1],
            name: format!("gateway {at}"),
            public: key(KEYS[at]).public().0,
            cell: 1,
            store_generation: None,
            boot_id: [at as u8; 16],
            data_dir: [at as u8; 16],
            profile: Profile::DEFAULT,
            clock: WallClock::default(),
            upkeep: Upkeep::DEFAULT,
            limits: Limits::CELL,
            orphan_ttl: Duration::from_secs(60),
        };
        Node::new(config, ChaCha20Rng::seed_from_u64(self.lives), now)
    }

    /// The process is gone, and nobody is told.
    pub fn kill(&mut self, at: usize) {
        self.nodes[at] = None;
    }

    /// A new process on the same machine.
    pub fn start(&mut self, at: usize, now: Time) {
        self.nodes[at] = Some(self.life(at, now));
    }

    pub fn submit(&mut self, at: usize, request: Request, now: Time) {
        if let Some(node) = &mut self.nodes[at] {
            node.handle_request(request, now);
        }
    }

    pub fn handle_timeout(&mut self, now: Time) {
        self.nodes.iter_mut().flatten().for_each(|node| node.handle_timeout(now));
    }

    /// Carries everything between nodes, store and engines; whether there was anything.
    pub fn exchange(&mut self, gateways: &mut [Gateway], now: Time) -> bool {
        let mut busy = false;
        for (at, node) in self.nodes.iter_mut().enumerate() {
            let Some(node) = node else { continue };
            while let Some((ticket, operation)) = node.poll_operation() {
                busy = true;
                let outcome = match self.wires[at] {
                    Wire::Good => self.store.apply(&operation),
                    Wire::Cut => Outcome::Unknown,
                    Wire::Deaf => {
                        self.store.apply(&operation);
                        Outcome::Unknown
                    }
                };
                node.handle_outcome(ticket, outcome, now);
            }
            while let Some(ask) = node.poll_ask() {
                busy = true;
                gateways[at].handle_ask(ask, now);
            }
            gateways[at].handle_fence(node.fence());
            while let Some(answer) = node.poll_answer() {
                busy = true;
                gateways[at].handle_ownership(answer, now);
            }
        }
        busy
    }
}
