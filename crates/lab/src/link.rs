//! A radio link and the NAT router behind it: two threads that carry packets between the laptop's interface and the
//! internet's, each through its [`Pipe`], and the switches for every fault.
//!
//! The radio is between laptop and router: delay and loss come before the translation on the way up and after it on
//! the way down.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use jumpvpn_tun::Tap;

use crate::clock;
use crate::nat::Nat;
use crate::packet::{self, Frame};
use crate::plan::UplinkPlan;
use crate::shaper::{Conditions, Pipe, Shaper};
use crate::story::Direction;

/// Longest frame: the interfaces have an MTU of 1500, offloads are off; the rest is room for surprises.
const MAX_FRAME_LEN: usize = 2048;

/// One uplink of the laptop, running.
#[derive(Debug, Clone)]
pub struct RadioLink {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    plan: UplinkPlan,
    laptop: End,
    isp: End,
    /// By [`Direction::index`].
    pipes: [Mutex<Pipe>; 2],
    nat: Mutex<Nat>,
    /// Without it nothing enters or leaves at the laptop.
    carrier: AtomicBool,
}

/// An interface of a node, seen from the other side of the wire.
#[derive(Debug)]
struct End {
    tap: Tap,
    /// Hardware address of the node's interface, as its frames say; zero until the first one.
    mac: AtomicU64,
}

impl RadioLink {
    /// Starts the link's threads between two interfaces that are up and have their addresses.
    ///
    /// # Errors
    /// No threads can be had.
    pub fn start(
        plan: UplinkPlan,
        laptop: Tap,
        isp: Tap,
        conditions: Conditions,
        seed: u64,
    ) -> io::Result<RadioLink> {
        // Each user of randomness gets its own stream: what one draws must not shift another.
        let pipe =
            |stream: u64| Mutex::new(Pipe::new(Shaper::new(conditions, seed.wrapping_mul(4) + stream)));
        let shared = Arc::new(Shared {
            plan,
            laptop: End { tap: laptop, mac: AtomicU64::new(0) },
            isp: End { tap: isp, mac: AtomicU64::new(0) },
            pipes: [pipe(0), pipe(1)],
            nat: Mutex::new(Nat::new(plan.public, plan.lan(), seed.wrapping_mul(4) + 2)),
            carrier: AtomicBool::new(true),
        });
        for direction in Direction::ALL {
            let shared = Arc::clone(&shared);
            let name = format!("{}-{direction:?}", plan.interface).to_lowercase();
            thread::Builder::new().name(name).spawn(move || carry(&shared, direction))?;
        }
        Ok(RadioLink { shared })
    }

    /// What one direction does to packets now.
    #[must_use]
    pub fn conditions(&self, direction: Direction) -> Conditions {
        self.pipe(direction).shaper().conditions()
    }

    /// Changes what one direction does to packets that enter from now on.
    pub fn set_conditions(&self, direction: Direction, conditions: Conditions) {
        self.pipe(direction).set_conditions(conditions);
    }

    /// The router forgets its mappings.
    pub fn rebind(&self) {
        lock(&self.shared.nat).rebind();
    }

    /// The radio loses or finds its network; what is under way is lost.
    ///
    /// # Errors
    /// The kernel cannot pull the carrier of a TAP device (before Linux 5.0).
    pub fn set_carrier(&self, on: bool) -> io::Result<()> {
        self.shared.carrier.store(on, Ordering::Release);
        if !on {
            Direction::ALL.iter().for_each(|direction| self.pipe(*direction).flush());
        }
        self.shared.laptop.tap.set_carrier(on)
    }

    fn pipe(&self, direction: Direction) -> MutexGuard<'_, Pipe> {
        lock(&self.shared.pipes[direction.index()])
    }
}

/// A poisoned lock only means that another thread panicked; the values here are whole at any time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The life of one direction's thread.
fn carry(shared: &Shared, direction: Direction) {
    clock::be_exact();
    let (entry, asker, neighbour) = match direction {
        Direction::Up => (&shared.laptop, shared.plan.router, shared.plan.laptop),
        Direction::Down => (&shared.isp, shared.plan.public, shared.plan.isp),
    };
    entry.ask_for_mac(shared.plan.router_mac, asker, neighbour);
    let mut frame = vec![0; MAX_FRAME_LEN];
    loop {
        let until = lock(&shared.pipes[direction.index()]).poll_timeout();
        clock::wait_readable(entry.tap.as_fd(), until);
        while let Ok(len) = entry.tap.try_recv(&mut frame) {
            take_in(shared, direction, entry, &frame[..len]);
        }
        deliver(shared, direction);
    }
}

/// A node's interface sent a frame.
fn take_in(shared: &Shared, direction: Direction, entry: &End, frame: &[u8]) {
    if let Some(mac) = packet::sender_of(frame) {
        entry.mac.store(mac_number(mac), Ordering::Relaxed);
    }
    let carrier = shared.carrier.load(Ordering::Acquire);
    match packet::look_into(frame, shared.plan.router_mac) {
        Frame::Ipv4(packet) if carrier => {
            let mut packet = packet.to_vec();
            let passes = direction == Direction::Up || lock(&shared.nat).translate_in(&mut packet);
            if passes {
                let is_udp = packet::is_udp(&packet);
                lock(&shared.pipes[direction.index()]).handle_packet(Instant::now(), packet, is_udp);
            }
        }
        // The neighbour is this end of the wire: it answers as long as the wire is there, whatever lies beyond.
        Frame::ArpReply(reply) if carrier || direction == Direction::Down => entry.give(&reply),
        _ => {}
    }
}

/// Whatever has crossed the radio goes on.
fn deliver(shared: &Shared, direction: Direction) {
    loop {
        let arrived = lock(&shared.pipes[direction.index()]).poll_delivery(Instant::now());
        let Some(mut packet) = arrived else { return };
        match direction {
            Direction::Up => {
                if lock(&shared.nat).translate_out(&mut packet) {
                    shared.isp.give_packet(&packet, shared.plan.router_mac);
                }
            }
            Direction::Down => {
                if shared.carrier.load(Ordering::Acquire) {
                    shared.laptop.give_packet(&packet, shared.plan.router_mac);
                }
            }
        }
    }
}

impl End {
    /// Makes the node's kernel answer, so that its hardware address is known before the first packet.
    fn ask_for_mac(&self, own: [u8; 6], own_ip: Ipv4Addr, neighbour: Ipv4Addr) {
        self.give(&packet::arp_request(own, own_ip, neighbour));
    }

    fn give_packet(&self, packet: &[u8], from: [u8; 6]) {
        let mac = self.mac.load(Ordering::Relaxed).to_be_bytes();
        let to = [mac[2], mac[3], mac[4], mac[5], mac[6], mac[7]];
        self.give(&packet::frame_ipv4(packet, from, to));
    }

    fn give(&self, frame: &[u8]) {
        // EIO while the interface is down: as on any wire, what is sent into it then is lost.
        self.tap.try_send(frame).ok();
    }
}

fn mac_number(mac: [u8; 6]) -> u64 {
    u64::from_be_bytes([0, 0, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]])
}
