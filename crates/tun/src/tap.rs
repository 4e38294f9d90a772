//! A TAP device: whole Ethernet frames, one at a time, for links that are simulated in userspace.

use std::fs::File;
use std::io::{self, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use crate::{TunError, sys};

/// A TAP interface. It goes away when this value is dropped.
#[derive(Debug)]
pub struct Tap {
    file: File,
    name: String,
    index: u32,
}

impl Tap {
    /// Creates the interface `name` with the default MTU of 1500. It is down and has no address.
    ///
    /// # Errors
    /// As [`Tun::create`](crate::Tun::create).
    pub fn create(name: &str) -> Result<Tap, TunError> {
        let file = sys::open(name)?;
        sys::attach(&file, name, libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_TUN_EXCL)?;
        let index = sys::index(name)?;
        Ok(Tap { file, name: name.to_owned(), index })
    }

    /// Name of the interface.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Index of the interface.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Reads one frame into `frame`; returns its length.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; `InvalidData` when it was longer than `frame` (it is lost).
    pub fn try_recv(&self, frame: &mut [u8]) -> io::Result<usize> {
        let frame_len = frame.len();
        let mut spare = [0];
        let slices = &mut [IoSliceMut::new(frame), IoSliceMut::new(&mut spare)];
        let len = (&self.file).read_vectored(slices)?;
        if len > frame_len {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "frame longer than the buffer"));
        }
        Ok(len)
    }

    /// Hands one frame to the kernel.
    ///
    /// # Errors
    /// EIO while the interface is down.
    pub fn try_send(&self, frame: &[u8]) -> io::Result<()> {
        (&self.file).write(frame).map(|_| ())
    }

    /// Plugs or pulls the cable: the kernel sees the carrier come or go, as on a real network card.
    ///
    /// # Errors
    /// What the kernel said; before Linux 5.0 it cannot.
    pub fn set_carrier(&self, on: bool) -> io::Result<()> {
        sys::set_carrier(&self.file, on)
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl AsRawFd for Tap {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}
