//! The file as a store: what is kept, what a group of transactions sees of each other, and what is not let in.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use jumpvpn_ownership::{
    Change, Compare, Operation, Outcome, OwnershipStore, Rev, StoreError, Ticket, Transaction,
};

use crate::bed::{Asked, Bed, absent, blind, door, key, put, waker};

#[test]
fn what_is_committed_is_there_after_a_restart() {
    let bed = Bed::new();
    let mut store = bed.store();
    let first = store.committed(blind(put("s/1", b"one")));
    let second = store.committed(blind(put("s/2", b"two")));
    let last = store.committed(blind(Change::Delete { key: key("s/2") }));
    assert!(first < second && second < last);
    let place = store.store.place();
    drop(store);
    let mut store = bed.store();
    assert_eq!(store.store.place(), place);
    let found = store.read("s/1").unwrap();
    assert_eq!((found.rev, &*found.value), (first, &b"one"[..]));
    assert_eq!(store.read("s/2"), None);
    let next = store.committed(blind(put("s/3", b"")));
    assert!(next > last, "also above that of what was deleted");
}

#[test]
fn transactions_of_one_group_see_each_other() {
    let bed = Bed::new();
    let mut store = bed.store();
    let create = |value: &[u8]| {
        Operation::Commit(Transaction { compares: vec![absent("s/1")], changes: vec![put("s/1", value)] })
    };
    for number in 0..200u8 {
        store.submit(create(&[number]));
    }
    let outcomes: Vec<_> = (0..200).map(|_| store.wait()).collect();
    assert!(matches!(outcomes[0], (Ticket(1), Outcome::Committed(_))), "{:?}", outcomes[0]);
    for (_, outcome) in &outcomes[1..] {
        let Outcome::Conflict(found) = outcome else { panic!("{outcome:?}") };
        assert_eq!(&*found[0].as_ref().unwrap().value, [0]);
    }
}

#[test]
fn of_many_who_saw_the_same_revision_one_wins() {
    let bed = Bed::new();
    let mut store = bed.store();
    let mut rev = store.committed(blind(put("s/1", &[0; 8])));
    let mut winners = BTreeSet::new();
    let rounds = 100u64;
    for round in 1..=rounds {
        let was = (round - 1).to_be_bytes();
        for _ in 0..100 {
            let is = Compare::Is { key: key("s/1"), rev, value: was.into() };
            let changes = vec![put("s/1", &round.to_be_bytes())];
            store.submit(Operation::Commit(Transaction { compares: vec![is], changes }));
        }
        let committed: Vec<Rev> = (0..100)
            .filter_map(|_| match store.wait().1 {
                Outcome::Committed(rev) => Some(rev),
                Outcome::Conflict(_) => None,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(committed.len(), 1, "round {round}");
        rev = committed[0];
        winners.insert(rev);
    }
    assert_eq!(winners.len() as u64, rounds);
}

#[test]
fn pages_are_in_order_and_end_with_the_prefix() {
    let bed = Bed::new();
    let mut store = bed.store();
    for name in ["r", "s", "s/", "s/\0", "s/1", "s/10", "s/2", "s/\u{7f}", "s0", "t"] {
        store.committed(blind(put(name, name.as_bytes())));
    }
    let wanted = ["s/", "s/\0", "s/1", "s/10", "s/2", "s/\u{7f}"];
    for limit in 1..8 {
        let names: Vec<_> = store.all("s/", limit).into_iter().map(|(key, _)| key).collect();
        assert_eq!(names, wanted.map(key), "pages of {limit}");
    }
    let after = |after: &str| Operation::List { prefix: key("s/"), after: Some(key(after)), limit: 9 };
    for (from, count) in [("a", 6), ("s/1", 3), ("s/11", 2), ("s0", 0), ("z", 0)] {
        let Outcome::Listed { entries, more: false } = store.ask(after(from)) else { panic!("{from}") };
        assert_eq!(entries.len(), count, "after {from}");
    }
    assert_eq!(store.all("", 3).len(), 10);
}

#[test]
fn more_than_the_queue_holds_is_unknown_at_once() {
    let bed = Bed::new();
    let (entered, enter) = channel();
    let (release, hold) = channel::<()>();
    let hold = Mutex::new(hold);
    let main = std::thread::current().id();
    // A reader who does not come back from being woken holds the store's thread.
    let waker = Arc::new(move || {
        if std::thread::current().id() != main {
            entered.send(()).unwrap_or_default();
            hold.lock().unwrap().recv().unwrap_or_default();
        }
    });
    let mut store = bed.open().unwrap().start(waker).unwrap();
    store.submit(Ticket(0), Operation::Read(key("s/1")));
    enter.recv().unwrap();
    for ticket in 1..=4096 {
        store.submit(Ticket(ticket), Operation::Commit(blind(put("s/1", &ticket.to_be_bytes()))));
    }
    store.submit(Ticket(5000), Operation::Commit(blind(put("s/1", b"too many"))));
    assert_eq!(store.poll(), Some((Ticket(5000), Outcome::Unknown)));
    drop(release);
    drop(store);
    let value = bed.store().read("s/1").unwrap().value;
    assert_eq!(*value, 4096u64.to_be_bytes(), "the others were carried out, in their order");
}

#[test]
fn files_are_private_whatever_the_umask_is() {
    let bed = Bed::new();
    let script = format!("umask 0 && exec \"$0\" write {} 1", bed.data().display());
    let program = door("", &bed.0).get_program().to_owned();
    let mut shell = std::process::Command::new("sh");
    let mut door =
        shell.args(["-c", &script]).arg(program).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(door.stdout.take().unwrap()));
    assert_eq!(lines.take(50).count(), 50);
    let names_and_modes = |folder: &std::path::Path| {
        let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
        let mode = |entry: &std::fs::DirEntry| entry.metadata().unwrap().permissions().mode() & 0o777;
        let mut names: Vec<(String, u32)> =
            entries.map(|entry| (entry.file_name().into_string().unwrap(), mode(&entry))).collect();
        names.sort();
        names
    };
    let named = |names: &[(&str, u32)]| {
        names.iter().map(|(name, mode)| ((*name).to_owned(), *mode)).collect::<Vec<_>>()
    };
    let files = [("ownership.db", 0o600), ("ownership.db-wal", 0o600), ("ownership.db.d", 0o700)];
    assert_eq!(names_and_modes(&bed.data()), named(&files), "and none of shared memory");
    let held = [("identity", 0o600), ("lock", 0o600)];
    assert_eq!(names_and_modes(&bed.data().join("ownership.db.d")), named(&held));
    door.kill().unwrap();
    door.wait().unwrap();
}

#[test]
fn what_somebody_cuts_from_under_it_is_the_end_of_it() {
    let bed = Bed::new();
    let (wake, woken) = waker();
    let mut store = Asked::new(bed.open().unwrap().start(wake).unwrap(), woken);
    // More than SQLite keeps in memory (2 MiB), so that it has to read again.
    for number in 0..6000 {
        store.submit(Operation::Commit(blind(put(&format!("s/{number}"), &[1; 600]))));
        if number % 100 == 99 {
            (0..100).for_each(|_| assert!(matches!(store.wait().1, Outcome::Committed(_))));
        }
    }
    for file in ["ownership.db", "ownership.db-wal"] {
        let open = std::fs::File::options().write(true).open(bed.data().join(file)).unwrap();
        let len = open.metadata().unwrap().len();
        open.set_len(8192.min(len)).unwrap();
    }
    let lost = (0..6000).find_map(|number| match store.ask(Operation::Read(key(&format!("s/{number}")))) {
        Outcome::Found(Some(_)) => None,
        outcome => Some(outcome),
    });
    assert!(matches!(lost, Some(Outcome::Lost(_))), "{lost:?}");
    assert!(store.store.failure().is_some());
    for _ in 0..3 {
        let after = store.ask(Operation::Commit(blind(put("s/0", b"again"))));
        assert_eq!(Some(after), lost, "from then on everything");
    }
    assert!(matches!(lost, Some(Outcome::Lost(StoreError::Corrupt(_) | StoreError::NotDurable))));
}
