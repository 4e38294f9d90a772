//! Addresses of clients.
use super::*;

#[test]
fn every_client_has_addresses_of_its_own_that_lead_back_to_it() {
    for family in Family::BOTH {
        for index in [0, 1, 255, 256, 8191, 8192, 99_999, 131_071] {
            for link in 0..LINK_COUNT {
                let address = address_of(family, index, link);
                assert!(outer::clients(family).contains(&address), "{address}");
                assert_eq!(index_of(address), Some(index), "{address}");
            }
            assert_ne!(address_of(family, index, 0), address_of(family, index, 1));
        }
    }
}

#[test]
fn neighbours_share_no_network() {
    let network = |family, index| match address_of(family, index, 0) {
        IpAddr::V4(address) => u128::from(u32::from(address) >> 8),
        IpAddr::V6(address) => u128::from(address) >> NETWORK_SHIFT,
    };
    for family in Family::BOTH {
        assert!((0..1000).all(|index| network(family, index) != network(family, index + 1)));
    }
}
