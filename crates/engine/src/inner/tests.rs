//! Tests of the inner header parser.
use super::*;

fn v4() -> Vec<u8> {
    let mut packet = vec![0u8; 28];
    packet[0] = 0x45;
    packet[3] = 28;
    packet[12..16].copy_from_slice(&[10, 77, 0, 2]);
    packet[16..20].copy_from_slice(&[10, 77, 0, 1]);
    packet
}

#[test]
fn reads_both_families() {
    assert_eq!(addresses(&v4()), Ok(("10.77.0.2".parse().unwrap(), "10.77.0.1".parse().unwrap())));
    let mut packet = vec![0u8; 48];
    packet[0] = 0x60;
    packet[5] = 8;
    packet[23] = 2;
    packet[39] = 1;
    assert_eq!(addresses(&packet), Ok(("::2".parse().unwrap(), "::1".parse().unwrap())));
}

#[test]
fn refuses_what_is_not_ip() {
    assert_eq!(addresses(&[]), Err(Reason::NotIp));
    assert_eq!(addresses(&[0x15; 40]), Err(Reason::NotIp));
    assert_eq!(addresses(&v4()[..19]), Err(Reason::NotIp));
    let mut longer = v4();
    longer[3] = 29;
    assert_eq!(addresses(&longer), Err(Reason::NotIp), "length field beyond the buffer");
    let mut six = vec![0u8; 40];
    six[0] = 0x60;
    six[5] = 1;
    assert_eq!(addresses(&six), Err(Reason::NotIp));
}
