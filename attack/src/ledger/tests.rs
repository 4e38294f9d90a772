//! The account finds what it is there to find.

use super::*;
use crate::datagram::{Datagram, address};

const GATEWAY: ([u8; 4], u16) = ([192, 0, 2, 10], 4747);
const CLIENT: ([u8; 4], u16) = ([198, 51, 100, 7], 1000);
const STRANGER: ([u8; 4], u16) = ([203, 0, 113, 77], 9);

fn seen(direction: Direction, other: ([u8; 4], u16), kind: Kind, len: usize) -> Seen {
    let (gateway, other) = (address(GATEWAY.0, GATEWAY.1), address(other.0, other.1));
    let (source, destination) = if direction == Direction::Up { (other, gateway) } else { (gateway, other) };
    let mut payload = vec![0; len];
    payload[0] = kind.code();
    let datagram = Datagram { source, destination, payload };
    Seen { direction, origin: Origin::Wire, datagram }
}

fn ledger(log: &[Seen]) -> Ledger {
    Ledger::of(log, &BTreeSet::from([address(CLIENT.0, CLIENT.1)]))
}

#[test]
fn the_client_may_be_sent_anything() {
    let log = [seen(Direction::Down, CLIENT, Kind::Data, 1400)];
    assert_eq!(ledger(&log), Ledger::default());
}

#[test]
fn one_answer_that_is_not_longer_is_allowed() {
    let request = seen(Direction::Up, STRANGER, Kind::PathProbe, 124);
    let answer = |len| seen(Direction::Down, STRANGER, Kind::PathTicket, len);
    assert_eq!(ledger(&[request.clone(), answer(124)]).reply_count(), 1);
    for log in [
        vec![answer(124)],
        vec![answer(124), request.clone()],
        vec![request.clone(), answer(125)],
        vec![request.clone(), answer(124), answer(124)],
        vec![request.clone(), seen(Direction::Down, STRANGER, Kind::HsRetry, 52)],
        vec![request, seen(Direction::Down, STRANGER, Kind::Data, 32)],
    ] {
        assert_eq!(ledger(&log).violations.len(), 1, "{log:?}");
    }
}

#[test]
fn the_answers_to_several_requests_are_told_apart() {
    let up = |kind, len| seen(Direction::Up, STRANGER, kind, len);
    let down = |kind, len| seen(Direction::Down, STRANGER, kind, len);
    // A ticket could answer either request, the result only the second one.
    let log = [
        up(Kind::Reattach, 156),
        up(Kind::PathProbe, 124),
        down(Kind::PathTicket, 124),
        down(Kind::ReattachResult, 100),
    ];
    assert_eq!((ledger(&log).reply_count(), ledger(&log).violations.len()), (2, 0));
}
