//! Answers that do not come: what is said then, and when.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use jumpvpn_ownership::{Change, Compare, Hint, Operation, Outcome, Rev, Transaction};
use jumpvpn_store::etcd::EtcdStore;
use rustix::process::Signal;

use super::cluster::{Cluster, settings};
use super::proxy::{Mode, Proxy};
use crate::bed::{Asked, absent, blind, key, put};

/// Far above a call's time limit of one second, far below what a gateway has until its right ends (six).
const SOON: Duration = Duration::from_secs(4);

fn create(name: &str) -> Operation {
    Operation::Commit(Transaction { compares: vec![absent(name)], changes: vec![put(name, b"mine")] })
}

#[test]
fn what_was_cut_off_may_have_happened_or_not() {
    let Some(cluster) = Cluster::new("what_was_cut_off_may_have_happened_or_not", 1) else { return };
    let proxy = Proxy::new(cluster.members[0].client);
    let mut witness = cluster.store("witness", &cluster.settings("/cell/"));
    let mut store = cluster.store("data", &settings(vec![proxy.endpoint.clone()], "/cell/"));

    // Before it was passed on.
    proxy.set(Mode::Mute);
    store.submit(create("s/before"));
    assert_eq!(store.wait().1, Outcome::Unknown);
    assert!(store.store.trouble().is_some());
    proxy.cut();
    proxy.set(Mode::Pass);
    assert_eq!(witness.read("s/before"), None);

    // After: it is there, and the gateway does not know.
    proxy.set(Mode::Deaf);
    store.submit(create("s/after"));
    let began = Instant::now();
    while witness.read("s/after").is_none() {
        assert!(began.elapsed() < SOON, "it reaches the member");
    }
    proxy.cut();
    assert_eq!(store.wait().1, Outcome::Unknown);
    proxy.set(Mode::Pass);

    // The same again tells which of both it was.
    let mut definite = |name: &str| {
        let began = Instant::now();
        loop {
            let outcome = store.ask(create(name));
            if outcome != Outcome::Unknown {
                return outcome;
            }
            assert!(began.elapsed() < SOON, "it answers again");
        }
    };
    assert!(matches!(definite("s/before"), Outcome::Committed(_)));
    let Outcome::Conflict(found) = definite("s/after") else { panic!("it was there") };
    assert_eq!(&*found[0].as_ref().unwrap().value, b"mine");
    assert_eq!(store.store.trouble(), None);
}

/// A heartbeat over what stands there now; whether it was acknowledged.
fn beat(store: &mut Asked<EtcdStore>, known: &mut Option<(Rev, u64)>) -> bool {
    let (compare, number) = match *known {
        Some((rev, number)) => {
            (Compare::Is { key: key("hb/me"), rev, value: number.to_be_bytes().into() }, number + 1)
        }
        None => (absent("hb/me"), 0),
    };
    let changes = vec![put("hb/me", &number.to_be_bytes())];
    match store.ask(Operation::Commit(Transaction { compares: vec![compare], changes })) {
        Outcome::Committed(rev) => *known = Some((rev, number)),
        Outcome::Conflict(found) => {
            let found = found[0].as_ref().expect("nobody deletes it");
            *known = Some((found.rev, u64::from_be_bytes(*found.value.first_chunk().unwrap())));
            return false;
        }
        Outcome::Unknown => return false,
        other => panic!("{other:?}"),
    }
    true
}

/// The reason for sending heartbeats to two members at a time.
#[test]
fn a_frozen_member_holds_up_no_heartbeat() {
    let Some(cluster) = Cluster::new("a_frozen_member_holds_up_no_heartbeat", 3) else { return };
    let mut store = cluster.store("data", &cluster.settings("/cell/"));
    let mut known = None;
    for frozen in 0..3 {
        // Warm connections, as after a minute of heartbeats.
        let began = Instant::now();
        while !beat(&mut store, &mut known) {
            assert!(began.elapsed() < 2 * SOON, "before member {frozen} is frozen");
        }
        cluster.signal(frozen, Signal::STOP);
        // Where it leads the cluster, another one has to be elected first: at most a second or two.
        let began = Instant::now();
        while !beat(&mut store, &mut known) {
            assert!(began.elapsed() < 2 * SOON, "member {frozen} is frozen");
        }
        // From then on they go through. One that was sent to the frozen member alone would be lost, and that is every third;
        // a second election on a busy machine costs one or two.
        let lost = (0..20).filter(|_| !beat(&mut store, &mut known)).count();
        assert!(lost <= 3, "member {frozen}: {lost} of 20 heartbeats");
        cluster.signal(frozen, Signal::CONT);
    }
}

/// The copy that comes second finds what the first has written; that must not be taken for somebody else's.
#[test]
fn two_copies_of_a_heartbeat_are_one() {
    let Some(cluster) = Cluster::new("two_copies_of_a_heartbeat_are_one", 3) else { return };
    let mut store = cluster.store("data", &cluster.settings("/cell/"));
    let begin =
        Transaction { compares: vec![absent("hb/me")], changes: vec![put("hb/me", &0u64.to_be_bytes())] };
    let mut rev = store.committed(begin);
    for number in 1..=200u64 {
        let (was, now) = ((number - 1).to_be_bytes(), number.to_be_bytes());
        let beat = |value: &[u8]| Transaction {
            compares: vec![Compare::Is { key: key("hb/me"), rev, value: was.into() }],
            changes: vec![put("hb/me", value)],
        };
        let next = store.committed(beat(&now));
        // Whoever beats with what is no longer true is told what is.
        let Outcome::Conflict(found) = store.ask(Operation::Commit(beat(b"late"))) else {
            panic!("heartbeat {number} was made twice");
        };
        let found = found[0].as_ref().unwrap();
        assert_eq!((found.rev, &*found.value), (next, &now[..]));
        rev = next;
    }
}

#[test]
fn a_usual_operation_goes_to_another_member_next_time() {
    let Some(mut cluster) = Cluster::new("a_usual_operation_goes_to_another_member_next_time", 3) else {
        return;
    };
    let mut store = cluster.store("data", &cluster.settings("/cell/"));
    cluster.kill(0);
    let began = Instant::now();
    while !matches!(store.ask(create("s/1")), Outcome::Committed(_) | Outcome::Conflict(_)) {
        assert!(began.elapsed() < 2 * SOON, "{:?}", store.store.trouble());
    }
    for number in 2..20 {
        assert!(matches!(store.ask(create(&format!("s/{number}"))), Outcome::Committed(_)));
    }
}

#[test]
fn without_a_store_everything_is_unknown_soon_and_works_again_later() {
    let test = "without_a_store_everything_is_unknown_soon_and_works_again_later";
    let Some(mut cluster) = Cluster::new(test, 1) else { return };
    let mut store = cluster.store("data", &cluster.settings("/cell/"));
    store.committed(blind(put("s/1", b"one")));
    cluster.signal(0, Signal::STOP);
    let began = Instant::now();
    // More than are on their way at a time, more than may wait.
    for _ in 0..5000 {
        store.submit(create("s/2"));
    }
    store.submit(Operation::Read(key("s/1")));
    store.submit(Operation::Commit(blind(put("hb/me", b"beat"))));
    for _ in 0..5002 {
        assert_eq!(store.wait().1, Outcome::Unknown);
    }
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    cluster.signal(0, Signal::CONT);
    cluster.kill(0);
    assert_eq!(store.ask(Operation::Read(key("s/1"))), Outcome::Unknown);
    cluster.start(0);
    let began = Instant::now();
    while store.ask(Operation::Read(key("s/1"))) == Outcome::Unknown {
        assert!(began.elapsed() < 10 * SOON, "{:?}", store.store.trouble());
    }
    assert_eq!(&*store.read("s/1").unwrap().value, b"one");
}

#[test]
fn a_store_that_is_dropped_answers_nobody_and_lets_go() {
    let Some(cluster) = Cluster::new("a_store_that_is_dropped_answers_nobody_and_lets_go", 1) else { return };
    let mut store = cluster.store("data", &cluster.settings("/cell/"));
    cluster.signal(0, Signal::STOP);
    store.submit(create("s/1"));
    let began = Instant::now();
    drop(store);
    assert!(began.elapsed() < SOON, "it does not wait for what is on its way");
    cluster.signal(0, Signal::CONT);
    cluster.store("data", &cluster.settings("/cell/"));
}

/// A hint is no more than that, but where nothing goes wrong it comes.
#[test]
fn changes_below_a_prefix_are_hinted_at() {
    let Some(cluster) = Cluster::new("changes_below_a_prefix_are_hinted_at", 1) else { return };
    let store = cluster.store("data", &cluster.settings("/cell/"));
    let mut other = cluster.store("other", &cluster.settings("/cell/"));
    let (told, hinted) = channel();
    store.store.watch(key("req/me/"), Arc::new(move |hint| told.send(hint).unwrap_or_default()));
    assert_eq!(hinted.recv_timeout(SOON), Ok(Hint::Anything), "the watch begins");
    for number in 0..5 {
        other.committed(blind(put("s/1", b"not of interest")));
        let name = format!("req/me/{number}");
        let changes = [put(&name, b"now"), Change::Delete { key: key(&name) }];
        for rev in changes.map(|change| other.committed(blind(change))) {
            let expected = Hint::Changed { key: key(&name), rev };
            assert_eq!(hinted.recv_timeout(SOON), Ok(expected), "the change, and its revision");
        }
        assert!(hinted.try_recv().is_err(), "one change, one hint");
    }
    drop(store);
}
