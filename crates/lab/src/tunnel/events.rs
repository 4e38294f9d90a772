//! The event files of both daemons: what they say about switches, and one merged file of a run.

use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

/// One moment on both clocks, to compare what the daemons wrote with what the lab did.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// On the clock of arrivals.
    pub at: Instant,
    /// On the clock of the event files, since 1970.
    pub unix: Duration,
}

impl Moment {
    /// This moment.
    #[must_use]
    pub fn now() -> Moment {
        Moment { at: Instant::now(), unix: unix_now() }
    }
}

/// The time since 1970.
#[must_use]
pub fn unix_now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// The binding moved, as the agent's audit says.
#[derive(Debug, Clone, PartialEq)]
pub struct Switch {
    /// When, since 1970.
    pub unix: Duration,
    /// Path that was left.
    pub old_path: String,
    /// Path that was taken; the same one when only its address changed.
    pub new_path: String,
    /// Code of the reason.
    pub reason: String,
    /// What the agent itself says about its detection.
    pub detect: Option<Duration>,
}

/// Reasons that say that the path that was left was dead, so that no cooldown holds back the switch.
const DEAD: &[&str] = &[
    "LINK_DOWN",
    "ADDRESS_GONE",
    "ROUTE_GONE",
    "SOCKET_ERROR",
    "PATH_SILENT",
    "PATH_SILENT_UPLINK",
    "PATH_UNUSABLE",
];

impl Switch {
    /// Whether another path was taken, rather than the same one under a new address.
    #[must_use]
    pub fn is_jump(&self) -> bool {
        self.old_path != self.new_path
    }

    /// Whether the path that was left was dead.
    #[must_use]
    pub fn from_dead_path(&self) -> bool {
        DEAD.contains(&self.reason.as_str())
    }
}

/// All switches in an event file, in order.
///
/// # Errors
/// The file cannot be read.
pub fn switches(events: &Path) -> io::Result<Vec<Switch>> {
    let text = fs::read_to_string(events)?;
    Ok(text.lines().filter_map(switch).collect())
}

/// When the agent first left its calm state after `since` (both since 1970): that is when it noticed something.
///
/// # Errors
/// The file cannot be read.
pub fn first_doubt(events: &Path, since: Duration) -> io::Result<Option<Duration>> {
    let text = fs::read_to_string(events)?;
    Ok(text.lines().filter_map(doubt).find(|unix| *unix >= since))
}

fn doubt(line: &str) -> Option<Duration> {
    let event: Value = serde_json::from_str(line).ok()?;
    let is = |key: &str, values: &[&str]| {
        event.get(key)?.as_str().filter(|text| values.contains(text)).map(|_| ())
    };
    is("event", &["STATE_CHANGE"])?;
    is("to", &["VOLATILE", "RECOVERING", "DEGRADED"])?;
    unix_time(event.get("ts")?.as_str()?)
}

/// Proves from the event files of both sides that the session behaved; returns what is wrong, one sentence each.
///
/// # Errors
/// A file cannot be read.
pub fn audit(files: &[(&str, &Path)]) -> io::Result<Vec<String>> {
    let mut opened = Vec::new();
    for (name, path) in files {
        opened.push(((*name).to_owned(), BufReader::new(File::open(path)?)));
    }
    let findings = jumpvpn_events::verify::verify_lines(opened).err().unwrap_or_default();
    Ok(findings.iter().map(ToString::to_string).collect())
}

fn switch(line: &str) -> Option<Switch> {
    let event: Value = serde_json::from_str(line).ok()?;
    if event.get("event")?.as_str()? != "TRANSPORT_SWITCH" {
        return None;
    }
    let text = |key: &str| event.get(key).and_then(Value::as_str).map(str::to_owned);
    let detect = event.get("detect_ms").and_then(Value::as_f64);
    Some(Switch {
        unix: unix_time(event.get("ts")?.as_str()?)?,
        old_path: text("old_path")?,
        new_path: text("new_path")?,
        reason: text("reason")?,
        detect: detect.and_then(|ms| Duration::try_from_secs_f64(ms / 1e3).ok()),
    })
}

/// Reads `2026-03-01T12:00:00.123456Z` into the time since 1970.
/// Nothing when it is something else.
#[must_use]
pub fn unix_time(text: &str) -> Option<Duration> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let numbers = |text: &str, separator| -> Option<[u64; 3]> {
        let parts: Result<Vec<u64>, _> = text.split(separator).map(str::parse).collect();
        parts.ok()?.try_into().ok()
    };
    let [year, month, day] = numbers(date, '-')?;
    let (whole, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = numbers(whole, ':')?;
    let days = jumpvpn_events::json::days_since_1970(year, month, day)?;
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
    let fraction: f64 = format!("0.{fraction}").parse().ok()?;
    Some(Duration::new(seconds, (fraction * 1e9) as u32))
}

/// Appends a line of the lab itself: a step of the story, or the beginning of a run.
///
/// # Errors
/// The file cannot be written.
pub fn note(merged: &mut Vec<String>, run: u32, what: &str) {
    let mut line = "{\"ts\":\"".to_owned();
    jumpvpn_events::json::write_timestamp(&mut line, unix_now().as_nanos());
    line.push_str(&format!("\",\"event\":\"LAB\",\"node\":\"lab\",\"run\":{run},\"what\":"));
    jumpvpn_events::json::write_string(&mut line, what);
    line.push('}');
    merged.push(line);
}

/// Appends to `file`, in order of time, the notes of a run and the event files of its daemons; each line says its node
/// and its run.
///
/// # Errors
/// A file cannot be read or written.
pub fn merge(file: &mut File, run: u32, notes: &[String], parts: &[(&str, &Path)]) -> io::Result<()> {
    let mut lines: Vec<String> = notes.to_vec();
    for (node, part) in parts {
        let text = fs::read_to_string(part)?;
        let own = text.lines().filter_map(|line| line.strip_suffix('}'));
        lines.extend(own.map(|line| format!("{line},\"node\":\"{node}\",\"run\":{run}}}")));
    }
    // Every line begins with its time, in a form whose order as text is the order in time.
    lines.sort_by(|one, other| time_of(one).cmp(time_of(other)));
    lines.iter().try_for_each(|line| writeln!(file, "{line}"))
}

fn time_of(line: &str) -> &str {
    line.split('"').nth(3).unwrap_or_default()
}

#[cfg(test)]
mod tests;
