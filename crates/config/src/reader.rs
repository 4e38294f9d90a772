//! Walks the parsed file along the table of keys and notes everything that does not fit: unknown and missing tables and
//! keys, values of the wrong type, texts that do not stand for a value.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use toml::value::Datetime;

use crate::keys::{FileSpec, KeySpec, Presence, TableSpec};
use crate::report::Notes;

/// Name of the table of policy keys, which every kind of file may have.
pub(crate) const POLICY: &str = "policy";

/// Least likeness (Jaro-Winkler, 0 to 1) of a suggestion: a swapped, missing or doubled letter stays above it in words
/// of four letters and more, another word does not.
const LIKENESS: f64 = 0.8;

/// A value with the place where it stands.
pub(crate) type Value<'a> = Spanned<DeValue<'a>>;

/// A value read from the file, with its place.
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) span: Range<usize>,
}

/// The known candidate that looks most like `word`, if one looks like it at all.
pub fn suggestion<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&word, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// "did you mean …?", or the list of what there is.
pub(crate) fn did_you_mean(word: &str, candidates: &[&str]) -> String {
    match suggestion(word, candidates.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => format!("there are: {}", candidates.join(", ")),
    }
}

/// One table of the file beside its declaration.
pub(crate) struct Section<'a> {
    spec: &'static TableSpec,
    table: &'a DeTable<'a>,
    /// Where the table begins.
    pub(crate) span: Range<usize>,
}

/// Splits the file into its tables, noting unknown, missing and repeated ones.
pub(crate) fn sections<'a>(
    spec: &'static FileSpec,
    root: &'a DeTable<'a>,
    notes: &mut Notes,
) -> BTreeMap<&'static str, Vec<Section<'a>>> {
    let known: Vec<&str> =
        spec.tables.iter().map(|table| table.name).chain(spec.policy.then_some(POLICY)).collect();
    for (key, _) in root.iter().filter(|(key, _)| !known.contains(&key.get_ref().as_ref())) {
        let message =
            format!("unknown table or key `{}` in the file of {}", key.get_ref(), article(spec.name));
        notes.error_hint(&key.span(), message, did_you_mean(key.get_ref(), &known));
    }
    spec.tables.iter().map(|table| (table.name, one_section(table, root, notes))).collect()
}

/// `a gateway`, `an agent`.
fn article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {noun}")
}

fn one_section<'a>(spec: &'static TableSpec, root: &'a DeTable<'a>, notes: &mut Notes) -> Vec<Section<'a>> {
    let header = if spec.many { format!("[[{}]]", spec.name) } else { format!("[{}]", spec.name) };
    let Some(value) = root.get(spec.name) else {
        if spec.required {
            notes.error_hint(&(0..0), format!("missing table {header}"), spec.meaning);
        }
        return Vec::new();
    };
    let tables: Vec<(&DeTable<'_>, Range<usize>)> = match value.get_ref() {
        DeValue::Table(table) if !spec.many => vec![(table, value.span())],
        DeValue::Array(array) if spec.many => array
            .iter()
            .filter_map(|item| item.get_ref().as_table().map(|table| (table, item.span())))
            .collect(),
        _ => Vec::new(),
    };
    if tables.is_empty() {
        notes.error_hint(
            &value.span(),
            format!("`{}` is not a table", spec.name),
            format!("write it as {header}"),
        );
    }
    tables
        .into_iter()
        .map(|(table, span)| {
            let section = Section { spec, table, span };
            section.check_names(notes);
            section
        })
        .collect()
}

impl<'a> Section<'a> {
    /// Notes unknown and missing keys.
    fn check_names(&self, notes: &mut Notes) {
        let known: Vec<&str> = self.spec.keys.iter().map(|key| key.name).collect();
        for (key, _) in self.table.iter() {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                let message = format!("unknown key `{name}` in [{}]", self.spec.name);
                notes.error_hint(&key.span(), message, did_you_mean(name, &known));
            }
        }
        for key in self.spec.keys {
            if key.presence == Presence::Required && !self.table.contains_key(key.name) {
                let message = format!("missing key `{}` in [{}]", key.name, self.spec.name);
                notes.error_hint(&self.span, message, key.meaning);
            }
        }
    }

    /// The value behind `name`, as it stands in the file.
    pub(crate) fn value(&self, name: &str) -> Option<&'a Value<'a>> {
        debug_assert!(self.spec.keys.iter().any(|key| key.name == name), "{name} is declared");
        self.table.get(name)
    }

    fn key(&self, name: &str) -> Option<(&'static KeySpec, &'a Value<'a>)> {
        let value = self.value(name)?;
        self.spec.keys.iter().find(|key| key.name == name).map(|key| (key, value))
    }

    fn wrong_type(&self, key: &KeySpec, value: &Value<'_>, notes: &mut Notes) {
        let message = format!("`{}` is {}", key.name, kind(value.get_ref()));
        notes.error_hint(&value.span(), message, format!("it should be: {}", key.shape.describe()));
    }

    /// The string behind `name`, turned into a value by `parse`.
    pub(crate) fn text<T>(
        &self,
        name: &str,
        notes: &mut Notes,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<Placed<T>> {
        let (key, value) = self.key(name)?;
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(key, value, notes);
            return None;
        };
        parsed(value, text, notes, parse)
    }

    /// The flag behind `name`.
    pub(crate) fn flag(&self, name: &str, notes: &mut Notes) -> Option<bool> {
        let (key, value) = self.key(name)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.wrong_type(key, value, notes);
        }
        flag
    }

    /// The strings behind `name`, each turned into a value by `parse`; those that are none are noted and left out.
    pub(crate) fn list<T>(
        &self,
        name: &str,
        notes: &mut Notes,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<Placed<T>>> {
        let (key, value) = self.key(name)?;
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(key, value, notes);
            return None;
        };
        let mut list = Vec::new();
        for item in items.iter() {
            match item.get_ref().as_str() {
                Some(text) => list.extend(parsed(item, text, notes, &parse)),
                None => self.wrong_type(key, item, notes),
            }
        }
        Some(list)
    }

    /// The number from `low` to `high` behind `name`.
    pub(crate) fn number(&self, name: &str, low: u64, high: u64, notes: &mut Notes) -> Option<u64> {
        let (key, value) = self.key(name)?;
        let DeValue::Integer(number) = value.get_ref() else {
            self.wrong_type(key, value, notes);
            return None;
        };
        let number = u64::from_str_radix(number.as_str(), number.radix()).ok();
        let number = number.filter(|number| (low..=high).contains(number));
        if number.is_none() {
            notes.error(&value.span(), format!("`{name}` is out of range ({low} to {high})"));
        }
        number
    }

    /// The date or time behind `name`.
    pub(crate) fn time(&self, name: &str, notes: &mut Notes) -> Option<Placed<Datetime>> {
        let (key, value) = self.key(name)?;
        let Some(stamp) = value.get_ref().as_datetime() else {
            self.wrong_type(key, value, notes);
            return None;
        };
        Some(Placed { value: *stamp, span: value.span() })
    }

    /// `"auto"` (no value) or a number of bytes from `low` to `high` behind `name`.
    pub(crate) fn auto_or_number(&self, name: &str, low: u16, high: u16, notes: &mut Notes) -> Option<u16> {
        let number = self.auto_or_count(name, low.into(), high.into(), notes)?;
        u16::try_from(number).ok()
    }

    /// `"auto"` (no value) or a number from `low` to `high` behind `name`.
    pub(crate) fn auto_or_count(&self, name: &str, low: u32, high: u32, notes: &mut Notes) -> Option<u32> {
        let (key, value) = self.key(name)?;
        match value.get_ref() {
            DeValue::String(text) if text == "auto" => None,
            DeValue::Integer(_) => {
                let number = self.number(name, low.into(), high.into(), notes)?;
                u32::try_from(number).ok()
            }
            _ => {
                self.wrong_type(key, value, notes);
                None
            }
        }
    }
}

fn parsed<T>(
    value: &Value<'_>,
    text: &str,
    notes: &mut Notes,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Option<Placed<T>> {
    match parse(text) {
        Ok(found) => Some(Placed { value: found, span: value.span() }),
        Err(message) => {
            notes.error(&value.span(), message);
            None
        }
    }
}

/// The type of a value in words.
pub(crate) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
