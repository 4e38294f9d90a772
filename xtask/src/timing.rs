//! Secret comparisons must not tell by their time where they found a difference: builds `crates/session/benches/timing/main.rs`
//! and lets it count instructions, and in the long form measure time.

use crate::run::{cargo, last_line, works};
use crate::{Outcome, pairs};

/// Measurements of each comparison in the long form: about half a minute in all.
const SAMPLES: &str = "400000";

/// Runs the command: both forms, in the release profile, because link-time optimisation might undo what the source says.
pub(crate) fn run(rest: &[String]) -> Result<Outcome, String> {
    let samples = pairs(rest, &["--samples"])?.get("--samples").copied().unwrap_or(SAMPLES);
    let bench = ["bench", "--quiet", "--package", "jumpvpn-session", "--bench", "timing", "--"];
    let counted = if valgrind() { Some(last_line(cargo().args(bench).arg("counts"))?) } else { None };
    let timed = last_line(cargo().args(bench).args(["clock", samples]))?;
    let counted = counted
        .map_or("valgrind is not installed, nothing counted".to_owned(), |line| format!("counted {line}"));
    Ok(Outcome { figures: format!("{counted}; timed {timed}"), finding_count: 0 })
}

/// Whether instructions can be counted here.
pub(crate) fn valgrind() -> bool {
    works("valgrind", &["--version"])
}

/// The short form: counts alone, which have no noise, in the test profile with the room itself optimised.
pub(crate) fn short() -> Result<Outcome, String> {
    let mut command = cargo();
    command.args(["test", "--quiet", "--package", "jumpvpn-session", "--bench", "timing"]);
    command.args(["--config", "profile.dev.package.jumpvpn-session.opt-level=3", "--", "counts"]);
    Ok(Outcome { figures: last_line(&mut command)?, finding_count: 0 })
}
