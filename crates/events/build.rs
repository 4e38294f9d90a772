//! Turns `registry.toml` into the enum `Reason` and its table, and refuses a registry that breaks its own rules.
//! What the rules are and why stands at the top of the registry.

// The bans of this room are for the library; a build script lives on files and variables.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

/// Classes a reason may have, with the variant of `Class` each one becomes.
const CLASSES: &[(&str, &str)] = &[
    ("operator", "Operator"),
    ("path", "Path"),
    ("policy", "Policy"),
    ("lifecycle", "Lifecycle"),
    ("key", "Key"),
    ("handshake", "Handshake"),
    ("security", "Security"),
    ("ownership", "Ownership"),
    ("traffic", "Traffic"),
    ("resource", "Resource"),
    ("internal", "Internal"),
];

/// Severities a reason may have, with the variant of `Severity` each one becomes.
const SEVERITIES: &[(&str, &str)] =
    &[("debug", "Debug"), ("info", "Info"), ("notice", "Notice"), ("warning", "Warning"), ("error", "Error")];

struct Entry {
    code: String,
    variant: String,
    number: u16,
    class: &'static str,
    severity: &'static str,
    meaning: String,
    action: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=registry.toml");
    println!("cargo:rerun-if-changed=build.rs");
    let text = fs::read_to_string("registry.toml")?;
    let table: toml::Table = text.parse()?;
    let entries = read_entries(&table)?;
    check(&entries, &read_retired(&table)?)?;
    let out = Path::new(&env::var("OUT_DIR")?).join("reasons.rs");
    fs::write(out, render(&entries)?)?;
    Ok(())
}

fn read_entries(table: &toml::Table) -> Result<Vec<Entry>, Box<dyn Error>> {
    let list = table.get("reason").and_then(toml::Value::as_array).ok_or("no [[reason]] in the registry")?;
    list.iter().map(read_entry).collect()
}

fn read_entry(value: &toml::Value) -> Result<Entry, Box<dyn Error>> {
    let text = |key: &str| {
        value
            .get(key)
            .and_then(toml::Value::as_str)
            .map(str::to_owned)
            .ok_or(format!("missing {key} in {value}"))
    };
    let number =
        value.get("number").and_then(toml::Value::as_integer).ok_or(format!("no number in {value}"))?;
    let code = text("code")?;
    Ok(Entry {
        variant: camel_case(&code),
        number: u16::try_from(number)?,
        class: pick(CLASSES, &text("class")?)?,
        severity: pick(SEVERITIES, &text("severity")?)?,
        meaning: text("meaning")?,
        action: text("action")?,
        code,
    })
}

fn read_retired(table: &toml::Table) -> Result<Vec<u16>, Box<dyn Error>> {
    let list = table.get("retired").and_then(toml::Value::as_array).ok_or("no `retired` in the registry")?;
    list.iter()
        .map(|value| Ok(u16::try_from(value.as_integer().ok_or("a retired number is not a number")?)?))
        .collect()
}

fn pick(choices: &[(&str, &'static str)], word: &str) -> Result<&'static str, String> {
    choices
        .iter()
        .find(|(name, _)| *name == word)
        .map(|(_, variant)| *variant)
        .ok_or_else(|| format!("`{word}` is none of {choices:?}"))
}

fn check(entries: &[Entry], retired: &[u16]) -> Result<(), String> {
    let mut codes = BTreeSet::new();
    let mut last = 0; // reserved: "no reason given"
    for entry in entries {
        let code = &entry.code;
        if entry.number <= last {
            return Err(format!("{code}: number {} is not above {last}; keep the list sorted", entry.number));
        }
        if retired.contains(&entry.number) {
            return Err(format!("{code}: number {} is retired and must not be used again", entry.number));
        }
        if !codes.insert(code.clone()) {
            return Err(format!("{code} appears twice"));
        }
        let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        if code.is_empty() || !code.chars().all(plain) {
            return Err(format!("{code} is not in SCREAMING_SNAKE_CASE"));
        }
        if entry.meaning.len() < 20 || entry.action.is_empty() {
            return Err(format!("{code}: say what it means and what to do"));
        }
        last = entry.number;
    }
    Ok(())
}

fn camel_case(code: &str) -> String {
    code.split('_')
        .map(|word| {
            let (head, tail) = word.split_at(word.len().min(1));
            format!("{head}{}", tail.to_ascii_lowercase())
        })
        .collect()
}

fn render(entries: &[Entry]) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    out.push_str(
        "/// Why anything happened. Generated from `registry.toml`; the order is that of the numbers.\n",
    );
    out.push_str(
        "#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]\n#[repr(u16)]\npub enum Reason {\n",
    );
    for entry in entries {
        writeln!(out, "    /// {}\n    {},", entry.meaning, entry.variant)?;
    }
    writeln!(out, "}}\n\nconst ALL: [Reason; {}] = [", entries.len())?;
    for entry in entries {
        writeln!(out, "    Reason::{},", entry.variant)?;
    }
    writeln!(out, "];\n\nstatic TABLE: [Row; {}] = [", entries.len())?;
    for entry in entries {
        writeln!(
            out,
            "    Row {{ code: {:?}, number: {}, class: Class::{}, severity: Severity::{}, meaning: {:?}, action: {:?} }},",
            entry.code, entry.number, entry.class, entry.severity, entry.meaning, entry.action
        )?;
    }
    out.push_str("];\n");
    Ok(out)
}
