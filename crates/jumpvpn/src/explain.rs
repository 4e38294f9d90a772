//! `jumpvpn explain [CODE]`: what a reason code means and what to do about it.

use std::io::Write;

use jumpvpn_events::Reason;
use serde_json::{Value, json};

use crate::args::ExplainArgs;
use crate::exit::{Code, Failure, Outcome};
use crate::table::{self, Column};

/// Runs the verb.
pub(crate) fn run(args: &ExplainArgs) -> Outcome {
    let text = match &args.code {
        Some(code) => {
            let reason = find(code)?;
            if args.json { format!("{}\n", with_schema(as_json(reason))) } else { page(reason) }
        }
        None if args.json => {
            let reasons: Vec<Value> = Reason::ALL.iter().map(|&reason| as_json(reason)).collect();
            format!("{}\n", json!({ "schema": "jumpvpn.explain/1", "reasons": reasons }))
        }
        None => list(),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// The reason with this code (in any case, `-` for `_` allowed) or number.
fn find(code: &str) -> Result<Reason, Failure> {
    let wanted = code.to_uppercase().replace('-', "_");
    let by_number = || code.parse().ok().and_then(Reason::from_number);
    Reason::from_code(&wanted).or_else(by_number).ok_or_else(|| {
        let failure = Failure::new(Code::Usage, format!("`{code}` is not a reason code"));
        match jumpvpn_config::suggestion(&wanted, Reason::ALL.iter().map(|reason| reason.code())) {
            Some(near) => failure.hint(format!("did you mean {near}?")),
            None => failure.hint("`jumpvpn explain` lists all of them"),
        }
    })
}

fn page(reason: Reason) -> String {
    format!(
        "{} ({}, {}, number {})\n\n{}\n\nWhat to do: {}\n",
        reason.code(),
        reason.class().as_str(),
        reason.severity().as_str(),
        reason.number(),
        reason.meaning(),
        reason.action(),
    )
}

fn list() -> String {
    let columns =
        [Column::left("CODE"), Column::right("NUMBER"), Column::left("CLASS"), Column::left("SEVERITY")];
    let row = |reason: &Reason| {
        vec![
            reason.code().to_owned(),
            reason.number().to_string(),
            reason.class().as_str().to_owned(),
            reason.severity().as_str().to_owned(),
        ]
    };
    let rows: Vec<_> = Reason::ALL.iter().map(row).collect();
    let mut text = table::render(&columns, &rows);
    text.push_str(&format!("\n{} reasons; `jumpvpn explain CODE` says more about one.\n", rows.len()));
    text
}

fn as_json(reason: Reason) -> Value {
    json!({
        "code": reason.code(),
        "number": reason.number(),
        "class": reason.class().as_str(),
        "severity": reason.severity().as_str(),
        "meaning": reason.meaning(),
        "action": reason.action(),
    })
}

fn with_schema(mut reason: Value) -> Value {
    reason["schema"] = json!("jumpvpn.explain/1");
    reason
}
