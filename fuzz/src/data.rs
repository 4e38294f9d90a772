//! The data path under a hostile network: the input is a script of deliveries, replays and forgeries.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jumpvpn_session::{
    BindingContext, EpochContext, EpochSecret, Side, Suite, TrafficReceiver, TrafficSender,
};
use jumpvpn_wire::{Cid, DATA_OVERHEAD, SessionId};

use crate::handshake::FIXTURE;

/// Packets a script may hold back; enough for every order that matters.
const HELD_MAX: usize = 64;

static SECRET: LazyLock<EpochSecret> = LazyLock::new(|| FIXTURE.established());

struct Network {
    sender: TrafficSender,
    receiver: TrafficReceiver,
    /// Sealed, delivered or not.
    held: Vec<Vec<u8>>,
    opened: BTreeSet<u64>,
}

impl Network {
    fn new(suite: Suite) -> Self {
        let secret = &*SECRET;
        let sid = SessionId([1; 16]);
        let context = EpochContext { sid, n: 0, owner_epoch: 1, owner_salt: [2; 16], suite, lanes: 1 };
        let birth = BindingContext::birth();
        Self {
            sender: secret.binding(&context, &birth, Side::Client).send,
            receiver: secret.binding(&context, &birth, Side::Server).recv,
            held: Vec::new(),
            opened: BTreeSet::new(),
        }
    }

    fn seal(&mut self, len: u8) -> usize {
        let mut datagram = vec![len; usize::from(len) + DATA_OVERHEAD];
        self.sender.seal(Cid(5), 0, &mut datagram).expect("lengths and limits are kept");
        self.held.truncate(HELD_MAX - 1);
        self.held.push(datagram);
        self.held.len() - 1
    }

    /// An authentic packet opens once.
    fn deliver(&mut self, index: usize) {
        let Some(datagram) = self.held.get(index) else { return };
        let mut datagram = datagram.clone();
        let len = datagram.len() - DATA_OVERHEAD;
        if let Ok(opened) = self.receiver.open(&mut datagram) {
            assert!(self.opened.insert(opened.position), "opened twice");
            assert_eq!(opened.range.len(), len);
            assert!(datagram[opened.range].iter().all(|&byte| usize::from(byte) == len));
        } else {
            let reached = |&pn: &u64| self.opened.contains(&pn) || self.receiver.highest() > Some(pn);
            let pn = u64::from(u32::from_le_bytes([datagram[12], datagram[13], datagram[14], datagram[15]]));
            assert!(reached(&pn), "an authentic packet was refused without need");
        }
    }

    /// Anything else does not open, and moves nothing.
    fn forge(&mut self, mut datagram: Vec<u8>) {
        let before =
            (self.receiver.highest(), self.receiver.received_count(), self.receiver.generation_seen());
        assert!(self.receiver.open(&mut datagram).is_err(), "a forgery was opened");
        let after =
            (self.receiver.highest(), self.receiver.received_count(), self.receiver.generation_seen());
        assert_eq!(before, after);
    }
}

/// A script: the first byte chooses the suite, then one operation after the other.
pub fn data_open(data: &[u8]) {
    let mut bytes = data.iter().copied();
    let suite = if bytes.next().unwrap_or(0) & 1 == 0 { Suite::ChaCha20Poly1305 } else { Suite::Aes256Gcm };
    let mut network = Network::new(suite);
    while let Some(operation) = bytes.next() {
        let mut argument = || bytes.next().unwrap_or(0);
        match operation % 5 {
            0 => {
                let index = network.seal(argument());
                network.deliver(index);
            }
            1 => {
                network.seal(argument());
            }
            2 => network.deliver(usize::from(argument()) % HELD_MAX),
            3 => {
                let (index, at, change) = (argument(), argument(), argument());
                let Some(held) = network.held.get(usize::from(index) % HELD_MAX) else { continue };
                let mut copy = held.clone();
                let at = usize::from(at) % copy.len();
                copy[at] ^= change.max(1);
                network.forge(copy);
            }
            _ => {
                let len = usize::from(argument());
                network.forge(bytes.by_ref().take(len).collect());
            }
        }
    }
}
