//! What is said arrives, by both kinds of names, and nobody to hear it does no harm.

use super::*;

fn says(name: &OsStr, manager: &UnixDatagram) {
    let told = NotifySocket::at(name).unwrap();
    told.tell(&NotifyState::Ready);
    told.tell(&NotifyState::Watchdog);
    for expected in ["READY=1", "WATCHDOG=1"] {
        let mut words = [0; 64];
        let len = manager.recv(&mut words).unwrap();
        assert_eq!(std::str::from_utf8(&words[..len]).unwrap().trim(), expected);
    }
}

#[test]
fn a_manager_with_a_file_and_one_without_are_told() {
    let folder = std::env::temp_dir().join(format!("jumpvpn-manager-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("notify");
    says(path.as_os_str(), &UnixDatagram::bind(&path).unwrap());
    let name = format!("jumpvpn-manager-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    says(OsStr::new(&format!("@{name}")), &UnixDatagram::bind_addr(&address).unwrap());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_manager_that_is_not_there_or_does_not_read_holds_nobody_up() {
    NotifySocket::default().tell(&NotifyState::Ready);
    NotifySocket::at(OsStr::new("/nonexistent/notify")).unwrap_err();
    let name = format!("jumpvpn-deaf-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _deaf = UnixDatagram::bind_addr(&address).unwrap();
    let told = NotifySocket::at(OsStr::new(&format!("@{name}"))).unwrap();
    // More than any queue of datagrams holds (net.unix.max_dgram_qlen, 10 to 512).
    (0..10_000).for_each(|_| told.tell(&NotifyState::Watchdog));
}
