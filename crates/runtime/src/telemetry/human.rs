//! Events as lines for people: severity, what happened, why.

use std::fmt::Write;
use std::time::Duration;

use jumpvpn_events::{Event, EventKind, Reason, Severity};

/// From which severity on the log on stderr shows something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// Nothing, for those who only measure.
    Off,
    /// Only what does not work.
    Quiet,
    /// What a person who set it up wants to see.
    #[default]
    Normal,
    /// Everything, as `-v` asks for.
    Verbose,
}

impl LogLevel {
    /// Whether something of that severity is shown.
    pub fn shows(self, severity: Severity) -> bool {
        match self {
            LogLevel::Off => false,
            LogLevel::Quiet => severity >= Severity::Warning,
            LogLevel::Normal => severity >= Severity::Info,
            LogLevel::Verbose => true,
        }
    }
}

/// Appends the line of a note, with its line feed.
pub(super) fn write_note(line: &mut String, severity: Severity, text: &str) {
    push(line, format_args!("{}: {text}\n", severity.as_str()));
}

/// Appends the line of an event, with its line feed.
pub(super) fn write_event(line: &mut String, event: &Event) {
    push(line, format_args!("{}: ", event.reason.severity().as_str()));
    write_kind(line, &event.kind, event.reason);
    push(line, format_args!(" [{}]", event.reason.code()));
    if let Some(session) = event.session {
        // Eight digits tell sessions of one log apart; the file has all of them.
        let id = session.to_string();
        push(line, format_args!(" session {} version {}", &id[..8], event.version));
    }
    line.push('\n');
}

fn write_kind(line: &mut String, kind: &EventKind, reason: Reason) {
    match kind {
        EventKind::StateChange { from, to } => {
            push(line, format_args!("{} -> {}", from.as_str(), to.as_str()));
        }
        EventKind::SessionBirth { path } => push(line, format_args!("session established over {path}")),
        EventKind::TransportSwitch { old_path, new_path, detect, gap } => {
            push(line, format_args!("jumped from {old_path} to {new_path}"));
            write_millis(line, "detected in", *detect);
            write_millis(line, "gap", *gap);
        }
        EventKind::Takeover { path, gap } => {
            push(line, format_args!("taken over, now on {path}"));
            write_millis(line, "gap", *gap);
        }
        EventKind::Release { given: true } => push(line, format_args!("given to another gateway")),
        EventKind::Release { given: false } => push(line, format_args!("no longer ours, keys erased")),
        EventKind::Termination { lifetime, switches, .. } => {
            push(line, format_args!("session over after {} s and {switches} jumps", lifetime.as_secs()));
        }
        EventKind::Rekey { key_epoch } => push(line, format_args!("new keys, number {key_epoch}")),
        EventKind::PathState { path, binding, rtt } => {
            push(line, format_args!("path {path} is {}", binding.as_str()));
            write_millis(line, "rtt", *rtt);
        }
        EventKind::Policy { threshold, observed } => {
            push(line, format_args!("refused by policy: limit {threshold}, found {observed}"));
        }
        EventKind::Security { count } => push(line, format_args!("refused {count} times")),
        EventKind::Link { path, up: true } => push(line, format_args!("link {path} is usable")),
        EventKind::Link { path, up: false } => push(line, format_args!("link {path} is gone")),
        EventKind::Handshake { attempt } if reason.severity() >= Severity::Warning => {
            push(line, format_args!("handshake {attempt} failed, going on trying"));
        }
        EventKind::Handshake { attempt } => push(line, format_args!("handshake {attempt}")),
        EventKind::GatewayList { serial } if reason == Reason::ListKept => {
            push(line, format_args!("a new list of gateways, serial {serial}, is kept for the next start"));
        }
        EventKind::GatewayList { serial } => {
            push(line, format_args!("a list of gateways was refused, serial {serial} stays"));
        }
        EventKind::TelemetryGap { first_seq, last_seq } => {
            push(line, format_args!("events {first_seq} to {last_seq} are missing"));
        }
    }
}

fn write_millis(line: &mut String, what: &str, span: Option<Duration>) {
    if let Some(span) = span {
        push(line, format_args!(", {what} {:.1} ms", span.as_secs_f64() * 1e3));
    }
}

fn push(line: &mut String, text: std::fmt::Arguments<'_>) {
    // invariant: writing into a String cannot fail.
    line.write_fmt(text).ok();
}

#[cfg(test)]
mod tests;
