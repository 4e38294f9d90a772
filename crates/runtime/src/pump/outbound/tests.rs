//! Tests of how packets are gathered into runs.

use std::net::SocketAddr;

use super::*;

fn to(port: u16, len: usize) -> Option<Transmit> {
    let destination = SocketAddr::from(([192, 0, 2, 1], port));
    Some(Transmit { socket: SocketKey(1), destination, source: None, len })
}

#[test]
fn equal_lengths_the_same_way_go_together() {
    let transmits = [to(1, 1400), to(1, 1400), to(1, 1400), to(2, 1400)];
    assert_eq!(run_end(&transmits, 0), 3);
    assert_eq!(run_end(&transmits, 3), 4);
}

#[test]
fn a_shorter_one_ends_the_run_a_longer_one_begins_another() {
    let transmits = [to(1, 1400), to(1, 100), to(1, 100), to(1, 1400)];
    assert_eq!(run_end(&transmits, 0), 2);
    assert_eq!(run_end(&transmits, 2), 3);
}

#[test]
fn a_refused_packet_ends_the_run() {
    let transmits = [to(1, 1400), None, to(1, 1400)];
    assert_eq!(run_end(&transmits, 0), 1);
}

#[test]
fn another_socket_or_source_is_another_way() {
    let mut other = to(1, 1400);
    other.as_mut().unwrap().source = Some([127, 0, 0, 1].into());
    assert_eq!(run_end(&[to(1, 1400), other], 0), 1);
    let mut other = to(1, 1400);
    other.as_mut().unwrap().socket = SocketKey(2);
    assert_eq!(run_end(&[to(1, 1400), other], 0), 1);
}
