//! What a measurement says: figures with their spread, as a table or as JSON.

use serde_json::{Value, json};

use super::machine::Machine;
use crate::table::{self, Column};

/// One figure: the median of several rounds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figure {
    name: String,
    unit: &'static str,
    median: f64,
    rounds: usize,
    min: f64,
    max: f64,
}

impl Figure {
    /// From one value per round. No value at all is a figure of zero out of zero rounds.
    pub(super) fn of(name: impl Into<String>, unit: &'static str, mut values: Vec<f64>) -> Figure {
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = match (values.get(middle), values.len() % 2) {
            (Some(upper), 0) => (values[middle - 1] + upper) / 2.0,
            (Some(median), _) => *median,
            (None, _) => 0.0,
        };
        let (min, max) =
            (values.first().copied().unwrap_or_default(), values.last().copied().unwrap_or_default());
        Figure { name: name.into(), unit, median, rounds: values.len(), min, max }
    }

    /// Its name.
    #[cfg(test)]
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its median.
    pub(super) fn median(&self) -> f64 {
        self.median
    }

    fn as_json(&self) -> Value {
        json!({
            "name": self.name,
            "value": rounded(self.median),
            "unit": self.unit,
            "median_of": self.rounds,
            "min": rounded(self.min),
            "max": rounded(self.max),
        })
    }

    fn row(&self) -> Vec<String> {
        let number = |value| rounded(value).to_string();
        vec![
            self.name.clone(),
            number(self.median),
            self.unit.to_owned(),
            number(self.min),
            number(self.max),
            self.rounds.to_string(),
        ]
    }
}

/// Everything one bench has to say.
pub(super) struct Report {
    pub(super) bench: &'static str,
    pub(super) figures: Vec<Figure>,
    /// How to read them, for people.
    pub(super) note: &'static str,
}

impl Report {
    /// The object of `--json`.
    pub(super) fn as_json(&self, machine: &Machine) -> Value {
        let figures: Vec<Value> = self.figures.iter().map(Figure::as_json).collect();
        json!({
            "schema": "jumpvpn.bench/1",
            "bench": self.bench,
            "machine": machine.as_json(),
            "figures": figures,
        })
    }

    /// The table for people.
    pub(super) fn as_text(&self, machine: &Machine) -> String {
        let columns = [
            Column::left("FIGURE"),
            Column::right("MEDIAN"),
            Column::left("UNIT"),
            Column::right("MIN"),
            Column::right("MAX"),
            Column::right("ROUNDS"),
        ];
        let rows: Vec<Vec<String>> = self.figures.iter().map(Figure::row).collect();
        format!(
            "{} on {}\n\n{}\n{}\n",
            self.bench,
            machine.as_text(),
            table::render(&columns, &rows),
            self.note
        )
    }
}

/// Four digits are more than any of these measurements can tell apart.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let decimals = 3 - value.abs().log10().floor() as i32;
    if decimals <= 0 { value.round() } else { (value * 10f64.powi(decimals)).round() / 10f64.powi(decimals) }
}

#[cfg(test)]
mod tests;
