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
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::machine::{PathSockets, TunnelHost};

pub use changes::KeeperHost;
pub use sockets::{KeeperSockets, MarkedSockets};

/// The keeper as the daemon sees it, behind the streams whose other ends the keeper was given.
pub fn connect(changes: UnixStream, sockets: UnixStream) -> (KeeperHost, KeeperSockets) {
    (KeeperHost::new(changes), KeeperSockets::new(sockets))
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

/// Does what the daemon asks until it is gone. Nothing is taken away then, unless it asked for it.
///
/// # Errors
/// A stream failed, or what came over it made no sense.
pub fn serve(
    changes: UnixStream,
    sockets: UnixStream,
    host: &mut dyn TunnelHost,
    opener: impl PathSockets + 'static,
) -> io::Result<()> {
    let beside = thread::Builder::new().name("jumpvpn-sockets".into());
    let beside = beside.spawn(move || sockets::serve(sockets, opener))?;
    changes::serve(changes, host)?;
    // The daemon is gone, and with it the other end of both streams.
    beside.join().unwrap_or_else(|_| Err(io::Error::other("the keeper failed while it opened a socket")))
}

#[cfg(test)]
mod tests;
