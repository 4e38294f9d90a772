//! The suite against etcd: on a connection that works, and on one that is cut again and again.

use super::cluster::{Cluster, settings};
use super::proxy::{Mode, Proxy};
use crate::conforming::Stores;

/// Attempts in the race. A tenth of them where connections are cut.
const ATTEMPTS: u32 = 2000;

#[test]
fn etcd_conforms() {
    let Some(cluster) = Cluster::new("etcd_conforms", 1) else { return };
    let mut count = 0;
    let mut stores = Stores::new(ATTEMPTS, |waker| {
        count += 1;
        let store = cluster.connect(&format!("data{count}"), cluster.settings(&format!("/cell{count}/")));
        Box::new(store.unwrap().start(waker).unwrap())
    });
    jumpvpn_ownership::conformance::run(&mut stores);
}

#[test]
fn etcd_conforms_while_connections_are_cut() {
    let Some(cluster) = Cluster::new("etcd_conforms_while_connections_are_cut", 1) else { return };
    let proxy = Proxy::new(cluster.members[0].client);
    let mut count = 0;
    let mut stores = Stores::new(ATTEMPTS / 10, |waker| {
        count += 1;
        proxy.set(Mode::Pass);
        let settings = settings(vec![proxy.endpoint.clone()], &format!("/cell{count}/"));
        let store = cluster.connect(&format!("data{count}"), settings);
        proxy.set(Mode::Cut);
        Box::new(store.unwrap().start(waker).unwrap())
    });
    jumpvpn_ownership::conformance::run(&mut stores);
    assert!(proxy.cuts() > 100, "{} cuts", proxy.cuts());
}
