//! The caller-owned pool of packet buffers, each with room for the tunnel's header before and its tag after the data.

/// Bytes kept free before each packet: the 16-byte header of a sealed datagram, so that sealing is in place.
pub const HEADROOM: usize = 16;
/// Bytes kept free after each packet: the 16-byte tag of both AEAD suites.
pub const TAILROOM: usize = 16;

/// One packet in its buffer: `HEADROOM`, the data, `TAILROOM`.
pub struct Packet<'a> {
    buffer: &'a mut [u8],
}

impl<'a> Packet<'a> {
    /// The inner IP packet, for as long as the batch is not filled again.
    pub fn into_data(self) -> &'a [u8] {
        let end = self.buffer.len() - TAILROOM;
        &self.buffer[HEADROOM..end]
    }

    /// The inner IP packet.
    pub fn data(&self) -> &[u8] {
        &self.buffer[HEADROOM..self.buffer.len() - TAILROOM]
    }

    /// Headroom, data and tailroom as one slice, exactly as long as the three.
    pub fn buffer_mut(&mut self) -> &mut [u8] {
        self.buffer
    }

    /// Length of the data in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a packet is never empty")]
    pub fn len(&self) -> usize {
        self.buffer.len() - HEADROOM - TAILROOM
    }
}

/// A fixed pool of packet buffers, filled by [`Tun::try_recv`](crate::Tun::try_recv).
pub struct PacketBatch {
    storage: Vec<u8>,
    lens: Vec<usize>,
    stride: usize,
    used: usize,
}

impl PacketBatch {
    /// Allocates `count` buffers for packets of up to `max_len` bytes each, which should be the MTU of the device:
    /// longer packets are dropped and counted.
    pub fn new(count: usize, max_len: usize) -> PacketBatch {
        let stride = HEADROOM + max_len + TAILROOM;
        PacketBatch { storage: vec![0; stride * count], lens: vec![0; count], stride, used: 0 }
    }

    /// Number of packets held since the last receive.
    pub fn count(&self) -> usize {
        self.used
    }

    /// The packets received, in order.
    pub fn packets_mut(&mut self) -> impl Iterator<Item = Packet<'_>> {
        let lens = &self.lens[..self.used];
        self.storage
            .chunks_exact_mut(self.stride)
            .zip(lens)
            .map(|(buffer, len)| Packet { buffer: &mut buffer[..HEADROOM + len + TAILROOM] })
    }

    /// Forgets all packets.
    pub(crate) fn clear(&mut self) {
        self.used = 0;
    }

    /// The data part of the next free buffer, for a packet that [`PacketBatch::push`] then takes in.
    pub(crate) fn vacant(&mut self) -> Option<&mut [u8]> {
        let buffer = self.storage.chunks_exact_mut(self.stride).nth(self.used)?;
        Some(&mut buffer[HEADROOM..self.stride - TAILROOM])
    }

    /// Takes in the `len` bytes written to [`PacketBatch::vacant`].
    pub(crate) fn push(&mut self, len: usize) {
        self.lens[self.used] = len;
        self.used += 1;
    }
}
