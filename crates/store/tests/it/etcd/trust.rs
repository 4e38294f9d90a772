//! Clusters that are not the one they were.

use jumpvpn_ownership::{Operation, Outcome, StoreError};
use jumpvpn_store::etcd::ConnectError;

use super::cluster::{Cluster, settings};
use crate::bed::{PATIENCE, blind, key, put};

#[test]
fn a_cluster_that_was_set_up_anew_is_not_believed() {
    let Some(mut cluster) = Cluster::new("a_cluster_that_was_set_up_anew_is_not_believed", 1) else { return };
    let settings = cluster.settings("/cell/");
    let mut store = cluster.store("data", &settings);
    store.committed(blind(put("s/1", b"one")));
    let pin = std::fs::read_to_string(cluster.bed.0.join("data/etcd-cluster")).unwrap();
    assert_eq!(pin.len(), 17, "{pin}");

    // The same addresses, nothing kept, another token: another cluster.
    cluster.kill(0);
    std::fs::remove_dir_all(cluster.folder(0)).unwrap();
    cluster.renew();
    let began = std::time::Instant::now();
    let lost = loop {
        match store.ask(Operation::Read(key("s/1"))) {
            Outcome::Unknown => assert!(began.elapsed() < PATIENCE, "{:?}", store.store.trouble()),
            outcome => break outcome,
        }
    };
    assert_eq!(lost, Outcome::Lost(StoreError::Foreign));
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
            assert_eq!(format!("{expected:016x}\n"), pin);
            assert_ne!(expected, found);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(std::fs::read_to_string(cluster.bed.0.join("data/etcd-cluster")).unwrap(), pin);
    std::fs::write(cluster.bed.0.join("data/etcd-cluster"), "no number").unwrap();
    assert!(matches!(cluster.connect("data", settings.clone()), Err(ConnectError::Foreign { .. })));
    // What a person does who means it.
    std::fs::remove_file(cluster.bed.0.join("data/etcd-cluster")).unwrap();
    assert_eq!(cluster.store("data", &settings).read("s/1"), None);
}

#[test]
fn members_of_two_clusters_are_no_cluster() {
    let test = "members_of_two_clusters_are_no_cluster";
    let Some(one) = Cluster::new(test, 1) else { return };
    let Some(mut other) = Cluster::new(test, 1) else { return };
    other.kill(0);
    std::fs::remove_dir_all(other.folder(0)).unwrap();
    other.renew();
    let error = one.connect("data", settings(vec![one.endpoint(0), other.endpoint(0)], "/cell/"));
    assert!(matches!(error, Err(ConnectError::Mixed { .. })), "{error:?}");
}
