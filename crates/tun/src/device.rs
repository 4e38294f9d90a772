//! The TUN device: creation, batched receive and send.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use crate::join::{Head, Joiner, MAX_MEMBER_COUNT};
use crate::split::{Split, complete_checksum};
use crate::vnet::{Gso, VNET_LEN, VnetHeader};
use crate::{PacketBatch, TunError, sys};

/// The driver's header, the longest super-packet (an IPv6 header and 65,535 bytes) and one byte that tells a
/// truncated packet from one that just fits.
const SCRATCH_LEN: usize = VNET_LEN + 40 + u16::MAX as usize + 1;

/// Most packets in one [`Tun::try_send`]: they are numbered with 16 bits while being joined.
const MAX_SEND_COUNT: usize = u16::MAX as usize;

/// How a TUN device is to be created.
#[derive(Debug, Clone, Copy)]
pub struct TunOptions {
    /// Largest inner packet in bytes, 68 to 65535 (1280 or more when IPv6 is to work).
    pub mtu: u16,
    /// Exchange super-packets with the kernel (TSO and, since Linux 6.2, USO).
    pub offload: bool,
    /// More than one lets [`Tun::open_queue`] attach further queues.
    pub queues: u16,
}

/// What went through one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TunCounters {
    /// System calls that read a packet or super-packet.
    pub reads: u64,
    /// Packets handed out.
    pub packets_read: u64,
    /// System calls that wrote a packet or super-packet.
    pub writes: u64,
    /// Packets handed to the kernel.
    pub packets_written: u64,
    /// Packets dropped because they were longer than the batch allows or made no sense.
    pub read_drops: u64,
    /// Packets the kernel refused.
    pub write_drops: u64,
}

/// One queue of a TUN device. The interface goes away with its last queue.
#[derive(Debug)]
pub struct Tun {
    file: File,
    name: String,
    index: u32,
    flags: libc::c_int,
    offload: Option<Offload>,
    counters: TunCounters,
}

/// What is needed to exchange super-packets.
#[derive(Debug)]
struct Offload {
    /// Whether the kernel exchanges UDP super-packets too.
    udp: bool,
    /// The super-packet being cut, behind its driver header.
    scratch: Vec<u8>,
    scratch_len: usize,
    split: Option<Split>,
    joiner: Joiner,
}

impl Tun {
    /// Creates the interface `name` and attaches its first queue. The interface is down and has no address.
    ///
    /// # Errors
    /// [`TunError`] says what is missing and what to do; an existing interface of that name is never taken over.
    pub fn create(name: &str, options: &TunOptions) -> Result<Tun, TunError> {
        let mut flags = libc::IFF_TUN | libc::IFF_NO_PI;
        if options.offload {
            flags |= libc::IFF_VNET_HDR;
        }
        if options.queues > 1 {
            flags |= libc::IFF_MULTI_QUEUE;
        }
        let file = sys::open(name)?;
        sys::attach(&file, name, flags | libc::IFF_TUN_EXCL)?;
        sys::set_mtu(name, options.mtu)?;
        Tun::attached(file, name, flags)
    }

    /// Attaches one more queue to the same interface (needs [`TunOptions::queues`] > 1).
    ///
    /// # Errors
    /// As [`Tun::create`]; must be called in the network namespace of the interface.
    pub fn open_queue(&self) -> Result<Tun, TunError> {
        let file = sys::open(&self.name)?;
        sys::attach(&file, &self.name, self.flags)?;
        Tun::attached(file, &self.name, self.flags)
    }

    /// Name of the interface.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Index of the interface.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// What went through this queue so far.
    pub fn counters(&self) -> TunCounters {
        self.counters
    }

    /// Fills `batch` with packets leaving this machine; returns how many.
    ///
    /// Reads until the batch is full or nothing is waiting. What a super-packet holds beyond the batch is kept for the
    /// next call, so call again until `WouldBlock`.
    ///
    /// # Errors
    /// `WouldBlock` when there is none. Anything else is a fault of the device, for example EBADFD after the interface
    /// was deleted; packets read before the fault are returned first.
    pub fn try_recv(&mut self, batch: &mut PacketBatch) -> io::Result<usize> {
        batch.clear();
        let result = match &mut self.offload {
            Some(offload) => offload.fill(&self.file, batch, &mut self.counters),
            None => fill_plain(&self.file, batch, &mut self.counters),
        };
        let count = batch.count();
        self.counters.packets_read += count as u64;
        match result {
            Err(error) if count == 0 => Err(error),
            _ => Ok(count),
        }
    }

    /// Hands `packets` (whole IP packets, at most 65,535 of them) to this machine; returns how many it took.
    ///
    /// The order within each flow is kept. Packets the kernel refuses are dropped, as a full queue would drop them:
    /// nothing is to be sent again.
    ///
    /// # Errors
    /// When none was taken: what the kernel said to the first one (EIO while the interface is down).
    pub fn try_send(&mut self, packets: &[&[u8]]) -> io::Result<usize> {
        let packets = &packets[..packets.len().min(MAX_SEND_COUNT)];
        let mut tally = Tally::default();
        match &mut self.offload {
            Some(offload) => offload.send(&self.file, packets, &mut tally),
            None => packets.iter().for_each(|packet| tally.count(1, (&self.file).write(packet))),
        }
        self.counters.writes += tally.writes;
        self.counters.packets_written += tally.taken as u64;
        self.counters.write_drops += tally.refused as u64;
        match tally.error {
            Some(error) if tally.taken == 0 => Err(error),
            _ => Ok(tally.taken),
        }
    }

    fn attached(file: File, name: &str, flags: libc::c_int) -> Result<Tun, TunError> {
        let index = sys::index(name)?;
        let offload = if flags & libc::IFF_VNET_HDR != 0 {
            Some(
                Offload::negotiate(&file)
                    .map_err(|source| TunError::from_io("switch on the offloads of", name, source))?,
            )
        } else {
            None
        };
        Ok(Tun { file, name: name.to_owned(), index, flags, offload, counters: TunCounters::default() })
    }
}

impl Offload {
    fn negotiate(file: &File) -> io::Result<Offload> {
        let tcp = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6;
        let udp = libc::TUN_F_USO4 | libc::TUN_F_USO6; // refused as a whole before Linux 6.2
        let udp = sys::set_offload(file, tcp | udp).is_ok();
        if !udp {
            sys::set_offload(file, tcp)?;
        }
        let scratch = vec![0; SCRATCH_LEN];
        Ok(Offload { udp, scratch, scratch_len: 0, split: None, joiner: Joiner::default() })
    }

    fn fill(&mut self, file: &File, batch: &mut PacketBatch, counters: &mut TunCounters) -> io::Result<()> {
        loop {
            self.cut(batch, counters);
            if batch.vacant().is_none() {
                return Ok(());
            }
            self.scratch_len = (&*file).read(&mut self.scratch)?;
            counters.reads += 1;
            if self.take_in(batch).is_none() {
                counters.read_drops += 1;
            }
        }
    }

    /// Cuts the current super-packet until it or the batch is used up.
    fn cut(&mut self, batch: &mut PacketBatch, counters: &mut TunCounters) {
        let Some(split) = &mut self.split else { return };
        let packet = &self.scratch[VNET_LEN..self.scratch_len];
        while !split.is_done() {
            let Some(vacant) = batch.vacant() else { return };
            match split.next_into(packet, vacant) {
                Some(len) => batch.push(len),
                None => counters.read_drops += 1,
            }
        }
        self.split = None;
    }

    /// Looks at what was read: an ordinary packet goes into the batch, a super-packet is prepared for cutting. None
    /// when it has to be dropped.
    fn take_in(&mut self, batch: &mut PacketBatch) -> Option<()> {
        if self.scratch_len == SCRATCH_LEN {
            return None;
        }
        let (head, packet) = self.scratch[..self.scratch_len].split_first_chunk_mut::<VNET_LEN>()?;
        let vnet = VnetHeader::decode(*head)?;
        if vnet.gso != Gso::None {
            self.split = Some(Split::new(&vnet, packet)?);
            return Some(());
        }
        if vnet.partial_checksum && !complete_checksum(&vnet, packet) {
            return None;
        }
        let vacant = batch.vacant()?.get_mut(..packet.len())?;
        vacant.copy_from_slice(packet);
        batch.push(packet.len());
        Some(())
    }

    fn send(&mut self, mut file: &File, packets: &[&[u8]], tally: &mut Tally) {
        self.joiner.sort(packets, self.udp);
        for group in 0..self.joiner.group_count() {
            if self.joiner.is_joined(group) {
                let mut head = Head::default();
                let mut slices = [IoSlice::new(&[]); MAX_MEMBER_COUNT + 1];
                let slice_count = self.joiner.gather(group, packets, &mut head, &mut slices);
                let result = file.write_vectored(&slices[..slice_count]);
                if result.is_ok() {
                    tally.count(slice_count - 1, result);
                    continue;
                }
                // The kernel did not like the super-packet; its members may still pass one by one.
            }
            for member in self.joiner.members(group) {
                let plain = VnetHeader::PLAIN.encode(false);
                let slices = [IoSlice::new(&plain), IoSlice::new(packets[member])];
                tally.count(1, file.write_vectored(&slices));
            }
        }
    }
}

/// Without offloads a packet is read straight into its place. A spare byte behind it tells a truncated packet from
/// one that just fits.
fn fill_plain(mut file: &File, batch: &mut PacketBatch, counters: &mut TunCounters) -> io::Result<()> {
    while let Some(vacant) = batch.vacant() {
        let vacant_len = vacant.len();
        let mut spare = [0];
        let len = file.read_vectored(&mut [IoSliceMut::new(vacant), IoSliceMut::new(&mut spare)])?;
        counters.reads += 1;
        if len > vacant_len {
            counters.read_drops += 1;
        } else {
            batch.push(len);
        }
    }
    Ok(())
}

/// The outcome of one send.
#[derive(Debug, Default)]
struct Tally {
    writes: u64,
    taken: usize,
    refused: usize,
    error: Option<io::Error>,
}

impl Tally {
    fn count(&mut self, packet_count: usize, result: io::Result<usize>) {
        match result {
            Ok(_) => {
                self.writes += 1;
                self.taken += packet_count;
            }
            Err(error) => {
                self.refused += packet_count;
                self.error.get_or_insert(error);
            }
        }
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl AsRawFd for Tun {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}
