//! Floods: datagrams of one kind as fast as one processor writes them, from invented addresses.
//!
//! A raw socket writes whole IP packets, so that every datagram has a source of its own, as floods on the internet do.
//! [`Pace::Trains`] is beyond what a link would carry: super-packets that the kernel passes on whole, 64 datagrams of one
//! source at a time. A flood is bounded in time and in number. [`ammunition`] makes the datagrams.

pub mod ammunition;
mod replies;

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jumpvpn_lab::plan::Family;
use jumpvpn_runtime::SystemRandom;
use jumpvpn_transport::{BindOptions, UdpBinding};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags};
use socket2::{Domain, Protocol, Socket, Type};

use crate::arena::{Arena, outer, pin};
use crate::packet::Packet;
pub use replies::Replies;

/// Datagrams per system call.
const BATCH_COUNT: usize = 64;
/// Bytes of the raw socket's queue.
const BUFFER_LEN: usize = 4 << 20;
/// A flood never sends more than this, whatever its time: a bound for a machine faster than any of today.
const COUNT_MAX: u64 = 200_000_000;
/// Protocol 255 (IPPROTO_RAW): the writer brings the IP header.
const IPPROTO_RAW: i32 = 255;

/// Whom the datagrams seem to come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// Another address and port for each, of the whole internet; of trains, which the kernel writes, of the stranger's own.
    Anyone,
    /// This one: a victim's.
    Forged(SocketAddr),
}

/// How they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// One by one, as fast as the processor can.
    Singles,
    /// In trains of 64 of one sender.
    Trains,
    /// Nothing is written: the processor is burnt as the writing would. What a flood is measured against.
    Burn,
}

impl Pace {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Pace::Singles => "one by one",
            Pace::Trains => "in trains",
            Pace::Burn => "beside a burner",
        }
    }
}

/// One flood.
#[derive(Clone, Debug)]
pub struct Shot {
    /// What is sent, over and over; all of one length for [`Pace::Trains`].
    pub datagrams: Vec<Vec<u8>>,
    /// From whom.
    pub sender: Sender,
    /// How.
    pub pace: Pace,
}

/// A flood that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Flood {
    over: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Flood {
    /// Starts it in the stranger's node, on processor `cpu`, for at most `limit`.
    ///
    /// # Errors
    /// The kernel refuses a socket or a thread.
    pub fn start(arena: &Arena, shot: Shot, cpu: Option<usize>, limit: Duration) -> io::Result<Flood> {
        let (over, sent): (Arc<AtomicBool>, Arc<AtomicU64>) = Default::default();
        let until = Instant::now() + limit;
        let family = arena.family;
        let raw = arena.stranger.run(|| open_raw(family))??;
        let trains = arena.stranger.run(|| open_trains(family))??;
        let (stop, count) = (Arc::clone(&over), Arc::clone(&sent));
        let run = move || {
            pin(cpu);
            let going = |count: &AtomicU64| {
                !stop.load(Ordering::Relaxed)
                    && Instant::now() < until
                    && count.load(Ordering::Relaxed) < COUNT_MAX
            };
            match shot.pace {
                Pace::Singles => write_singles(&raw, family, &shot, || going(&count), &count),
                Pace::Trains => write_trains(trains, family, &shot, || going(&count), &count),
                Pace::Burn => {
                    while going(&count) {
                        std::hint::spin_loop();
                    }
                    Ok(())
                }
            }
        };
        let thread = thread::Builder::new().name("flood".into()).spawn(run)?;
        Ok(Flood { over, sent, thread: Some(thread) })
    }

    /// Datagrams written so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Ends it; the number of datagrams written.
    ///
    /// # Errors
    /// Writing failed for good.
    pub fn stop(mut self) -> io::Result<u64> {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(self.sent())
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn open_raw(family: Family) -> io::Result<Socket> {
    let domain = Domain::for_address(outer::gateway(family));
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(IPPROTO_RAW)))?;
    socket.set_send_buffer_size(BUFFER_LEN)?;
    // A raw socket of IPv6 takes no port.
    socket.connect(&SocketAddr::new(outer::gateway(family).ip(), 0).into())?;
    Ok(socket)
}

fn open_trains(family: Family) -> io::Result<UdpBinding> {
    let options = BindOptions { mark: None, reuse_port: false, buffer_len: Some(BUFFER_LEN) };
    let any = SocketAddr::new(outer::anywhere(family).addr(), 0);
    UdpBinding::bind(any, None, &options).map_err(io::Error::other)
}

fn write_singles(
    socket: &Socket,
    family: Family,
    shot: &Shot,
    mut going: impl FnMut() -> bool,
    count: &AtomicU64,
) -> io::Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(SystemRandom.next_u64());
    let gateway = outer::gateway(family);
    let mut packets: Vec<Packet> =
        shot.datagrams.iter().map(|datagram| Packet::to(gateway, datagram)).collect();
    let mut at = 0;
    while going() {
        let end = (at + BATCH_COUNT).min(packets.len());
        for packet in &mut packets[at..end] {
            let sender = match shot.sender {
                Sender::Anyone => SocketAddr::new(outer::anyone(family, &mut rng), port(&mut rng)),
                Sender::Forged(address) => address,
            };
            packet.set_sender(sender);
        }
        let slices: Vec<[IoSlice<'_>; 1]> =
            packets[at..end].iter().map(|packet| [IoSlice::new(packet.bytes())]).collect();
        let mut controls: Vec<_> = slices.iter().map(|_| SendAncillaryBuffer::default()).collect();
        let mut batch: Vec<_> =
            slices.iter().zip(&mut controls).map(|(slice, control)| MMsgHdr::new(slice, control)).collect();
        match rustix::net::sendmmsg(socket, &mut batch, SendFlags::empty()) {
            Ok(written) => count.fetch_add(written as u64, Ordering::Relaxed),
            // A full queue: what a link at its limit does.
            Err(rustix::io::Errno::NOBUFS | rustix::io::Errno::AGAIN) => 0,
            Err(error) => return Err(error.into()),
        };
        at = if end == packets.len() { 0 } else { end };
    }
    Ok(())
}

/// A port above those that need rights.
fn port(rng: &mut ChaCha8Rng) -> u16 {
    1024 + rng.next_u32() as u16 % 60_000
}

fn write_trains(
    mut socket: UdpBinding,
    family: Family,
    shot: &Shot,
    mut going: impl FnMut() -> bool,
    count: &AtomicU64,
) -> io::Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(SystemRandom.next_u64());
    let len = shot.datagrams.first().map_or(1, Vec::len);
    let trains: Vec<Vec<u8>> = shot.datagrams.chunks(BATCH_COUNT).map(<[Vec<u8>]>::concat).collect();
    for train in trains.iter().cycle() {
        if !going() {
            break;
        }
        let source = match shot.sender {
            Sender::Anyone => outer::stranger(family, &mut rng),
            Sender::Forged(address) => address.ip(),
        };
        if socket.try_send(outer::gateway(family), Some(source), train, Some(len)).is_ok() {
            count.fetch_add((train.len() / len) as u64, Ordering::Relaxed);
        }
    }
    Ok(())
}
