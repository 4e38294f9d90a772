//! Text of a story -> raw tables -> validated [`Story`], collecting every mistake on the way.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::{Action, Expect, Limit, Mistake, Step, Story, Uplink, units};
use crate::shaper::Conditions;

/// One-way delay of a radio link unless the story says otherwise: 20 ms there and back, which the limits are given for.
const DEFAULT_DELAY: Duration = Duration::from_millis(10);
/// A radio link nothing happens to.
pub(super) const CALM: Conditions = Conditions {
    delay: DEFAULT_DELAY,
    jitter: Duration::ZERO,
    loss_ppm: 0,
    reorder_ppm: 0,
    rate_bps: None,
    max_packet_len: None,
    udp_blocked: false,
    black_hole: false,
};
/// Spacing of the numbered datagrams: fine enough to see a gap of one round-trip time with ± 5 ms.
const DEFAULT_SPACING: Duration = Duration::from_millis(5);
/// Streams go on this long after the last step: past the longest gap any built-in story allows, four times.
const DEFAULT_SETTLE: Duration = Duration::from_millis(1500);
/// A median needs an odd number of runs; five survive two outliers.
const DEFAULT_RUNS: u32 = 5;
/// More steps than this is a mistake in `times`, not a story.
const MAX_STEP_COUNT: u32 = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStory {
    name: Option<String>,
    #[serde(default)]
    title: String,
    runs: Option<Spanned<u32>>,
    settle: Option<Spanned<String>>,
    spacing: Option<Spanned<String>>,
    #[serde(default)]
    ssh: bool,
    #[serde(default)]
    network: BTreeMap<Spanned<String>, RawLink>,
    #[serde(default)]
    step: Vec<RawStep>,
    #[serde(default)]
    expect: RawExpect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLink {
    delay: Option<Spanned<String>>,
    jitter: Option<Spanned<String>>,
    loss: Option<Spanned<String>>,
    reorder: Option<Spanned<String>>,
    rate: Option<Spanned<String>>,
    mtu: Option<usize>,
    #[serde(default)]
    udp_blocked: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    at: Spanned<String>,
    #[serde(rename = "do")]
    action: Spanned<String>,
    every: Option<Spanned<String>>,
    times: Option<Spanned<u32>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawExpect {
    gap: Option<Spanned<String>>,
    gap_up: Option<Spanned<String>>,
    gap_down: Option<Spanned<String>>,
    lost: Option<u64>,
    lost_up: Option<u64>,
    lost_down: Option<u64>,
    detect: Option<Spanned<String>>,
    tcp: Option<Spanned<String>>,
    session_same: Option<bool>,
    switches: Option<Spanned<RawSwitches>>,
    switches_per_min: Option<u32>,
    cooldown: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawSwitches {
    Exactly(u32),
    Between([u32; 2]),
}

/// Reads and validates a story.
pub(super) fn story(name: &str, text: &str) -> Result<Story, Vec<Mistake>> {
    let raw: RawStory = match toml::from_str(text) {
        Ok(raw) => raw,
        Err(error) => {
            let line = error.span().map_or(1, |span| line_of(text, &span));
            return Err(vec![Mistake { line, text: error.message().replace('\n', " ") }]);
        }
    };
    let mut reader = Reader { text, found: Vec::new() };
    let story = reader.story(name, raw);
    reader.found.sort_by_key(|mistake| mistake.line);
    if reader.found.is_empty() { Ok(story) } else { Err(reader.found) }
}

struct Reader<'a> {
    text: &'a str,
    found: Vec<Mistake>,
}

impl Reader<'_> {
    fn story(&mut self, name: &str, raw: RawStory) -> Story {
        let runs = raw.runs.map_or(DEFAULT_RUNS, |runs| {
            if !(1..=1000).contains(runs.as_ref()) {
                self.mistake(&runs.span(), "runs must be 1 to 1000");
            }
            runs.into_inner()
        });
        let spacing = self.value(raw.spacing.as_ref(), units::duration).unwrap_or(DEFAULT_SPACING);
        if spacing < Duration::from_millis(1) {
            let span = raw.spacing.as_ref().map_or(0..0, Spanned::span);
            self.mistake(
                &span,
                "spacing must be 1 ms or more: the streams are timed to fractions of a millisecond",
            );
        }
        let network = self.network(&raw.network);
        let steps = self.steps(&raw.step);
        Story {
            name: raw.name.unwrap_or_else(|| name.to_owned()),
            title: raw.title,
            runs,
            settle: self.value(raw.settle.as_ref(), units::duration).unwrap_or(DEFAULT_SETTLE),
            spacing,
            ssh: raw.ssh,
            network,
            steps,
            expect: self.expect(&raw.expect),
        }
    }

    fn network(&mut self, raw: &BTreeMap<Spanned<String>, RawLink>) -> [Conditions; 2] {
        let mut network = [CALM; 2];
        for (name, link) in raw {
            let Some(uplink) = Uplink::ALL.into_iter().find(|uplink| uplink.name() == name.as_ref()) else {
                self.mistake(&name.span(), &format!("no uplink {:?}, there are wifi and lte", name.as_ref()));
                continue;
            };
            network[uplink.index()] = Conditions {
                delay: self.value(link.delay.as_ref(), units::duration).unwrap_or(DEFAULT_DELAY),
                jitter: self.value(link.jitter.as_ref(), units::duration).unwrap_or_default(),
                loss_ppm: self.value(link.loss.as_ref(), units::share_ppm).unwrap_or_default(),
                reorder_ppm: self.value(link.reorder.as_ref(), units::share_ppm).unwrap_or_default(),
                rate_bps: self.value(link.rate.as_ref(), units::rate_bps),
                max_packet_len: link.mtu,
                udp_blocked: link.udp_blocked,
                black_hole: false,
            };
        }
        network
    }

    fn steps(&mut self, raw: &[RawStep]) -> Vec<Step> {
        let mut steps = Vec::new();
        if raw.is_empty() {
            self.mistake(&(0..0), "a story needs a [[step]] with at = \"1s\" and do = \"link-down wifi\"");
        }
        for step in raw {
            let at = self.value(Some(&step.at), units::duration);
            let action = self.value(Some(&step.action), Action::parse);
            let every = self.value(step.every.as_ref(), units::duration);
            let times = step.times.as_ref().map_or(1, |times| *times.as_ref());
            if times > 1 && every.is_none() || times == 0 || times > MAX_STEP_COUNT {
                let span = step.times.as_ref().map_or(0..0, Spanned::span);
                self.mistake(&span, "times is 1 to 10000 and needs every = \"2s\"");
            } else if let (Some(at), Some(action)) = (at, action) {
                let every = every.unwrap_or_default();
                steps.extend((0..times).map(|turn| Step { at: at + every * turn, action }));
            }
        }
        steps.sort_by_key(|step| step.at);
        steps
    }

    fn expect(&mut self, raw: &RawExpect) -> Expect {
        let gap = self.value(raw.gap.as_ref(), Limit::parse);
        Expect {
            gap_up: self.value(raw.gap_up.as_ref(), Limit::parse).or(gap),
            gap_down: self.value(raw.gap_down.as_ref(), Limit::parse).or(gap),
            lost_up: raw.lost_up.or(raw.lost),
            lost_down: raw.lost_down.or(raw.lost),
            detect: self.value(raw.detect.as_ref(), Limit::parse),
            tcp_alive: self.value(raw.tcp.as_ref(), tcp_expectation).unwrap_or(true),
            session_same: raw.session_same.unwrap_or(true),
            switches: raw.switches.as_ref().and_then(|switches| self.switches(switches)),
            switches_per_min: raw.switches_per_min,
            cooldown: self.value(raw.cooldown.as_ref(), units::duration),
        }
    }

    fn switches(&mut self, raw: &Spanned<RawSwitches>) -> Option<(u32, u32)> {
        match raw.as_ref() {
            RawSwitches::Exactly(count) => Some((*count, *count)),
            RawSwitches::Between([least, most]) if least <= most => Some((*least, *most)),
            RawSwitches::Between(_) => {
                self.mistake(&raw.span(), "switches is a number, or [least, most]");
                None
            }
        }
    }

    fn value<T>(
        &mut self,
        raw: Option<&Spanned<String>>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let raw = raw?;
        read(raw.as_ref()).map_err(|text| self.mistake(&raw.span(), &text)).ok()
    }

    fn mistake(&mut self, span: &Range<usize>, text: &str) {
        self.found.push(Mistake { line: line_of(self.text, span), text: text.to_owned() });
    }
}

fn tcp_expectation(text: &str) -> Result<bool, String> {
    match text {
        "alive" => Ok(true),
        "any" => Ok(false),
        _ => Err(format!("tcp is \"alive\" or \"any\", not {text:?}")),
    }
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    text[..span.start.min(text.len())].matches('\n').count() + 1
}
