//! `jumpvpn status`: one screen about an agent or a gateway.

use std::io::Write;

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::args::{StateName, StatusArgs};
use crate::exit::{Code, Failure, Outcome};
use crate::style::{self, coloured};
use crate::{control, show};

/// What one screen has room for; `jumpvpn show paths` has the rest.
const PATH_COLUMNS: &[&str] = &["name", "binding", "health", "rtt_ms", "loss", "mtu", "score"];

/// Runs the verb: succeeds whenever the daemon could be asked, unless `--check` asks for more.
pub(crate) fn run(args: &StatusArgs) -> Outcome {
    let status = control::ask(&args.socket, &json!({ "request": "status" }), args.json)?;
    if args.json {
        writeln!(std::io::stdout(), "{status}")?;
    } else {
        std::io::stdout().write_all(screen(&status, style::colour_wanted()).as_bytes())?;
    }
    if args.check || args.state.is_some() { checked(&status, args.state) } else { Ok(()) }
}

/// Whether the session is in the state asked for. A gateway has none: that it answered is enough.
fn checked(status: &Value, wanted: Option<StateName>) -> Outcome {
    let Some(state) = status["state"].as_str() else { return Ok(()) };
    let wanted = wanted.unwrap_or(StateName::Attached);
    let name = wanted.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    if state.eq_ignore_ascii_case(&name) {
        return Ok(());
    }
    Err(Failure::new(Code::NotAttached, format!("the session is {state}, not {}", name.to_uppercase())))
}

/// The status as people read it.
pub(crate) fn screen(status: &Value, colour: bool) -> String {
    let mut screen = String::new();
    if status["state"].is_string() {
        agent(status, colour, &mut screen)
    } else {
        gateway(status, &mut screen)
    }
    screen
}

fn line(screen: &mut String, label: &str, text: &str) {
    screen.push_str(&format!("{label:<10} {text}\n"));
}

fn agent(status: &Value, colour: bool, screen: &mut String) {
    line(screen, "state", &coloured(status["state"].as_str().unwrap_or("-"), colour));
    if let Some(session) = status["session"].as_str() {
        let [step, epoch, version] = ["step", "epoch", "version"].map(|key| show::cell(&status[key]));
        line(screen, "session", &format!("{session}, step {step}, epoch {epoch}, version {version}"));
    }
    line(screen, "gateway", &show::cell(&status["gateway"]));
    line(screen, "inner", &show::cell(&status["inner"]));
    line(screen, "jumps", &jumps(status));
    if status["pinned"].is_string() {
        line(screen, "pinned", &show::cell(&status["pinned"]));
    }
    if status["list"].is_object() {
        line(screen, "list", &list(&status["list"]));
    }
    traffic(status, screen);
    sandbox(status, screen);
    screen.push('\n');
    screen.push_str(&show::columns(&status["paths"], PATH_COLUMNS));
}

/// The signed list of gateways, and what is wrong with one.
fn list(list: &Value) -> String {
    let cell = |key: &str| show::cell(&list[key]);
    let mut text = match list["serial"].is_number() {
        true => format!(
            "serial {} of {}, {} gateways, until {}",
            cell("serial"),
            cell("cell"),
            cell("gateways"),
            cell("expires")
        ),
        false => "none in use: the gateways of the file alone".to_owned(),
    };
    for note in list["notes"].as_array().into_iter().flatten() {
        text.push_str("; ");
        text.push_str(&show::cell(note));
    }
    if list["next"].is_number() {
        text.push_str(&format!("; serial {} came, for the next start", cell("next")));
    }
    if list["refused"].is_string() {
        text.push_str(&format!("; what the gateway sent is refused: {}", cell("refused")));
    }
    text
}

/// What went through the tunnel, and what did not.
fn traffic(status: &Value, screen: &mut String) {
    if status["packets"].is_object() {
        let [packets, bytes] = ["packets", "bytes"].map(|key| &status[key]);
        let way = |way: &str| {
            format!("{way} {} packets, {} bytes", show::cell(&packets[way]), show::cell(&bytes[way]))
        };
        line(screen, "traffic", &format!("{}; {}", way("in"), way("out")));
    }
    let drops = status["drops"].as_object().map(show::nonzero).filter(|text| !text.is_empty());
    line(screen, "drops", drops.as_deref().unwrap_or("none"));
}

/// What the daemon has given up.
fn sandbox(status: &Value, screen: &mut String) {
    let sandbox = &status["sandbox"];
    if sandbox.is_object() {
        let cell = |key: &str| show::cell(&sandbox[key]);
        let text = format!(
            "{}: capabilities {}, files {}, calls {}, memory {}",
            cell("mode"),
            cell("capabilities"),
            cell("files"),
            cell("calls"),
            cell("memory"),
        );
        line(screen, "sandbox", &text);
        let keeper = &sandbox["keeper"];
        let cell = |key: &str| show::cell(&keeper[key]);
        let text = format!("capabilities {}, files {}", cell("capabilities"), cell("files"));
        line(screen, "keeper", &text);
    }
}

/// The number of jumps and what is known about the last one.
fn jumps(status: &Value) -> String {
    let count = show::cell(&status["jumps"]);
    let last = &status["last_jump"];
    if last.is_null() {
        return count;
    }
    let mut text = format!(
        "{count}, the last from {} to {} ({})",
        show::cell(&last["from"]),
        show::cell(&last["to"]),
        show::cell(&last["reason"])
    );
    for (key, verb) in [("detect_ms", "noticed after"), ("gap_ms", "gap")] {
        if last[key].is_number() {
            text.push_str(&format!(", {verb} {} ms", show::cell(&last[key])));
        }
    }
    text
}

fn gateway(status: &Value, screen: &mut String) {
    let sessions = match &status["sessions"] {
        Value::Object(by_state) if by_state.values().any(|count| *count != json!(0)) => {
            show::nonzero(by_state)
        }
        Value::Object(_) => "none".to_owned(),
        other => show::cell(other),
    };
    line(screen, "sessions", &sessions);
    line(screen, "shards", &show::cell(&status["shards"]));
    line(screen, "store", &show::pairs(&status["store"]));
    line(screen, "limits", &show::pairs(&status["limits"]));
    traffic(status, screen);
    sandbox(status, screen);
}

#[cfg(test)]
mod tests;
