//! A limit on a time, written in terms of the network it is measured on: `1rtt + 15ms`, `spacing + 5ms`, `250ms`.

use std::fmt;
use std::time::Duration;

use super::units;

/// A sum of round-trip times, datagram spacings and a fixed part.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limit {
    rtt_count: f64,
    spacing_count: f64,
    fixed: Duration,
}

impl Limit {
    /// Reads a sum of terms: `N rtt`, `N spacing` or a duration.
    ///
    /// # Errors
    /// A sentence with an example.
    pub fn parse(text: &str) -> Result<Limit, String> {
        let mut limit = Limit::default();
        for term in text.split('+').map(str::trim) {
            if let Some(count) = term.strip_suffix("rtt") {
                limit.rtt_count += factor(count).ok_or_else(|| wrong(text))?;
            } else if let Some(count) = term.strip_suffix("spacing") {
                limit.spacing_count += factor(count).ok_or_else(|| wrong(text))?;
            } else {
                limit.fixed += units::duration(term).map_err(|_| wrong(text))?;
            }
        }
        Ok(limit)
    }

    /// The limit in time on a network with this round-trip time and this spacing of datagrams.
    #[must_use]
    pub fn on(&self, rtt: Duration, spacing: Duration) -> Duration {
        rtt.mul_f64(self.rtt_count) + spacing.mul_f64(self.spacing_count) + self.fixed
    }
}

fn factor(text: &str) -> Option<f64> {
    let text = text.trim();
    if text.is_empty() {
        return Some(1.0);
    }
    text.parse().ok().filter(|count: &f64| (0.0..=1000.0).contains(count))
}

fn wrong(text: &str) -> String {
    format!("{text:?} is no limit; write it like \"250ms\", \"1rtt + 15ms\" or \"spacing + 5ms\"")
}

impl fmt::Display for Limit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut terms = Vec::new();
        for (count, unit) in [(self.rtt_count, "rtt"), (self.spacing_count, "spacing")] {
            if count > 0.0 {
                terms.push(format!("{count} {unit}"));
            }
        }
        if !self.fixed.is_zero() || terms.is_empty() {
            terms.push(format!("{} ms", self.fixed.as_secs_f64() * 1e3));
        }
        out.write_str(&terms.join(" + "))
    }
}
