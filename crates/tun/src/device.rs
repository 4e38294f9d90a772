//! The TUN device: creation, batched receive and send.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use crate::{PacketBatch, TunError};

/// How a TUN device is to be created.
#[derive(Debug, Clone, Copy)]
pub struct TunOptions {
    /// Largest inner packet in bytes, 576 to 65535 (1280 or more when IPv6 is to work).
    pub mtu: u16,
    /// Exchange super-packets with the kernel (TSO and, where the kernel can, USO).
    pub offload: bool,
    /// More than one lets [`Tun::open_queue`] attach further queues.
    pub queues: u16,
}

/// One queue of a TUN device. The interface goes away with its last queue.
pub struct Tun {
    fd: OwnedFd,
    name: String,
    index: u32,
}

impl Tun {
    /// Creates the interface `name` and attaches its first queue.
    pub fn create(name: &str, options: &TunOptions) -> Result<Tun, TunError> {
        let _ = (name, options);
        todo!()
    }

    /// Attaches one more queue to the same interface (needs `queues` > 1).
    pub fn open_queue(&self) -> Result<Tun, TunError> {
        todo!()
    }

    /// Name of the interface.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Index of the interface.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Fills `batch` with packets leaving this machine; returns how many. `WouldBlock` when there is none.
    pub fn try_recv(&mut self, batch: &mut PacketBatch) -> io::Result<usize> {
        let _ = batch;
        todo!()
    }

    /// Hands `packets` to this machine, in order; returns how many of them were consumed.
    pub fn try_send(&mut self, packets: &[&[u8]]) -> io::Result<usize> {
        let _ = packets;
        todo!()
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Tun {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
