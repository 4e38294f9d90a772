//! Clusters that are not the one they were.

use jumpvpn_ownership::{Operation, Outcome, StoreError};
use jumpvpn_store::etcd::{ConnectError, EtcdStore};

use super::cluster::{Cluster, settings};
use crate::bed::{Asked, PATIENCE, blind, key, put};

#[test]
fn a_cluster_that_was_set_up_anew_is_not_believed() {
    let Some(mut cluster) = Cluster::new("a_cluster_that_was_set_up_anew_is_not_believed", 1) else { return };
    let settings = cluster.settings("/cell/");
    let mut store = cluster.store("data", &settings);
    store.committed(blind(put("s/1", b"one")));
    let pin = std::fs::read_to_string(cluster.bed.0.join("data/etcd-cluster")).unwrap();
    let (known, _) = pin.split_once(' ').unwrap();

    // The same addresses, nothing kept, another token: another cluster.
    cluster.kill(0);
    std::fs::remove_dir_all(cluster.folder(0)).unwrap();
    cluster.renew(true);
    let lost = lost(&mut store);
    assert!(store.store.trouble().unwrap().contains("another cluster"));
    for operation in [
        Operation::Commit(blind(put("s/1", b"two"))),
        Operation::Commit(blind(put("hb/me", b"beat"))),
        Operation::List { prefix: key("s/"), after: None, limit: 1 },
    ] {
        assert_eq!(store.ask(operation), lost, "from then on everything");
    }
    drop(store);
    match cluster.connect("data", settings.clone()) {
        Err(ConnectError::Foreign { expected, found, .. }) => {
            assert_eq!(format!("{expected:016x}"), known);
            assert_ne!(expected, found);
        }
        other => panic!("{other:?}"),
    }
    let kept = std::fs::read_to_string(cluster.bed.0.join("data/etcd-cluster")).unwrap();
    assert!(kept.starts_with(known) && kept.len() == pin.len(), "{kept}");
    std::fs::write(cluster.bed.0.join("data/etcd-cluster"), "no number").unwrap();
    assert!(matches!(cluster.connect("data", settings.clone()), Err(ConnectError::Foreign { .. })));
    // What a person does who means it.
    std::fs::remove_file(cluster.bed.0.join("data/etcd-cluster")).unwrap();
    assert_eq!(cluster.store("data", &settings).read("s/1"), None);
}

/// What a store says when it is there again.
fn lost(store: &mut Asked<EtcdStore>) -> Outcome {
    let began = std::time::Instant::now();
    let lost = loop {
        match store.ask(Operation::Read(key("s/1"))) {
            Outcome::Unknown => assert!(began.elapsed() < PATIENCE, "{:?}", store.store.trouble()),
            outcome => break outcome,
        }
    };
    assert_eq!(lost, Outcome::Lost(StoreError::Foreign));
    lost
}

/// Addresses and token are what an identity is made of, so with the same ones it is the same.
#[test]
fn a_cluster_that_was_emptied_is_not_believed() {
    let Some(mut cluster) = Cluster::new("a_cluster_that_was_emptied_is_not_believed", 1) else { return };
    let settings = cluster.settings("/cell/");
    let mut store = cluster.store("data", &settings);
    for number in 0..10u8 {
        store.committed(blind(put("s/1", &[number])));
    }
    cluster.kill(0);
    std::fs::remove_dir_all(cluster.folder(0)).unwrap();
    cluster.renew(false);
    lost(&mut store);
    assert!(store.store.trouble().unwrap().contains("it is at revision 1 and was at "));
    // It has been connected to at the first revision; what it has reached since was written down when it was lost.
    drop(store);
    match cluster.connect("data", settings) {
        Err(ConnectError::WentBack { expected: 11.., found: 1, .. }) => {}
        other => panic!("{other:?}"),
    }
}

/// Who ends in good order knows it as well, and what the store's user remembers goes with the identity.
#[test]
fn what_a_cluster_has_reached_is_remembered_beside_the_mark_of_its_user() {
    let test = "what_a_cluster_has_reached_is_remembered_beside_the_mark_of_its_user";
    let Some(mut cluster) = Cluster::new(test, 1) else { return };
    let settings = cluster.settings("/cell/");
    let connected = cluster.connect("data", settings.clone()).unwrap();
    let memory = connected.memory();
    assert_eq!(memory.mark(), None);
    memory.keep(0xabcd).unwrap();
    drop(connected);
    let mut store = cluster.store("data", &settings);
    for number in 0..10u8 {
        store.committed(blind(put("s/1", &[number])));
    }
    drop(store);
    let connected = cluster.connect("data", settings.clone()).unwrap();
    assert_eq!(connected.memory().mark(), Some(0xabcd));
    drop(connected);
    cluster.kill(0);
    std::fs::remove_dir_all(cluster.folder(0)).unwrap();
    cluster.renew(false);
    assert!(matches!(cluster.connect("data", settings), Err(ConnectError::WentBack { expected: 11.., .. })));
}

#[test]
fn members_of_two_clusters_are_no_cluster() {
    let test = "members_of_two_clusters_are_no_cluster";
    let Some(one) = Cluster::new(test, 1) else { return };
    let Some(mut other) = Cluster::new(test, 1) else { return };
    other.kill(0);
    std::fs::remove_dir_all(other.folder(0)).unwrap();
    other.renew(true);
    let error = one.connect("data", settings(vec![one.endpoint(0), other.endpoint(0)], "/cell/"));
    assert!(matches!(error, Err(ConnectError::Mixed { .. })), "{error:?}");
}
