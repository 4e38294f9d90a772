//! The caller-owned receive buffers and the datagrams found in them.

use std::io::IoSliceMut;
use std::net::{IpAddr, SocketAddr};

use quinn_udp::RecvMeta;

/// Most buffers one receive can fill: the length of quinn-udp's recvmmsg(2) array.
pub const MAX_BATCH_COUNT: usize = quinn_udp::BATCH_SIZE;

/// Bytes per buffer. The kernel joins at most 65,535 bytes of datagrams of one flow (`udp_gro_receive`, the limit of
/// an IP packet), so this never truncates.
const BUFFER_LEN: usize = 65_536;

/// One datagram, in place in its receive buffer.
#[derive(Debug)]
pub struct Datagram<'a> {
    /// Who sent it; an IPv4-mapped IPv6 address is given as IPv4.
    pub source: SocketAddr,
    /// Which of our addresses it was sent to, when the kernel said.
    pub destination: Option<IpAddr>,
    /// The payload, never empty, to be opened in place.
    pub bytes: &'a mut [u8],
}

/// A fixed pool of receive buffers, filled by [`UdpBinding::try_recv`](crate::UdpBinding::try_recv).
pub struct DatagramBatch {
    storage: Vec<u8>,
    metas: Vec<RecvMeta>,
    used: usize,
}

impl DatagramBatch {
    /// Allocates `count` buffers (1 to [`MAX_BATCH_COUNT`], clamped) of 64 KiB.
    ///
    /// Each holds what the kernel joined of one flow, up to 64 datagrams; memory that is never filled is never
    /// touched and so never resident.
    pub fn new(count: usize) -> DatagramBatch {
        let count = count.clamp(1, MAX_BATCH_COUNT);
        DatagramBatch {
            storage: vec![0; count * BUFFER_LEN],
            metas: vec![RecvMeta::default(); count],
            used: 0,
        }
    }

    /// The datagrams of the last receive, in order of arrival.
    pub fn datagrams_mut(&mut self) -> impl Iterator<Item = Datagram<'_>> {
        let filled = self.storage.chunks_exact_mut(BUFFER_LEN).zip(&self.metas[..self.used]);
        filled.flat_map(|(buffer, meta)| {
            let source = canonical(meta.addr);
            let destination = meta.dst_ip.map(|ip| ip.to_canonical());
            // The stride of an empty datagram is 0, which `chunks_mut` would not take.
            buffer[..meta.len].chunks_mut(meta.stride.max(1)).map(move |bytes| Datagram {
                source,
                destination,
                bytes,
            })
        })
    }

    /// The first datagram of each buffer of the last receive: one of each run of datagrams that the kernel joined
    /// because they are of one flow.
    pub fn heads(&self) -> impl Iterator<Item = &[u8]> {
        let filled = self.storage.chunks_exact(BUFFER_LEN).zip(&self.metas[..self.used]);
        filled.map(|(buffer, meta)| &buffer[..meta.len.min(meta.stride)])
    }

    /// Number of datagrams of the last receive.
    pub fn count(&self) -> usize {
        self.metas[..self.used].iter().map(|meta| meta.len.div_ceil(meta.stride.max(1))).sum()
    }

    /// Lets `receive` fill the buffers; it returns how many it filled.
    pub(crate) fn fill<E>(
        &mut self,
        receive: impl FnOnce(&mut [IoSliceMut<'_>], &mut [RecvMeta]) -> Result<usize, E>,
    ) -> Result<(), E> {
        self.used = 0;
        let mut slices: [IoSliceMut<'_>; MAX_BATCH_COUNT] = std::array::from_fn(|_| IoSliceMut::new(&mut []));
        for (slice, buffer) in slices.iter_mut().zip(self.storage.chunks_exact_mut(BUFFER_LEN)) {
            *slice = IoSliceMut::new(buffer);
        }
        self.used = receive(&mut slices[..self.metas.len()], &mut self.metas)?;
        Ok(())
    }
}

/// The same address without the IPv4-in-IPv6 disguise.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address, // keeps the scope of a link-local address
    }
}

#[cfg(test)]
mod tests;
