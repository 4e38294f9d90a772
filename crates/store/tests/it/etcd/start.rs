//! What is said at the start when something is wrong.

use std::io;

use jumpvpn_store::etcd::{ConnectError, Login, Settings};
use rustix::process::Signal;
use zeroize::Zeroizing;

use super::cluster::{Cluster, certificates, settings, tls_arguments};
use crate::bed::{Bed, blind, put};

/// A connection that is to be refused.
#[track_caller]
fn refused(cluster: &Cluster, settings: Settings) -> ConnectError {
    cluster.connect("refused", settings).expect_err("it is refused")
}

#[test]
fn endpoints_have_to_make_sense() {
    let Some(cluster) = Cluster::new("endpoints_have_to_make_sense", 1) else { return };
    assert!(matches!(refused(&cluster, settings(Vec::new(), "/")), ConnectError::NoEndpoint));
    for endpoint in
        ["", "127.0.0.1:2379", "https://127.0.0.1:1", "http://127.0.0.1", "http://h:1/v3", "http://[::1:1"]
    {
        let error = refused(&cluster, settings(vec![endpoint.into()], "/"));
        assert!(matches!(error, ConnectError::Endpoint { .. }), "{endpoint}: {error:?}");
    }
    let error = refused(&cluster, settings(vec!["http://no-such-host.invalid:2379".into()], "/"));
    assert!(error.to_string().contains("no-such-host.invalid"), "{error}");
}

#[test]
fn who_does_not_answer_is_named() {
    let Some(mut cluster) = Cluster::new("who_does_not_answer_is_named", 1) else { return };
    let frozen = cluster.endpoint(0);
    cluster.signal(0, Signal::STOP);
    let both = || settings(vec!["http://127.0.0.1:1".into(), frozen.clone()], "/");
    let said = refused(&cluster, both()).to_string();
    assert!(said.contains("http://127.0.0.1:1 (") && said.contains("refused"), "{said}");
    assert!(said.contains(&format!("{frozen} (")), "{said}");
    cluster.signal(0, Signal::CONT);
    cluster.connect("data", both()).expect("one of them is enough");
    cluster.kill(0);
    assert!(matches!(refused(&cluster, both()), ConnectError::Unreachable { .. }));
}

#[test]
fn a_minority_is_no_store() {
    let Some(mut cluster) = Cluster::new("a_minority_is_no_store", 3) else { return };
    drop(cluster.store("data", &cluster.settings("/cell/")));
    cluster.kill(1);
    cluster.kill(2);
    let error = refused(&cluster, cluster.settings("/cell/"));
    assert!(matches!(error, ConnectError::NoQuorum { .. }), "{error:?}");
}

#[test]
fn a_password_and_rights_are_needed_where_etcd_asks_for_them() {
    let test = "a_password_and_rights_are_needed_where_etcd_asks_for_them";
    let Some(mut cluster) = Cluster::new(test, 1) else { return };
    drop(cluster.store("data", &cluster.settings("/cell/")));
    for line in [
        "user add root:root",
        "role add gateway",
        "role grant-permission gateway --prefix=true readwrite /cell/",
        "user add gateway:secret",
        "user grant-role gateway gateway",
        "auth enable",
    ] {
        cluster.etcdctl(&line.split(' ').collect::<Vec<_>>());
    }
    let with = |user: &str, password: &str, prefix: &str| Settings {
        login: Some(Login { user: user.into(), password: Zeroizing::new(password.into()) }),
        ..cluster.settings(prefix)
    };
    for (settings, what) in [
        (cluster.settings("/cell/"), "nobody"),
        (with("gateway", "wrong", "/cell/"), "a wrong password"),
        (with("stranger", "secret", "/cell/"), "an unknown user"),
    ] {
        let error = refused(&cluster, settings);
        assert!(matches!(error, ConnectError::Credentials { .. }), "{what}: {error:?}");
    }
    let error = refused(&cluster, with("gateway", "secret", "/other/"));
    assert!(matches!(error, ConnectError::Denied { .. }), "{error:?}");
    let right = with("gateway", "secret", "/cell/");
    assert!(!format!("{right:?}").contains("secret"));
    let mut store = cluster.store("data", &right);
    store.committed(blind(put("s/1", b"one")));
    // A member that starts again has forgotten who had signed in.
    cluster.kill(0);
    cluster.start(0);
    let began = std::time::Instant::now();
    while !matches!(
        store.ask(jumpvpn_ownership::Operation::Commit(blind(put("s/1", b"two")))),
        jumpvpn_ownership::Outcome::Committed(_)
    ) {
        assert!(began.elapsed() < crate::bed::PATIENCE, "{:?}", store.store.trouble());
    }
}

#[test]
fn certificates_are_checked_on_both_sides() {
    let test = "certificates_are_checked_on_both_sides";
    let mut tls = None;
    let with = |bed: &Bed| {
        tls = Some(certificates(bed));
        tls_arguments(bed)
    };
    let Some(cluster) = Cluster::with(test, 1, "https", with) else { return };
    let tls = tls.expect("the files were made");
    let settings = |tls| Settings { tls: Some(tls), ..cluster.settings("/cell/") };
    let mut store = cluster.store("data", &settings(tls.clone()));
    store.committed(blind(put("s/1", b"one")));

    let mut without = tls.clone();
    without.identity = None;
    let error = refused(&cluster, settings(without));
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");

    let others = Bed::new();
    let stranger = certificates(&others);
    let mut foreign = tls.clone();
    foreign.ca = stranger.ca.clone();
    let said = refused(&cluster, settings(foreign)).to_string();
    assert!(said.contains("invalid peer certificate"), "{said}");
    let mut unknown = tls.clone();
    unknown.identity = stranger.identity;
    assert!(matches!(refused(&cluster, settings(unknown)), ConnectError::Unreachable { .. }));

    let mut missing = tls.clone();
    missing.ca = cluster.bed.0.join("no-such.pem");
    let error = refused(&cluster, settings(missing));
    assert!(matches!(&error, ConnectError::File { source, .. } if source.kind() == io::ErrorKind::NotFound));
    for (content, which) in [("", "empty"), ("no certificate", "text")] {
        let path = cluster.bed.0.join(which);
        std::fs::write(&path, content).unwrap();
        let mut strange = tls.clone();
        strange.identity = Some((path.clone(), path));
        let error = refused(&cluster, settings(strange));
        assert!(matches!(error, ConnectError::Tls { .. }), "{which}: {error:?}");
    }
    let plain = Settings { tls: None, ..settings(tls) };
    assert!(matches!(refused(&cluster, plain), ConnectError::Endpoint { .. }));
}
