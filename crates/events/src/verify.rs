//! Proves from written event files that sessions behaved: the audit that needs to trust nobody.
//!
//! Within one file, for each run of the program (a line with `seq` 1 begins a new one) and each session:
//! - `seq` has no holes; a TELEMETRY_GAP line accounts for the lines it names, and only for those;
//! - there is exactly one STATE_CHANGE per `step`, steps count from 1 without holes, and each one starts in the state
//!   where the one before it ended; the first starts in BIRTH, nothing follows TERMINATED;
//! - there is exactly one commit event per (`epoch`, `version`): SESSION_BIRTH is version 1, each further one is one
//!   higher, the epoch never falls, nothing follows a committed TERMINATION;
//! - a TAKEOVER begins a higher epoch, at a version of its own: the owner before may have committed what nobody else
//!   learned. After a RELEASE nothing is told of the session but a later TAKEOVER, whose steps count from 1 again;
//! - at no time are two paths ACTIVE;
//! - no line is behind an earlier one in `step`, `epoch` or `version`.
//!
//! Over several files, usually those of all sides: a fact (`epoch`, `version`) that two files know of is the same fact,
//! with the same kind. A version has two epochs only if a TAKEOVER began the higher one. A side may know fewer facts at
//! the end, because it may have been cut off.
//!
//! Not proven: what happened during a telemetry gap. The summary says how many lines are missing.

use std::collections::BTreeMap;
use std::fmt;
use std::io::BufRead;

mod file;
mod line;
mod thread;

use file::FileProof;

/// Findings kept: a broken file could have one per line, and nobody reads more.
const MAX_FINDINGS: usize = 1_000;

/// What was proven.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files read.
    pub files: u64,
    /// Event lines read.
    pub lines: u64,
    /// Starts of a program seen, at least one for each file with lines.
    pub runs: u64,
    /// Different sessions.
    pub sessions: u64,
    /// STATE_CHANGE lines.
    pub transitions: u64,
    /// Commit lines.
    pub commits: u64,
    /// Facts known to more than one file, and equal in all of them.
    pub shared_facts: u64,
    /// Lines lost to telemetry gaps: what they said is not proven.
    pub missing: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} files, {} lines, {} runs, {} sessions: {} transitions and {} commits in order, {} shared facts equal, {} lines missing",
            self.files,
            self.lines,
            self.runs,
            self.sessions,
            self.transitions,
            self.commits,
            self.shared_facts,
            self.missing
        )
    }
}

/// Which rule a line breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The file cannot be read, or a line is not an event.
    Shape,
    /// `seq` has a hole, repeats or runs backwards.
    Sequence,
    /// STATE_CHANGE lines do not form one chain.
    Transition,
    /// Commit lines do not form one chain.
    Commit,
    /// Something follows the end of a session.
    Absorbing,
    /// Two paths are ACTIVE at once.
    OneActive,
    /// A line is behind an earlier one.
    Backwards,
    /// Two files tell the same fact differently.
    Agreement,
}

/// One violation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Name of the file.
    pub file: String,
    /// Number of the line in the file, from 1.
    pub line: u64,
    /// The session, as in the file.
    pub session: Option<String>,
    /// The rule.
    pub rule: Rule,
    /// What is wrong, with the figures.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {:?}: {}", self.file, self.line, self.rule, self.text)?;
        match &self.session {
            Some(session) => write!(f, " (session {session})"),
            None => Ok(()),
        }
    }
}

/// A committed fact, as one file tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fact {
    kind: String,
    line: u64,
}

/// The facts of one session by epoch and version.
type Chain = BTreeMap<(u64, u64), Fact>;

/// Facts by session.
type Facts = BTreeMap<String, Chain>;

/// Whether a takeover began this epoch, no later than at that version.
fn was_taken_over(chain: &Chain, epoch: u64, version: u64) -> bool {
    chain.range((epoch, 0)..=(epoch, version)).next().is_some_and(|(_, first)| first.kind == "TAKEOVER")
}

/// Reads event files and proves the rules of this module.
///
/// # Errors
/// Everything that was found wrong, in the order of files and lines; at most 1,000 findings.
pub fn verify_lines<N, R>(files: impl IntoIterator<Item = (N, R)>) -> Result<Summary, Vec<Finding>>
where
    N: Into<String>,
    R: BufRead,
{
    let mut summary = Summary::default();
    let mut findings = Vec::new();
    let mut known: Vec<(String, Facts)> = Vec::new();
    for (name, reader) in files {
        let mut proof = FileProof::new(name.into());
        proof.read(reader);
        summary.files += 1;
        proof.add_to(&mut summary);
        let (name, facts, found) = proof.finish();
        findings.extend(found);
        compare(&known, &name, &facts, &mut summary, &mut findings);
        known.push((name, facts));
    }
    let mut sessions: Vec<&String> = known.iter().flat_map(|(_, facts)| facts.keys()).collect();
    sessions.sort_unstable();
    sessions.dedup();
    summary.sessions = sessions.len() as u64;
    findings.truncate(MAX_FINDINGS);
    if findings.is_empty() { Ok(summary) } else { Err(findings) }
}

/// Holds the facts of one file against those of all files before it.
fn compare(
    known: &[(String, Facts)],
    file: &str,
    facts: &Facts,
    summary: &mut Summary,
    findings: &mut Vec<Finding>,
) {
    for (session, chain) in facts {
        let others = known.iter().filter_map(|(name, facts)| Some((name, facts.get(session)?)));
        for (other_file, other) in others {
            for (text, line) in disagreements(chain, other_file, other, summary) {
                let session = Some(session.clone());
                findings.push(Finding { file: file.to_owned(), line, session, rule: Rule::Agreement, text });
            }
        }
    }
}

/// What one file tells of a session differently from another one, with the lines.
fn disagreements(
    chain: &Chain,
    other_file: &str,
    other: &Chain,
    summary: &mut Summary,
) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for ((epoch, version), fact) in chain {
        if let Some(same) = other.get(&(*epoch, *version)) {
            summary.shared_facts += 1;
            if same.kind != fact.kind {
                let text = format!(
                    "version {version} of epoch {epoch} is {} here, but {} in {other_file}:{}",
                    fact.kind, same.kind, same.line
                );
                found.push((text, fact.line));
            }
        }
        let elsewhere = other.iter().filter(|((other, at), _)| at == version && other != epoch);
        for ((other_epoch, _), other_fact) in elsewhere {
            let (newer, began) = if other_epoch > epoch { (*other_epoch, other) } else { (*epoch, chain) };
            if !was_taken_over(began, newer, *version) {
                let text = format!(
                    "version {version} is of epoch {epoch} here, but of epoch {other_epoch} in {other_file}:{}, \
                     and no takeover began epoch {newer}",
                    other_fact.line
                );
                found.push((text, fact.line));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
