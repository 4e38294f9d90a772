//! `jumpvpn events`: prints what the daemon tells, or proves from event files that sessions behaved.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};

use jumpvpn_events::verify::{Finding, Summary, verify_lines};
use serde_json::{Value, json};

use crate::args::{EventFormat, EventsArgs, EventsVerb};
use crate::check::count;
use crate::control::{Daemon, accepted};
use crate::exit::{Code, Failure, Outcome};

/// `schema` of the line that ends the events the daemon holds.
const END: &str = "jumpvpn.end/1";

/// Runs the verb.
pub(crate) fn run(args: &EventsArgs) -> Outcome {
    match &args.verb {
        Some(EventsVerb::Verify { files, json }) => verify(files, *json),
        None => print(args),
    }
}

/// Prints the last events, or with `--follow` those to come, one JSON object per line.
fn print(args: &EventsArgs) -> Outcome {
    let EventFormat::Jsonl = args.format;
    let mut daemon = Daemon::connect(&args.socket)?;
    daemon.send(&json!({ "request": "events", "follow": args.follow }))?;
    let mut out = std::io::stdout().lock();
    while let Some(line) = daemon.line()? {
        // An event has no `schema`; only the end and a refusal have.
        if line.starts_with("{\"schema\"") || line.starts_with("{\"error\"") {
            let answer = accepted(daemon.parsed(&line)?, false)?;
            if answer["schema"] == END {
                return Ok(());
            }
        }
        writeln!(out, "{line}")?;
        out.flush()?;
    }
    Ok(())
}

/// Proves the rules of event files; every violation is printed, and any is a failure.
fn verify(files: &[PathBuf], as_json: bool) -> Outcome {
    let readers: Result<Vec<_>, Failure> =
        files.iter().map(|path| Ok((path.display().to_string(), BufReader::new(open(path)?)))).collect();
    let outcome = verify_lines(readers?);
    let mut out = std::io::stdout().lock();
    if as_json {
        writeln!(out, "{}", json_of(&outcome))?;
    } else {
        match &outcome {
            Ok(summary) => writeln!(out, "ok: {summary}")?,
            Err(findings) => {
                for finding in findings {
                    writeln!(out, "{finding}")?;
                }
            }
        }
    }
    match outcome {
        Ok(_) => Ok(()),
        Err(findings) => {
            Err(Failure::new(Code::Failed, format!("not proven: {}", count(findings.len(), "finding"))))
        }
    }
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| {
        let code = if error.kind() == ErrorKind::PermissionDenied { Code::Permission } else { Code::Failed };
        Failure::new(code, format!("{}: {error}", path.display()))
    })
}

fn json_of(outcome: &Result<Summary, Vec<Finding>>) -> Value {
    match outcome {
        Ok(summary) => json!({
            "schema": "jumpvpn.verify/1",
            "ok": true,
            "files": summary.files,
            "lines": summary.lines,
            "runs": summary.runs,
            "sessions": summary.sessions,
            "transitions": summary.transitions,
            "commits": summary.commits,
            "shared_facts": summary.shared_facts,
            "missing": summary.missing,
            "findings": [],
        }),
        Err(findings) => {
            let findings: Vec<Value> = findings.iter().map(json_of_finding).collect();
            json!({ "schema": "jumpvpn.verify/1", "ok": false, "findings": findings })
        }
    }
}

fn json_of_finding(finding: &Finding) -> Value {
    json!({
        "file": finding.file,
        "line": finding.line,
        "session": finding.session,
        "rule": format!("{:?}", finding.rule).to_lowercase(),
        "text": finding.text,
    })
}
