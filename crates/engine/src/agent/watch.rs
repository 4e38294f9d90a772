//! Is the active path alive?
//!
//! While traffic flows, an unusual silence, a missing heartbeat answer or the gateway's report that it hears
//! nothing raises a *suspicion*. A suspicion asks: three pings on the path in doubt, a probe on the others, all at
//! once. Only pings that stay unanswered for a probe timeout (RFC 9002 §6.2) make a path dead, so a sender that
//! pauses costs three small packets and nothing else.
use std::time::Duration;

use jumpvpn_events::{Reason, State, Time};
use jumpvpn_policy::{Cause, Detection, Health};
use jumpvpn_session::Trigger;
use jumpvpn_wire::{Frame, Heartbeat, HeartbeatAck, ReceiveReport};

use super::Core;
use super::live::{Live, Stage};
use super::path::Paths;
use super::probe::ProbeOrder;

/// Pings of a suspicion are this far apart, so that one burst of loss does not take them all.
const PING_SPACING: Duration = Duration::from_millis(5);
/// Heartbeats remembered as unanswered; at 250 ms between them this is 4 s, longer than any probe timeout.
const BEAT_COUNT: usize = 16;
/// What was sent is sampled at most this often, for judging reports.
const SAMPLE_SPACING: Duration = Duration::from_millis(4);
/// Samples kept: 64 × 4 ms cover a round trip of a quarter of a second at full rate.
const SAMPLE_COUNT: usize = 64;
/// Most that a stall of our own adds to a verdict.
const FORGIVEN_MAX: Duration = Duration::from_millis(100);
/// After a suspicion was cleared, or the path was bound, no new one for a while: at least this long.
const QUIET_MIN: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, Default)]
struct Beat {
    seq: u32,
    sent: Time,
}

#[derive(Clone, Copy, Debug)]
struct Suspicion {
    since: Time,
    reason: Reason,
    /// What was heard or acknowledged last before the doubt, for the time it took to notice.
    last_sign: Time,
    pings: u16,
    next_ping: Time,
    /// Set with the last ping.
    deadline: Option<Time>,
}

/// The watch over one binding.
pub(crate) struct Watch {
    beats: [Option<Beat>; BEAT_COUNT],
    last_beat: Time,
    suspicion: Option<Suspicion>,
    quiet_until: Time,
    samples: [(Time, u64); SAMPLE_COUNT],
    sample_next: usize,
    last_sample: Time,
    last_sent: Option<Time>,
    last_ack: Option<Time>,
    /// A rebinding was refused although nothing arrives: no change of address explains the silence until
    /// something does.
    rebind_refused: bool,
}

impl Watch {
    /// A watch over a binding that was bound `now`.
    pub fn new(now: Time) -> Watch {
        Watch {
            beats: [None; BEAT_COUNT],
            last_beat: Time::ZERO,
            suspicion: None,
            quiet_until: now + QUIET_MIN,
            samples: [(Time::ZERO, 0); SAMPLE_COUNT],
            sample_next: 0,
            last_sample: Time::ZERO,
            last_sent: None,
            last_ack: None,
            rebind_refused: false,
        }
    }

    /// A user packet left; `position` is the number of the next one.
    pub fn note_sent(&mut self, position: u64, now: Time) {
        self.last_sent = Some(now);
        if now.since(self.last_sample) >= SAMPLE_SPACING {
            self.last_sample = now;
            self.samples[self.sample_next] = (now, position);
            self.sample_next = (self.sample_next + 1) % SAMPLE_COUNT;
        }
    }

    /// When the latest answered heartbeat was sent: everything before it has arrived.
    pub fn last_acknowledged(&self) -> Option<Time> {
        self.last_ack
    }

    /// Our outer address changed: silence is explained, the path is not dead.
    pub fn address_changed(&mut self, now: Time) {
        self.suspicion = None;
        self.beats = [None; BEAT_COUNT];
        // Long enough for a probe, a hold and the request.
        self.quiet_until = now + Duration::from_millis(400);
    }

    /// Whether the gateway refuses to rebind a path on which nothing arrives.
    pub fn is_rebind_refused(&self) -> bool {
        self.rebind_refused
    }

    /// New keys, new numbers: what was sent before cannot be judged by reports to come.
    pub fn restart(&mut self, now: Time) {
        *self = Watch { last_sent: self.last_sent, ..Watch::new(now) };
    }

    /// We did not run for `late`: what looks like silence may be our own. Whoever is doubted gets that time on top.
    pub fn forgive(&mut self, late: Duration, now: Time) {
        let grace = late.min(FORGIVEN_MAX);
        self.quiet_until = self.quiet_until.max(now + grace);
        if let Some(deadline) = self.suspicion.as_mut().and_then(|suspicion| suspicion.deadline.as_mut()) {
            *deadline += grace;
        }
    }

    /// Earliest time at which something was sent that is not covered by `highest` (position + 1 received).
    fn unreceived_since(&self, highest: u64) -> Option<Time> {
        self.samples
            .iter()
            .filter(|(at, position)| *at > Time::ZERO && *position > highest + 1)
            .map(|(at, _)| *at)
            .min()
    }

    fn oldest_beat(&self) -> Option<Beat> {
        self.beats.iter().flatten().copied().min_by_key(|beat| beat.sent)
    }
}

impl Live {
    /// An authentic packet of the active binding arrived.
    pub(super) fn note_heard(&mut self, core: &mut Core, paths: &mut Paths, key: u32, now: Time) {
        self.active.heard = now;
        self.watch.rebind_refused = false;
        let Some(path) = paths.by_key_mut(key) else { return };
        if self.recovering_since.is_some() {
            // It may be deaf in the other direction still: only an answer shows that it is back.
            let asked = self.watch.last_beat + path.rtt.timeout() > now;
            if key == self.active.path && !asked {
                self.send_beat(core, paths, now);
            }
        } else if path.health != Health::Alive && path.up && self.watch.suspicion.is_none() {
            path.note_alive(&core.config.policy, now);
        }
    }

    /// An answer to a heartbeat: the path lives in both directions.
    pub(super) fn handle_ack(&mut self, core: &mut Core, paths: &mut Paths, ack: &HeartbeatAck, now: Time) {
        self.active.channel.traffic.send.confirm_generation(ack.generation_seen);
        let found = self.watch.beats.iter_mut().find(|slot| slot.is_some_and(|beat| beat.seq == ack.seq));
        let Some(beat) = found.and_then(Option::take) else { return };
        let rtt = now.since(beat.sent).saturating_sub(Duration::from_micros(u64::from(ack.delay_us)));
        self.watch.last_ack = Some(self.watch.last_ack.map_or(beat.sent, |last| last.max(beat.sent)));
        for slot in &mut self.watch.beats {
            // An answer to a later one covers those before: they were lost or are late, the path is alive.
            *slot = slot.filter(|other| other.sent > beat.sent);
        }
        if self.recovering_since.is_some_and(|since| beat.sent >= since) && !self.is_jumping() {
            self.recovered(core, now);
        }
        if self.watch.suspicion.is_some_and(|suspicion| beat.sent >= suspicion.since) {
            self.watch.suspicion = None;
            self.watch.quiet_until = now + (rtt * 2).max(QUIET_MIN);
        }
        let window = core.config.policy.volatility.loss_window;
        let recv = &self.active.channel.traffic.recv;
        let (highest, received) = (recv.highest().unwrap_or(0), recv.received_count());
        let Some(path) = paths.by_key_mut(self.active.path) else { return };
        path.rtt.update(rtt);
        path.note_alive(&core.config.policy, now);
        path.loss_up.update_from(now, ack.report.highest, ack.report.received, window);
        path.loss_down.update_from(now, highest, received, window);
    }

    /// The gateway says what it has heard. When things we sent more than a round trip ago are missing, our
    /// packets vanish although its packets arrive.
    pub(super) fn judge_report(
        &mut self,
        core: &mut Core,
        paths: &mut Paths,
        report: &ReceiveReport,
        now: Time,
    ) {
        if report.path_id != self.active.path_id.0 || self.watch.suspicion.is_some() {
            return;
        }
        let Some(path) = paths.by_key(self.active.path) else { return };
        let Some(missing) = self.watch.unreceived_since(report.highest) else { return };
        let min_silence = core.config.policy.volatility.detection.min_silence;
        if now.since(missing) > path.rtt.smoothed_or_initial() + min_silence / 2 {
            self.suspect(core, paths, Reason::PathSilentUplink, missing, now);
        }
    }

    /// A jump under way or a recovery asks every path anyway.
    fn may_doubt(&self) -> bool {
        !self.is_jumping() && self.recovering_since.is_none()
    }

    /// Raises a suspicion: ask the path in doubt, ask the others, decide later.
    fn suspect(&mut self, core: &mut Core, paths: &mut Paths, reason: Reason, last_sign: Time, now: Time) {
        if now < self.watch.quiet_until || !self.may_doubt() {
            return;
        }
        self.watch.suspicion =
            Some(Suspicion { since: now, reason, last_sign, pings: 0, next_ping: now, deadline: None });
        self.ask_others(core, paths, now);
        // A rebound address looks like silence too; this probe shows it and asks the old address meanwhile.
        self.send_probe(core, paths, self.active.path, ProbeOrder { urgent: true, rebind: true }, now);
    }

    /// The gateway did not rebind the path. When nothing has arrived since it was `asked`, the old address does not
    /// work, whoever speaks for it: the pings decide at once, and hints put their verdict off no longer.
    pub(super) fn doubt_refused_rebind(
        &mut self,
        core: &mut Core,
        paths: &mut Paths,
        asked: Time,
        now: Time,
    ) {
        let last_sign = self.active.heard;
        if last_sign >= asked {
            return;
        }
        self.watch.rebind_refused = true;
        self.watch.quiet_until = now;
        self.suspect(core, paths, Reason::PathSilent, last_sign, now);
    }

    /// Asks every other path for a sign of life and a fresh ticket.
    pub(super) fn ask_others(&mut self, core: &mut Core, paths: &mut Paths, now: Time) {
        let asked: Vec<u32> = paths
            .iter()
            .filter(|path| path.up && path.key != self.active.path && path.probe.is_none())
            // A dead one is asked every second anyway.
            .filter(|path| path.health != Health::Dead)
            .map(|path| path.key)
            .take(usize::from(core.config.policy.transport.max_candidate_count))
            .collect();
        for key in asked {
            self.send_probe(core, paths, key, ProbeOrder { urgent: true, rebind: false }, now);
        }
    }

    /// Heartbeats, pings and deadlines that are due.
    pub(super) fn run_watch(&mut self, core: &mut Core, paths: &mut Paths, now: Time) {
        if self.stage != Stage::Ready {
            return;
        }
        if self.watch.suspicion.is_none() && self.may_doubt() && now >= self.watch.quiet_until {
            self.look_for_doubt(core, paths, now);
        }
        if let Some(suspicion) = self.watch.suspicion {
            self.run_suspicion(core, paths, suspicion, now);
        }
        if self.beat_due(core) <= now {
            self.send_beat(core, paths, now);
        }
        self.heed_refusal(core, paths, now);
    }

    fn look_for_doubt(&mut self, core: &mut Core, paths: &mut Paths, now: Time) {
        let detection = &core.config.policy.volatility.detection;
        let timeout = paths.by_key(self.active.path).map(|path| path.rtt.timeout());
        let silent = self.silence_deadline(detection).is_some_and(|due| due <= now);
        let unanswered =
            self.watch.oldest_beat().filter(|beat| timeout.is_some_and(|timeout| beat.sent + timeout <= now));
        if silent {
            let last_sign = self.active.heard;
            self.suspect(core, paths, Reason::PathSilent, last_sign, now);
        } else if let Some(beat) = unanswered {
            let heard = self.active.heard > beat.sent;
            let reason = if heard { Reason::PathSilentUplink } else { Reason::PathSilent };
            self.suspect(core, paths, reason, beat.sent, now);
        }
    }

    /// When silence becomes a doubt: only once per silence.
    fn silence_deadline(&self, detection: &Detection) -> Option<Time> {
        let due = self.active.spacing.deadline(detection.min_silence, detection.max_silence)?;
        // A ping sent after that time and answered explains the silence: the sender pauses.
        let explained = self.watch.last_ack.is_some_and(|ack| ack >= due);
        (!explained).then_some(due.max(self.watch.quiet_until))
    }

    fn run_suspicion(&mut self, core: &mut Core, paths: &mut Paths, mut suspicion: Suspicion, now: Time) {
        let count = core.config.policy.volatility.detection.ping_count;
        if suspicion.pings < count && suspicion.next_ping <= now {
            suspicion.pings += 1;
            suspicion.next_ping = now + PING_SPACING;
            self.send_beat(core, paths, now);
            if suspicion.pings == count {
                let timeout = paths.by_key(self.active.path).map_or(PING_SPACING, |path| path.rtt.timeout());
                suspicion.deadline = Some(now + timeout);
            }
            self.watch.suspicion = Some(suspicion);
        }
        if suspicion.deadline.is_some_and(|deadline| deadline <= now) {
            self.watch.suspicion = None;
            let detect = now.since(suspicion.last_sign);
            self.path_died(core, paths, suspicion.reason, detect, now);
        }
    }

    /// Sends a heartbeat now.
    pub(super) fn send_beat(&mut self, core: &mut Core, paths: &Paths, now: Time) {
        self.watch.last_beat = now;
        self.heartbeat_seq = self.heartbeat_seq.wrapping_add(1);
        let seq = self.heartbeat_seq;
        let oldest = self.watch.beats.iter_mut().min_by_key(|slot| slot.map_or(Time::ZERO, |beat| beat.sent));
        if let Some(slot) = oldest {
            *slot = Some(Beat { seq, sent: now });
        }
        let beat = Heartbeat { seq, sent_us: now.as_nanos() / 1000, report: self.active.report(now) };
        self.send_frames(core, paths, &[Frame::Heartbeat(beat)]);
    }

    /// When the next heartbeat is due: soon if user packets flowed since the last one, else to keep the session
    /// and the NAT mapping alive.
    fn beat_due(&self, core: &Core) -> Time {
        let policy = &core.config.policy;
        let idle = policy.session.keepalive_idle.min(self.limits.idle_ttl / 3);
        let in_use = core.last_use > self.watch.last_beat || self.recovering_since.is_some();
        self.watch.last_beat + if in_use { policy.volatility.heartbeat_interval.min(idle) } else { idle }
    }

    /// When the watch wants to run next.
    pub(super) fn next_watch_due(&self, core: &Core, paths: &Paths) -> Option<Time> {
        if self.stage != Stage::Ready {
            return None;
        }
        let detection = &core.config.policy.volatility.detection;
        let due = self.beat_due(core);
        match &self.watch.suspicion {
            Some(suspicion) => {
                let pinging = suspicion.pings < detection.ping_count;
                Some(due.min(if pinging { suspicion.next_ping } else { suspicion.deadline.unwrap_or(due) }))
            }
            None => {
                if !self.may_doubt() {
                    return Some(due);
                }
                let timeout = paths.by_key(self.active.path).map(|path| path.rtt.timeout());
                let beat = self.watch.oldest_beat().zip(timeout).map(|(beat, timeout)| beat.sent + timeout);
                let beat = beat.map(|due| due.max(self.watch.quiet_until));
                let silence = self.silence_deadline(detection);
                Some([beat, silence].into_iter().flatten().fold(due, Time::min))
            }
        }
    }

    /// The active path is dead: the session becomes VOLATILE and the policy decides where to go.
    pub(super) fn path_died(
        &mut self,
        core: &mut Core,
        paths: &mut Paths,
        reason: Reason,
        detect: Duration,
        now: Time,
    ) {
        if let Some(path) = paths.by_key_mut(self.active.path) {
            path.note_dead(&core.config.policy, now);
        }
        if self.is_newborn() {
            // Not yet carrying anything: a new handshake is cheaper than a rescue.
            return self.finish(reason, false);
        }
        if self.stage == Stage::Claiming {
            return self.claim_failed(core, paths, reason, now);
        }
        if self.state() == State::Attached {
            self.transition(core, Trigger::Suspect, reason, now);
        }
        if !self.is_jumping() {
            self.decide(core, paths, Cause::DeadPath(reason), detect, now);
        }
    }

    /// Whether the session's path is doubted or lost at the moment.
    pub(super) fn is_in_doubt(&self) -> bool {
        let asks = self.watch.suspicion.is_some() || self.is_jumping();
        asks || self.recovering_since.is_some() || self.stage == Stage::Claiming
    }
}
