//! `jumpvpn check FILE`: validates a configuration, and the key files it names, without starting anything.

use std::io::Write;

use jumpvpn_config::{Config, Loaded, Report};
use serde_json::json;

use crate::args::CheckArgs;
use crate::exit::{Code, Failure, Outcome, say};

/// Runs the verb.
pub(crate) fn run(args: &CheckArgs) -> Outcome {
    let loaded = jumpvpn_config::load(&args.file);
    if args.json {
        let (kind, report) = match &loaded {
            Ok(Loaded { config, warnings }) => (Some(kind(config)), warnings),
            Err(report) => (None, report),
        };
        writeln!(std::io::stdout(), "{}", as_json(kind, report))?;
        return if loaded.is_ok() { Ok(()) } else { Err(Failure::silent(Code::Config)) };
    }
    match loaded {
        Ok(Loaded { config, warnings }) => {
            if !warnings.findings.is_empty() {
                say(&warnings);
            }
            writeln!(std::io::stdout(), "{}: ok, {}", args.file.display(), summary(&config))?;
            Ok(())
        }
        Err(report) => Err(refusal(&report)),
    }
}

/// Prints a refused file's findings to standard error and answers the failure with exit code 6.
pub(crate) fn refusal(report: &Report) -> Failure {
    say(report);
    let (errors, warnings) = (report.error_count(), report.warning_count());
    Failure::new(
        Code::Config,
        format!("{}: {}, {}", report.file, count(errors, "error"), count(warnings, "warning")),
    )
}

fn kind(config: &Config) -> &'static str {
    match config {
        Config::Gateway(_) => "gateway",
        Config::Agent(_) => "agent",
    }
}

/// What the file describes, in one line.
fn summary(config: &Config) -> String {
    match config {
        Config::Gateway(gateway) => {
            let listen: Vec<String> =
                gateway.listen.iter().map(|address| format!("udp://{address}")).collect();
            let peers = count(gateway.peers.len(), "peer");
            let (listen, store) = (listen.join(", "), gateway.store.kind());
            format!("a gateway on {listen} with {peers}, policy {}, store {store}", gateway.policy_name)
        }
        Config::Agent(agent) => {
            let endpoints: Vec<String> = agent
                .gateways
                .iter()
                .flat_map(|gateway| &gateway.endpoints)
                .map(ToString::to_string)
                .collect();
            format!("an agent of {}, policy {}", endpoints.join(", "), agent.policy_name)
        }
    }
}

/// `1 error`, `2 errors`.
pub(crate) fn count(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn as_json(kind: Option<&str>, report: &Report) -> serde_json::Value {
    let findings: Vec<_> = report
        .findings
        .iter()
        .map(|finding| {
            json!({
                "severity": finding.severity.as_str(),
                "line": finding.line,
                "column": finding.column,
                "message": finding.message,
                "hint": finding.hint,
            })
        })
        .collect();
    json!({
        "schema": "jumpvpn.check/1",
        "file": report.file,
        "ok": kind.is_some(),
        "kind": kind,
        "findings": findings,
    })
}
