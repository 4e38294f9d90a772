//! UDP sockets with segmentation offload (GSO, GRO), destination addresses and no IP fragmentation.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use crate::{BindError, DatagramBatch, SendError};

/// How a socket is to be set up.
#[derive(Debug, Clone, Copy, Default)]
pub struct BindOptions {
    /// Firewall mark of everything sent, so that policy routing keeps it out of the tunnel.
    pub mark: Option<u32>,
    /// Let several sockets share the address and port (one per shard).
    pub reuse_port: bool,
    /// Size of the kernel's send and receive buffers in bytes; the kernel's default when absent.
    pub buffer_len: Option<usize>,
}

/// One UDP socket of one path.
pub struct UdpBinding {
    socket: socket2::Socket,
}

impl UdpBinding {
    /// Binds a socket to `local` and, when given, to the network device of that name.
    pub fn bind(
        local: SocketAddr,
        device: Option<&str>,
        options: &BindOptions,
    ) -> Result<UdpBinding, BindError> {
        let _ = (local, device, options);
        todo!()
    }

    /// The address and port the socket is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        todo!()
    }

    /// Fills `batch`; returns the number of datagrams. `WouldBlock` when there is none.
    pub fn try_recv(&mut self, batch: &mut DatagramBatch) -> io::Result<usize> {
        let _ = batch;
        todo!()
    }

    /// Sends `bytes`, cut into datagrams of `segment_len` bytes (the last may be shorter), from `source` if given.
    pub fn try_send(
        &mut self,
        destination: SocketAddr,
        source: Option<IpAddr>,
        bytes: &[u8],
        segment_len: Option<usize>,
    ) -> Result<(), SendError> {
        let _ = (destination, source, bytes, segment_len);
        todo!()
    }

    /// How many segments one [`UdpBinding::try_send`] may carry in one system call at present (1: no offload).
    pub fn max_segments(&self) -> usize {
        todo!()
    }
}

impl AsFd for UdpBinding {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for UdpBinding {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
