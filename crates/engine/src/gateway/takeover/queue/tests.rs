//! How many messages may wait for a record, and how long.
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::*;
use crate::SocketKey;

const ASKED: Time = Time::from_millis(70_000);
/// The shortest time there is here.
const TICK: Duration = Duration::from_nanos(1);

fn handle(number: u64) -> Handle {
    Handle::new(number).unwrap()
}

fn wait(takeovers: &mut Takeovers, id: u64, number: u64) {
    let from = From {
        socket: SocketKey(0),
        source: SocketAddr::from(([198, 51, 100, 1], 5000)),
        local: IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    let init = [0; TAKEOVER_INIT_LEN];
    takeovers.wait(Waiting { id: RequestId(id), asked: ASKED, handle: handle(number), from, init });
}

#[test]
fn messages_of_one_session_wait_for_one_question_four_at_a_time_for_five_seconds() {
    let mut takeovers = Takeovers::new();
    for _ in 0..WAITING_PER_SESSION {
        assert!(takeovers.room_for(handle(1), ASKED).is_ok());
        wait(&mut takeovers, 11, 1);
        assert_eq!(takeovers.room_for(handle(2), ASKED), Ok(None), "another session asks for itself");
    }
    wait(&mut takeovers, 33, 3);
    for (later, full, open) in [
        (Duration::ZERO, Err(Full), Ok(Some(RequestId(33)))),
        (WAITING_TTL - TICK, Err(Full), Ok(Some(RequestId(33)))),
        (WAITING_TTL, Ok(None), Ok(None)),
    ] {
        assert_eq!(takeovers.room_for(handle(1), ASKED + later), full, "{later:?} later");
        assert_eq!(takeovers.room_for(handle(3), ASKED + later), open, "{later:?} later");
    }
}

#[test]
fn messages_of_all_sessions_wait_256_at_a_time_for_five_seconds() {
    let mut takeovers = Takeovers::new();
    for number in 1..=WAITING_CAPACITY as u64 {
        assert_eq!(takeovers.room_for(handle(1000), ASKED), Ok(None), "message {number}");
        wait(&mut takeovers, number, number);
    }
    for (later, room) in
        [(Duration::ZERO, Err(Full)), (WAITING_TTL - TICK, Err(Full)), (WAITING_TTL, Ok(None))]
    {
        assert_eq!(takeovers.room_for(handle(1000), ASKED + later), room, "{later:?} later");
    }
    assert!(takeovers.take_waiting(RequestId(7)).is_none(), "who asked repeats it");
}
