//! Tests of the labels.

use super::*;

#[test]
fn path_labels_keep_what_fits() {
    assert_eq!(PathLabel::new("wlan0/udp4").as_str(), "wlan0/udp4");
    assert_eq!(PathLabel::new("").as_str(), "");
    assert_eq!(PathLabel::new("enx0123456789ab/tcp6/and more").as_str(), "enx0123456789ab/tcp6/an");
    assert_eq!(std::mem::size_of::<PathLabel>(), 24);
}

#[test]
fn path_labels_cut_between_characters() {
    let name = format!("{}é", "x".repeat(22));
    assert_eq!(PathLabel::new(&name).as_str(), "x".repeat(22));
}

#[test]
fn session_labels_are_hex() {
    let mut id = [0; 16];
    id[0] = 0xab;
    id[15] = 0x01;
    assert_eq!(SessionLabel(id).to_string(), "ab000000000000000000000000000001");
}
