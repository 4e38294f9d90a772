//! The verbs of a story, and of the live view's keys: `link-down wifi`, `blackhole lte up`, `jump wifi`.

use std::fmt;
use std::time::Duration;

use super::units;

/// One of the laptop's two ways to the internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Uplink {
    /// Interface `wlan0`, preferred by its route metric.
    Wifi,
    /// Interface `wwan0`.
    Lte,
}

impl Uplink {
    /// Both, in order of preference.
    pub const ALL: [Uplink; 2] = [Uplink::Wifi, Uplink::Lte];

    /// Place in arrays that hold one thing per uplink.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Uplink::Wifi => 0,
            Uplink::Lte => 1,
        }
    }

    /// The word for it in stories and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Uplink::Wifi => "wifi",
            Uplink::Lte => "lte",
        }
    }

    /// The laptop's interface.
    #[must_use]
    pub const fn interface(self) -> &'static str {
        match self {
            Uplink::Wifi => "wlan0",
            Uplink::Lte => "wwan0",
        }
    }

    fn parse(word: &str) -> Option<Uplink> {
        Uplink::ALL.into_iter().find(|uplink| word == uplink.name() || word == uplink.interface())
    }
}

/// A direction on a radio link, seen from the laptop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// Laptop to internet.
    Up,
    /// Internet to laptop.
    Down,
}

impl Direction {
    /// Both.
    pub const ALL: [Direction; 2] = [Direction::Up, Direction::Down];

    /// Place in arrays that hold one thing per direction.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Direction::Up => 0,
            Direction::Down => 1,
        }
    }
}

/// One direction or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Directions(Option<Direction>);

impl Directions {
    /// Both directions.
    pub const BOTH: Directions = Directions(None);

    /// Only this one.
    #[must_use]
    pub const fn only(direction: Direction) -> Directions {
        Directions(Some(direction))
    }

    /// Whether `direction` is meant.
    #[must_use]
    pub fn includes(self, direction: Direction) -> bool {
        self.0.is_none_or(|only| only == direction)
    }
}

/// Something that is done to the network or asked of the agent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action {
    /// The interface goes administratively down or up again, with its routes: the kernel announces it at once.
    Link(Uplink, bool),
    /// Only the carrier goes or comes; addresses and routes stay.
    Carrier(Uplink, bool),
    /// Everything vanishes silently in these directions.
    BlackHole(Uplink, Directions),
    /// Only UDP vanishes, both ways.
    UdpBlocked(Uplink, bool),
    /// One-way delay of both directions.
    Delay(Uplink, Duration),
    /// Largest extra delay, uniformly distributed.
    Jitter(Uplink, Duration),
    /// Random loss, parts of a million.
    Loss(Uplink, u32),
    /// Share of packets that are overtaken, parts of a million.
    Reorder(Uplink, u32),
    /// Bottleneck, bits per second; none when zero.
    Rate(Uplink, u64),
    /// Packets longer than this many bytes vanish; no cap when zero.
    Mtu(Uplink, usize),
    /// The radio link is again as the story began; NAT mappings stay.
    Clear(Uplink),
    /// The NAT router forgets its mappings and gives new ports from now on.
    Rebind(Uplink),
    /// The operator asks the agent to move.
    Jump(Uplink),
    /// The operator pins the session to a path.
    Pin(Uplink),
    /// The operator releases the pin.
    Unpin,
}

/// Verb and what follows it, for messages and completion.
const VERBS: &[(&str, &str)] = &[
    ("link-down", "UPLINK"),
    ("link-up", "UPLINK"),
    ("carrier-down", "UPLINK"),
    ("carrier-up", "UPLINK"),
    ("blackhole", "UPLINK [up|down]"),
    ("udp-block", "UPLINK"),
    ("udp-allow", "UPLINK"),
    ("delay", "UPLINK 30ms"),
    ("jitter", "UPLINK 5ms"),
    ("loss", "UPLINK 5%"),
    ("reorder", "UPLINK 1%"),
    ("rate", "UPLINK 20mbit"),
    ("mtu", "UPLINK 1280"),
    ("clear", "UPLINK"),
    ("rebind", "UPLINK"),
    ("jump", "UPLINK"),
    ("pin", "UPLINK"),
    ("unpin", ""),
];

impl Action {
    /// Reads an action from its words.
    ///
    /// # Errors
    /// A sentence with what was probably meant.
    pub fn parse(text: &str) -> Result<Action, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let Some((&verb, rest)) = words.split_first() else {
            return Err("an empty step: say what to do, like \"link-down wifi\"".to_owned());
        };
        let Some((_, usage)) = VERBS.iter().find(|(known, _)| *known == verb) else {
            let known: Vec<&str> = VERBS.iter().map(|(known, _)| *known).collect();
            return Err(match units::closest(verb, &known) {
                Some(near) => format!("no action {verb:?}: did you mean {near:?}?"),
                None => format!("no action {verb:?}; known are {}", known.join(", ")),
            });
        };
        let usage = format!("write it like \"{}\"", format!("{verb} {usage}").trim());
        if verb == "unpin" {
            return if rest.is_empty() { Ok(Action::Unpin) } else { Err(usage) };
        }
        let Some((uplink_word, values)) = rest.split_first() else {
            return Err(format!("{verb:?} needs an uplink, wifi or lte; {usage}"));
        };
        let uplink = Uplink::parse(uplink_word)
            .ok_or_else(|| format!("no uplink {uplink_word:?}, there are wifi and lte; {usage}"))?;
        match values {
            [] => plain(verb, uplink).ok_or(usage),
            [value] => valued(verb, uplink, value)?.ok_or(usage),
            _ => Err(usage),
        }
    }

    /// Whether the agent is asked, rather than the network changed.
    #[must_use]
    pub fn needs_agent(&self) -> bool {
        matches!(self, Action::Jump(_) | Action::Pin(_) | Action::Unpin)
    }
}

fn plain(verb: &str, uplink: Uplink) -> Option<Action> {
    Some(match verb {
        "link-down" => Action::Link(uplink, false),
        "link-up" => Action::Link(uplink, true),
        "carrier-down" => Action::Carrier(uplink, false),
        "carrier-up" => Action::Carrier(uplink, true),
        "blackhole" => Action::BlackHole(uplink, Directions::BOTH),
        "udp-block" => Action::UdpBlocked(uplink, true),
        "udp-allow" => Action::UdpBlocked(uplink, false),
        "clear" => Action::Clear(uplink),
        "rebind" => Action::Rebind(uplink),
        "jump" => Action::Jump(uplink),
        "pin" => Action::Pin(uplink),
        _ => return None,
    })
}

fn valued(verb: &str, uplink: Uplink, value: &str) -> Result<Option<Action>, String> {
    Ok(Some(match (verb, value) {
        ("blackhole", "up") => Action::BlackHole(uplink, Directions::only(Direction::Up)),
        ("blackhole", "down") => Action::BlackHole(uplink, Directions::only(Direction::Down)),
        ("delay", _) => Action::Delay(uplink, units::duration(value)?),
        ("jitter", _) => Action::Jitter(uplink, units::duration(value)?),
        ("loss", _) => Action::Loss(uplink, units::share_ppm(value)?),
        ("reorder", _) => Action::Reorder(uplink, units::share_ppm(value)?),
        ("rate", _) => Action::Rate(uplink, units::rate_bps(value)?),
        ("mtu", _) => {
            Action::Mtu(uplink, value.parse().map_err(|_| format!("{value:?} is no size in bytes"))?)
        }
        _ => return Ok(None),
    }))
}

impl fmt::Display for Action {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = |verb: &str, uplink: &Uplink| format!("{verb} {}", uplink.name());
        let text = match self {
            Action::Link(uplink, up) => on(if *up { "link-up" } else { "link-down" }, uplink),
            Action::Carrier(uplink, up) => on(if *up { "carrier-up" } else { "carrier-down" }, uplink),
            Action::BlackHole(uplink, directions) => match directions.0 {
                None => on("blackhole", uplink),
                Some(Direction::Up) => on("blackhole", uplink) + " up",
                Some(Direction::Down) => on("blackhole", uplink) + " down",
            },
            Action::UdpBlocked(uplink, blocked) => {
                on(if *blocked { "udp-block" } else { "udp-allow" }, uplink)
            }
            Action::Delay(uplink, delay) => format!("{} {delay:?}", on("delay", uplink)),
            Action::Jitter(uplink, jitter) => format!("{} {jitter:?}", on("jitter", uplink)),
            Action::Loss(uplink, ppm) => format!("{} {}%", on("loss", uplink), f64::from(*ppm) / 1e4),
            Action::Reorder(uplink, ppm) => format!("{} {}%", on("reorder", uplink), f64::from(*ppm) / 1e4),
            Action::Rate(uplink, bps) => format!("{} {}kbit", on("rate", uplink), bps / 1000),
            Action::Mtu(uplink, len) => format!("{} {len}", on("mtu", uplink)),
            Action::Clear(uplink) => on("clear", uplink),
            Action::Rebind(uplink) => on("rebind", uplink),
            Action::Jump(uplink) => on("jump", uplink),
            Action::Pin(uplink) => on("pin", uplink),
            Action::Unpin => "unpin".to_owned(),
        };
        out.write_str(&text)
    }
}
