//! The UDP sockets of a pump and what is known about their readiness.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

use jumpvpn_engine::{SocketKey, Transmit};
use jumpvpn_events::Reason;
use jumpvpn_transport::{DatagramBatch, SendError, UdpBinding};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

/// Reads that may fail in a row before a socket is left alone until its next readiness: each pending error of a socket
/// (an ICMP message, a device going down) is reported once and hides no datagram behind it.
const FAILED_READS_MAX: usize = 4;

/// What became of a send.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Everything is with the kernel.
    All,
    /// The socket is full; so many bytes were taken.
    Blocked {
        /// A multiple of the segment length.
        sent_len: usize,
    },
    /// The path is gone: its device, address or route.
    Gone,
    /// Refused for good.
    Failed(Reason),
}

struct Entry {
    key: SocketKey,
    binding: UdpBinding,
    readable: bool,
    writable: bool,
}

/// All sockets of a pump. There are a handful, so a scan is the fastest search.
pub(crate) struct Sockets {
    entries: Vec<Entry>,
    registry: Registry,
    first_token: usize,
}

impl Sockets {
    pub(super) fn new(registry: Registry, first_token: usize) -> Sockets {
        Sockets { entries: Vec::new(), registry, first_token }
    }

    /// Adds a socket under a key that was never used before.
    ///
    /// # Errors
    /// The kernel cannot poll it.
    pub(crate) fn open(&mut self, key: SocketKey, binding: UdpBinding) -> io::Result<()> {
        let token = Token(self.first_token + key.0 as usize);
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(&mut SourceFd(&binding.as_raw_fd()), token, interest)?;
        self.entries.push(Entry { key, binding, readable: true, writable: true });
        Ok(())
    }

    /// Closes a socket; nothing if there is none.
    pub(crate) fn close(&mut self, key: SocketKey) {
        if let Some(index) = self.entries.iter().position(|entry| entry.key == key) {
            // Closing the descriptor takes it out of the poll set anyway.
            drop(self.entries.swap_remove(index));
        }
    }

    pub(super) fn count(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn any_readable(&self) -> bool {
        self.entries.iter().any(|entry| entry.readable)
    }

    pub(super) fn handle_ready(&mut self, token: usize, readable: bool, writable: bool) {
        let entry = self.entries.iter_mut().find(|entry| self.first_token + entry.key.0 as usize == token);
        if let Some(entry) = entry {
            entry.readable |= readable;
            entry.writable |= writable;
        }
    }

    /// Fills `batch` from the socket at `index`, if it has something; answers whose it is.
    pub(super) fn receive(&mut self, index: usize, batch: &mut DatagramBatch) -> Option<SocketKey> {
        let entry = self.entries.get_mut(index).filter(|entry| entry.readable)?;
        for _ in 0..FAILED_READS_MAX {
            match entry.binding.try_recv(batch) {
                Ok(count) if count > 0 => return Some(entry.key),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Ok(_) | Err(_) => {}
            }
        }
        entry.readable = false;
        None
    }

    /// A socket over which somebody was sent to who is not there, and whose machine says so.
    pub(super) fn next_refusal(&mut self) -> Option<(SocketKey, IpAddr)> {
        self.entries.iter_mut().find_map(|entry| Some((entry.key, entry.binding.take_refusal()?)))
    }

    /// Sends `bytes` where `transmit` says, cut into datagrams of `segment_len`.
    pub(super) fn send(&mut self, transmit: &Transmit, bytes: &[u8], segment_len: Option<usize>) -> Sent {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.key == transmit.socket) else {
            return Sent::Gone;
        };
        match entry.binding.try_send(transmit.destination, transmit.source, bytes, segment_len) {
            Ok(()) => Sent::All,
            Err(SendError::WouldBlock { sent_len }) => {
                entry.writable = false;
                Sent::Blocked { sent_len }
            }
            Err(SendError::PathGone(_)) => Sent::Gone,
            Err(SendError::TooBig) => Sent::Failed(Reason::TooBig),
            Err(SendError::Refused(_) | SendError::Other(_)) => Sent::Failed(Reason::SendError),
        }
    }

    /// Whether the socket was full at the last attempt and has not reported room since.
    pub(super) fn is_blocked(&self, key: SocketKey) -> bool {
        self.entries.iter().any(|entry| entry.key == key && !entry.writable)
    }
}
