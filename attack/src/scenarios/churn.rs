//! Trouble that comes and goes, so that the session never rests.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use jumpvpn_lab::story::{Action, Directions, Uplink};
use jumpvpn_lab::tunnel;

use crate::siege::{Effort, Siege, folder};

/// Moves a session may make within any minute: `switching.max_switches_per_min` of the policy `laptop`.
const PER_MINUTE: usize = 8;

/// Total loss changes sides with the path that is used, with one period after the other.
pub(crate) fn oscillation(siege: &mut Siege<'_>) -> io::Result<()> {
    let short = siege.effort == Effort::Short;
    let periods: &[u64] = if short {
        &[400, 1600]
    } else {
        &[50, 100, 200, 400, 800, 1600, 3200, 6400, 12_000, 30_000, 60_000]
    };
    let span = Duration::from_secs(if short { 8 } else { 130 });
    siege.is_restless = true;
    siege.share = 0.0;
    for period in periods {
        let half = Duration::from_millis(period / 2);
        let until = Instant::now() + span;
        let mut turn = 0;
        while Instant::now() < until {
            let (bad, good) =
                if turn % 2 == 0 { (Uplink::Wifi, Uplink::Lte) } else { (Uplink::Lte, Uplink::Wifi) };
            siege.field.world.apply(&Action::Clear(good))?;
            siege.field.world.apply(&Action::BlackHole(bad, Directions::BOTH))?;
            siege.last(half)?;
            turn += 1;
        }
    }
    siege.field.world.calm_down()?;
    siege.settle()?;
    let switches = tunnel::switches(&folder(siege.field).join("agent.jsonl"))?;
    let most = switches.iter().map(|first| {
        let minute = first.unix..first.unix + Duration::from_secs(60);
        switches.iter().filter(|other| minute.contains(&other.unix)).count()
    });
    let most = most.max().unwrap_or_default();
    siege.figure(format!("{} moves, at most {most} in a minute", switches.len()));
    siege.require(most <= PER_MINUTE, || format!("{most} moves in a minute, {PER_MINUTE} are allowed"));
    siege.require(most > 1, || "the trouble provoked nothing: it proves nothing".into());
    let events = fs::read_to_string(folder(siege.field).join("agent.jsonl"))?;
    let degraded = events.lines().any(|line| line.contains("\"to\":\"DEGRADED\""));
    siege.require(degraded, || "nobody was told that the session is degraded".into());
    Ok(())
}
