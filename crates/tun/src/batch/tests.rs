//! Tests of the layout of a batch.

use super::*;

#[test]
fn neighbours_lie_back_to_back() {
    let mut batch = PacketBatch::new(3, 100);
    for (len, byte) in [(100, 1), (7, 2), (100, 3)] {
        batch.vacant().unwrap()[..len].fill(byte);
        batch.push(len);
    }
    assert!(batch.vacant().is_none(), "three is the limit");
    let packets: Vec<Vec<u8>> = batch.packets_mut().map(|packet| packet.data().to_vec()).collect();
    assert_eq!(packets, [vec![1; 100], vec![2; 7], vec![3; 100]]);
    assert!(batch.packets().eq(packets.iter().map(Vec::as_slice)));
    batch.packets_mut().for_each(|mut packet| {
        let tail = packet.buffer_mut().len() - TAILROOM;
        packet.buffer_mut()[..HEADROOM].fill(8);
        packet.buffer_mut()[tail..].fill(9);
    });
    let around = |data: &[u8]| [&[8; HEADROOM], data, &[9; TAILROOM]].concat();
    assert_eq!(batch.joined(1..3), [around(&[2; 7]), around(&[3; 100])].concat());
    assert!(batch.joined(1..1).is_empty());
    batch.clear();
    assert_eq!((batch.count(), batch.vacant().map(|data| data.len())), (0, Some(100)));
}
