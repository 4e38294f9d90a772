//! A TAP device: whole Ethernet frames, one at a time, for links that are simulated in userspace.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use crate::TunError;

/// A TAP interface. It goes away when this value is dropped.
pub struct Tap {
    fd: OwnedFd,
    name: String,
    index: u32,
}

impl Tap {
    /// Creates the interface `name`.
    pub fn create(name: &str) -> Result<Tap, TunError> {
        let _ = name;
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

    /// Reads one frame into `frame`; returns its length. `WouldBlock` when there is none.
    pub fn try_recv(&self, frame: &mut [u8]) -> io::Result<usize> {
        let _ = frame;
        todo!()
    }

    /// Hands one frame to the kernel.
    pub fn try_send(&self, frame: &[u8]) -> io::Result<()> {
        let _ = frame;
        todo!()
    }

    /// Plugs or pulls the cable.
    pub fn set_carrier(&self, on: bool) -> io::Result<()> {
        let _ = on;
        todo!()
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Tap {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
