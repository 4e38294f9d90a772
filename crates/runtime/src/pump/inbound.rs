//! From the sockets to the TUN device.

use jumpvpn_engine::{Received, SocketKey};
use jumpvpn_events::{DropCounters, Reason, Time};
use jumpvpn_transport::{DatagramBatch, MAX_BATCH_COUNT};
use jumpvpn_tun::Tun;

use super::{DATAGRAMS_PER_DRAIN, Engine, Sockets, transmit};

/// The batch of datagrams that is being worked on.
pub(super) struct Inbound {
    batch: DatagramBatch,
    socket: SocketKey,
}

impl Inbound {
    pub(super) fn new() -> Inbound {
        Inbound { batch: DatagramBatch::new(MAX_BATCH_COUNT), socket: SocketKey(0) }
    }

    /// Reads one batch from the socket at `index`; false if there is none.
    pub(super) fn receive(&mut self, sockets: &mut Sockets, index: usize) -> bool {
        match sockets.receive(index, &mut self.batch) {
            Some(socket) => {
                self.socket = socket;
                true
            }
            None => false,
        }
    }

    /// Datagrams of the batch.
    pub(super) fn count(&self) -> usize {
        self.batch.count()
    }

    /// Gives the datagrams to the engine and the packets in them to the TUN device. The engine's answers are sent in
    /// between, as its output queue is made for so many datagrams at a time.
    pub(super) fn deliver(
        &mut self,
        engine: &mut impl Engine,
        sockets: &mut Sockets,
        tun: &mut Tun,
        scratch: &mut [u8],
        drops: &mut DropCounters,
        now: Time,
    ) {
        engine.foresee(self.batch.heads());
        let mut packets: [&[u8]; DATAGRAMS_PER_DRAIN] = [&[]; DATAGRAMS_PER_DRAIN];
        let mut datagrams = self.batch.datagrams_mut();
        loop {
            let mut packet_count = 0;
            let mut datagram_count = 0;
            for datagram in datagrams.by_ref().take(DATAGRAMS_PER_DRAIN) {
                datagram_count += 1;
                let (source, local, bytes) = (datagram.source, datagram.destination, datagram.bytes);
                if let Received::Packet(range) =
                    engine.handle_datagram(self.socket, source, local, bytes, now)
                {
                    packets[packet_count] = &bytes[range];
                    packet_count += 1;
                }
            }
            send_to_tun(tun, &packets[..packet_count], drops);
            if datagram_count < DATAGRAMS_PER_DRAIN {
                return;
            }
            transmit(engine, sockets, scratch, drops, now);
        }
    }
}

/// Hands packets to this machine. Its queue is the receiver's socket buffer, so waiting here would only move the drop.
fn send_to_tun(tun: &mut Tun, packets: &[&[u8]], drops: &mut DropCounters) {
    let mut rest = packets;
    while !rest.is_empty() {
        match tun.try_send(rest) {
            Ok(count) if count > 0 => rest = &rest[count.min(rest.len())..],
            Ok(_) | Err(_) => {
                // The first one is refused; those behind it may do.
                drops.record(Reason::TunError);
                rest = &rest[1..];
            }
        }
    }
}
