//! Addresses of clients.
use super::*;

#[test]
fn every_client_has_addresses_of_its_own_that_lead_back_to_it() {
    for index in [0, 1, 255, 256, 8191, 8192, 99_999, 131_071] {
        for link in 0..LINK_COUNT {
            let address = address_of(index, link);
            assert!(CLIENTS.contains(&address), "{address}");
            assert_eq!(index_of(address.into()), Some(index), "{address}");
        }
        assert_ne!(address_of(index, 0), address_of(index, 1));
    }
}

#[test]
fn neighbours_share_no_network() {
    let network = |index| u32::from(address_of(index, 0)) >> 8;
    assert!((0..1000).all(|index| network(index) != network(index + 1)));
}
