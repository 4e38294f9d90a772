//! Values of the configuration: how they are written, read and shown.

use std::fmt;
use std::time::Duration;

use crate::ClassSet;

/// What a configuration file offers for a key, before it is known what the key wants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Input<'a> {
    /// A string: a duration ("500ms"), a word, a number, a list with commas.
    Text(&'a str),
    /// An integer. For durations only with the key's `_ms` name.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// true or false.
    Bool(bool),
    /// A list of words.
    List(&'a [&'a str]),
}

/// The value of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A span of time.
    Duration(Duration),
    /// A whole number.
    Count(u64),
    /// A number in thousandths: 1100 is 1.10.
    Thousandths(u64),
    /// On or off.
    Flag(bool),
    /// One of the words of the key, by its index.
    Word(usize, &'static [&'static str]),
    /// Classes of path.
    Classes(ClassSet),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Duration(span) => f.write_str(&format_duration(*span)),
            Value::Count(count) => write!(f, "{count}"),
            Value::Thousandths(n) => f.write_str(&format_thousandths(*n)),
            Value::Flag(flag) => write!(f, "{flag}"),
            Value::Word(index, words) => f.write_str(words.get(*index).copied().unwrap_or_default()),
            Value::Classes(set) => write!(f, "{set}"),
        }
    }
}

/// Why a key could not be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError {
    /// There is no such key.
    UnknownKey {
        /// The nearest known one, if one is near.
        suggestion: Option<&'static str>,
    },
    /// The value is not of the kind the key wants.
    WrongType {
        /// What it wants, in words with an example.
        expected: &'static str,
    },
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetError::UnknownKey { suggestion: Some(near) } => {
                write!(f, "unknown key; did you mean `{near}`?")
            }
            SetError::UnknownKey { suggestion: None } => f.write_str("unknown key"),
            SetError::WrongType { expected } => write!(f, "expected {expected}"),
        }
    }
}

impl std::error::Error for SetError {}

/// Units of durations, longest first, in nanoseconds.
const UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Reads a duration: numbers with units d, h, m, s, ms, us, ns, as in "500ms", "8h", "1m30s" or "1.5s".
///
/// `None` for anything else, also for a number without a unit and for more than 584 years.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let end = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let scale = UNITS.iter().find(|(name, _)| *name == unit)?.1;
        total = total.checked_add(scaled(number, scale)?)?;
        rest = tail.trim_start();
    }
    Some(Duration::from_nanos(total))
}

/// Writes a duration the way [`parse_duration`] reads it: the largest unit that leaves no fraction.
pub fn format_duration(span: Duration) -> String {
    let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    if nanos == 0 {
        return "0s".to_owned();
    }
    let fits = |(_, scale): &&(&str, u64)| nanos.is_multiple_of(*scale);
    let (unit, scale) = UNITS.iter().find(fits).copied().unwrap_or(("ns", 1));
    format!("{}{unit}", nanos / scale)
}

/// Reads a number with at most three decimals into thousandths: "1.1" is 1100. `None` for anything else.
pub fn parse_thousandths(text: &str) -> Option<u64> {
    scaled(text.trim(), 1_000)
}

/// Writes thousandths as a decimal number: 1100 is "1.1".
pub fn format_thousandths(n: u64) -> String {
    let text = format!("{}.{:03}", n / 1_000, n % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A decimal number times `scale`, exactly; `None` if that is no whole number or too large.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let mut total = whole.parse::<u64>().ok()?.checked_mul(scale)?;
    let mut place = scale;
    for digit in fraction.trim_end_matches('0').bytes() {
        if !place.is_multiple_of(10) {
            return None; // finer than the unit can express
        }
        place /= 10;
        total = total.checked_add(place * u64::from(digit - b'0'))?;
    }
    Some(total)
}

#[cfg(test)]
mod tests;
