//! How fast the stores are here: `cargo run --release -p jumpvpn-store --example figures -- sqlite FOLDER` or `… etcd FOLDER ENDPOINT…`.
//!
//! Sessions are created, and then taken over as a gateway does: a read, and a transaction with five compares. Time is that
//! from the submission to the outcome. One session at a time, and as many as one gateway has on its way.

#![allow(clippy::unwrap_used, reason = "a figure that cannot be taken is none")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use jumpvpn_ownership::{
    Change, Compare, Key, Operation, Outcome, OwnershipStore, Rev, Stored, Ticket, Transaction,
};
use jumpvpn_store::etcd::{Etcd, Settings};
use jumpvpn_store::{DataDir, Sqlite, Waker};

/// The longest record there may be.
const RECORD_LEN: usize = 600;
/// Enough for a 99th percentile.
const ALONE: u64 = 2000;
const TOGETHER: u64 = 20_000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let folder = Path::new(&arguments[2]);
    let (wake, woken) = channel();
    let waker: Waker = Arc::new(move || wake.send(()).unwrap_or_default());
    let store: Box<dyn OwnershipStore> = match arguments[1].as_str() {
        "sqlite" => {
            Box::new(Sqlite::open(&folder.join("figures.db"), [1; 16]).unwrap().start(waker).unwrap())
        }
        _ => {
            let directory = DataDir::open(&folder.join("figures"), [1; 16]).unwrap();
            // A prefix of its own for each run.
            let prefix = format!("/figures/{}/", std::process::id()).into_bytes();
            let settings = Settings { endpoints: arguments[3..].to_vec(), prefix, tls: None, login: None };
            Box::new(Etcd::connect(directory, settings).unwrap().start(waker).unwrap())
        }
    };
    let mut bench = Bench { store, woken, next: 0 };
    bench.run("setup", 1, 0..2, |number| {
        let name = ["hb/me", "dead/other"][number as usize];
        Operation::Commit(Transaction { compares: Vec::new(), changes: vec![put(name.into(), 16)] })
    });
    let mut first = 0;
    for (at_once, count) in [(1, ALONE), (64, TOGETHER), (256, TOGETHER)] {
        let sessions = first..first + count;
        first += count;
        bench.run("create", at_once, sessions.clone(), create);
        bench.take_over(at_once, sessions);
    }
}

struct Bench {
    store: Box<dyn OwnershipStore>,
    woken: Receiver<()>,
    next: u64,
}

impl Bench {
    fn submit(&mut self, operation: Operation) -> Ticket {
        self.next += 1;
        self.store.submit(Ticket(self.next), operation);
        Ticket(self.next)
    }

    fn wait(&mut self) -> (Ticket, Outcome) {
        loop {
            if let Some(outcome) = self.store.poll() {
                return outcome;
            }
            self.woken.recv().unwrap();
        }
    }

    /// One operation for each number, all of which have to be committed.
    fn run(
        &mut self,
        what: &str,
        at_once: usize,
        mut numbers: std::ops::Range<u64>,
        operation: impl Fn(u64) -> Operation,
    ) {
        let (began, mut under_way, mut times) = (Instant::now(), BTreeMap::new(), Vec::new());
        loop {
            while under_way.len() < at_once
                && let Some(number) = numbers.next()
            {
                let since = Instant::now();
                under_way.insert(self.submit(operation(number)), since);
            }
            if under_way.is_empty() {
                return report(what, at_once, began.elapsed(), times);
            }
            let (ticket, outcome) = self.wait();
            assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
            times.push(under_way.remove(&ticket).unwrap().elapsed());
        }
    }

    /// A read and a transaction for each session.
    fn take_over(&mut self, at_once: usize, mut sessions: std::ops::Range<u64>) {
        let (began, mut under_way, mut times) = (Instant::now(), BTreeMap::new(), Vec::new());
        loop {
            while under_way.len() < at_once
                && let Some(number) = sessions.next()
            {
                let since = Instant::now();
                under_way.insert(self.submit(Operation::Read(session(number))), (number, since));
            }
            if under_way.is_empty() {
                return report("take over", at_once, began.elapsed(), times);
            }
            let (ticket, outcome) = self.wait();
            let (number, since) = under_way.remove(&ticket).unwrap();
            match outcome {
                Outcome::Found(Some(Stored { rev, value })) => {
                    under_way.insert(self.submit(take(number, rev, value)), (number, since));
                }
                Outcome::Committed(_) => times.push(since.elapsed()),
                other => panic!("{other:?}"),
            }
        }
    }
}

fn session(number: u64) -> Key {
    Key::new([b"s/", &number.to_be_bytes()[2..]].concat())
}

fn put(key: Vec<u8>, len: usize) -> Change {
    Change::Put { key: Key::new(key), value: vec![7; len].into() }
}

fn absent(name: &str) -> Compare {
    Compare::Absent { key: Key::new(name.as_bytes()) }
}

fn present(name: &str) -> Compare {
    Compare::Present { key: Key::new(name.as_bytes()) }
}

fn create(number: u64) -> Operation {
    let address = Key::new([b"a/", &number.to_be_bytes()[..]].concat());
    let free = [session(number), address.clone()].map(|key| Compare::Absent { key });
    let compares = [&free[..], &[absent("dead/me"), present("hb/me"), absent("revoke/peer")]].concat();
    let changes = vec![put(session(number).0.into(), RECORD_LEN), put(address.0.into(), 6)];
    Operation::Commit(Transaction { compares, changes })
}

fn take(number: u64, rev: Rev, value: Box<[u8]>) -> Operation {
    let is = Compare::Is { key: session(number), rev, value };
    let compares =
        vec![is, present("dead/other"), absent("dead/me"), present("hb/me"), absent("revoke/peer")];
    let changes = vec![put(session(number).0.into(), RECORD_LEN)];
    Operation::Commit(Transaction { compares, changes })
}

fn report(what: &str, at_once: usize, took: Duration, mut times: Vec<Duration>) {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_micros();
    let rate = times.len() as f64 / took.as_secs_f64();
    println!("{what:<10} {at_once:>4} at once: {rate:>7.0}/s, p50 {:>6} µs, p99 {:>6} µs", at(50), at(99));
}
