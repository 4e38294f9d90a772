//! One TCP connection that carries a counter both ways; every byte is checked where it arrives.

use std::io::{self, Read, Write};
use std::net::{self, Ipv4Addr, TcpListener};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::{SERVER, lock};
use crate::clock;
use crate::namespace::Node;
use crate::story::Direction;

/// Bytes written at a time: 20 counters.
const CHUNK_LEN: usize = 160;
/// Time between two writes: a person typing is slower, a call is about this.
const PACE: Duration = Duration::from_millis(20);
/// Longest wait for the connection: the session is up, so three lost SYNs (1 s + 2 s) mean that something is wrong.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// The connection, until it is dropped.
#[derive(Debug)]
pub struct TcpStream {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// By [`Direction::index`].
    flows: [Mutex<Flow>; 2],
    quiet: AtomicBool,
    over: AtomicBool,
}

/// One direction.
#[derive(Debug, Default)]
struct Flow {
    written_len: u64,
    right_len: u64,
    /// The first byte that was not what was sent.
    wrong_at: Option<u64>,
    /// What either end was told about the connection's end.
    failure: Option<String>,
    last_arrival: Option<Instant>,
    longest_stall: Duration,
}

/// How the connection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TcpVerdict {
    /// Unbroken, and every byte that was written arrived right.
    Alive,
    /// Unbroken, but bytes are missing.
    Stalled {
        /// How many.
        missing_len: u64,
    },
    /// Ended by one of the ends.
    Broken(String),
    /// A byte arrived that was not sent.
    Corrupt {
        /// Its place in the stream.
        at: u64,
    },
}

impl TcpVerdict {
    /// One word for reports.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            TcpVerdict::Alive => "alive",
            TcpVerdict::Stalled { .. } => "stalled",
            TcpVerdict::Broken(_) => "broken",
            TcpVerdict::Corrupt { .. } => "corrupt",
        }
    }
}

impl TcpStream {
    /// Connects the laptop to the server and starts counting both ways.
    ///
    /// # Errors
    /// The server cannot be reached, or the sockets cannot be had.
    pub fn start(laptop: &Node, server: &Node, from: Ipv4Addr) -> io::Result<TcpStream> {
        let listener = server.run(|| TcpListener::bind(SERVER))??;
        let connected = laptop.run(|| connect(from))??;
        let (accepted, _) = listener.accept()?;
        let shared = Arc::new(Shared::default());
        for (socket, outgoing) in [(connected, Direction::Up), (accepted, Direction::Down)] {
            socket.set_nonblocking(true)?;
            socket.set_nodelay(true)?;
            let side = Side { shared: Arc::clone(&shared), socket, outgoing };
            let name = format!("tcp-{outgoing:?}").to_lowercase();
            thread::Builder::new().name(name).spawn(move || side.live())?;
        }
        Ok(TcpStream { shared })
    }

    /// Bytes that arrived right in a direction.
    #[must_use]
    pub fn right_len(&self, direction: Direction) -> u64 {
        lock(&self.shared.flows[direction.index()]).right_len
    }

    /// Longest time without an arrival in a direction since the last [`TcpStream::mark`].
    #[must_use]
    pub fn longest_stall(&self, direction: Direction) -> Duration {
        let flow = lock(&self.shared.flows[direction.index()]);
        flow.longest_stall.max(flow.last_arrival.map_or(Duration::ZERO, |last| last.elapsed()))
    }

    /// Starts the measurement of stalls afresh.
    pub fn mark(&self) {
        self.shared.flows.iter().for_each(|flow| lock(flow).longest_stall = Duration::ZERO);
    }

    /// Stops writing; what is under way still arrives.
    pub fn stop_sending(&self) {
        self.shared.quiet.store(true, Ordering::Release);
    }

    /// Waits, at most `patience`, until everything written has arrived, and says how the connection is.
    #[must_use]
    pub fn verdict(&self, patience: Duration) -> TcpVerdict {
        let until = Instant::now() + patience;
        loop {
            let verdict = self.verdict_now();
            if !matches!(verdict, TcpVerdict::Stalled { .. }) || Instant::now() >= until {
                return verdict;
            }
            thread::sleep(PACE);
        }
    }

    /// How the connection is at this moment; bytes that are under way count as missing.
    #[must_use]
    pub fn verdict_now(&self) -> TcpVerdict {
        let mut missing_len = 0;
        for flow in &self.shared.flows {
            let flow = lock(flow);
            if let Some(at) = flow.wrong_at {
                return TcpVerdict::Corrupt { at };
            }
            if let Some(failure) = &flow.failure {
                return TcpVerdict::Broken(failure.clone());
            }
            missing_len += flow.written_len - flow.right_len;
        }
        if missing_len == 0 { TcpVerdict::Alive } else { TcpVerdict::Stalled { missing_len } }
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
    }
}

/// From the laptop's address: the kernel must not choose another way when one comes or goes.
fn connect(from: Ipv4Addr) -> io::Result<net::TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&net::SocketAddr::from((from, 0)).into())?;
    socket.connect_timeout(&net::SocketAddr::from(SERVER).into(), CONNECT_TIMEOUT)?;
    Ok(socket.into())
}

/// One end, owned by its thread.
struct Side {
    shared: Arc<Shared>,
    socket: net::TcpStream,
    outgoing: Direction,
}

impl Side {
    fn live(mut self) {
        let incoming = match self.outgoing {
            Direction::Up => Direction::Down,
            Direction::Down => Direction::Up,
        };
        let mut due = Instant::now();
        while !self.shared.over.load(Ordering::Acquire) {
            clock::wait_readable(self.socket.as_fd(), Some(due));
            let outcome = self.receive(incoming).and_then(|()| {
                let now = Instant::now();
                if now < due {
                    return Ok(());
                }
                due = (due + PACE).max(now + PACE / 2);
                self.send()
            });
            if let Err(error) = outcome {
                lock(&self.shared.flows[self.outgoing.index()]).failure = Some(error.to_string());
                return;
            }
        }
    }

    fn receive(&mut self, incoming: Direction) -> io::Result<()> {
        let mut bytes = [0; 4096];
        loop {
            let len = match self.socket.read(&mut bytes) {
                Ok(0) if self.shared.over.load(Ordering::Acquire) => return Ok(()),
                Ok(0) => return Err(io::Error::other("the other end closed the connection")),
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            lock(&self.shared.flows[incoming.index()]).take(&bytes[..len], Instant::now());
        }
    }

    fn send(&mut self) -> io::Result<()> {
        if self.shared.quiet.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut flow = lock(&self.shared.flows[self.outgoing.index()]);
        let start = flow.written_len;
        let chunk: [u8; CHUNK_LEN] = std::array::from_fn(|index| byte_at(start + index as u64));
        match self.socket.write(&chunk) {
            Ok(len) => flow.written_len += len as u64,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl Flow {
    fn take(&mut self, bytes: &[u8], now: Instant) {
        if let Some(last) = self.last_arrival.replace(now) {
            self.longest_stall = self.longest_stall.max(now - last);
        }
        for byte in bytes {
            if *byte != byte_at(self.right_len) {
                self.wrong_at.get_or_insert(self.right_len);
                return;
            }
            self.right_len += 1;
        }
    }
}

/// The stream is the numbers 0, 1, 2, …, eight bytes each.
fn byte_at(place: u64) -> u8 {
    (place / 8).to_be_bytes()[(place % 8) as usize]
}
