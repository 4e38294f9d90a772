//! The caller-owned receive buffers and the datagrams found in them.

use std::net::{IpAddr, SocketAddr};

/// One datagram, in place in its receive buffer.
pub struct Datagram<'a> {
    /// Who sent it; an IPv4-mapped IPv6 address is given as IPv4.
    pub source: SocketAddr,
    /// Which of our addresses it was sent to, when the kernel said.
    pub destination: Option<IpAddr>,
    /// The payload, to be opened in place.
    pub bytes: &'a mut [u8],
}

/// A fixed pool of receive buffers, filled by [`UdpBinding::try_recv`](crate::UdpBinding::try_recv).
pub struct DatagramBatch {
    buffers: Vec<Box<[u8]>>,
}

impl DatagramBatch {
    /// Allocates `count` buffers of 64 KiB, each able to hold one full GRO batch of the kernel.
    pub fn new(count: usize) -> DatagramBatch {
        DatagramBatch { buffers: (0..count).map(|_| vec![0; 65_536].into_boxed_slice()).collect() }
    }

    /// The datagrams received, in order of arrival.
    pub fn datagrams_mut(&mut self) -> impl Iterator<Item = Datagram<'_>> {
        self.buffers.iter_mut().take(0).map(|bytes| Datagram {
            source: SocketAddr::from(([0, 0, 0, 0], 0)),
            destination: None,
            bytes,
        })
    }
}
