//! What the kernel hands over: super-packets of the TUN driver and netlink messages.

use std::io::IoSlice;

use jumpvpn_tun::fuzzing::{Head, Joiner, MAX_MEMBER_COUNT, Split, VNET_LEN, VnetHeader, complete_checksum};

/// Longest packet of the inner interface in these inputs.
const MTU: usize = 1500;

/// The first byte chooses: a packet with the driver's header in front, or a batch of packets, each with its length in
/// front.
pub fn tun_packet(data: &[u8]) {
    match data.split_first() {
        Some((mode, rest)) if mode & 1 == 0 => from_driver(rest),
        Some((_, rest)) => to_driver(rest),
        None => {}
    }
}

fn from_driver(data: &[u8]) {
    let Some((head, packet)) = data.split_first_chunk::<VNET_LEN>() else { return };
    let Some(vnet) = VnetHeader::decode(*head) else { return };
    let mut completed = packet.to_vec();
    complete_checksum(&vnet, &mut completed);
    let Some(split) = Split::new(&vnet, packet) else { return };
    let mut whole = split.clone();
    let mut payload_count = 0;
    let mut out = vec![0; usize::from(u16::MAX)];
    while !whole.is_done() {
        payload_count += 1;
        assert!(payload_count <= packet.len(), "each piece carries at least a byte");
        let len = whole.next_into(packet, &mut out).expect("a piece has at most 65,535 bytes");
        assert!(len <= packet.len());
    }
    // A buffer that is too small loses pieces, not order.
    let mut small = split;
    while !small.is_done() {
        small.next_into(packet, &mut out[..MTU]);
    }
}

fn to_driver(mut data: &[u8]) {
    let mut packets = Vec::new();
    while let Some((len, rest)) = data.split_first_chunk::<2>() {
        let (packet, rest) = rest.split_at(usize::from(u16::from_le_bytes(*len)).min(rest.len()));
        packets.push(packet);
        data = rest;
    }
    let mut joiner = Joiner::default();
    joiner.sort(&packets, true);
    let mut seen = vec![false; packets.len()];
    for group in 0..joiner.group_count() {
        let members: Vec<usize> = joiner.members(group).collect();
        for member in &members {
            assert!(!std::mem::replace(&mut seen[*member], true), "a packet in two groups");
        }
        assert!(members.is_sorted(), "packets changed their order");
        if joiner.is_joined(group) {
            assert_cut_gives_back(&joiner, group, &packets, &members);
        }
    }
    assert!(seen.iter().all(|seen| *seen), "a packet was lost");
}

/// The kernel's side: cutting the joined packet gives what went in.
fn assert_cut_gives_back(joiner: &Joiner, group: usize, packets: &[&[u8]], members: &[usize]) {
    let mut head = Head::default();
    let mut slices = [IoSlice::new(&[]); MAX_MEMBER_COUNT + 1];
    let count = joiner.gather(group, packets, &mut head, &mut slices);
    let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
    let (vnet, joined) = bytes.split_first_chunk::<VNET_LEN>().expect("the head is first");
    let vnet = VnetHeader::decode(*vnet).expect("our own header");
    let mut split = Split::new(&vnet, joined).expect("a joined packet can be cut");
    let mut out = vec![0; usize::from(u16::MAX)];
    for member in members {
        let len = split.next_into(joined, &mut out).expect("there is room");
        // With DF set the identification means nothing (RFC 6864) and is numbered anew; so is what covers it.
        let (mut cut, mut member) = (out[..len].to_vec(), packets[*member].to_vec());
        for packet in [&mut cut, &mut member] {
            if packet[0] >> 4 == 4 && packet[6] & 0x40 != 0 {
                packet[4..6].fill(0);
                packet[10..12].fill(0);
            }
        }
        assert_eq!(cut, member, "joining and cutting changed a packet");
    }
    assert!(split.is_done());
}

/// A datagram of a netlink socket.
pub fn netlink_message(data: &[u8]) {
    let (snapshot, understood_count, strange_count) = jumpvpn_host::fuzzing::netlink(data);
    assert!(
        (understood_count + strange_count) * 16 <= data.len() + 15,
        "more messages than there is room for"
    );
    assert!(snapshot.links.len() <= understood_count);
    assert!(snapshot.links.is_sorted_by_key(|link| link.index));
    for link in &snapshot.links {
        let local = |address: &std::net::IpAddr| address.is_loopback();
        assert!(
            !link.addresses.iter().any(|net| local(&net.addr())),
            "a loopback address is for nobody else"
        );
    }
}
