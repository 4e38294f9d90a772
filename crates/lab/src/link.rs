//! A radio link and the NAT router behind it: two threads that carry packets between the laptop's interface and the
//! internet's, each through its [`Pipe`], and the switches for every fault.
//!
//! The radio is between laptop and router: delay and loss come before the translation on the way up and after it on
//! the way down. The gateway's access line can be such a link too, without a router. Somebody may sit on any of them
//! ([`OnPath`]); who that is and what he wants is not known here.

use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use jumpvpn_tun::Tap;

use crate::clock;
use crate::nat::Nat;
use crate::packet::{self, Frame};
use crate::plan::UplinkPlan;
use crate::shaper::{Conditions, Pipe, Shaper};
use crate::story::Direction;

/// Longest frame: the interfaces have an MTU of 1500, offloads are off; the rest is room for surprises.
const MAX_FRAME_LEN: usize = 2048;

/// Somebody who sits on a link: at the laptop's side of the router, where one does not yet see public addresses.
pub trait OnPath: Send {
    /// A whole IP packet enters the link in `direction`. What goes on in its place, each after an extra delay:
    /// the packet itself, nothing, or whatever else; the link's own conditions apply to it as well.
    fn handle_packet(&mut self, direction: Direction, packet: Vec<u8>) -> Vec<(Duration, Vec<u8>)>;
}

/// One uplink of the laptop, or the gateway's access line, running.
#[derive(Debug, Clone)]
pub struct RadioLink {
    shared: Arc<Shared>,
}

struct Shared {
    plan: UplinkPlan,
    laptop: End,
    isp: End,
    /// By [`Direction::index`].
    pipes: [Mutex<Pipe>; 2],
    /// None on a line without a router.
    nat: Option<Mutex<Nat>>,
    on_path: Mutex<Option<Box<dyn OnPath>>>,
    /// Without it nothing enters or leaves at the laptop.
    carrier: AtomicBool,
}

impl Shared {
    /// Who translates the addresses of such a packet: nobody those of IPv6.
    fn translates(&self, packet: &[u8]) -> Option<&Mutex<Nat>> {
        self.nat.as_ref().filter(|_| packet.first().is_some_and(|first| first >> 4 != 6))
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Shared")
            .field("plan", &self.plan)
            .field("pipes", &self.pipes)
            .finish_non_exhaustive()
    }
}

/// What stands at the far end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Router {
    /// A router that translates addresses of IPv4; those of IPv6 it leaves as they are.
    Nat,
    /// Nothing: a plain line.
    None,
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
        router: Router,
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
            nat: (router == Router::Nat)
                .then(|| Mutex::new(Nat::new(plan.public, plan.lan(), seed.wrapping_mul(4) + 2))),
            on_path: Mutex::new(None),
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

    /// The router forgets its mappings; a line without a router has none, and neither has IPv6.
    pub fn rebind(&self) {
        if let Some(nat) = &self.shared.nat {
            lock(nat).rebind();
        }
    }

    /// Lets somebody sit on the link, or sends him away.
    pub fn set_on_path(&self, somebody: Option<Box<dyn OnPath>>) {
        *lock(&self.shared.on_path) = somebody;
    }

    /// Puts an IP packet on the link's far end, past its conditions and past whoever sits on it. On the way up the
    /// router treats it like any other.
    pub fn inject(&self, direction: Direction, packet: Vec<u8>) {
        deliver_one(&self.shared, direction, packet);
    }

    /// The radio loses or finds its network; what is under way is lost.
    ///
    /// # Errors
    /// The kernel cannot pull the carrier of a TAP device (before Linux 5.0).
    pub fn set_carrier(&self, on: bool) -> io::Result<()> {
        self.shared.carrier.store(on, Ordering::Release);
        if !on {
            self.flush();
        }
        self.shared.laptop.tap.set_carrier(on)
    }

    /// Loses everything that is under way.
    pub fn flush(&self) {
        Direction::ALL.iter().for_each(|direction| self.pipe(*direction).flush());
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
        Frame::Packet(packet) if carrier => {
            let mut packet = packet.to_vec();
            let translates = shared.translates(&packet).filter(|_| direction == Direction::Down);
            if translates.is_none_or(|nat| lock(nat).translate_in(&mut packet)) {
                enter(shared, direction, packet);
            }
        }
        // The neighbour is this end of the wire: it answers as long as the wire is there, whatever lies beyond.
        Frame::Neighbour(reply) if carrier || direction == Direction::Down => entry.give(&reply),
        _ => {}
    }
}

/// A packet enters the link, past whoever sits there.
fn enter(shared: &Shared, direction: Direction, packet: Vec<u8>) {
    let pass = |packet: Vec<u8>, extra: Duration| {
        let is_udp = packet::is_udp(&packet);
        lock(&shared.pipes[direction.index()]).handle_packet(Instant::now(), packet, is_udp, extra);
    };
    match &mut *lock(&shared.on_path) {
        None => pass(packet, Duration::ZERO),
        Some(somebody) => {
            let instead = somebody.handle_packet(direction, packet);
            instead.into_iter().for_each(|(extra, packet)| pass(packet, extra));
        }
    }
}

/// Whatever has crossed the radio goes on.
fn deliver(shared: &Shared, direction: Direction) {
    loop {
        let arrived = lock(&shared.pipes[direction.index()]).poll_delivery(Instant::now());
        let Some(packet) = arrived else { return };
        deliver_one(shared, direction, packet);
    }
}

fn deliver_one(shared: &Shared, direction: Direction, mut packet: Vec<u8>) {
    match direction {
        Direction::Up => {
            if shared.translates(&packet).is_none_or(|nat| lock(nat).translate_out(&mut packet)) {
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

impl End {
    /// Makes the node's kernel answer, so that its hardware address is known before the first packet.
    fn ask_for_mac(&self, own: [u8; 6], own_ip: Ipv4Addr, neighbour: Ipv4Addr) {
        self.give(&packet::arp_request(own, own_ip, neighbour));
    }

    fn give_packet(&self, packet: &[u8], from: [u8; 6]) {
        let mac = self.mac.load(Ordering::Relaxed).to_be_bytes();
        let to = [mac[2], mac[3], mac[4], mac[5], mac[6], mac[7]];
        self.give(&packet::frame_of(packet, from, to));
    }

    fn give(&self, frame: &[u8]) {
        // EIO while the interface is down: as on any wire, what is sent into it then is lost.
        self.tap.try_send(frame).ok();
    }
}

fn mac_number(mac: [u8; 6]) -> u64 {
    u64::from_be_bytes([0, 0, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]])
}
