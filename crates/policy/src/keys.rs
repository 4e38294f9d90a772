//! The one table of policy keys. Setting, checking, documentation and JSON schema all come from it.
//!
//! The names are those of the published policy model without the unit suffix; a duration is also accepted under its
//! name with `_ms` and a whole number of milliseconds.

use std::time::Duration;

use crate::value::{self, Input, SetError, Value};
use crate::{Class, ClassSet, OutOfBounds, Policy, PostQuantum};

mod table;
mod text;

pub use table::KEYS;
pub use text::{docs_markdown, json_schema};

/// One key.
pub struct Key {
    /// Full name, for example `switching.switch_cooldown`.
    pub name: &'static str,
    /// Type and bounds.
    pub kind: Kind,
    /// What it does, for people.
    pub doc: &'static str,
    pub(crate) read: fn(&Policy) -> Value,
    pub(crate) write: fn(&mut Policy, Value),
}

/// Type and bounds of a key; bounds are inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A span of time.
    Duration {
        /// Shortest.
        min: Duration,
        /// Longest.
        max: Duration,
    },
    /// A whole number.
    Count {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// A number with up to three decimals, in thousandths.
    Thousandths {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// true or false.
    Flag,
    /// One of some words.
    Word(&'static [&'static str]),
    /// A list of path classes, not empty.
    Classes,
}

impl Kind {
    /// What a value must look like, with an example.
    pub const fn expected(self) -> &'static str {
        match self {
            Kind::Duration { .. } => "a duration such as \"500ms\", \"8s\" or \"8h\"",
            Kind::Count { .. } => "a whole number",
            Kind::Thousandths { .. } => "a number with at most three decimals, such as 1.1",
            Kind::Flag => "true or false",
            Kind::Word(_) => "one of the words of this key",
            Kind::Classes => "a list of \"udp\", \"tcp\" and \"tls\"",
        }
    }

    /// The bounds in words.
    pub fn allowed(self) -> String {
        match self {
            Kind::Duration { min, max } => {
                format!("{} to {}", value::format_duration(min), value::format_duration(max))
            }
            Kind::Count { min, max } => format!("{min} to {max}"),
            Kind::Thousandths { min, max } => {
                format!("{} to {}", value::format_thousandths(min), value::format_thousandths(max))
            }
            Kind::Flag => "true or false".to_owned(),
            Kind::Word(words) => words.join(", "),
            Kind::Classes => "at least one of udp, tcp, tls".to_owned(),
        }
    }

    fn admits(self, value: Value) -> bool {
        match (self, value) {
            (Kind::Duration { min, max }, Value::Duration(span)) => (min..=max).contains(&span),
            (Kind::Count { min, max }, Value::Count(n)) => (min..=max).contains(&n),
            (Kind::Thousandths { min, max }, Value::Thousandths(n)) => (min..=max).contains(&n),
            (Kind::Flag, Value::Flag(_)) => true,
            (Kind::Word(words), Value::Word(index, _)) => index < words.len(),
            (Kind::Classes, Value::Classes(set)) => !set.is_empty(),
            _ => false,
        }
    }

    fn read(self, input: &Input<'_>) -> Option<Value> {
        match self {
            Kind::Duration { .. } => match input {
                Input::Text(text) => value::parse_duration(text).map(Value::Duration),
                _ => None,
            },
            Kind::Count { .. } => match input {
                Input::Integer(n) => u64::try_from(*n).ok().map(Value::Count),
                Input::Text(text) => text.trim().parse().ok().map(Value::Count),
                _ => None,
            },
            Kind::Thousandths { .. } => read_thousandths(input).map(Value::Thousandths),
            Kind::Flag => match input {
                Input::Bool(flag) => Some(Value::Flag(*flag)),
                Input::Text("true") => Some(Value::Flag(true)),
                Input::Text("false") => Some(Value::Flag(false)),
                _ => None,
            },
            Kind::Word(words) => match input {
                Input::Text(text) => {
                    words.iter().position(|word| word == text).map(|i| Value::Word(i, words))
                }
                _ => None,
            },
            Kind::Classes => read_classes(input).map(Value::Classes),
        }
    }
}

impl Key {
    /// The value of this key in that policy.
    pub fn value(&self, policy: &Policy) -> Value {
        (self.read)(policy)
    }

    /// What is wrong with the value of this key in that policy, if anything.
    pub fn check(&self, policy: &Policy) -> Option<OutOfBounds> {
        let value = self.value(policy);
        let wrong = OutOfBounds { key: self.name, value: value.to_string(), allowed: self.kind.allowed() };
        (!self.kind.admits(value)).then_some(wrong)
    }
}

/// The key of that exact name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Sets a key; see [`Policy::set`].
pub(crate) fn set(policy: &mut Policy, name: &str, input: &Input<'_>) -> Result<(), SetError> {
    if let Some(key) = find(name) {
        let value = key.kind.read(input).ok_or(SetError::WrongType { expected: key.kind.expected() })?;
        (key.write)(policy, value);
        return Ok(());
    }
    let alias = name.strip_suffix("_ms").and_then(find);
    let Some(key) = alias.filter(|key| matches!(key.kind, Kind::Duration { .. })) else {
        return Err(SetError::UnknownKey { suggestion: nearest(name) });
    };
    let millis = match input {
        Input::Integer(n) => u64::try_from(*n).ok(),
        Input::Text(text) => text.trim().parse().ok(),
        _ => None,
    };
    let millis = millis.ok_or(SetError::WrongType { expected: "a whole number of milliseconds" })?;
    (key.write)(policy, Value::Duration(Duration::from_millis(millis)));
    Ok(())
}

/// Rules between keys that the bounds of each one cannot express.
pub(crate) fn check_relations(policy: &Policy) -> Vec<OutOfBounds> {
    RELATIONS.iter().filter_map(|relation| relation.check(policy)).collect()
}

/// `lower` must not be above `upper`.
struct Relation {
    lower: &'static str,
    upper: &'static str,
}

const RELATIONS: [Relation; 3] = [
    // Otherwise every pause between two heartbeats would count as silence.
    Relation { lower: "volatility.heartbeat_interval", upper: "volatility.heartbeat_volatile" },
    Relation { lower: "volatility.detection.min_silence", upper: "volatility.detection.max_silence" },
    Relation { lower: "switching.flap_hold", upper: "switching.flap_hold_max" },
];

impl Relation {
    fn check(&self, policy: &Policy) -> Option<OutOfBounds> {
        let (lower, upper) = (find(self.lower)?, find(self.upper)?);
        let (low, high) = (lower.value(policy), upper.value(policy));
        let broken = match (low, high) {
            (Value::Duration(low), Value::Duration(high)) => low > high,
            (Value::Count(low), Value::Count(high)) => low > high,
            _ => false,
        };
        let allowed = || format!("at most {} = {high}", self.upper);
        broken.then(|| OutOfBounds { key: lower.name, value: low.to_string(), allowed: allowed() })
    }
}

fn read_thousandths(input: &Input<'_>) -> Option<u64> {
    match input {
        Input::Integer(n) => u64::try_from(*n).ok()?.checked_mul(1_000),
        // The shortest text of a float is what stood in the file, so no rounding happens here.
        Input::Float(x) => value::parse_thousandths(&x.to_string()),
        Input::Text(text) => value::parse_thousandths(text),
        _ => None,
    }
}

fn read_classes(input: &Input<'_>) -> Option<ClassSet> {
    let add = |set: ClassSet, word: &str| Class::from_name(word.trim()).map(|class| set.with(class));
    match input {
        Input::List(words) => words.iter().try_fold(ClassSet::EMPTY, |set, word| add(set, word)),
        Input::Text(text) => text.split(',').try_fold(ClassSet::EMPTY, add),
        _ => None,
    }
}

/// The key whose name is nearest to a mistyped one, if fewer than a third of the letters differ.
fn nearest(name: &str) -> Option<&'static str> {
    let by_distance = |key: &'static Key| (distance(name, key.name), key.name);
    let (distance, near) = KEYS.iter().map(by_distance).min()?;
    (distance * 3 < near.len()).then_some(near)
}

/// Letters to insert, remove or replace to get from one word to the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// The words of `security.pq`, beside the enum they belong to.
pub(crate) fn pq_from_index(index: usize) -> PostQuantum {
    [PostQuantum::Off, PostQuantum::On, PostQuantum::Required].get(index).copied().unwrap_or(PostQuantum::On)
}

#[cfg(test)]
mod tests;
