//! The keeper: a small second process with the rights that the daemon gives up, and both ends of the talk between them.
//!
//! The daemon reads what strangers send, so it shall hold no rights; but addresses and routes come and go with
//! sessions, the packet filter is told how long traffic may pass and is cleared at the end, and an agent's sockets bear a
//! mark. The keeper does these things and no other, for one tunnel whose shape it was given at the start. It sees neither packets nor keys. It ends
//! with the daemon; what a killed daemon leaves on the machine it leaves as well, so that a kill switch stays closed.
//!
//! Two streams, so that a socket is not kept waiting by a packet filter: one line of JSON asks, one line answers.

mod changes;
mod sockets;

use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::machine::{PathSockets, TunnelHost};

pub use changes::KeeperHost;
pub use sockets::{KeeperSockets, MarkedSockets};

/// How long the daemon waits for an answer. A change takes some 20 ms, `nft` on a busy machine half a second, and a
/// service's watchdog would end both after 10 s.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// The keeper as the daemon sees it, behind the streams whose other ends the keeper was given. An answer that does not
/// come within `patience` is an error (half of it for a socket, which takes a millisecond and has an engine waiting), and so is
/// everything that is asked afterwards: nobody knows what a late answer would be about.
///
/// # Errors
/// The kernel's refusal, which is not known to happen.
pub fn connect(
    changes: UnixStream,
    sockets: UnixStream,
    patience: Duration,
) -> io::Result<(KeeperHost, KeeperSockets)> {
    for (stream, patience) in [(&changes, patience), (&sockets, patience / 2)] {
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
    }
    Ok((KeeperHost::new(changes), KeeperSockets::new(sockets)))
}

/// What came of a question; after a failure the stream is closed, so that each later one fails at once.
fn or_closed<T>(stream: &UnixStream, outcome: io::Result<T>) -> io::Result<T> {
    outcome.map_err(|error| {
        stream.shutdown(Shutdown::Both).ok(); // it may be closed already
        match error.kind() {
            io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "it took too long"),
            _ => error,
        }
    })
}

/// Lets the signals that stop a daemon pass by: they are sent to all its processes, and the keeper still has to clean up
/// when the daemon has said goodbye. For the process of a keeper alone.
///
/// # Errors
/// The kernel's refusal, which is not known to happen.
pub fn outlive_signals() -> io::Result<()> {
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        // Somebody has to listen, or the signal kills; nobody has to act.
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(())
}

/// Does what the daemon asks until it is gone. Nothing is taken away then, unless it asked for it. `confinement` is what
/// this process has given up.
///
/// # Errors
/// A stream failed, or what came over it made no sense.
pub fn serve(
    changes: UnixStream,
    sockets: UnixStream,
    host: &mut dyn TunnelHost,
    opener: impl PathSockets + 'static,
    confinement: &Value,
) -> io::Result<()> {
    let beside = thread::Builder::new().name("jumpvpn-sockets".into());
    let beside = beside.spawn(move || sockets::serve(sockets, opener))?;
    changes::serve(changes, host, confinement)?;
    // The daemon is gone, and with it the other end of both streams.
    beside.join().unwrap_or_else(|_| Err(io::Error::other("the keeper failed while it opened a socket")))
}

#[cfg(test)]
mod tests;
