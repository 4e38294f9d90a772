//! The policy: a preset's name, a table of policy keys, or both.
//!
//! It may stand as `policy = "vehicle"` or `policy = { … }` in the main table, and as `[policy]` of its own. A table
//! starts from the preset it names under `preset`, else from the one named in the main table, else from the default.
//! The keys, their types and bounds are those of `jumpvpn_policy::keys`.

use std::collections::BTreeMap;
use std::ops::Range;

use jumpvpn_policy::value::{Input, SetError};
use jumpvpn_policy::{PRESETS, Policy};
use toml::de::{DeTable, DeValue};

use crate::reader::{self, Value, did_you_mean};
use crate::report::Notes;

/// Key of a policy table that names the preset it starts from.
pub(crate) const PRESET: &str = "preset";

/// A key that was set: its name and where it stands.
type Places = BTreeMap<String, Range<usize>>;

/// Reads the policy from `policy = …` of the main table (`beside`) and the table `[policy]` (`own`).
///
/// Answers the policy and the name of the preset it came from; what is wrong is noted.
pub(crate) fn read(
    beside: Option<&Value<'_>>,
    own: Option<&Value<'_>>,
    default: &'static str,
    notes: &mut Notes,
) -> (Policy, String) {
    let tables: Vec<&Value<'_>> =
        [beside, own].into_iter().flatten().filter(|v| v.get_ref().is_table()).collect();
    let name = preset_name(beside, own, notes).unwrap_or_else(|| default.to_owned());
    // invariant: `preset_name` answers names of presets alone, and so is every default (tested).
    let mut policy = Policy::by_name(&name).unwrap_or_else(Policy::spec_default);
    let mut places = Places::new();
    for value in &tables {
        if let DeValue::Table(table) = value.get_ref() {
            set_all(&mut policy, "", table, &mut places, notes);
        }
    }
    let whole = tables.first().or(beside.as_ref()).map_or(0..0, |value| value.span());
    for found in policy.validate() {
        let span = place_of(found.key, &places).unwrap_or(&whole);
        let message = format!("policy key {} = {} is out of bounds", found.key, found.value);
        notes.error_hint(span, message, format!("allowed: {}", found.allowed));
    }
    (policy, name)
}

/// The one preset that is named, if one is.
fn preset_name(beside: Option<&Value<'_>>, own: Option<&Value<'_>>, notes: &mut Notes) -> Option<String> {
    let mut named: Option<String> = None;
    for value in [beside, own].into_iter().flatten() {
        let name = match value.get_ref() {
            DeValue::Table(table) => table.get(PRESET),
            DeValue::String(_) if beside.is_some_and(|beside| std::ptr::eq(beside, value)) => Some(value),
            other => {
                let message = format!("`policy` is {}", reader::kind(other));
                notes.error_hint(&value.span(), message, "it should be a table of policy keys");
                None
            }
        };
        let Some(name) = name else { continue };
        let Some(text) = name.get_ref().as_str() else {
            notes.error(&name.span(), format!("the name of a preset is {}", reader::kind(name.get_ref())));
            continue;
        };
        if Policy::by_name(text).is_none() {
            let known: Vec<&str> = preset_names().collect();
            notes.error_hint(&name.span(), format!("unknown policy `{text}`"), did_you_mean(text, &known));
        } else if named.as_deref().is_some_and(|other| other != text) {
            notes.error(&name.span(), format!("policy `{text}` contradicts the one named before"));
        } else {
            named = Some(text.to_owned());
        }
    }
    named
}

/// Names of the presets, in the order of the documentation.
pub(crate) fn preset_names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().copied()
}

/// Sets every key below `prefix`.
fn set_all(policy: &mut Policy, prefix: &str, table: &DeTable<'_>, places: &mut Places, notes: &mut Notes) {
    for (key, value) in table.iter().filter(|(key, _)| !(prefix.is_empty() && key.get_ref() == PRESET)) {
        let name = format!("{prefix}{}", key.get_ref());
        if let DeValue::Table(inner) = value.get_ref() {
            set_all(policy, &format!("{name}."), inner, places, notes);
            continue;
        }
        match set(policy, &name, value.get_ref()) {
            Ok(()) if places.insert(name.clone(), value.span()).is_some() => {
                notes.error(&key.span(), format!("policy key `{name}` is set twice"));
            }
            Ok(()) => {}
            Err(SetError::UnknownKey { suggestion }) => {
                let hint = match suggestion {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "`jumpvpn schema` lists all policy keys".to_owned(),
                };
                notes.error_hint(&key.span(), format!("unknown policy key `{name}`"), hint);
            }
            Err(SetError::WrongType { expected }) => {
                let message = format!("policy key `{name}` is {}", shown(value.get_ref()));
                notes.error_hint(&value.span(), message, format!("it should be {expected}"));
            }
        }
    }
}

/// Hands one value of the file to the policy.
fn set(policy: &mut Policy, name: &str, value: &DeValue<'_>) -> Result<(), SetError> {
    match value {
        DeValue::String(text) => policy.set(name, &Input::Text(text)),
        DeValue::Boolean(flag) => policy.set(name, &Input::Bool(*flag)),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => policy.set(name, &Input::Integer(number)),
            Err(_) => policy.set(name, &Input::Text("")),
        },
        DeValue::Float(number) => {
            policy.set(name, &Input::Float(number.as_str().parse().unwrap_or(f64::NAN)))
        }
        DeValue::Array(items) => {
            // An item that is no string makes the list one that no key takes.
            let words: Vec<&str> =
                items.iter().map(|item| item.get_ref().as_str().unwrap_or_default()).collect();
            policy.set(name, &Input::List(&words))
        }
        DeValue::Datetime(_) | DeValue::Table(_) => policy.set(name, &Input::Text("")),
    }
}

/// The value as the message shows it.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("\"{text}\""),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        other => reader::kind(other).to_owned(),
    }
}

/// Where `key` was set, under its own name or with `_ms`.
fn place_of<'a>(key: &str, places: &'a Places) -> Option<&'a Range<usize>> {
    places.get(key).or_else(|| places.get(&format!("{key}_ms")))
}
