//! The caller-owned pool of packet buffers, each with room for the tunnel's header before and its tag after the data.

use std::ops::Range;

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
///
/// The buffers lie back to back, so that neighbours sealed in place can leave with one segmented send, uncopied.
pub struct PacketBatch {
    storage: Vec<u8>,
    /// Where each packet's buffer ends; the next one begins there.
    ends: Vec<usize>,
    count_max: usize,
    max_len: usize,
}

impl PacketBatch {
    /// Allocates room for `count` packets of up to `max_len` bytes each, which should be the MTU of the device:
    /// longer packets are dropped and counted.
    pub fn new(count: usize, max_len: usize) -> PacketBatch {
        let storage_len = (HEADROOM + max_len + TAILROOM) * count;
        PacketBatch {
            storage: vec![0; storage_len],
            ends: Vec::with_capacity(count),
            count_max: count,
            max_len,
        }
    }

    /// Number of packets held since the last receive.
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// The packets received, in order.
    pub fn packets_mut(&mut self) -> impl Iterator<Item = Packet<'_>> {
        let mut rest = self.storage.as_mut_slice();
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let (buffer, behind) = std::mem::take(&mut rest).split_at_mut(end - start);
            (rest, start) = (behind, *end);
            Packet { buffer }
        })
    }

    /// The inner IP packets received, to look at.
    pub fn packets(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.count())
            .map(|index| &self.storage[self.start(index) + HEADROOM..self.ends[index] - TAILROOM])
    }

    /// The buffers (headroom, data, tailroom) of the packets in `range` as one slice.
    ///
    /// # Panics
    /// When the range reaches beyond [`PacketBatch::count`].
    pub fn joined(&self, range: Range<usize>) -> &[u8] {
        if range.is_empty() { &[] } else { &self.storage[self.start(range.start)..self.ends[range.end - 1]] }
    }

    /// Forgets all packets.
    pub(crate) fn clear(&mut self) {
        self.ends.clear();
    }

    /// The data part of the next free buffer, for a packet that [`PacketBatch::push`] then takes in.
    pub(crate) fn vacant(&mut self) -> Option<&mut [u8]> {
        let start = self.start(self.count()) + HEADROOM;
        (self.count() < self.count_max).then(|| &mut self.storage[start..start + self.max_len])
    }

    /// Takes in the `len` bytes written to [`PacketBatch::vacant`].
    pub(crate) fn push(&mut self, len: usize) {
        self.ends.push(self.start(self.count()) + HEADROOM + len + TAILROOM);
    }

    /// Where the buffer of that packet begins.
    fn start(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(0, |before| self.ends[before])
    }
}

#[cfg(test)]
mod tests;
