//! `jump`, `pin`, `unpin`, `drain`, `undrain`, `handoff`: what a person may change about running sessions. The policy has the
//! last word.

use std::io::Write;

use serde_json::{Value, json};

use crate::args::{DrainArgs, HandoffArgs, JumpArgs, PinArgs, UndrainArgs, UnpinArgs};
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

/// Sends a gateway's sessions away.
pub(crate) fn drain(args: &DrainArgs) -> Outcome {
    // Rounded up: no time at all is the one thing that is not meant by a fraction of a second.
    let over_s = args.over.as_millis().div_ceil(1000);
    let answer = control::ask(&args.socket, &json!({ "request": "drain", "over_s": over_s }), args.json)?;
    let said = format!("draining {} sessions over {over_s} s", answer["sessions"]);
    tell(&answer, args.json, &said)
}

/// Lets a gateway take sessions again.
pub(crate) fn undrain(args: &UndrainArgs) -> Outcome {
    let answer = control::ask(&args.socket, &json!({ "request": "undrain" }), args.json)?;
    tell(&answer, args.json, "taking sessions again")
}

/// Sends one session to another gateway.
pub(crate) fn handoff(args: &HandoffArgs) -> Outcome {
    let request = json!({ "request": "handoff", "session": args.session, "to": args.gateway });
    let answer = control::ask(&args.socket, &request, args.json)?;
    tell(&answer, args.json, &format!("session {} is asked to go", args.session))
}

fn tell(answer: &Value, json: bool, said: &str) -> Outcome {
    if json {
        writeln!(std::io::stdout(), "{answer}")?
    } else {
        writeln!(std::io::stdout(), "{said}")?
    }
    Ok(())
}
