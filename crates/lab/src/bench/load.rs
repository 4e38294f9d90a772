//! Traffic: TCP flows as fast as they go, datagrams as fast as they go, and round trips.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags};

use super::Way;
use crate::namespace::Node;

/// One write or read of a TCP flow: large enough that the calls do not count.
const CHUNK_LEN: usize = 256 * 1024;
/// Before a rate is read, congestion control has had this long to find it.
const RAMP: Duration = Duration::from_millis(500);
/// Bytes in a datagram of the packet rate: the size its name says.
const DATAGRAM_LEN: usize = 200;
/// Datagrams per system call, so that the generator is not what is measured.
const BATCH_COUNT: usize = 64;
/// Bytes the receiver may fall behind: the kernel grants twice what is asked, up to `net.core.rmem_max`.
const RECEIVE_BUFFER_LEN: usize = 8 * 1024 * 1024;
/// A round trip that takes longer is lost; the next one is tried.
const LOST_AFTER: Duration = Duration::from_millis(500);

/// TCP flows that run until this is dropped.
pub struct Tcp {
    received_len: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Tcp {
    /// Starts `flows` connections from `way.0` in one node to `way.1` in the other.
    ///
    /// # Errors
    /// They cannot be connected.
    pub fn start(from: &Node, to: &Node, way: Way, flows: usize) -> io::Result<Tcp> {
        let load = Tcp { received_len: Arc::default(), over: Arc::default() };
        let listener = to.run(|| TcpListener::bind((way.1, 0)))??;
        let target = listener.local_addr()?;
        for _ in 0..flows {
            let sender = from.run(|| connect(way.0, target))??;
            let (receiver, _) = listener.accept()?;
            let over = Arc::clone(&load.over);
            thread::Builder::new().name("tcp-source".into()).spawn(move || send(sender, &over))?;
            let (over, received_len) = (Arc::clone(&load.over), Arc::clone(&load.received_len));
            let receive = move || receive(receiver, &received_len, &over);
            thread::Builder::new().name("tcp-sink".into()).spawn(receive)?;
        }
        thread::sleep(RAMP);
        Ok(load)
    }

    /// Bytes that arrive within `time` from now.
    pub fn bytes_within(&self, time: Duration) -> u64 {
        let before = self.received_len.load(Ordering::Acquire);
        thread::sleep(time);
        self.received_len.load(Ordering::Acquire) - before
    }
}

impl Drop for Tcp {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
    }
}

fn connect(from: Ipv4Addr, target: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect(&target.into())?;
    Ok(socket.into())
}

fn send(mut flow: TcpStream, over: &AtomicBool) {
    let chunk = vec![0x5a; CHUNK_LEN];
    while !over.load(Ordering::Acquire) && flow.write_all(&chunk).is_ok() {}
}

fn receive(mut flow: TcpStream, received_len: &AtomicU64, over: &AtomicBool) {
    let mut chunk = vec![0; CHUNK_LEN];
    while !over.load(Ordering::Acquire) {
        match flow.read(&mut chunk) {
            Ok(len) if len > 0 => received_len.fetch_add(len as u64, Ordering::AcqRel),
            _ => return,
        };
    }
}

/// Datagrams that arrive within `time` when as many are sent as go.
pub fn udp_arrivals(from: &Node, to: &Node, way: Way, time: Duration) -> io::Result<u64> {
    let receiver = to.run(|| UdpSocket::bind((way.1, 0)))??;
    socket2::SockRef::from(&receiver).set_recv_buffer_size(RECEIVE_BUFFER_LEN)?;
    receiver.set_read_timeout(Some(RAMP))?;
    let target = receiver.local_addr()?;
    let sender = from.run(|| UdpSocket::bind((way.0, 0)))??;
    sender.connect(target)?;
    let over = Arc::new(AtomicBool::new(false));
    let flooding = Arc::clone(&over);
    thread::Builder::new().name("udp-source".into()).spawn(move || flood(&sender, &flooding))?;
    let start = Instant::now() + RAMP;
    let mut datagram = [0; DATAGRAM_LEN];
    let mut count = 0;
    while Instant::now() < start + time {
        let arrived = receiver.recv(&mut datagram).is_ok();
        if arrived && Instant::now() >= start {
            count += 1;
        }
    }
    over.store(true, Ordering::Release);
    Ok(count)
}

fn flood(socket: &UdpSocket, over: &AtomicBool) {
    let datagram = [0x5a; DATAGRAM_LEN];
    let slices = [IoSlice::new(&datagram)];
    while !over.load(Ordering::Acquire) {
        let mut controls: Vec<_> = (0..BATCH_COUNT).map(|_| SendAncillaryBuffer::default()).collect();
        let mut batch: Vec<_> = controls.iter_mut().map(|control| MMsgHdr::new(&slices, control)).collect();
        // A full queue of the interface drops or refuses: both are what is being measured.
        rustix::net::sendmmsg(socket, &mut batch, SendFlags::empty()).ok();
    }
}

/// Median time of a datagram there and back, one after the other for `time`.
pub fn round_trip(from: &Node, to: &Node, way: Way, time: Duration) -> io::Result<Duration> {
    let echo = to.run(|| UdpSocket::bind((way.1, 0)))??;
    echo.set_read_timeout(Some(LOST_AFTER))?;
    let socket = from.run(|| UdpSocket::bind((way.0, 0)))??;
    socket.connect(echo.local_addr()?)?;
    socket.set_read_timeout(Some(LOST_AFTER))?;
    let over = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&over);
    thread::Builder::new().name("udp-echo".into()).spawn(move || answer(&echo, &stop))?;
    let until = Instant::now() + time;
    let mut times = Vec::new();
    let mut number = 0u64;
    while Instant::now() < until {
        number += 1;
        let sent = Instant::now();
        socket.send(&number.to_be_bytes())?;
        let mut reply = [0; 8];
        // An answer that comes after its time was up belongs to an earlier number.
        while socket.recv(&mut reply).is_ok() {
            if u64::from_be_bytes(reply) == number {
                times.push(sent.elapsed());
                break;
            }
        }
    }
    over.store(true, Ordering::Release);
    times.sort();
    times.get(times.len() / 2).copied().ok_or_else(|| io::Error::other("no datagram came back"))
}

fn answer(socket: &UdpSocket, over: &AtomicBool) {
    let mut datagram = [0; 8];
    while !over.load(Ordering::Acquire) {
        if let Ok((len, from)) = socket.recv_from(&mut datagram) {
            socket.send_to(&datagram[..len], from).ok();
        }
    }
}
