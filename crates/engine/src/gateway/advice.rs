//! MOVE_ADVICE: sessions are asked to go to another gateway, because this one is going to stop.
//!
//! A few sessions at a time, so that neither our queue of datagrams nor the gateways they go to are flooded. Each is
//! told twice, because nothing confirms advice, and again as long as a drain goes on; whoever misses all of it finds out
//! when this gateway falls silent.
use std::time::Duration;

use jumpvpn_events::{Reason, SessionLabel, Time};
use jumpvpn_wire::{AdvisedGateway, Frame, MAX_ADVISED, MoveAdvice};

use super::Gateway;

/// Sessions that are advised at once: half of the outbox, the rest is for answers.
const BATCH_COUNT: usize = 128;
/// Pause between two batches. 128 in 5 ms are 25,000 sessions in a second, which is what a second before the end of the
/// fence is for (docs/protocol.md, takeover).
const PAUSE: Duration = Duration::from_millis(5);
/// How often each session is told.
const ROUNDS: u32 = 2;
/// Sessions that a drain has not sent away are asked again, over this time: a client that was busy with its keys or its last move
/// did not listen, and is done with that in a second or two.
const AGAIN: Duration = Duration::from_secs(3);

/// Advice that is being given.
pub(super) struct Advice {
    reason: Reason,
    began: Time,
    /// Over which time we tell them.
    span: Duration,
    /// Over which time they shall go, counted from when they are told.
    window: Duration,
    /// When we stop.
    stops: Time,
    /// Slots that have been told so far, over all rounds.
    told: u32,
    /// When the next batch is due.
    due: Time,
}

impl Gateway {
    /// Asks every session to go elsewhere, spread over `span`; no session is born or taken over here from now on.
    pub(super) fn begin_drain(&mut self, span: Duration, now: Time) {
        self.draining = true;
        // They are told one after the other, so each may go at once.
        self.begin_advice(Reason::GatewayDraining, span, Duration::ZERO, now + span, now);
    }

    /// The right to act could not be renewed and ends with the present fence: the sessions are asked to go elsewhere
    /// while they still may believe us. Call it about a second before.
    pub fn handle_fence_ending(&mut self, now: Time) {
        let stops = self.core.fence.valid_until;
        let left = stops.since(now);
        self.begin_advice(Reason::FenceEnding, left / 2, left, stops, now);
    }

    /// The right to act was renewed after all: nobody needs to go.
    pub(super) fn end_advice_of_fence(&mut self) {
        let until = self.core.fence.valid_until;
        let renewed = |advice: &mut Advice| advice.reason == Reason::FenceEnding && until > advice.stops;
        self.advice.take_if(renewed);
    }

    fn begin_advice(&mut self, reason: Reason, span: Duration, window: Duration, stops: Time, now: Time) {
        self.advice = Some(Advice { reason, began: now, span, window, stops, told: 0, due: now });
    }

    /// When the next sessions are advised.
    pub(super) fn next_advice(&self) -> Option<Time> {
        self.advice.as_ref().map(|advice| advice.due)
    }

    /// Advises the sessions whose turn it is.
    pub(super) fn continue_advice(&mut self, now: Time) {
        let Some(advice) = self.advice.as_mut().filter(|advice| advice.due <= now) else { return };
        let slot_count = self.table.slot_count();
        let target = share(slot_count * ROUNDS, now.since(advice.began), advice.span);
        let from = advice.told;
        let mut batch = 0;
        let mut told = from;
        let mut chosen = [0; BATCH_COUNT];
        while told < target && batch < BATCH_COUNT {
            let slot = told % slot_count;
            told += 1;
            if self.table.session(slot).is_some() {
                chosen[batch] = slot;
                batch += 1;
            }
        }
        (advice.told, advice.due) = (told, now + PAUSE);
        let (reason, window, stops) = (advice.reason, advice.window, advice.stops);
        if told == slot_count * ROUNDS && now >= advice.began + advice.span || now >= stops {
            let again = reason == Reason::GatewayDraining && self.table.len() > 0;
            self.advice = again.then(|| Advice {
                reason,
                began: now,
                span: AGAIN,
                window: Duration::ZERO,
                stops: now + AGAIN,
                told: 0,
                due: now + PAUSE,
            });
        }
        for slot in &chosen[..batch] {
            let gateways = self.others_for(*slot);
            self.advise(*slot, reason, (window, stops), &gateways, now);
        }
    }

    /// Takes sessions again, and asks no more of them to go. Those that are on their way go.
    pub(super) fn end_drain(&mut self) {
        self.draining = false;
        self.advice.take_if(|advice| advice.reason == Reason::GatewayDraining);
    }

    /// Asks one session to go to that gateway now; whether it is here.
    pub(super) fn begin_handoff(&mut self, session: SessionLabel, to: AdvisedGateway, now: Time) -> bool {
        let found = self.table.iter().find(|(_, held)| held.label == session).map(|(slot, _)| slot);
        if let Some(slot) = found {
            self.advise(slot, Reason::GatewayDraining, (Duration::ZERO, now), &[to.encode()], now);
        }
        found.is_some()
    }

    /// Some of the other gateways; each session begins at another one, so that they share what comes.
    fn others_for(&self, slot: u32) -> Vec<[u8; AdvisedGateway::LEN]> {
        let others = self.core.cell.as_ref().map_or(&[][..], |cell| &cell.others);
        let first = slot as usize % others.len().max(1);
        others[first..].iter().chain(&others[..first]).take(MAX_ADVISED).map(AdvisedGateway::encode).collect()
    }

    /// `times`: over which time the clients shall go, and when we stop (`now` where that is not decided).
    fn advise(
        &mut self,
        slot: u32,
        reason: Reason,
        times: (Duration, Time),
        gateways: &[[u8; AdvisedGateway::LEN]],
        now: Time,
    ) {
        let Some(session) = self.table.session(slot) else { return };
        if session.check_right(&self.core.fence, now).is_err() {
            return;
        }
        session.advised = true;
        let advice = MoveAdvice::new(reason.number(), millis(times.0), millis(times.1.since(now)), gateways);
        self.send_frames(slot, &[Frame::MoveAdvice(advice)]);
    }
}

/// How many of `total` shall be done when `elapsed` of `span` is over.
fn share(total: u32, elapsed: Duration, span: Duration) -> u32 {
    let part = u128::from(total) * elapsed.as_nanos() / span.as_nanos().max(1);
    u32::try_from(part).unwrap_or(u32::MAX).min(total)
}

fn millis(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
