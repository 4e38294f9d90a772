//! Joining is right when cutting the joined packet again gives back what went in.

use proptest::prelude::*;

use super::*;
use crate::headers::{FLAG_FIN, UDP};
use crate::split::Split;

/// A packet of a test flow.
#[derive(Debug, Clone)]
struct Spec {
    ipv6: bool,
    udp: bool,
    port: u16,
    id: u16,
    sequence: u32,
    flags: u8,
    window: u16,
    options_len: usize,
    payload: Vec<u8>,
    damaged: bool,
}

impl Spec {
    fn tcp(sequence: u32, payload_len: usize) -> Spec {
        Spec {
            ipv6: false,
            udp: false,
            port: 1,
            id: 0,
            sequence,
            flags: FLAG_ACK,
            window: 500,
            options_len: 12,
            payload: vec![sequence as u8; payload_len],
            damaged: false,
        }
    }

    fn build(&self) -> Vec<u8> {
        let ip_len = if self.ipv6 { 40 } else { 20 };
        let transport_header_len = if self.udp { 8 } else { 20 + self.options_len };
        let len = ip_len + transport_header_len + self.payload.len();
        let mut packet = vec![0; len];
        let protocol = if self.udp { UDP } else { TCP };
        if self.ipv6 {
            packet[0] = 0x60;
            put(&mut packet, 4, ((len - 40) as u16).to_be_bytes());
            packet[6] = protocol;
            packet[7] = 64;
            packet[8] = 0xfd;
            packet[24] = 0xfd;
        } else {
            packet[0] = 0x45;
            put(&mut packet, 2, (len as u16).to_be_bytes());
            put(&mut packet, 4, self.id.to_be_bytes());
            packet[8] = 64;
            packet[9] = protocol;
            packet[12..20].copy_from_slice(&[10, 77, 0, 1, 10, 77, 0, 2]);
            let checksum = checksum::finish(checksum::sum(&packet[..20]));
            put(&mut packet, 10, checksum);
        }
        let (ip, transport) = packet.split_at_mut(ip_len);
        put(transport, 0, self.port.to_be_bytes());
        put(transport, 2, 4_747_u16.to_be_bytes());
        let field = if self.udp {
            put(transport, 4, ((len - ip_len) as u16).to_be_bytes());
            6
        } else {
            put(transport, 4, self.sequence.to_be_bytes());
            transport[12] = (transport_header_len as u8 / 4) << 4;
            transport[13] = self.flags;
            put(transport, 14, self.window.to_be_bytes());
            transport[20..transport_header_len].fill(1);
            16
        };
        transport[transport_header_len..].copy_from_slice(&self.payload);
        let pseudo = checksum::pseudo_header(&ip[addresses(self.ipv6)], protocol, (len - ip_len) as u16);
        let checksum = checksum::finish(pseudo + checksum::sum(transport));
        put(transport, field, checksum);
        if self.damaged {
            *packet.last_mut().unwrap() ^= 1;
        }
        packet
    }
}

/// What the kernel would be given, as (driver header, packet).
fn join(packets: &[Vec<u8>]) -> Vec<(Option<VnetHeader>, Vec<u8>)> {
    let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    let mut joiner = Joiner::default();
    joiner.sort(&packets, true);
    let mut written = Vec::new();
    for group in 0..joiner.group_count() {
        if !joiner.is_joined(group) {
            written.push((None, packets[joiner.members(group).next().unwrap()].to_vec()));
            continue;
        }
        let mut head = Head::default();
        let mut slices = [IoSlice::new(&[]); MAX_MEMBER_COUNT + 1];
        let count = joiner.gather(group, &packets, &mut head, &mut slices);
        let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
        let (vnet, packet) = bytes.split_first_chunk::<VNET_LEN>().unwrap();
        written.push((VnetHeader::decode(*vnet), packet.to_vec()));
    }
    written
}

/// The kernel's side: cuts what was written.
fn cut(written: &[(Option<VnetHeader>, Vec<u8>)]) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for (vnet, packet) in written {
        let Some(vnet) = vnet else {
            packets.push(packet.clone());
            continue;
        };
        let mut split = Split::new(vnet, packet).expect("a joined packet can be cut");
        while !split.is_done() {
            let mut out = vec![0; 2_000];
            let len = split.next_into(packet, &mut out).unwrap();
            out.truncate(len);
            packets.push(out);
        }
    }
    packets
}

fn joined_counts(specs: &[Spec]) -> Vec<usize> {
    let packets: Vec<_> = specs.iter().map(Spec::build).collect();
    join(&packets).iter().map(|written| cut(std::slice::from_ref(written)).len()).collect()
}

#[test]
fn a_run_of_segments_becomes_one_packet() {
    for ipv6 in [false, true] {
        let specs: Vec<_> = (0..40)
            .map(|number| Spec { ipv6, id: number, ..Spec::tcp(1_368 * u32::from(number), 1_368) })
            .collect();
        assert_eq!(joined_counts(&specs), [40], "ipv6 {ipv6}");
    }
}

#[test]
fn interleaved_flows_are_joined_each_for_itself() {
    let specs: Vec<_> = (0..30)
        .map(|number| Spec {
            port: number % 3,
            id: number / 3,
            ..Spec::tcp(u32::from(number / 3) * 100, 100)
        })
        .collect();
    assert_eq!(joined_counts(&specs), [10, 10, 10]);
}

#[test]
fn what_differs_is_not_joined() {
    let first = || Spec { ipv6: true, ..Spec::tcp(0, 100) };
    let second = || Spec { sequence: 100, ..first() };
    assert_eq!(joined_counts(&[first(), second()]), [2]);
    for other in [
        Spec { sequence: 101, ..second() },
        Spec { flags: FLAG_ACK | FLAG_FIN, ..second() },
        Spec { window: 501, ..second() },
        Spec { options_len: 8, ..second() },
        Spec { damaged: true, ..second() },
        Spec { port: 2, ..second() },
        Spec { payload: vec![0; 101], ..second() },
        Spec { payload: vec![], ..second() },
        Spec { ipv6: false, ..second() },
        Spec { udp: true, ..second() },
    ] {
        assert_eq!(joined_counts(&[first(), other.clone()]), [1, 1], "{other:?}");
    }
    assert_eq!(joined_counts(&[Spec { damaged: true, ..first() }, second()]), [1, 1]);
    let pushed = Spec { flags: FLAG_ACK | FLAG_PSH, ..first() };
    assert_eq!(joined_counts(&[pushed, second()]), [1, 1], "nothing goes behind a push");
    let short = Spec { payload: vec![0; 99], ..second() };
    let third = Spec { sequence: 199, ..first() };
    assert_eq!(joined_counts(&[first(), short, third]), [2, 1], "nothing goes behind a short one");
}

#[test]
fn an_ipv4_identification_out_of_order_is_kept_unless_fragmenting_is_forbidden() {
    let specs = [Spec { id: 7, ..Spec::tcp(0, 100) }, Spec { id: 9, ..Spec::tcp(100, 100) }];
    assert_eq!(joined_counts(&specs), [1, 1]);
}

#[test]
fn a_super_packet_stays_below_64_kib() {
    let specs: Vec<_> = (0..60).map(|n| Spec { ipv6: true, ..Spec::tcp(n * 1_380, 1_380) }).collect();
    let counts = joined_counts(&specs);
    assert_eq!(counts, [47, 13]);
    assert!(counts[0] * 1_380 + 72 <= 65_535);
}

fn any_spec() -> impl Strategy<Value = Spec> {
    let shape = (any::<bool>(), any::<bool>(), 0..3_u16, 0..4_u16, 0..6_u32);
    let rest =
        (prop_oneof![4 => Just(FLAG_ACK), 1 => any::<u8>()], 0..2_u16, 0..2_usize, 0..3_usize, 0..20_u8);
    (shape, rest).prop_map(|((ipv6, udp, port, id, sequence), (flags, window, options, size, damage))| Spec {
        ipv6,
        udp,
        port,
        id,
        sequence: sequence * 100,
        flags,
        window,
        options_len: options * 4,
        payload: vec![id as u8; [100, 100, 40][size]],
        damaged: damage == 0,
    })
}

/// Which packets are of one flow: their order must be kept.
fn flow(packet: &[u8]) -> (u8, u8, Vec<u8>) {
    let (protocol, ports) = if packet[0] == 0x60 { (packet[6], 40) } else { (packet[9], 20) };
    (packet[0], protocol, packet[ports..ports + 4].to_vec())
}

proptest! {
    #[test]
    fn cutting_gives_back_what_was_joined(specs in proptest::collection::vec(any_spec(), 1..60)) {
        let packets: Vec<_> = specs.iter().map(Spec::build).collect();
        let back = cut(&join(&packets));
        let mut flows: Vec<_> = packets.iter().map(|packet| flow(packet)).collect();
        flows.sort();
        flows.dedup();
        for one in flows {
            let of = |packets: &[Vec<u8>]| -> Vec<Vec<u8>> {
                packets.iter().filter(|packet| flow(packet) == one).cloned().collect()
            };
            prop_assert_eq!(of(&packets), of(&back));
        }
        prop_assert_eq!(packets.len(), back.len());
    }

    #[test]
    fn arbitrary_bytes_come_out_as_they_went_in(
        packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..80), 1..20)
    ) {
        let mut back = cut(&join(&packets));
        let mut packets = packets;
        packets.sort();
        back.sort();
        prop_assert_eq!(packets, back);
    }
}
