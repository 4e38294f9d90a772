//! How a verb ends: exit codes, and failures with the words for them.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

/// Exit codes of the program; scripts depend on the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    /// Something went wrong while it ran.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The daemon could be asked, and what was asked for does not hold (`status --check`).
    NotAttached = 3,
    /// The user may not do that.
    Permission = 4,
    /// No daemon answered.
    Unreachable = 5,
    /// The configuration is invalid.
    Config = 6,
    /// The daemon, or the peer behind it, refused.
    Refused = 8,
}

/// Meaning of the exit codes, for the manual and `--help`. 7 belongs to waiting, which no verb does yet.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  ok
  1  runtime failure
  2  usage
  3  not running, or not attached
  4  permission denied
  5  daemon unreachable
  6  configuration invalid
  8  refused, with a reason";

/// Why a verb did not succeed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    /// One sentence for standard error; empty if everything has been said already.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// A failure with a sentence for standard error.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into(), hint: None }
    }

    /// A failure that has been explained already.
    pub(crate) fn silent(code: Code) -> Failure {
        Failure::new(code, "")
    }

    /// Adds what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(out, "\n    hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// What every verb answers.
pub(crate) type Outcome = Result<(), Failure>;

impl From<std::io::Error> for Failure {
    /// A failure of writing the output: that of a reader that has seen enough is none of ours, see [`finish`].
    fn from(error: std::io::Error) -> Failure {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Failure::silent(Code::Failed);
        }
        Failure::new(Code::Failed, error.to_string())
    }
}

/// Writes a line to standard error. Whoever reads it may be gone, or its disk full: nothing depends on that.
pub(crate) fn say(line: impl fmt::Display) {
    writeln!(std::io::stderr().lock(), "{line}").ok();
}

/// Prints what is left to say and turns the outcome into the exit code of the process.
pub(crate) fn finish(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                say(format_args!("jumpvpn: {failure}"));
            }
            ExitCode::from(failure.code as u8)
        }
    }
}
