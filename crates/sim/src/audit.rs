//! The event files that both sides would have written, and the proof over them.
use jumpvpn_events::verify::{Summary, verify_lines};
use jumpvpn_events::{Event, Time, json};

use crate::invariants::{Breach, Invariant};

/// One side's event file.
pub(crate) struct Log {
    name: String,
    text: String,
    seq: u64,
}

/// Wall clock time of the origin of virtual time: 2026-01-01 00:00 UTC.
const ORIGIN_UNIX_NANOS: u128 = 1_767_225_600_000_000_000;

impl Log {
    /// An empty file.
    pub fn new(name: String) -> Log {
        Log { name, text: String::new(), seq: 0 }
    }

    /// A process starts: it numbers its lines from 1.
    pub fn begin_run(&mut self) {
        self.seq = 0;
    }

    /// Writes an event.
    pub fn push(&mut self, event: &Event) {
        self.seq += 1;
        let at = ORIGIN_UNIX_NANOS + u128::from(event.at.since(Time::ZERO).as_nanos() as u64);
        json::write_line(&mut self.text, event, self.seq, at, &self.name);
        self.text.push('\n');
    }
}

/// Proves the files of one side against those of the other.
pub(crate) fn prove<'a>(logs: impl Iterator<Item = &'a Log>) -> Result<Summary, Breach> {
    verify_lines(logs.map(|log| (log.name.clone(), log.text.as_bytes()))).map_err(|findings| {
        let words: Vec<String> = findings.iter().take(5).map(ToString::to_string).collect();
        Breach {
            invariant: Invariant::Audit,
            what: format!("{} findings: {}", findings.len(), words.join("; ")),
        }
    })
}
