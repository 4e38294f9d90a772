//! What runs through the network while things happen to it: numbered datagrams, a checked TCP stream, a real ssh.

mod ssh;
mod tcp;
mod udp;

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use ssh::{SshStream, SshVerdict};
pub use tcp::{TcpStream, TcpVerdict};
pub use udp::UdpStream;

use crate::namespace::Node;
use crate::plan;

/// All streams of a run, between the laptop and the server.
#[derive(Debug)]
pub struct Streams {
    /// Numbered datagrams, both ways.
    pub udp: UdpStream,
    /// Checked bytes, both ways.
    pub tcp: TcpStream,
    /// A shell on the server; absent when not asked for, or the reason why it cannot be had.
    pub ssh: Option<Result<SshStream, String>>,
}

impl Streams {
    /// Starts them. `from` is the laptop's address; `ssh_folder` receives keys and settings of the ssh session, if one is
    /// wanted.
    ///
    /// # Errors
    /// A sentence: what could not be opened or reached.
    pub fn start(
        laptop: &Node,
        server: &Node,
        from: Ipv4Addr,
        spacing: Duration,
        ssh_folder: Option<&Path>,
    ) -> io::Result<Streams> {
        let named = |what: &str, error: io::Error| {
            io::Error::new(error.kind(), format!("cannot start the {what} stream: {error}"))
        };
        let tcp = TcpStream::start(laptop, server, from).map_err(|error| named("TCP", error))?;
        let udp = UdpStream::start(laptop, server, from, spacing).map_err(|error| named("UDP", error))?;
        let ssh = ssh_folder.map(|folder| SshStream::start(laptop, server, folder));
        Ok(Streams { udp, tcp, ssh })
    }

    /// Stops sending new data; what is under way still arrives.
    pub fn stop_sending(&self) {
        self.udp.stop_sending();
        self.tcp.stop_sending();
    }
}

/// Where the server listens for datagrams and for the TCP stream.
const SERVER_PORT: u16 = 7000;
/// The server's socket address of both streams.
const SERVER: (Ipv4Addr, u16) = (plan::SERVER, SERVER_PORT);

/// A poisoned lock only means that another thread panicked; the records here are whole at any time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
