//! Sessions in bad weather, in virtual time: links that come and go in every rhythm, and an agent that asks
//! [`choose`] at every step and does what it says. No weather may break the bounds.

use proptest::prelude::*;

use super::*;
use crate::{AdmitCause, Flaps, admit};

/// Granularity of the simulated time.
const TICK_MS: u64 = 50;

/// How long a link must be down before its path is called dead, as a tuned detector would.
const DETECT_MS: u64 = 100;

/// Between two measurements of all paths.
const SAMPLE_MS: u64 = 500;

/// A link that is bad for `bad_ms` out of every `period_ms`.
#[derive(Clone, Copy, Debug)]
struct Rhythm {
    period_ms: u64,
    bad_ms: u64,
    phase_ms: u64,
    trouble: Trouble,
    rtt_ms: u64,
}

/// What "bad" means.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    Blackout,
    Loss,
    Delay,
}

impl Rhythm {
    const STEADY: Rhythm =
        Rhythm { period_ms: 1_000, bad_ms: 0, phase_ms: 0, trouble: Trouble::Blackout, rtt_ms: 30 };

    fn is_bad(&self, now_ms: u64) -> bool {
        (now_ms + self.phase_ms) % self.period_ms < self.bad_ms
    }
}

/// A path as the agent knows it.
struct Link {
    rhythm: Rhythm,
    view: PathView,
    flaps: Flaps,
    bad_since: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Jump {
    at_ms: u64,
    to: u32,
    dead: bool,
}

/// What came of it.
#[derive(Debug, Default, PartialEq)]
struct Log {
    jumps: Vec<Jump>,
    denials: u32,
    /// Longest time on a dead path although another one worked and the limit was not reached.
    stuck_ms: u64,
    ended: Option<Reason>,
}

struct Session {
    policy: Policy,
    links: Vec<Link>,
    active: usize,
    history: SwitchHistory,
    log: Log,
}

impl Session {
    fn new(policy: Policy, rhythms: &[Rhythm]) -> Session {
        let link = |(id, rhythm): (usize, &Rhythm)| {
            let mut flaps = Flaps::new();
            flaps.record_up(&policy, Time::ZERO);
            let view = PathView { rtt: Some(Duration::from_millis(rhythm.rtt_ms)), ..good(id as u32) };
            Link { rhythm: *rhythm, view, flaps, bad_since: None }
        };
        let links = rhythms.iter().enumerate().map(link).collect();
        Session { policy, links, active: 0, history: SwitchHistory::new(), log: Log::default() }
    }

    fn run(mut self, millis: u64) -> Log {
        let mut stuck = 0;
        for now_ms in (0..millis).step_by(TICK_MS as usize) {
            self.observe(now_ms);
            if now_ms.is_multiple_of(SAMPLE_MS) {
                let (active, others) = self.views();
                self.history.record_sample(&self.policy, at(now_ms), &active, &others);
            }
            self.act(now_ms);
            if self.log.ended.is_some() {
                break;
            }
            stuck = if self.is_stuck(now_ms) { stuck + TICK_MS } else { 0 };
            self.log.stuck_ms = self.log.stuck_ms.max(stuck);
        }
        self.log
    }

    fn observe(&mut self, now_ms: u64) {
        for link in &mut self.links {
            let bad = link.rhythm.is_bad(now_ms);
            link.bad_since = if bad { link.bad_since.or(Some(now_ms)) } else { None };
            let bad_for = link.bad_since.map_or(0, |since| now_ms - since);
            let view = &mut link.view;
            view.loss_permille = if bad && link.rhythm.trouble == Trouble::Loss { 400 } else { 0 };
            let slower = if bad && link.rhythm.trouble == Trouble::Delay { 10 } else { 1 };
            view.rtt = Some(Duration::from_millis(link.rhythm.rtt_ms * slower));
            let health = match (bad && link.rhythm.trouble == Trouble::Blackout, bad_for >= DETECT_MS) {
                (false, _) => Health::Alive,
                (true, false) => Health::Suspect,
                (true, true) => Health::Dead,
            };
            match (view.health, health) {
                (Health::Dead, Health::Alive) => link.flaps.record_up(&self.policy, at(now_ms)),
                (Health::Alive | Health::Suspect, Health::Dead) => {
                    link.flaps.record_down(&self.policy, at(now_ms))
                }
                _ => {}
            }
            view.health = health;
            view.flap_count = link.flaps.count();
            view.held_until = link.flaps.held_until();
        }
    }

    fn act(&mut self, now_ms: u64) {
        let (active, others) = self.views();
        let cause = match active.health {
            Health::Dead => SILENT,
            _ if active.loss_permille > 200 => LOSS,
            _ => Cause::Improvement,
        };
        let ask = || choose(&self.policy, at(now_ms), Some(&active), &others, cause, &self.history, None);
        let verdict = ask();
        assert_eq!(verdict, ask(), "the same question twice");
        match verdict {
            Verdict::Switch { to, .. } => self.jump(now_ms, to, active.health == Health::Dead),
            Verdict::Deny { retry_after, .. } => {
                assert!(!retry_after.is_zero());
                self.history.record_denial(at(now_ms));
                self.log.denials += 1;
            }
            Verdict::Terminate(reason) => self.log.ended = Some(reason),
            Verdict::Stay(_) | Verdict::Degrade(_) => {}
        }
    }

    fn jump(&mut self, now_ms: u64, to: u32, dead: bool) {
        let target = self.links[to as usize].view;
        assert_ne!(to as usize, self.active);
        assert!(dead || target.health == Health::Alive, "a path that works is not left for {target:?}");
        let cause = if dead { AdmitCause::MoveDeadPath } else { AdmitCause::Move };
        let admitted = admit(&self.policy, at(now_ms), cause, &self.history);
        assert_eq!(admitted, Ok(()), "the gateway refuses what the agent decided by the same rules");
        self.history.record_switch(at(now_ms), self.active as u32, to);
        self.links[self.active].view.left_at = Some(at(now_ms));
        self.active = to as usize;
        self.log.jumps.push(Jump { at_ms: now_ms, to, dead });
    }

    fn is_stuck(&self, now_ms: u64) -> bool {
        let works = |link: &Link| link.view.health == Health::Alive;
        let limit = self.policy.switching.max_switches_per_min;
        let (active, _) = self.views();
        active.health == Health::Dead
            && self.links.iter().any(works)
            && self.history.switches_last_minute(at(now_ms)) < limit
    }

    fn views(&self) -> (PathView, Vec<PathView>) {
        let others = self.links.iter().map(|link| link.view).filter(|view| view.id as usize != self.active);
        (self.links[self.active].view, others.collect())
    }
}

/// Runs a session and checks every bound that must hold in any weather.
fn weather(policy: &Policy, rhythms: &[Rhythm], millis: u64) -> Log {
    let log = Session::new(policy.clone(), rhythms).run(millis);
    let limits = &policy.switching;
    let cooldown = limits.switch_cooldown.as_millis() as u64;
    let no_way_back = limits.no_way_back.as_millis() as u64;
    let cap = usize::from(limits.max_switches_per_min);
    for (index, jump) in log.jumps.iter().enumerate() {
        let in_minute = log.jumps[..=index].iter().filter(|other| jump.at_ms - other.at_ms < 60_000).count();
        assert!(in_minute <= cap, "{in_minute} jumps in a minute: {rhythms:?}");
        let Some(last) = index.checked_sub(1).map(|i| log.jumps[i]) else { continue };
        if jump.dead {
            continue;
        }
        assert!(in_minute <= cap.div_ceil(2), "optional jumps used the reserve: {rhythms:?}");
        assert!(jump.at_ms - last.at_ms >= cooldown, "cooldown broken: {rhythms:?}");
        let left = index.checked_sub(2).map_or(0, |i| log.jumps[i].to);
        let back = left == jump.to && jump.at_ms - last.at_ms < no_way_back;
        assert!(!back, "back too soon: {rhythms:?}");
    }
    assert!(log.stuck_ms <= TICK_MS, "stayed on a dead path for {} ms: {rhythms:?}", log.stuck_ms);
    log
}

/// Periods from 50 ms to 60 s, 5 % apart: fine enough that no resonance of a second-scale rule fits between two.
fn periods() -> impl Iterator<Item = u64> {
    std::iter::successors(Some(50_u64), |period| Some(period + (period / 20).max(5)))
        .take_while(|p| *p <= 60_000)
}

/// Two links that are bad in turns, in every rhythm and for every kind of trouble.
#[test]
fn no_period_of_alternating_trouble_finds_a_resonance() {
    let policy = Policy::spec_default();
    for trouble in [Trouble::Blackout, Trouble::Loss, Trouble::Delay] {
        for period_ms in periods() {
            for share in [2, 5] {
                let one = Rhythm { period_ms, bad_ms: period_ms / share, phase_ms: 0, trouble, rtt_ms: 30 };
                let other = Rhythm { phase_ms: period_ms / 2, ..one };
                weather(&policy, &[one, other], 200_000);
            }
        }
    }
}

/// As above with one link steady and a bit slower: the attacker of section 4.5 of the security model, who blacks
/// out the better link again and again. One move, then the session stays where it is quiet.
#[test]
fn a_flapping_link_is_left_once() {
    let policy = Policy::spec_default();
    for period_ms in periods().filter(|period| (400..=20_000).contains(period)) {
        let flapping = Rhythm { period_ms, bad_ms: period_ms / 2, phase_ms: 1, ..Rhythm::STEADY };
        let steady = Rhythm { rtt_ms: 60, ..Rhythm::STEADY };
        let log = weather(&policy, &[flapping, steady], 600_000);
        assert_eq!(log.jumps.len(), 1, "period {period_ms}: {:?}", log.jumps);
        assert_eq!(log.denials, 0);
    }
}

/// One second up, one second down, both links at once: nothing to gain, so nothing happens.
#[test]
fn a_common_rhythm_moves_nobody_for_gain() {
    let both = Rhythm { period_ms: 2_000, bad_ms: 1_000, ..Rhythm::STEADY };
    let log = weather(&Policy::spec_default(), &[both, both], 600_000);
    assert!(log.jumps.iter().all(|jump| jump.dead));
}

/// Links that die one after the other for ever use the limit up, are denied, and in the end the session ends with
/// a reason, rather than oscillating for ever.
#[test]
fn endless_churn_ends_explicitly() {
    let one = Rhythm { period_ms: 1_000, bad_ms: 500, ..Rhythm::STEADY };
    let other = Rhythm { phase_ms: 500, ..one };
    let log = weather(&Policy::spec_default(), &[one, other], 3_600_000);
    assert_eq!(log.ended, Some(Reason::ChurnLimit));
    assert!(log.jumps.last().is_some_and(|jump| jump.at_ms < 600_000));
}

/// A link that is cut once and comes back is left at once, and returned to once, when it has proven itself.
#[test]
fn a_single_blackout_costs_two_jumps() {
    let policy = Policy::spec_default();
    let once = Rhythm { period_ms: 1_000_000, bad_ms: 5_000, phase_ms: 990_000, ..Rhythm::STEADY };
    let slower = Rhythm { rtt_ms: 90, ..Rhythm::STEADY };
    let log = weather(&policy, &[once, slower], 120_000);
    let times: Vec<(u64, u32)> = log.jumps.iter().map(|jump| (jump.at_ms, jump.to)).collect();
    assert_eq!(times[0], (10_000 + DETECT_MS, 1));
    assert_eq!(times.len(), 2, "{times:?}");
    let trusted = 15_000 + policy.switching.flap_hold.as_millis() as u64;
    assert!((trusted..trusted + 2_000).contains(&times[1].0) && times[1].1 == 0, "{times:?}");
}

fn any_rhythm() -> impl Strategy<Value = Rhythm> {
    let trouble =
        prop_oneof![3 => Just(Trouble::Blackout), 1 => Just(Trouble::Loss), 1 => Just(Trouble::Delay)];
    (50..60_000_u64, 0..=100_u64, 0..60_000_u64, trouble, 1..300_u64).prop_map(
        |(period_ms, share, phase_ms, trouble, rtt_ms)| Rhythm {
            period_ms,
            bad_ms: period_ms * share / 100,
            phase_ms,
            trouble,
            rtt_ms,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Any number of links in any rhythms under any preset: all bounds hold, and the same weather makes the same log.
    #[test]
    fn any_weather_keeps_the_bounds(
        rhythms in proptest::collection::vec(any_rhythm(), 1..5),
        preset in 0..crate::PRESETS.len(),
    ) {
        let policy = Policy::by_name(crate::PRESETS[preset]).unwrap();
        let log = weather(&policy, &rhythms, 180_000);
        prop_assert_eq!(log, weather(&policy, &rhythms, 180_000));
    }
}
