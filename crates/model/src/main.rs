//! The long form: `jumpvpn-model --depth 5 --requests 5`. Prints one line for each exploration.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use jumpvpn_model::engines::{CLOSED, Engines, JUMPED, JUMPING, LINK_LOST};
use jumpvpn_model::ownership::{Cell, Story};
use jumpvpn_model::requests::Requests;
use jumpvpn_model::{Found, explore};

const USAGE: &str = "\
jumpvpn-model [--depth N] [--requests N] [--ownership N]

  --depth N     steps of the engines behind each beginning (4); one more takes about twenty times as long
  --requests N  requests in any order, with two paths and an attacker (4); one more takes about ten times as long
  --ownership N messages to and from the store that are late (2); one more takes about fifty times as long";

fn main() -> ExitCode {
    let (mut depth, mut requests, mut late) = (4, 4, 2_u8);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let number = words.next().and_then(|word| word.parse::<usize>().ok());
        match (word.as_str(), number) {
            ("--depth", Some(number)) => depth = number,
            ("--requests", Some(number)) => requests = number,
            ("--ownership", Some(number)) => late = u8::try_from(number).unwrap_or(u8::MAX),
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut states = 0;
    let mut tell = |name: &str, look: &dyn Fn() -> Found| {
        let begin = Instant::now();
        let found = look();
        println!(
            "{name}: {} states, {:.1} s, broken: {:?}",
            found.states,
            begin.elapsed().as_secs_f64(),
            found.broken
        );
        states += found.states;
        found.broken.is_empty()
    };
    let asked = Requests::everything(requests as u64, None);
    let mut fine = tell("requests", &|| explore(asked, threads));
    for (name, begin) in [
        ("attached", &[][..]),
        ("jumping", JUMPING),
        ("jumped", JUMPED),
        ("link lost", LINK_LOST),
        ("closed", CLOSED),
    ] {
        let model = Engines { begin, depth, mischief: 2, deeds: 1, ends_every: Some(256), mutant: None };
        fine &= tell(name, &|| explore(model, threads));
    }
    for story in Story::ALL {
        let cell = Cell::of(story, 10, late, 2);
        fine &= tell(&format!("{story:?}"), &|| explore(cell, threads));
    }
    println!("{states} states, {depth} steps of the engines, {requests} requests, {late} late messages");
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
