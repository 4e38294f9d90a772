//! Tests of the outbox.
use super::*;

fn push(outbox: &mut Outbox, byte: u8) -> bool {
    outbox.push(SocketKey(1), SocketAddr::from(([192, 0, 2, 1], 4747)), None, |slot| {
        slot[0] = byte;
        Some(1)
    })
}

#[test]
fn keeps_order_and_refuses_when_full() {
    let mut outbox = Outbox::new(2);
    assert!(push(&mut outbox, 1));
    assert!(push(&mut outbox, 2));
    assert!(!push(&mut outbox, 3));
    let mut buffer = [0; 8];
    assert_eq!(outbox.pop(&mut buffer).map(|t| (t.len, buffer[0])), Some((1, 1)));
    assert!(push(&mut outbox, 4));
    assert_eq!(outbox.pop(&mut buffer).map(|_| buffer[0]), Some(2));
    assert_eq!(outbox.pop(&mut buffer).map(|_| buffer[0]), Some(4));
    assert_eq!(outbox.pop(&mut buffer), None);
}

#[test]
fn a_writer_that_gives_up_leaves_nothing() {
    let mut outbox = Outbox::new(1);
    assert!(!outbox.push(SocketKey(1), SocketAddr::from(([192, 0, 2, 1], 1)), None, |_| None));
    assert_eq!(outbox.pop(&mut [0; 8]), None);
}
