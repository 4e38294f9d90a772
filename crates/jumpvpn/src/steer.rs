//! `jump`, `pin`, `unpin`: what a person may change about a running session. The policy has the last word.

use std::io::Write;

use serde_json::{Value, json};

use crate::args::{JumpArgs, PinArgs, UnpinArgs};
use crate::control;
use crate::exit::Outcome;

/// Asks for a move to the named path, or to the best other one.
pub(crate) fn jump(args: &JumpArgs) -> Outcome {
    let mut request = json!({ "request": "jump" });
    if let Some(to) = &args.to {
        request["to"] = json!(to);
    }
    let answer = control::ask(&args.socket, &request, args.json)?;
    let said = match &args.to {
        Some(to) => format!("jumping to {to}"),
        None => "jumping".to_owned(),
    };
    tell(&answer, args.json, &said)
}

/// Keeps the session on a path.
pub(crate) fn pin(args: &PinArgs) -> Outcome {
    let request = json!({ "request": "pin", "path": args.path });
    let answer = control::ask(&args.socket, &request, args.json)?;
    tell(&answer, args.json, &format!("pinned to {}", args.path))
}

/// Lets the policy choose again.
pub(crate) fn unpin(args: &UnpinArgs) -> Outcome {
    let answer = control::ask(&args.socket, &json!({ "request": "unpin" }), args.json)?;
    tell(&answer, args.json, "unpinned")
}

fn tell(answer: &Value, json: bool, said: &str) -> Outcome {
    if json {
        writeln!(std::io::stdout(), "{answer}")?
    } else {
        writeln!(std::io::stdout(), "{said}")?
    }
    Ok(())
}
