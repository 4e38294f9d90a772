//! The signed list of gateways, pulled from the own gateway part by part.
//!
//! Here it is a number and bytes. Whether it is signed, holds now and is newer is judged by who asked for it
//! ([`super::Agent::follow_list`]), and said by [`super::Agent::handle_list`]; nothing of it changes whom this agent talks to.
use std::time::Duration;

use jumpvpn_events::{EventKind, Reason, Time};
use jumpvpn_wire::{Frame, ListPart};

use super::live::{Live, Stage};
use super::path::Paths;
use super::takeover::jitter;
use super::{Agent, Core, Phase, bare_event};

/// The first question comes up to this much after a session is there or has another owner, at random: a gateway that was started
/// again has all its clients at once, and each of them pulls some fifteen parts.
const ASK_WITHIN: Duration = Duration::from_secs(30);
/// Then a newer list is asked for after this time, half of it at least: a gateway reads its list when it starts, which clients
/// notice by themselves.
const LOOK_PERIOD: Duration = Duration::from_secs(3600);
/// A part that does not come is asked for again after this time, then doubling: a round trip of most paths is far shorter.
const PART_PAUSE: Duration = Duration::from_secs(1);
/// How often one part is asked for: at once, and after 1, 3, 7 and 15 s. A gateway that knows no lists never answers.
const ASK_COUNT: u32 = 5;

/// A list on its way.
#[derive(Default)]
pub(crate) struct Listing {
    /// When something is asked for next; nothing as long as nobody wants lists.
    next: Option<Time>,
    /// How often the next part has been asked for.
    asked: u32,
    /// What has come: the list's number, its length, and its beginning, at most `LIST_MAX_LEN` bytes.
    serial: u64,
    len: usize,
    gathered: Vec<u8>,
}

impl Listing {
    fn forget(&mut self) {
        self.asked = 0;
        self.gathered = Vec::new();
    }
}

impl Live {
    /// The gateway is a new one, or the same one anew: it may have another list.
    pub(super) fn begin_listing(&mut self, core: &mut Core, now: Time) {
        self.listing.forget();
        self.listing.next = core.list_above.map(|_| now + jitter(core, ASK_WITHIN));
    }

    /// When [`Live::run_listing`] has something to do.
    pub(super) fn next_listing_due(&self) -> Option<Time> {
        self.listing.next.filter(|_| self.stage == Stage::Ready)
    }

    /// Asks for the next part, and gives up after some times.
    pub(super) fn run_listing(&mut self, core: &mut Core, paths: &Paths, now: Time) {
        if self.next_listing_due().is_some_and(|due| due <= now) {
            if self.listing.asked == ASK_COUNT { self.rest(core, now) } else { self.ask(core, paths, now) }
        }
    }

    fn ask(&mut self, core: &mut Core, paths: &Paths, now: Time) {
        let Some(above) = core.list_above else { return self.listing.next = None };
        let offset = u32::try_from(self.listing.gathered.len()).unwrap_or(u32::MAX);
        self.listing.next = Some(now + PART_PAUSE * (1 << self.listing.asked));
        self.listing.asked += 1;
        self.send_frames(core, paths, &[Frame::ListWant { above, offset }]);
    }

    /// Until the next look.
    fn rest(&mut self, core: &mut Core, now: Time) {
        self.listing.forget();
        self.listing.next = Some(now + LOOK_PERIOD / 2 + jitter(core, LOOK_PERIOD / 2));
    }

    /// LIST_PART. Taken only where it was asked for, and in order.
    pub(super) fn handle_list_part(
        &mut self,
        core: &mut Core,
        paths: &Paths,
        part: &ListPart<'_>,
        now: Time,
    ) {
        let Some(above) = core.list_above.filter(|_| self.listing.asked > 0) else { return };
        if part.list_len() == 0 || part.serial() <= above {
            return self.rest(core, now);
        }
        let listing = &mut self.listing;
        if listing.gathered.is_empty() {
            (listing.serial, listing.len) = (part.serial(), part.list_len());
        } else if (listing.serial, listing.len) != (part.serial(), part.list_len()) {
            // A gateway has one list as long as it runs. What comes of another one is not begun at once, or it could have us ask
            // without an end.
            return self.rest(core, now);
        }
        if part.offset() != listing.gathered.len() {
            // A copy of one that was taken comes late; what is missing is asked for when its time comes.
            return;
        }
        listing.gathered.extend_from_slice(part.bytes());
        listing.asked = 0;
        if listing.gathered.len() == listing.len {
            core.listed = Some(std::mem::take(&mut listing.gathered));
            self.rest(core, now);
        } else {
            self.ask(core, paths, now);
        }
    }
}

impl Agent {
    /// From now on lists of gateways with a serial above this one are pulled from whoever serves the session.
    pub fn follow_list(&mut self, above: u64) {
        self.core.list_above = Some(above);
    }

    /// A list that was pulled, whole. What it is worth is to be told to [`Agent::handle_list`].
    pub fn poll_list(&mut self) -> Option<Vec<u8>> {
        self.core.listed.take()
    }

    /// What became of a list that was pulled: whether it was kept, and the serial that only higher ones are newer than.
    pub fn handle_list(&mut self, kept: bool, above: u64, now: Time) {
        self.core.list_above = Some(above);
        let reason = if kept { Reason::ListKept } else { Reason::ListRefused };
        let kind = EventKind::GatewayList { serial: above };
        match &self.phase {
            Phase::Live(live) => live.event(&mut self.core, reason, kind, now),
            _ => self.core.event(bare_event(reason, kind, now)),
        }
    }
}
