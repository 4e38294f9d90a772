//! One address, one spelling.

use super::*;
use proptest::prelude::*;

#[test]
fn a_mapped_address_is_ipv4() {
    let mapped: SocketAddr = "[::ffff:192.0.2.7]:51820".parse().unwrap();
    let plain: SocketAddr = "192.0.2.7:51820".parse().unwrap();
    assert_eq!(ObservedAddress::new(mapped), ObservedAddress::new(plain));
    assert_eq!(ObservedAddress::new(mapped).encode()[..7], [4, 0x6C, 0xCA, 192, 0, 2, 7]);
}

#[test]
fn a_mapped_address_on_the_wire_is_refused() {
    let mut bytes = ObservedAddress::new("[2001:db8::1]:1".parse().unwrap()).encode();
    bytes[3..19].copy_from_slice(&"::ffff:192.0.2.7".parse::<Ipv6Addr>().unwrap().octets());
    assert_eq!(ObservedAddress::decode(&bytes), Err(Malformed::Field("address")));
}

#[test]
fn padding_and_family_are_checked() {
    let good = ObservedAddress::new("192.0.2.7:1".parse().unwrap()).encode();
    for index in 7..20 {
        let mut bytes = good;
        bytes[index] = 1;
        assert_eq!(ObservedAddress::decode(&bytes), Err(Malformed::Reserved), "byte {index}");
    }
    let mut bytes = good;
    bytes[0] = 5;
    assert_eq!(ObservedAddress::decode(&bytes), Err(Malformed::Field("family")));
    assert_eq!(ObservedAddress::decode(&good[..19]), Err(Malformed::Length));
}

proptest! {
    #[test]
    fn round_trip(v6: bool, octets: [u8; 16], port: u16) {
        let ip: IpAddr = if v6 { octets.into() } else { [octets[0], octets[1], octets[2], octets[3]].into() };
        let address = ObservedAddress::new(SocketAddr::new(ip, port));
        prop_assert_eq!(ObservedAddress::decode(&address.encode()), Ok(address));
    }

    #[test]
    fn never_panics_and_accepts_one_encoding(family in 0u8..8, rest: [u8; 19]) {
        let mut bytes = [0; 20];
        bytes[0] = family;
        bytes[1..].copy_from_slice(&rest);
        if let Ok(address) = ObservedAddress::decode(&bytes) {
            prop_assert_eq!(address.encode(), bytes);
        }
    }
}
