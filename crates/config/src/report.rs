//! Findings about a configuration file and the list of them that is shown at once.
//!
//! While a file is being read, findings carry byte offsets ([`Notes`]); at the end they become lines and columns
//! ([`Report`]), in the order in which they stand in the file.

use std::fmt;
use std::ops::Range;

/// How much a [`Finding`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file is usable; what the finding names is left out or replaced as its message says.
    Warning,
    /// The file is refused.
    Error,
}

impl Severity {
    /// `"error"` or `"warning"`.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// One thing that is wrong (or doubtful) in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether the file is refused because of it.
    pub severity: Severity,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// All findings of one file, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The file as the caller named it.
    pub file: String,
    /// What was found.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Number of findings because of which the file is refused.
    pub fn error_count(&self) -> usize {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error).count()
    }

    /// Number of findings that do not keep the file from being used.
    pub fn warning_count(&self) -> usize {
        self.findings.len() - self.error_count()
    }
}

/// `file:line:column: error: message`, followed by an indented hint; one finding after the other.
impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.findings.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            let Finding { severity, line, column, message, hint } = finding;
            write!(out, "{}:{line}:{column}: {}: {message}", self.file, severity.as_str())?;
            if let Some(hint) = hint {
                write!(out, "\n    hint: {hint}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Report {}

/// Collects findings by byte offset while the file is read.
#[derive(Default)]
pub(crate) struct Notes {
    notes: Vec<(Severity, usize, String, Option<String>)>,
}

impl Notes {
    /// Notes an error at `span`.
    pub(crate) fn error(&mut self, span: &Range<usize>, message: impl Into<String>) {
        self.notes.push((Severity::Error, span.start, message.into(), None));
    }

    /// Notes an error at `span` together with what to do about it.
    pub(crate) fn error_hint(
        &mut self,
        span: &Range<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.notes.push((Severity::Error, span.start, message.into(), Some(hint.into())));
    }

    /// Notes something that does not keep the file from being used.
    pub(crate) fn warning(
        &mut self,
        span: &Range<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.notes.push((Severity::Warning, span.start, message.into(), Some(hint.into())));
    }

    /// Number of errors noted so far.
    pub(crate) fn error_count(&self) -> usize {
        self.notes.iter().filter(|(severity, ..)| *severity == Severity::Error).count()
    }

    /// Turns offsets into lines and columns of `text`.
    pub(crate) fn into_report(mut self, file: &str, text: &str) -> Report {
        self.notes.sort_by_key(|(_, offset, ..)| *offset);
        let findings = self
            .notes
            .into_iter()
            .map(|(severity, offset, message, hint)| {
                let (line, column) = position(text, offset);
                Finding { severity, line, column, message, hint }
            })
            .collect();
        Report { file: file.to_owned(), findings }
    }
}

/// Line and column of the byte `offset`, both counted from 1; an offset behind the end is the end.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}
