//! A story: what happens to the network and when, and what must hold afterwards.
//!
//! A story is a small TOML file (see `stories/`). This module reads it into validated types and reports every mistake
//! with its line and a hint; playing it is the business of [`crate::play`].

mod action;
mod limit;
mod read;
mod units;

use std::fmt;
use std::time::Duration;

pub use action::{Action, Direction, Directions, Uplink};
pub use limit::Limit;

use crate::shaper::Conditions;

/// The stories that come with the program: name and text.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("planned", include_str!("../../../stories/planned.toml")),
    ("link-down", include_str!("../../../stories/link-down.toml")),
    ("blackhole", include_str!("../../../stories/blackhole.toml")),
    ("one-way-up", include_str!("../../../stories/one-way-up.toml")),
    ("one-way-down", include_str!("../../../stories/one-way-down.toml")),
    ("rebind", include_str!("../../../stories/rebind.toml")),
    ("flap", include_str!("../../../stories/flap.toml")),
];

/// A validated story.
#[derive(Debug, Clone, PartialEq)]
pub struct Story {
    /// Short name, also the name of the output directory.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// How many times it is played; figures are medians over these.
    pub runs: u32,
    /// How long the streams go on after the last step before the verdict.
    pub settle: Duration,
    /// Spacing of the numbered UDP datagrams, each way.
    pub spacing: Duration,
    /// Whether a real ssh session is among the streams.
    pub ssh: bool,
    /// What the radio links are like before anything happens, per uplink, up and down alike.
    pub network: [Conditions; 2],
    /// In order of time; times count from the moment all is warm.
    pub steps: Vec<Step>,
    /// What must hold.
    pub expect: Expect,
}

/// One thing that happens.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// When, from the moment both paths are validated and the streams run.
    pub at: Duration,
    /// What.
    pub action: Action,
}

/// What a story promises. Gaps and detection are judged by the median of the runs, everything else in each run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Expect {
    /// Longest time between two consecutive arrivals from the fault on, laptop to server.
    pub gap_up: Option<Limit>,
    /// The same, server to laptop.
    pub gap_down: Option<Limit>,
    /// Most datagrams that may be lost, laptop to server.
    pub lost_up: Option<u64>,
    /// The same, server to laptop.
    pub lost_down: Option<u64>,
    /// From the fault to the decision to leave the path.
    pub detect: Option<Limit>,
    /// The TCP stream must be unbroken, complete and right.
    pub tcp_alive: bool,
    /// The session id must be the same before and after.
    pub session_same: bool,
    /// Fewest and most switches of the binding, per run.
    pub switches: Option<(u32, u32)>,
    /// Most switches within any 60 seconds.
    pub switches_per_min: Option<u32>,
    /// Shortest time between two switches, unless the path that was left is dead.
    pub cooldown: Option<Duration>,
}

impl Story {
    /// Reads a story from its text; `name` is used when the text has none.
    ///
    /// # Errors
    /// Every mistake found, each with its line.
    pub fn parse(name: &str, text: &str) -> Result<Story, Mistakes> {
        read::story(name, text).map_err(|found| Mistakes { file: name.to_owned(), found })
    }

    /// Finds a story by built-in name or by file.
    ///
    /// # Errors
    /// A sentence for a person: no such story, unreadable file, or the file's mistakes.
    pub fn load(name_or_file: &str) -> Result<Story, String> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_file) {
            return Story::parse(name, text).map_err(|mistakes| mistakes.to_string());
        }
        let looks_like_name = !name_or_file.contains(['/', '.']);
        let text = std::fs::read_to_string(name_or_file).map_err(|error| {
            let known: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
            match units::closest(name_or_file, &known) {
                Some(near) if looks_like_name => format!("no story {name_or_file:?}: did you mean {near:?}?"),
                _ => {
                    format!(
                        "cannot read the story {name_or_file}: {error}; built in are {}",
                        known.join(", ")
                    )
                }
            }
        })?;
        let stem = std::path::Path::new(name_or_file).file_stem().and_then(|stem| stem.to_str());
        let mut story = Story::parse(stem.unwrap_or("story"), &text).map_err(|mut mistakes| {
            mistakes.file = name_or_file.to_owned();
            mistakes.to_string()
        })?;
        story.name = story.name.replace(['/', '\\'], "-");
        Ok(story)
    }

    /// What the radio links are like unless a story says otherwise.
    #[must_use]
    pub fn calm_network() -> [Conditions; 2] {
        [read::CALM; 2]
    }

    /// When the clock of gap and detection starts: the first step.
    #[must_use]
    pub fn fault_at(&self) -> Duration {
        self.steps.first().map_or(Duration::ZERO, |step| step.at)
    }

    /// The uplink the session is to use at first: Wi-Fi, unless the first step asks for a jump to it.
    #[must_use]
    pub fn begins_with(&self) -> Uplink {
        match self.steps.first().map(|step| step.action) {
            Some(Action::Jump(Uplink::Wifi)) => Uplink::Lte,
            _ => Uplink::Wifi,
        }
    }

    /// Whether it needs a router that translates addresses.
    #[must_use]
    pub fn is_about_nat(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.action, Action::Rebind(_)))
    }

    /// When the streams stop sending.
    #[must_use]
    pub fn ends_at(&self) -> Duration {
        self.steps.last().map_or(Duration::ZERO, |step| step.at) + self.settle
    }

    /// Round-trip time of an uplink as configured, without jitter.
    #[must_use]
    pub fn rtt(&self, uplink: Uplink) -> Duration {
        self.network[uplink.index()].delay * 2
    }
}

/// One mistake in a story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong and what would be right.
    pub text: String,
}

/// All mistakes of a story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes {
    /// The file, or the story's name.
    pub file: String,
    /// In order of lines.
    pub found: Vec<Mistake>,
}

impl fmt::Display for Mistakes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.found.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(out, "{separator}{}:{}: {}", self.file, mistake.line, mistake.text)?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

#[cfg(test)]
mod tests;
