//! Tests of the choice of links.

use super::*;

fn interface(index: u32, name: &str, addresses: &[&str]) -> Interface {
    Interface {
        index,
        name: name.into(),
        up: true,
        mtu: 1500,
        loopback: false,
        addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        default_v4: true,
        default_v6: true,
    }
}

fn book(uplinks: &[&str]) -> LinkBook {
    let uplinks = uplinks.iter().map(|name| (*name).into()).collect();
    LinkBook::new(LinkRules { uplinks, tunnel: "jump0".into(), ipv4: true, ipv6: true }, Time::ZERO)
}

/// Compares and opens everything that is wanted; answers what was closed.
fn step(book: &mut LinkBook, interfaces: &[Interface]) -> Vec<(u32, Reason)> {
    let (gone, wanted) = book.compare(interfaces, Time::ZERO);
    for wanted in wanted {
        let key = book.next_key();
        book.opened(key, wanted);
    }
    gone.into_iter().map(|(key, reason)| (key.0, reason)).collect()
}

fn names(book: &LinkBook) -> Vec<String> {
    let name = |link: &Link| format!("{} {} {}", link.socket.0, link.iface, link.local);
    book.links().iter().map(name).collect()
}

#[test]
fn both_families_of_every_link_with_a_default_route() {
    let mut book = book(&[]);
    let mut unrouted = interface(4, "eth1", &["192.0.2.1"]);
    unrouted.default_v4 = false;
    step(
        &mut book,
        &[
            interface(2, "wlan0", &["10.0.0.2", "2001:db8::2"]),
            interface(3, "wwan0", &["10.1.0.2"]),
            unrouted,
        ],
    );
    assert_eq!(names(&book), ["1 wlan0 10.0.0.2", "2 wlan0 2001:db8::2", "3 wwan0 10.1.0.2"]);
    assert!(book.links()[2].metered && !book.links()[0].metered);
}

#[test]
fn never_loopback_nor_the_tunnel_nor_a_link_that_is_down() {
    let mut book = book(&["lo", "jump0", "eth0"]);
    let mut lo = interface(1, "lo", &["127.0.0.1"]);
    lo.loopback = true;
    let mut eth0 = interface(2, "eth0", &["10.0.0.2"]);
    eth0.up = false;
    step(&mut book, &[lo, interface(3, "jump0", &["10.77.0.2"]), eth0]);
    assert!(names(&book).is_empty());
}

#[test]
fn listed_uplinks_need_no_default_route_and_others_are_left_out() {
    let mut book = book(&["eth0"]);
    let mut eth0 = interface(2, "eth0", &["10.0.0.2"]);
    eth0.default_v4 = false;
    step(&mut book, &[eth0, interface(3, "eth1", &["10.1.0.2"])]);
    assert_eq!(names(&book), ["1 eth0 10.0.0.2"]);
    assert!(book.handle_losses(&[Loss::DefaultRoute { index: 2, ipv6: false }]).is_empty());
}

#[test]
fn only_families_in_which_the_gateway_can_be_reached() {
    let mut book = book(&[]);
    book.rules.ipv4 = false;
    step(&mut book, &[interface(2, "wlan0", &["10.0.0.2", "2001:db8::2"])]);
    assert_eq!(names(&book), ["1 wlan0 2001:db8::2"]);
}

#[test]
fn a_socket_stays_when_another_address_comes_in_front_and_goes_with_its_own() {
    let mut book = book(&[]);
    step(&mut book, &[interface(2, "wlan0", &["10.0.0.2"])]);
    assert_eq!(step(&mut book, &[interface(2, "wlan0", &["10.0.0.1", "10.0.0.2"])]), []);
    assert_eq!(names(&book), ["1 wlan0 10.0.0.2"]);
    assert_eq!(step(&mut book, &[interface(2, "wlan0", &["10.0.0.1"])]), [(1, Reason::AddressGone)]);
    assert_eq!(names(&book), ["2 wlan0 10.0.0.1"], "a new socket has a new key");
}

#[test]
fn what_is_missing_in_a_snapshot_has_its_reason() {
    let mut book = book(&[]);
    let links = [
        interface(2, "a", &["10.0.0.2"]),
        interface(3, "b", &["10.1.0.2"]),
        interface(4, "c", &["10.2.0.2"]),
    ];
    step(&mut book, &links);
    let mut unrouted = links[0].clone();
    unrouted.default_v4 = false;
    let mut down = links[1].clone();
    down.up = false;
    let gone = step(&mut book, &[unrouted, down]);
    assert_eq!(gone, [(1, Reason::RouteGone), (2, Reason::LinkDown), (3, Reason::LinkDown)]);
}

#[test]
fn losses_are_answered_without_a_look() {
    let mut book = book(&[]);
    step(&mut book, &[interface(2, "a", &["10.0.0.2", "2001:db8::2"]), interface(3, "b", &["10.1.0.2"])]);
    let local = "10.0.0.2".parse().unwrap();
    assert!(book.handle_losses(&[Loss::Address { index: 3, address: local }]).is_empty(), "of another link");
    assert_eq!(
        book.handle_losses(&[Loss::Address { index: 2, address: local }]),
        [(SocketKey(1), Reason::AddressGone)]
    );
    assert_eq!(
        book.handle_losses(&[Loss::DefaultRoute { index: 2, ipv6: true }]),
        [(SocketKey(2), Reason::RouteGone)]
    );
    assert_eq!(book.handle_losses(&[Loss::Link { index: 3 }]), [(SocketKey(3), Reason::LinkDown)]);
    assert!(names(&book).is_empty());
}

#[test]
fn an_interface_index_may_be_used_again_by_another_one() {
    let mut book = book(&[]);
    step(&mut book, &[interface(2, "usb0", &["10.0.0.2"])]);
    assert_eq!(step(&mut book, &[interface(2, "usb1", &["10.0.0.2"])]), [(1, Reason::LinkDown)]);
    assert_eq!(names(&book), ["2 usb1 10.0.0.2"]);
}

#[test]
fn a_new_mtu_is_taken_over() {
    let mut book = book(&[]);
    step(&mut book, &[interface(2, "a", &["10.0.0.2"])]);
    let mut smaller = interface(2, "a", &["10.0.0.2"]);
    smaller.mtu = 1280;
    step(&mut book, &[smaller]);
    assert_eq!(book.links()[0].mtu, 1280);
}

#[test]
fn the_next_look_is_soon_after_a_sign_and_never_far() {
    let mut book = book(&[]);
    let now = Time::from_millis(1000);
    book.compare(&[], now);
    assert_eq!(book.look_at(), now + SAFETY_PERIOD);
    book.handle_gain(now);
    book.handle_gain(now + Duration::from_millis(15));
    assert_eq!(book.look_at(), now + SETTLE, "a burst does not put it off");
}
