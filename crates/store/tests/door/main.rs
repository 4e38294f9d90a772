//! A process for the tests of stores: `store-door ACT FOLDER …`. It says on standard output what has happened, line by line.

#![allow(clippy::unwrap_used, reason = "a failing test may panic")]

use std::fs::DirBuilder;
use std::io::{Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use jumpvpn_ownership::{Change, Key, Operation, Outcome, OwnershipStore, Ticket, Transaction};
use jumpvpn_store::{Sqlite, SqliteStore};

/// How many transactions are on their way at a time: enough for groups.
const IN_FLIGHT: u64 = 32;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let (act, folder) = (arguments[1].as_str(), Path::new(&arguments[2]));
    // Whoever says why a folder cannot be made is the store.
    DirBuilder::new().mode(0o700).create(folder).unwrap_or_default();
    let opened = match Sqlite::open(&folder.join("ownership.db"), [1; 16]) {
        Ok(opened) => opened,
        Err(error) => return say(&format!("refused: {error:?}")),
    };
    match act {
        "hold" => {
            say("held");
            std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        }
        "open" => say("opened"),
        "dump" => dump(opened),
        "write" => write(opened, arguments[3].parse().unwrap()),
        act => panic!("{act}?"),
    }
}

/// Puts one record after another, and says which are kept, until it is killed or the store is lost.
fn write(opened: Sqlite, first: u64) {
    let (wake, woken) = std::sync::mpsc::channel();
    let mut store = opened.start(Arc::new(move || wake.send(()).unwrap_or_default())).unwrap();
    say("opened");
    let mut next = first;
    while next < first + IN_FLIGHT {
        put(&mut store, next);
        next += 1;
    }
    loop {
        let Some((Ticket(number), outcome)) = store.poll() else {
            woken.recv().unwrap();
            continue;
        };
        match outcome {
            Outcome::Committed(rev) => say(&format!("{number} {}", rev.0)),
            other => return say(&format!("{other:?}: {}", store.failure().unwrap_or_default())),
        }
        put(&mut store, next);
        next += 1;
    }
}

fn put(store: &mut SqliteStore, number: u64) {
    let key = Key::new(format!("s/{number}").into_bytes());
    let value = number.to_be_bytes().repeat(50).into();
    let changes = vec![Change::Put { key, value }];
    store.submit(Ticket(number), Operation::Commit(Transaction { compares: Vec::new(), changes }));
}

/// Says everything that is there.
fn dump(opened: Sqlite) {
    let (wake, woken) = std::sync::mpsc::channel();
    let mut store = opened.start(Arc::new(move || wake.send(()).unwrap_or_default())).unwrap();
    store.submit(Ticket(0), Operation::List { prefix: Key::new(*b"s/"), after: None, limit: usize::MAX });
    woken.recv().unwrap();
    let Some((_, Outcome::Listed { entries, .. })) = store.poll() else { panic!("no list") };
    for (key, stored) in entries {
        say(&format!("{} {}", String::from_utf8_lossy(&key.0[2..]), stored.rev.0));
    }
}

/// One write for the whole line: a process that is killed leaves no half of it.
fn say(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
}
