//! The reference page and the JSON schema of events, both from the registry.

use crate::json::write_string;
use crate::{BindingState, EventKind, Reason, State};

/// The reference page of all reasons, in Markdown.
pub fn docs_markdown() -> String {
    let mut out = String::from("# Reason codes\n\n");
    out.push_str(
        "Generated from `crates/events/registry.toml`. Numbers are on the wire and are never reused.\n",
    );
    out.push_str("`jumpvpn explain CODE` prints the same.\n");
    let mut hundred = 0;
    for reason in Reason::ALL {
        if reason.number() / 100 != hundred {
            hundred = reason.number() / 100;
            out.push_str(&format!("\n## {}\n", group(hundred)));
        }
        out.push_str(&format!(
            "\n### {} ({})\n\n*{}, {}.* {}\n\nWhat to do: {}\n",
            reason.code(),
            reason.number(),
            reason.class().as_str(),
            reason.severity().as_str(),
            reason.meaning(),
            reason.action()
        ));
    }
    out
}

/// JSON schema (draft 2020-12) of one line of an event file.
pub fn json_schema() -> String {
    let mut out = String::from(
        "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"jumpvpn event\",\"type\":\"object\",\"required\":",
    );
    push_list(&mut out, COMMON.iter().map(|(name, _)| *name));
    out.push_str(",\"properties\":{");
    push_properties(&mut out, COMMON.iter().copied());
    out.push_str(",\"event\":{\"enum\":");
    push_list(&mut out, EventKind::NAMES);
    out.push_str("},\"reason\":{\"enum\":");
    push_list(&mut out, Reason::ALL.iter().map(|reason| reason.code()));
    out.push_str("}},\"oneOf\":[");
    for (index, (name, fields)) in KINDS.iter().enumerate() {
        out.push_str(if index == 0 { "" } else { "," });
        out.push_str("{\"properties\":{\"event\":{\"const\":");
        write_string(&mut out, name);
        out.push_str("},");
        push_properties(&mut out, fields.iter().copied());
        out.push_str("},\"required\":");
        push_list(&mut out, fields.iter().map(|(name, _)| *name));
        out.push('}');
    }
    out.push_str("]}");
    out
}

/// What a field can be.
#[derive(Clone, Copy)]
enum Type {
    Text,
    Count,
    Flag,
    Millis,
    MillisOrNull,
    Session,
    Timestamp,
    State,
    Binding,
    Named,
}

/// Fields of every line; `event` and `reason` are enumerations written out where they are used.
const COMMON: &[(&str, Type)] = &[
    ("ts", Type::Timestamp),
    ("seq", Type::Count),
    ("event", Type::Named),
    ("session", Type::Session),
    ("step", Type::Count),
    ("epoch", Type::Count),
    ("version", Type::Count),
    ("reason", Type::Named),
    ("severity", Type::Text),
    ("gateway", Type::Text),
];

/// Fields each kind adds.
const KINDS: [(&str, &[(&str, Type)]); EventKind::NAMES.len()] = [
    ("STATE_CHANGE", &[("from", Type::State), ("to", Type::State)]),
    ("SESSION_BIRTH", &[("path", Type::Text)]),
    (
        "TRANSPORT_SWITCH",
        &[
            ("old_path", Type::Text),
            ("new_path", Type::Text),
            ("detect_ms", Type::MillisOrNull),
            ("gap_ms", Type::MillisOrNull),
        ],
    ),
    ("TAKEOVER", &[("path", Type::Text), ("gap_ms", Type::MillisOrNull)]),
    ("RELEASE", &[("given", Type::Flag)]),
    ("TERMINATION", &[("committed", Type::Flag), ("lifetime_ms", Type::Millis), ("switches", Type::Count)]),
    ("REKEY", &[("key_epoch", Type::Count)]),
    ("PATH_STATE", &[("path", Type::Text), ("binding", Type::Binding), ("rtt_ms", Type::MillisOrNull)]),
    ("POLICY", &[("threshold", Type::Count), ("observed", Type::Count)]),
    ("SECURITY", &[("count", Type::Count)]),
    ("LINK", &[("path", Type::Text), ("up", Type::Flag)]),
    ("HANDSHAKE", &[("attempt", Type::Count)]),
    ("GATEWAY_LIST", &[("serial", Type::Count)]),
    ("TELEMETRY_GAP", &[("first_seq", Type::Count), ("last_seq", Type::Count)]),
];

fn group(hundred: u16) -> &'static str {
    match hundred {
        1 => "Seen on a path",
        2 => "Decided by the policy",
        3 => "Life of a session",
        4 => "Keys",
        5 => "Handshake",
        6 => "Control messages and proofs",
        7 => "Ownership",
        8 => "Dropped packets",
        _ => "This machine",
    }
}

/// The members of a `properties` object, without its braces.
fn push_properties(out: &mut String, fields: impl Iterator<Item = (&'static str, Type)>) {
    let fields = fields.filter(|(_, kind)| !matches!(kind, Type::Named));
    for (index, (name, kind)) in fields.enumerate() {
        out.push_str(if index == 0 { "" } else { "," });
        write_string(out, name);
        out.push(':');
        push_type(out, kind);
    }
}

fn push_type(out: &mut String, kind: Type) {
    match kind {
        Type::Text | Type::Named => out.push_str("{\"type\":\"string\"}"),
        Type::Count => out.push_str("{\"type\":\"integer\",\"minimum\":0}"),
        Type::Flag => out.push_str("{\"type\":\"boolean\"}"),
        Type::Millis => out.push_str("{\"type\":\"number\",\"minimum\":0}"),
        Type::MillisOrNull => out.push_str("{\"type\":[\"number\",\"null\"],\"minimum\":0}"),
        Type::Session => out.push_str("{\"type\":[\"string\",\"null\"],\"pattern\":\"^[0-9a-f]{32}$\"}"),
        Type::Timestamp => out.push_str("{\"type\":\"string\",\"format\":\"date-time\"}"),
        Type::State => push_enum(out, State::ALL.map(State::as_str)),
        Type::Binding => push_enum(out, BindingState::ALL.map(BindingState::as_str)),
    }
}

fn push_enum<'a>(out: &mut String, words: impl IntoIterator<Item = &'a str>) {
    out.push_str("{\"enum\":");
    push_list(out, words);
    out.push('}');
}

fn push_list<'a>(out: &mut String, words: impl IntoIterator<Item = &'a str>) {
    out.push('[');
    for (index, word) in words.into_iter().enumerate() {
        out.push_str(if index == 0 { "" } else { "," });
        write_string(out, word);
    }
    out.push(']');
}

#[cfg(test)]
mod tests;
