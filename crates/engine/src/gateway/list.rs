//! The signed list of gateways that clients are offered. Here it is a number and bytes; who gets it judges it.
use jumpvpn_events::{Reason, Time};
use jumpvpn_wire::{Frame, LIST_MAX_LEN, ListPart};

use super::Gateway;
use crate::sketch::Bucket;

/// Parts that all clients together get in a second, and at once: 2 MB, which is little beside what a gateway passes on, and enough for
/// 10,000 clients with 15 parts each in 75 s.
const PART_RATE: (u32, u32) = (2_000, 200);

/// A list on offer.
pub(crate) struct OfferedList {
    serial: u64,
    bytes: Vec<u8>,
    /// Parts for everybody; what each client may ask has its own limit.
    parts: Bucket,
}

impl Gateway {
    /// Offers clients a list of gateways from now on. One longer than [`LIST_MAX_LEN`] bytes cannot be sent, and is not.
    pub fn offer_list(&mut self, serial: u64, bytes: Vec<u8>) {
        let parts = Bucket::new(PART_RATE.0, PART_RATE.1);
        self.core.list =
            (bytes.len() <= LIST_MAX_LEN).then(|| Box::new(OfferedList { serial, bytes, parts }));
    }

    /// LIST_WANT: the part from there on, or that there is no newer list.
    pub(super) fn answer_list_want(&mut self, slot: u32, above: u64, offset: u32, now: Time) {
        let Some(mut list) = self.core.list.take() else {
            return self.send_frames(slot, &[Frame::ListPart(ListPart::none(0))]);
        };
        if list.parts.take(now) {
            let part =
                if list.serial > above { ListPart::of(list.serial, &list.bytes, offset) } else { None };
            let part = part.unwrap_or(ListPart::none(list.serial));
            self.send_frames(slot, &[Frame::ListPart(part)]);
        } else {
            self.core.counters.drops.record(Reason::RateLimited);
        }
        self.core.list = Some(list);
    }
}
