//! Writes an event as one line of JSON, by hand: this runs for every event, and the shape stays in sight.
//!
//! Every line has `ts`, `seq`, `event`, `session`, `step`, `epoch`, `version`, `reason`, `severity`, `gateway`; what a
//! kind adds follows. Durations are numbers of milliseconds with a fraction (`*_ms`); a key whose value is not known
//! is `null`, never missing, so that the columns of a table stay put.

use std::fmt::Write as _;
use std::time::Duration;

use crate::{Event, EventKind};

/// Appends one JSON object without a line break.
///
/// `seq` is the number of the line in its file, from 1 without holes. `ts_unix_nanos` is wall clock time, written as
/// RFC 3339 in UTC with microseconds. `gateway` names the program that writes, on either side.
pub fn write_line(out: &mut String, event: &Event, seq: u64, ts_unix_nanos: u128, gateway: &str) {
    out.push_str("{\"ts\":\"");
    write_timestamp(out, ts_unix_nanos);
    out.push('"');
    number(out, "seq", seq);
    text(out, "event", event.kind.name());
    match event.session {
        Some(label) => display(out, "session", &label),
        None => null(out, "session"),
    }
    number(out, "step", event.step);
    number(out, "epoch", event.epoch);
    number(out, "version", event.version);
    text(out, "reason", event.reason.code());
    text(out, "severity", event.reason.severity().as_str());
    text(out, "gateway", gateway);
    write_kind(out, &event.kind);
    out.push('}');
}

/// Appends a point of wall clock time as RFC 3339 in UTC, for example `2026-03-01T12:00:00.123456Z`.
pub fn write_timestamp(out: &mut String, unix_nanos: u128) {
    let micros = (unix_nanos / 1_000) % 1_000_000;
    let seconds = u64::try_from(unix_nanos / 1_000_000_000).unwrap_or(u64::MAX);
    let (year, month, day) = civil_date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    push(out, format_args!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z"));
}

/// Appends `value` as a JSON string, quotes included (RFC 8259, section 7).
pub fn write_string(out: &mut String, value: &str) {
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // U+2028 and U+2029 end a line for some readers of JSON Lines.
            c if c < ' ' || c == '\u{7f}' || c == '\u{2028}' || c == '\u{2029}' => {
                push(out, format_args!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn write_kind(out: &mut String, kind: &EventKind) {
    match kind {
        EventKind::StateChange { from, to } => {
            text(out, "from", from.as_str());
            text(out, "to", to.as_str());
        }
        EventKind::SessionBirth { path } => text(out, "path", path.as_str()),
        EventKind::TransportSwitch { old_path, new_path, detect, gap } => {
            text(out, "old_path", old_path.as_str());
            text(out, "new_path", new_path.as_str());
            millis(out, "detect_ms", *detect);
            millis(out, "gap_ms", *gap);
        }
        EventKind::Takeover { path, gap } => {
            text(out, "path", path.as_str());
            millis(out, "gap_ms", *gap);
        }
        EventKind::Release { given } => flag(out, "given", *given),
        EventKind::Termination { committed, lifetime, switches } => {
            flag(out, "committed", *committed);
            millis(out, "lifetime_ms", Some(*lifetime));
            number(out, "switches", u64::from(*switches));
        }
        EventKind::Rekey { key_epoch } => number(out, "key_epoch", u64::from(*key_epoch)),
        EventKind::PathState { path, binding, rtt } => {
            text(out, "path", path.as_str());
            text(out, "binding", binding.as_str());
            millis(out, "rtt_ms", *rtt);
        }
        EventKind::Policy { threshold, observed } => {
            number(out, "threshold", *threshold);
            number(out, "observed", *observed);
        }
        EventKind::Security { count } => number(out, "count", u64::from(*count)),
        EventKind::Link { path, up } => {
            text(out, "path", path.as_str());
            flag(out, "up", *up);
        }
        EventKind::Handshake { attempt } => number(out, "attempt", u64::from(*attempt)),
        EventKind::GatewayList { serial } => number(out, "serial", *serial),
        EventKind::TelemetryGap { first_seq, last_seq } => {
            number(out, "first_seq", *first_seq);
            number(out, "last_seq", *last_seq);
        }
    }
}

fn key(out: &mut String, name: &str) {
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":");
}

fn text(out: &mut String, name: &str, value: &str) {
    key(out, name);
    write_string(out, value);
}

/// For values whose text needs no escaping.
fn display(out: &mut String, name: &str, value: &impl std::fmt::Display) {
    key(out, name);
    push(out, format_args!("\"{value}\""));
}

fn number(out: &mut String, name: &str, value: u64) {
    key(out, name);
    push(out, format_args!("{value}"));
}

fn flag(out: &mut String, name: &str, value: bool) {
    key(out, name);
    out.push_str(if value { "true" } else { "false" });
}

fn null(out: &mut String, name: &str) {
    key(out, name);
    out.push_str("null");
}

/// Milliseconds with microseconds behind the point: exact, where a float would be rounded.
fn millis(out: &mut String, name: &str, value: Option<Duration>) {
    let Some(span) = value else { return null(out, name) };
    let micros = span.as_micros();
    key(out, name);
    push(out, format_args!("{}.{:03}", micros / 1_000, micros % 1_000));
}

fn push(out: &mut String, args: std::fmt::Arguments<'_>) {
    // invariant: writing to a String cannot fail.
    out.write_fmt(args).unwrap_or_default();
}

/// Days from 1970-01-01 to a date of the Gregorian calendar (month 1 to 12, day 1 to 31); nothing for one that is none, or before 1970.
#[must_use]
pub fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    let leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = usize::try_from(month).ok()?.checked_sub(1)?;
    if year < 1970 || day == 0 || day > *lengths.get(before)? {
        return None;
    }
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let days = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    Some(days + lengths[..before].iter().sum::<u64>() + day - 1)
}

/// Year, month and day of a day since 1970-01-01 in the Gregorian calendar: counted in eras of 400 years of
/// 146,097 days that begin on 1 March, so that the leap day is the last of its year.
fn civil_date(days: u64) -> (u64, u64, u64) {
    const DAYS_TO_1970: u64 = 719_468; // from 0000-03-01
    let shifted = days.saturating_add(DAYS_TO_1970);
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153; // from March
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (0, month + 3) } else { (1, month - 9) };
    (era * 400 + year_of_era + year, month, day)
}

#[cfg(test)]
mod tests;
