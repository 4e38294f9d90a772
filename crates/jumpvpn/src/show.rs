//! `jumpvpn show`: details as tables, made from whatever fields the daemon's answer has.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use crate::args::ShowArgs;
use crate::control::{Daemon, accepted};
use crate::exit::Outcome;
use crate::table::{self, Column};

/// Pause of `--watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Clears the screen and goes to its upper left corner (ECMA-48 ED and CUP).
const CLEAR: &str = "\x1b[2J\x1b[H";

/// Columns of paths in the order of reading; further fields follow in alphabetical order.
const PATH_COLUMNS: &[&str] =
    &["name", "class", "iface", "binding", "health", "rtt_ms", "loss", "mtu", "score", "local", "remote"];

/// Columns of sessions.
const SESSION_COLUMNS: &[&str] = &["session", "peer", "state", "inner", "remote", "path", "version", "epoch"];

/// Columns of peers.
const PEER_COLUMNS: &[&str] = &["name", "public_key", "inner", "sessions"];

/// Subjects of an answer with their columns.
const SUBJECTS: &[(&str, &[&str])] =
    &[("paths", PATH_COLUMNS), ("sessions", SESSION_COLUMNS), ("policy", &[]), ("peers", PEER_COLUMNS)];

/// Runs the verb.
pub(crate) fn run(args: &ShowArgs) -> Outcome {
    let what = args.what.and_then(|what| what.to_possible_value());
    let what = what.as_ref().map_or("all", |value| value.get_name());
    let request = json!({ "request": "show", "what": what });
    let mut daemon = Daemon::connect(&args.socket)?;
    let clear = args.watch && !args.json && std::io::stdout().is_terminal();
    loop {
        let answer = accepted(daemon.ask(&request)?, args.json)?;
        let text = if args.json { format!("{answer}\n") } else { page(&answer) };
        let mut out = std::io::stdout().lock();
        if clear {
            out.write_all(CLEAR.as_bytes())?;
        }
        out.write_all(text.as_bytes())?;
        out.flush()?;
        if !args.watch {
            return Ok(());
        }
        drop(out);
        std::thread::sleep(WATCH_INTERVAL);
    }
}

/// The answer as people read it; headings only where there is more than one subject.
pub(crate) fn page(answer: &Value) -> String {
    let present: Vec<_> = SUBJECTS.iter().filter(|(name, _)| !answer[name].is_null()).collect();
    let mut page = String::new();
    for (name, columns) in &present {
        if present.len() > 1 {
            let gap = if page.is_empty() { "" } else { "\n" };
            page.push_str(&format!("{gap}{name}\n"));
        }
        page.push_str(&subject(&answer[name], columns));
    }
    page
}

/// A list with those of the named columns that occur.
pub(crate) fn columns(value: &Value, names: &[&str]) -> String {
    match value.as_array() {
        Some(items) if !items.is_empty() => {
            let occurs = |name: &&str| items.iter().any(|item| item.get(name).is_some());
            rows(items, &names.iter().copied().filter(occurs).collect::<Vec<_>>())
        }
        _ => "  none\n".to_owned(),
    }
}

fn subject(value: &Value, order: &[&'static str]) -> String {
    match value {
        Value::Array(items) if items.is_empty() => "  none\n".to_owned(),
        Value::Array(items) => list(items, order),
        Value::Object(fields) => {
            let mut rows = Vec::new();
            flatten("", fields, &mut rows);
            let columns = [Column::left("KEY"), Column::left("VALUE")];
            table::render(&columns, &rows)
        }
        other => format!("  {}\n", cell(other)),
    }
}

/// A list of objects: the known columns that occur, then the others.
fn list(items: &[Value], order: &[&'static str]) -> String {
    let occurring: BTreeSet<&str> = items
        .iter()
        .filter_map(Value::as_object)
        .flat_map(|fields| fields.keys().map(String::as_str))
        .collect();
    let known = order.iter().copied().filter(|name| occurring.contains(name));
    let names: Vec<&str> =
        known.chain(occurring.iter().copied().filter(|name| !order.contains(name))).collect();
    rows(items, &names)
}

fn rows(items: &[Value], names: &[&str]) -> String {
    let column = |name: &&str| {
        let right = items.iter().all(|item| item[name].is_number() || item[name].is_null());
        Column { heading: name.to_uppercase(), right }
    };
    let columns: Vec<Column> = names.iter().map(column).collect();
    let rows: Vec<Vec<String>> =
        items.iter().map(|item| names.iter().map(|name| cell(&item[name])).collect()).collect();
    table::render(&columns, &rows)
}

/// Nested objects as `outer.inner` rows.
fn flatten(prefix: &str, fields: &Map<String, Value>, rows: &mut Vec<Vec<String>>) {
    for (name, value) in fields {
        match value {
            Value::Object(inner) => flatten(&format!("{prefix}{name}."), inner, rows),
            other => rows.push(vec![format!("{prefix}{name}"), cell(other)]),
        }
    }
}

/// A value in one cell: `-` for nothing, lists with commas, figures with at most three decimals.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(flag) => if *flag { "yes" } else { "no" }.to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        // What came over the socket must not steer the terminal.
        Value::String(text) => text.chars().filter(|character| !character.is_control()).collect(),
        Value::Number(number) => match number.as_f64() {
            Some(figure) if number.is_f64() => {
                format!("{figure:.3}").trim_end_matches('0').trim_end_matches('.').to_owned()
            }
            _ => number.to_string(),
        },
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(_) => pairs(value),
    }
}

/// `name value, name value` of an object; any other value as a cell.
pub(crate) fn pairs(value: &Value) -> String {
    match value.as_object() {
        Some(fields) => {
            let pairs: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name} {}", cell(value))).collect();
            if pairs.is_empty() { "-".to_owned() } else { pairs.join(", ") }
        }
        None => cell(value),
    }
}

/// As [`pairs`], without what is zero.
pub(crate) fn nonzero(fields: &Map<String, Value>) -> String {
    let counted = fields.iter().filter(|(_, count)| **count != json!(0));
    counted.map(|(name, count)| format!("{name} {}", cell(count))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
