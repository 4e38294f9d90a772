//! The proof of one file: everything that can be judged without knowing the other side.

use std::collections::BTreeMap;
use std::io::BufRead;

use super::line::{Detail, Line};
use super::thread::Thread;
use super::{Fact, Facts, Finding, MAX_FINDINGS, Rule, Summary};

/// What has been read of one file so far.
pub(super) struct FileProof {
    name: String,
    line: u64,
    next_seq: u64,
    sessions: BTreeMap<String, Thread>,
    /// Lines of this run were lost, so a session may appear in the middle of its life.
    lost: bool,
    facts: Facts,
    findings: Vec<Finding>,
    counts: Summary,
}

impl FileProof {
    pub fn new(name: String) -> FileProof {
        FileProof {
            name,
            line: 0,
            next_seq: 1,
            sessions: BTreeMap::new(),
            lost: false,
            facts: Facts::new(),
            findings: Vec::new(),
            counts: Summary::default(),
        }
    }

    /// Reads the whole file. A line that is no event is found and skipped.
    pub fn read(&mut self, reader: impl BufRead) {
        for text in reader.lines() {
            self.line += 1;
            let text = match text {
                Ok(text) => text,
                Err(error) => return self.find(None, Rule::Shape, format!("cannot be read: {error}")),
            };
            if text.trim().is_empty() {
                continue;
            }
            match Line::parse(&text) {
                Ok(line) => self.take(&line),
                Err(problem) => self.find(None, Rule::Shape, problem),
            }
        }
    }

    /// Adds what was counted to the summary of all files.
    pub fn add_to(&self, summary: &mut Summary) {
        summary.lines += self.counts.lines;
        summary.runs += self.counts.runs;
        summary.transitions += self.counts.transitions;
        summary.commits += self.counts.commits;
        summary.missing += self.counts.missing;
    }

    /// Name of the file, its facts, and what is wrong with it.
    pub fn finish(self) -> (String, Facts, Vec<Finding>) {
        (self.name, self.facts, self.findings)
    }

    fn take(&mut self, line: &Line) {
        self.counts.lines += 1;
        self.take_seq(line);
        let Some(session) = &line.session else { return };
        let held = self.sessions.remove(session);
        // Who takes a session over that he once gave away knows nothing of it any more.
        let held = held.filter(|thread| !(thread.is_released() && matches!(line.detail, Detail::Takeover)));
        let mut thread = held.unwrap_or_else(|| self.begin(session));
        let mut found = Vec::new();
        thread.take(line, &mut found);
        self.sessions.insert(session.clone(), thread);
        for (rule, text) in found {
            self.find(Some(session), rule, text);
        }
        self.counts.transitions += u64::from(matches!(line.detail, Detail::StateChange { .. }));
        if line.detail.is_commit() {
            self.take_fact(session, line);
        }
    }

    fn begin(&mut self, session: &str) -> Thread {
        let facts = self.facts.entry(session.to_owned()).or_default();
        let mut thread = match facts.last_key_value() {
            Some(((epoch, version), _)) => Thread::restored(*epoch, *version),
            None => Thread::new(),
        };
        if self.lost {
            thread.lose();
        }
        thread
    }

    fn take_seq(&mut self, line: &Line) {
        if self.counts.runs == 0 || (line.seq == 1 && self.next_seq != 1) {
            self.counts.runs += 1;
            self.next_seq = 1;
            self.sessions.clear();
            self.lost = false;
        }
        if let Detail::TelemetryGap { first_seq, last_seq } = line.detail {
            if first_seq != self.next_seq || last_seq < first_seq {
                let text = format!("a gap of {first_seq} to {last_seq} where {} was expected", self.next_seq);
                self.find(None, Rule::Sequence, text);
            }
            self.counts.missing += last_seq.saturating_add(1).saturating_sub(first_seq);
            self.next_seq = last_seq.saturating_add(1);
            self.sessions.values_mut().for_each(Thread::lose);
            self.lost = true;
        }
        if line.seq != self.next_seq {
            self.find(None, Rule::Sequence, format!("seq {} where {} was expected", line.seq, self.next_seq));
        }
        self.next_seq = line.seq.saturating_add(1);
    }

    /// Keeps a committed fact; one that is already known must not be told twice, not even by a later run.
    fn take_fact(&mut self, session: &str, line: &Line) {
        self.counts.commits += 1;
        let fact = Fact { kind: line.name.clone(), line: self.line };
        let chain = self.facts.entry(session.to_owned()).or_default();
        if let Some(earlier) = chain.insert((line.epoch, line.version), fact) {
            let text = format!("version {} was already committed in line {}", line.version, earlier.line);
            self.find(Some(session), Rule::Commit, text);
        }
    }

    fn find(&mut self, session: Option<&str>, rule: Rule, text: String) {
        if self.findings.len() < MAX_FINDINGS {
            let (file, session) = (self.name.clone(), session.map(str::to_owned));
            self.findings.push(Finding { file, line: self.line, session, rule, text });
        }
    }
}
