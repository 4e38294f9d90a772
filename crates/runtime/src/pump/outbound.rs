//! From the TUN device to the sockets.
//!
//! A batch is sealed as a whole, then sent in runs: neighbours of equal length that go the same way leave with one
//! system call. When a socket is full the rest of the batch waits and the TUN device is not read: its queue fills up and
//! the inner senders slow down, instead of having their packets dropped here.

use std::io;

use jumpvpn_engine::{SocketKey, Transmit};
use jumpvpn_events::{DropCounters, Reason, Time};
use jumpvpn_tun::{PacketBatch, Tun};

use super::Engine;
use super::sockets::{Sent, Sockets};
use crate::clock;

/// Packets read at a time: two super-packets of the kernel at a common MTU, and about what fits a UDP send buffer.
const BATCH_COUNT: usize = 128;
/// Largest inner packet read: the TUN device's MTU never exceeds that of an Ethernet jumbo frame.
const PACKET_MAX_LEN: usize = 9216;

/// The batch of packets that is being worked on.
pub(super) struct Outbound {
    batch: PacketBatch,
    /// Where each packet of the batch goes; `None` for those the engine refused.
    transmits: Vec<Option<Transmit>>,
    /// The first packet that is not sent yet.
    next: usize,
    /// Whose room is waited for.
    stalled_on: Option<SocketKey>,
}

impl Outbound {
    pub(super) fn new() -> Outbound {
        Outbound {
            batch: PacketBatch::new(BATCH_COUNT, PACKET_MAX_LEN),
            transmits: Vec::with_capacity(BATCH_COUNT),
            next: 0,
            stalled_on: None,
        }
    }

    /// Whether packets wait for room in a socket.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled_on.is_some()
    }

    /// Reads the next batch. Only when nothing of the last one is left.
    ///
    /// # Errors
    /// The TUN device's; `WouldBlock` when it has nothing.
    pub(super) fn read(&mut self, tun: &mut Tun) -> io::Result<usize> {
        self.transmits.clear();
        self.next = 0;
        tun.try_recv(&mut self.batch)
    }

    /// Seals every packet of the batch in place.
    pub(super) fn seal(&mut self, engine: &mut impl Engine, now: Time) {
        engine.foresee_packets(self.batch.packets());
        for mut packet in self.batch.packets_mut() {
            self.transmits.push(engine.handle_packet(packet.buffer_mut(), now).ok());
        }
    }

    /// Sends what is sealed; true when nothing is left.
    pub(super) fn flush(
        &mut self,
        engine: &mut impl Engine,
        sockets: &mut Sockets,
        drops: &mut DropCounters,
    ) -> bool {
        if let Some(socket) = self.stalled_on.take_if(|socket| sockets.is_blocked(*socket)) {
            if engine.outbound_socket().is_none_or(|now| now == socket) {
                self.stalled_on = Some(socket);
                return false;
            }
            // The engine has moved on: nothing may wait for a link that takes nothing any more.
            let left = self.transmits[self.next..].iter().flatten().count();
            drops.add(Reason::QueueFull, left as u64);
            self.next = self.transmits.len();
        }
        self.stalled_on = None;
        while self.next < self.transmits.len() {
            let Some(transmit) = self.transmits[self.next] else {
                self.next += 1;
                continue;
            };
            let end = run_end(&self.transmits, self.next);
            let count = end - self.next;
            let bytes = self.batch.joined(self.next..end);
            match sockets.send(&transmit, bytes, (count > 1).then_some(transmit.len)) {
                Sent::All => self.next = end,
                Sent::Blocked { sent_len } => {
                    self.next += sent_len / transmit.len;
                    self.stalled_on = Some(transmit.socket);
                    return false;
                }
                Sent::Gone => {
                    // The engine keeps what was sent last and repeats it over the next path.
                    engine.handle_path_gone(transmit.socket, clock::now());
                    drops.add(Reason::SendError, count as u64);
                    self.next = end;
                }
                Sent::Failed(reason) => {
                    drops.record(reason);
                    self.next += 1;
                }
            }
        }
        true
    }
}

/// The end of the run that begins at `start`: same way, same length, the last one may be shorter.
fn run_end(transmits: &[Option<Transmit>], start: usize) -> usize {
    let Some(Some(first)) = transmits.get(start) else { return start };
    let same_way = |other: &Transmit| {
        (other.socket, other.destination, other.source) == (first.socket, first.destination, first.source)
    };
    let mut end = start + 1;
    while let Some(Some(next)) = transmits.get(end) {
        if !same_way(next) || next.len > first.len {
            break;
        }
        end += 1;
        if next.len < first.len {
            break;
        }
    }
    end
}

#[cfg(test)]
mod tests;
