//! Specs that are refused before anything is touched.

use super::*;

fn spec() -> TunnelSpec {
    TunnelSpec { ifname: "jump0".to_owned(), mtu: 1_420, ..TunnelSpec::default() }
}

#[test]
fn names_that_could_be_more_than_names_are_refused() {
    for bad in ["", "a b", "a\"b", "../x", "a/b", ".", "-f", "a;b", "a{", "sixteen-bytes-ab", "ünï"] {
        assert!(matches!(check_name(bad), Err(HostError::Invalid(_))), "{bad:?}");
        let nat = NatSpec { out_interface: Some(bad.to_owned()), ..NatSpec::default() };
        assert!(check(&TunnelSpec { nat: Some(nat), ..spec() }).is_err(), "{bad:?}");
    }
    for good in ["jump0", "eth0.100", "fifteen-bytes-a", "w_1"] {
        assert!(check_name(good).is_ok(), "{good:?}");
    }
}

#[test]
fn a_small_mtu_excludes_ipv6() {
    let v6 = || vec!["fd77::2/64".parse().unwrap()];
    assert!(check(&TunnelSpec { mtu: 1_280, addresses: v6(), routes: v6(), ..spec() }).is_ok());
    assert!(check(&TunnelSpec { mtu: 1_279, addresses: v6(), ..spec() }).is_err());
    assert!(check(&TunnelSpec { mtu: 1_279, routes: v6(), ..spec() }).is_err());
    assert!(check(&TunnelSpec { mtu: 1_279, ..spec() }).is_ok());
}
