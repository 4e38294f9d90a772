//! The table as people and programs read it: a reference page and a JSON schema.

use std::collections::BTreeMap;

use super::{KEYS, Key, Kind};
use crate::value::{Value, format_thousandths};
use crate::{PRESETS, Policy};

/// The reference page of all keys with bounds, meaning and the value in each preset, in Markdown.
pub fn docs_markdown() -> String {
    let presets: Vec<Policy> = PRESETS.iter().filter_map(|name| Policy::by_name(name)).collect();
    let mut out = String::from("# Policy keys\n\nGenerated from the table in `crates/policy`.\n");
    out.push_str("Durations are strings with a unit; under the name with `_ms` a whole number of milliseconds is accepted.\n");
    out.push_str(&format!("\n| key | {} | allowed | meaning |\n", PRESETS.join(" | ")));
    out.push_str(&format!("|---|{}---|---|\n", "---|".repeat(PRESETS.len())));
    for key in KEYS {
        let values: Vec<String> = presets.iter().map(|policy| key.value(policy).to_string()).collect();
        let line =
            format!("| `{}` | {} | {} | {} |\n", key.name, values.join(" | "), key.kind.allowed(), key.doc);
        out.push_str(&line);
    }
    out
}

/// JSON schema (draft 2020-12) of a `[policy]` table. Every key is optional; the defaults are those of `laptop`.
pub fn json_schema() -> String {
    let mut root = Node::default();
    let defaults = Policy::laptop();
    for key in KEYS {
        root.insert(key.name, key_schema(key, &defaults));
        if let Kind::Duration { min, max } = key.kind {
            let text = format!(
                "{{\"type\":\"integer\",\"minimum\":{},\"maximum\":{},\"description\":{}}}",
                min.as_millis(),
                max.as_millis(),
                quoted(&format!("`{}` in milliseconds.", key.name))
            );
            root.insert(&format!("{}_ms", key.name), text);
        }
    }
    root.render()
}

/// A table of the configuration: names, each with a schema or a table of its own.
#[derive(Default)]
struct Node {
    leaves: BTreeMap<String, String>,
    tables: BTreeMap<String, Node>,
}

impl Node {
    fn insert(&mut self, name: &str, schema: String) {
        match name.split_once('.') {
            Some((table, rest)) => self.tables.entry(table.to_owned()).or_default().insert(rest, schema),
            None => {
                self.leaves.insert(name.to_owned(), schema);
            }
        }
    }

    fn render(&self) -> String {
        let tables = self.tables.iter().map(|(name, node)| (name, node.render()));
        let leaves = self.leaves.iter().map(|(name, schema)| (name, schema.clone()));
        let members: Vec<String> =
            tables.chain(leaves).map(|(name, schema)| format!("{}:{schema}", quoted(name))).collect();
        format!(
            "{{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{{{}}}}}",
            members.join(",")
        )
    }
}

fn key_schema(key: &Key, defaults: &Policy) -> String {
    let kind = match key.kind {
        Kind::Duration { .. } => {
            "\"type\":\"string\",\"pattern\":\"^([0-9.]+(d|h|m|s|ms|us|ns) ?)+$\"".to_owned()
        }
        Kind::Count { min, max } => format!("\"type\":\"integer\",\"minimum\":{min},\"maximum\":{max}"),
        Kind::Thousandths { min, max } => format!(
            "\"type\":\"number\",\"minimum\":{},\"maximum\":{}",
            format_thousandths(min),
            format_thousandths(max)
        ),
        Kind::Flag => "\"type\":\"boolean\"".to_owned(),
        Kind::Word(words) => format!("\"enum\":[{}]", quoted_list(words)),
        Kind::Classes => format!(
            "\"type\":\"array\",\"minItems\":1,\"items\":{{\"enum\":[{}]}}",
            quoted_list(&["udp", "tcp", "tls"])
        ),
    };
    let description = quoted(&format!("{} Allowed: {}.", key.doc, key.kind.allowed()));
    format!("{{{kind},\"default\":{},\"description\":{description}}}", json_value(key.value(defaults)))
}

fn json_value(value: Value) -> String {
    match value {
        Value::Count(_) | Value::Thousandths(_) | Value::Flag(_) => value.to_string(),
        Value::Duration(_) | Value::Word(..) => quoted(&value.to_string()),
        Value::Classes(set) => {
            format!("[{}]", quoted_list(&set.iter().map(|c| c.as_str()).collect::<Vec<_>>()))
        }
    }
}

fn quoted_list(words: &[&str]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(",")
}

/// A JSON string. The texts are those of the table: printable, so quotes and backslashes are all there is to escape.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
