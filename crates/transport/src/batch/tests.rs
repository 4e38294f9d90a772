//! Cutting joined datagrams apart again.

use std::convert::Infallible;

use super::*;

fn batch_of(messages: &[(SocketAddr, usize, usize)]) -> DatagramBatch {
    let mut batch = DatagramBatch::new(messages.len());
    let filled: Result<(), Infallible> = batch.fill(|slices, metas| {
        for ((slice, meta), &(addr, len, stride)) in slices.iter_mut().zip(metas).zip(messages) {
            for (index, byte) in slice[..len].iter_mut().enumerate() {
                *byte = (index / stride.max(1)) as u8;
            }
            meta.addr = addr;
            meta.len = len;
            meta.stride = stride;
        }
        Ok(messages.len())
    });
    filled.unwrap();
    batch
}

#[test]
fn segments_come_one_by_one_and_the_last_may_be_short() {
    let source = SocketAddr::from(([192, 0, 2, 1], 7));
    let mut batch = batch_of(&[(source, 2_500, 1_000), (source, 40, 40)]);
    let seen: Vec<_> =
        batch.datagrams_mut().map(|datagram| (datagram.bytes.len(), datagram.bytes[0])).collect();
    assert_eq!(seen, [(1_000, 0), (1_000, 1), (500, 2), (40, 0)]);
    assert_eq!(batch.count(), 4);
    assert!(batch.heads().map(<[u8]>::len).eq([1_000, 40]), "the first of each run");
}

#[test]
fn an_empty_datagram_is_no_datagram() {
    let mut batch = batch_of(&[(SocketAddr::from(([192, 0, 2, 1], 7)), 0, 0)]);
    assert_eq!(batch.datagrams_mut().count(), 0);
    assert_eq!(batch.count(), 0);
}

#[test]
fn mapped_addresses_are_given_as_ipv4() {
    let mut batch = batch_of(&[("[::ffff:192.0.2.1]:7".parse().unwrap(), 4, 4)]);
    let sources: Vec<_> = batch.datagrams_mut().map(|datagram| datagram.source).collect();
    assert_eq!(sources, ["192.0.2.1:7".parse().unwrap()]);
}

#[test]
fn a_failed_receive_leaves_nothing_of_the_one_before() {
    let mut batch = batch_of(&[(SocketAddr::from(([192, 0, 2, 1], 7)), 4, 4)]);
    assert_eq!(batch.fill(|_, _| Err(())), Err(()));
    assert_eq!(batch.count(), 0);
}
