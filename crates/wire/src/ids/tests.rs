//! Handles keep their 48 bits; secrets stay out of debug output.

use super::*;

#[test]
fn a_handle_is_48_bits_and_survives_its_bytes() {
    assert_eq!(Handle::new(1 << 48), None);
    let handle = Handle::from_parts(0x3ff_ffff, 0x3f_ffff);
    assert_eq!(handle, Handle::MAX);
    assert_eq!(Handle::from_bytes(handle.to_bytes()), handle);
    assert_eq!(Handle::from_parts(1, 2).value(), 1 << 22 | 2);
    assert_eq!(Handle::from_parts(1 << 26, 1 << 22).value(), 0, "surplus bits do not leak into neighbours");
}

#[test]
fn a_ticket_shows_its_server_cid_and_nothing_else() {
    let mut bytes = [0u8; 32];
    bytes[8..16].copy_from_slice(&0x1122_3344_5566_7788u64.to_le_bytes());
    let ticket = Ticket(bytes);
    assert_eq!(ticket.server_cid(), Cid(0x1122_3344_5566_7788));
    assert_eq!(format!("{ticket:?}"), "Ticket(..)");
    assert_eq!(format!("{:?}", ResetToken([7; 16])), "ResetToken(..)");
}
