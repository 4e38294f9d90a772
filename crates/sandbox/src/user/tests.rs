//! Tests of looking users up.

use super::*;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\njumpvpn:x:990:980::/:/usr/sbin/nologin\nodd:x:y:1::/:\n";
const GROUP: &str = "root:x:0:\njumpvpn:x:980:\ntun:x:70:alice,jumpvpn\nwheel:x:10:alice,jumpvpnx\n";

#[test]
fn a_user_is_found_with_its_groups() {
    let user = find("jumpvpn", PASSWD, GROUP).unwrap();
    assert_eq!(user, User { uid: 990, gid: 980, groups: vec![70, 980] });
}

#[test]
fn what_is_not_there_or_makes_no_sense_is_not_found() {
    assert_eq!(find("jump", PASSWD, GROUP), None);
    assert_eq!(find("odd", PASSWD, GROUP), None);
    assert_eq!(find("", PASSWD, GROUP), None);
}

#[test]
fn root_and_unknown_users_are_refused_before_anything_changes() {
    let before = crate::held().unwrap();
    for name in ["root", "there-is-nobody-of-this-name"] {
        let refused = become_user(name, CapabilitySet::empty()).unwrap_err();
        assert!(matches!(refused, SandboxError::User { .. }), "{refused}");
    }
    assert_eq!(crate::held().unwrap(), before);
}
