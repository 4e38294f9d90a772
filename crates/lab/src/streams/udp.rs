//! Numbered datagrams at a fixed spacing, both ways, with the time of every sending and every arrival.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::{SERVER, lock};
use crate::clock;
use crate::gaps::{Arrival, Record};
use crate::namespace::Node;
use crate::story::Direction;

/// Bytes of a datagram: about a voice packet of 20 ms.
const DATAGRAM_LEN: usize = 160;
/// Begins every datagram of the lab.
const MARK: [u8; 8] = *b"jump-lab";

/// The stream, running until it is dropped.
#[derive(Debug)]
pub struct UdpStream {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// By [`Direction::index`].
    records: [Mutex<Record>; 2],
    /// No more sending.
    quiet: AtomicBool,
    /// No more receiving either.
    over: AtomicBool,
}

impl UdpStream {
    /// Starts sending: the laptop at once, the server to whatever address it last heard from.
    ///
    /// # Errors
    /// The sockets cannot be had.
    pub fn start(laptop: &Node, server: &Node, from: Ipv4Addr, spacing: Duration) -> io::Result<UdpStream> {
        let shared = Arc::new(Shared::default());
        let server_socket = server.run(|| UdpSocket::bind(SERVER))??;
        let laptop_socket = laptop.run(|| UdpSocket::bind((from, 0)))??;
        let sides = [
            (laptop_socket, Direction::Up, Some(SocketAddr::from(SERVER))),
            (server_socket, Direction::Down, None),
        ];
        for (socket, outgoing, peer) in sides {
            socket.set_nonblocking(true)?;
            let shared = Arc::clone(&shared);
            let side = Side { shared, socket, outgoing, peer, spacing };
            let name = format!("udp-{outgoing:?}").to_lowercase();
            thread::Builder::new().name(name).spawn(move || side.live())?;
        }
        Ok(UdpStream { shared })
    }

    /// What was sent and has arrived so far.
    #[must_use]
    pub fn record(&self, direction: Direction) -> Record {
        lock(&self.shared.records[direction.index()]).clone()
    }

    /// How many datagrams have arrived in a direction, and when the last one did.
    #[must_use]
    pub fn progress(&self, direction: Direction) -> (usize, Option<Instant>) {
        let record = lock(&self.shared.records[direction.index()]);
        (record.arrivals.len(), record.arrivals.last().map(|arrival| arrival.at))
    }

    /// Forgets the single datagrams that were sent before `moment`, so that a stream may run for days.
    pub fn forget_before(&self, moment: Instant) {
        self.shared.records.iter().for_each(|record| lock(record).forget_before(moment));
    }

    /// Stops sending; what is under way is still received.
    pub fn stop_sending(&self) {
        self.shared.quiet.store(true, Ordering::Release);
    }
}

impl Drop for UdpStream {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
    }
}

/// One end, owned by its thread.
struct Side {
    shared: Arc<Shared>,
    socket: UdpSocket,
    outgoing: Direction,
    peer: Option<SocketAddr>,
    spacing: Duration,
}

impl Side {
    fn live(mut self) {
        clock::be_exact();
        let incoming = match self.outgoing {
            Direction::Up => Direction::Down,
            Direction::Down => Direction::Up,
        };
        let mut due = Instant::now();
        while !self.shared.over.load(Ordering::Acquire) {
            clock::wait_readable(self.socket.as_fd(), Some(due));
            self.receive(incoming);
            let now = Instant::now();
            if now >= due {
                self.send(now);
                // A thread that was not given the processor for long must not send a burst afterwards.
                due = (due + self.spacing).max(now + self.spacing / 2);
            }
        }
    }

    fn receive(&mut self, incoming: Direction) {
        let mut datagram = [0; DATAGRAM_LEN + 1];
        while let Ok((len, from)) = self.socket.recv_from(&mut datagram) {
            let at = Instant::now();
            let Some(number) = read(&datagram[..len]) else { continue };
            if self.outgoing == Direction::Down {
                self.peer = Some(from);
            }
            lock(&self.shared.records[incoming.index()]).arrivals.push(Arrival { number, at });
        }
    }

    fn send(&self, now: Instant) {
        let Some(peer) = self.peer.filter(|_| !self.shared.quiet.load(Ordering::Acquire)) else { return };
        let number = {
            let mut record = lock(&self.shared.records[self.outgoing.index()]);
            let number = record.next_number();
            record.sent.push(now);
            number
        };
        // A refused datagram counts as sent: an application would have lost it all the same.
        self.socket.send_to(&written(number), peer).ok();
    }
}

fn written(number: u64) -> [u8; DATAGRAM_LEN] {
    let mut datagram = [0; DATAGRAM_LEN];
    datagram[..8].copy_from_slice(&MARK);
    datagram[8..16].copy_from_slice(&number.to_be_bytes());
    datagram
}

fn read(datagram: &[u8]) -> Option<u64> {
    if datagram.len() != DATAGRAM_LEN || datagram[..8] != MARK {
        return None;
    }
    datagram[8..16].try_into().ok().map(u64::from_be_bytes)
}
