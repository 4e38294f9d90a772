//! Tests of the generated table.

use super::*;

#[test]
fn every_reason_is_found_by_number_and_code() {
    for (index, reason) in Reason::ALL.iter().copied().enumerate() {
        assert_eq!(reason.index(), index);
        assert_eq!(Reason::from_number(reason.number()), Some(reason));
        assert_eq!(Reason::from_code(reason.code()), Some(reason));
        assert!(!reason.meaning().is_empty() && !reason.action().is_empty());
    }
    assert_eq!(Reason::COUNT, Reason::ALL.len());
}

#[test]
fn unknown_numbers_and_codes_are_none() {
    assert_eq!(Reason::from_number(0), None);
    assert_eq!(Reason::from_number(u16::MAX), None);
    assert_eq!(Reason::from_code("path_silent"), None);
}

/// Numbers are on the wire: these few stand for all of them and must never change.
#[test]
fn numbers_are_stable() {
    for (reason, number) in [
        (Reason::LinkDown, 101),
        (Reason::OperatorJump, 201),
        (Reason::BirthComplete, 301),
        (Reason::KeyExpired, 401),
        (Reason::HandshakeTimeout, 502),
        (Reason::StaleStateVersion, 608),
        (Reason::NotOwner, 701),
        (Reason::Malformed, 801),
        (Reason::Internal, 907),
    ] {
        assert_eq!(reason.number(), number, "{reason}");
    }
}
