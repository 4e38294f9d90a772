//! The lab's stories, each once, with the program as the tests have built it.
//!
//! Judged is what holds on any machine: the session and its inner TCP connection live through the story, and both sides'
//! event files prove it. How fast it went is told, but not judged: an unoptimised program on a busy machine says
//! nothing about that. `./scripts/lab run STORY` judges it.

use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::run::{target, tested_program};

/// The short stories, and what they are played with: the ways in which a path can die, and the planned move. Some are
/// played over IPv6.
const STORIES: &[(&str, &[&str])] = &[
    ("planned", &[]),
    ("link-down", OVER_IPV6),
    ("blackhole", &[]),
    ("one-way-up", &[]),
    ("one-way-down", OVER_IPV6),
    ("rebind", &[]),
    ("flap", OVER_IPV6),
];
const OVER_IPV6: &[&str] = &["--ipv6"];

/// Exit code of the program where the user may not build namespaces.
pub(crate) const NO_PERMISSION: i32 = 4;

/// What became of something that needs a network of its own.
pub(crate) enum Played {
    Through(Outcome),
    /// This machine does not let its users build networks.
    NotHere(String),
}

/// Runs the command: where nothing can be played, nothing is proven.
pub(crate) fn run() -> Result<Outcome, String> {
    match play()? {
        Played::Through(outcome) => Ok(outcome),
        Played::NotHere(why) => Err(why),
    }
}

/// Builds the program and plays all stories.
pub(crate) fn play() -> Result<Played, String> {
    let program = tested_program()?;
    let mut finding_count = 0;
    for (story, arguments) in STORIES {
        let folder = target().join("stories").join(story);
        // A kernel without IPv6 plays all of them over IPv4.
        let arguments = if Path::new("/proc/sys/net/ipv6").exists() { arguments } else { &[][..] };
        match play_one(&program, story, arguments, &folder)? {
            Verdict::Held(words) => println!("  {story:<14} {words} {}", arguments.concat()),
            Verdict::Broken(why) => {
                println!("  {story:<14} BROKEN: {why}");
                finding_count += 1;
            }
            Verdict::NotHere(why) => return Ok(Played::NotHere(why)),
        }
    }
    Ok(Played::Through(Outcome { figures: format!("{} stories", STORIES.len()), finding_count }))
}

enum Verdict {
    Held(String),
    Broken(String),
    NotHere(String),
}

fn play_one(program: &Path, story: &str, arguments: &[&str], folder: &Path) -> Result<Verdict, String> {
    let output = Command::new(program)
        .args(["lab", "run", story, "--json", "--runs", "1"])
        .args(arguments)
        .arg("--out")
        .arg(folder)
        .output()
        .map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    let report = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(NO_PERMISSION) {
        return Ok(Verdict::NotHere(last_words(&complaint)));
    }
    if !report.starts_with('{') {
        return Ok(Verdict::Broken(format!("no report ({}): {}", output.status, last_words(&complaint))));
    }
    if report.contains("\"session_same\":false") {
        return Ok(Verdict::Broken("the session did not live through it".into()));
    }
    if !report.contains("\"tcp\":\"alive\"") {
        return Ok(Verdict::Broken("the inner TCP connection did not live through it".into()));
    }
    let audit = Command::new(program)
        .args(["events", "verify"])
        .args(["agent.jsonl", "gateway.jsonl"].map(|name| folder.join("run-1").join(name)))
        .output()
        .map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    let proof = String::from_utf8_lossy(&audit.stdout);
    if !audit.status.success() {
        return Ok(Verdict::Broken(format!("the event files do not prove it: {proof}")));
    }
    let late =
        if output.status.success() { "in time" } else { "slower than promised, which is not judged here" };
    Ok(Verdict::Held(format!("session and TCP alive, events proven, {late}")))
}

fn last_words(text: &str) -> String {
    text.trim().lines().next_back().unwrap_or("no reason given").to_owned()
}
