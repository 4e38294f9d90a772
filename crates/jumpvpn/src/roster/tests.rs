//! Each way in which a list is refused, and that none older comes back, whatever happens to the process in between.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use jumpvpn_session::SigningKey;

use super::*;

/// 2026-12-01T00:00:00Z.
pub(crate) const NOW: u64 = 1_796_083_200;

/// A folder that is removed when the test ends.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("jumpvpn-roster-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

pub(crate) fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub(crate) fn terms(folder: &Folder) -> ListConfig {
    ListConfig { key: key().public().0, cell: "berlin".into(), file: None, state: folder.0.join("state") }
}

fn public(number: u8) -> String {
    jumpvpn_config::key::encode(&[number; 32])
}

/// The content of a list of November and December 2026 with gateways of these numbers.
pub(crate) fn content(serial: u64, gateways: &[u8]) -> String {
    let mut text = format!(
        "[list]\ncell = \"berlin\"\nserial = {serial}\nissued = 2026-11-01T00:00:00Z\nexpires = 2027-01-01T00:00:00Z\n"
    );
    for number in gateways {
        text.push_str(&format!(
            "[[gateway]]\nname = \"gw-{number}\"\npublic_key = \"{}\"\nendpoints = [\"udp://192.0.2.{number}:4747\"]\n",
            public(*number)
        ));
    }
    text
}

pub(crate) fn signed(text: &str) -> Vec<u8> {
    let content = text.as_bytes();
    SignedList { signature: key().sign(Purpose::GatewayList, content), content }.join()
}

fn open(folder: &Folder) -> Result<Roster, Refused> {
    Roster::open(&terms(folder), "jump0", vec![[1; 32]])
}

fn serial(roster: &Roster) -> Option<u64> {
    roster.current(NOW).unwrap().map(|list| list.serial)
}

/// The files that exist, oldest name first.
fn files(folder: &Folder) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        std::fs::read_dir(folder.0.join("state")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn the_newest_list_is_kept_from_start_to_start_and_none_older_is_taken() {
    let folder = Folder::new();
    let mut roster = open(&folder).unwrap();
    assert_eq!(serial(&roster), None);
    for (number, expected) in [(5, Ok(true)), (5, Ok(false)), (6, Ok(true)), (9, Ok(true))] {
        assert_eq!(roster.take(signed(&content(number, &[1, 2])), NOW), expected, "{number}");
    }
    for restart in 0..4 {
        drop(roster);
        roster = open(&folder).unwrap();
        assert_eq!(serial(&roster), Some(9), "start {restart}");
        for old in [1, 5, 8] {
            let refused = roster.take(signed(&content(old, &[1, 2, 3])), NOW);
            assert_eq!(refused, Err(Refused::Older { serial: old, kept: 9 }));
        }
        assert_eq!(roster.take(signed(&content(9, &[3])), NOW), Err(Refused::Twice(9)));
    }
    assert_eq!(roster.take(signed(&content(10, &[2])), NOW), Ok(true));
    drop(roster);
    assert_eq!(serial(&open(&folder).unwrap()), Some(10));
}

#[test]
fn an_expired_list_still_keeps_older_ones_away() {
    let folder = Folder::new();
    let mut roster = open(&folder).unwrap();
    roster.take(signed(&content(9, &[1, 2])), NOW).unwrap();
    drop(roster);
    let mut roster = open(&folder).unwrap();
    // 2027-01-01T00:00:00Z, to the second.
    let end = NOW + 31 * 86_400;
    assert_eq!(roster.current(end - 1).unwrap().map(|list| list.serial), Some(9));
    assert_eq!(roster.current(end), Err(Refused::Expired("2027-01-01T00:00:00Z".into())));
    let longer = |serial| signed(&content(serial, &[2]).replace("2027-01-01", "2027-06-01"));
    assert_eq!(roster.take(longer(8), end), Err(Refused::Older { serial: 8, kept: 9 }));
    assert_eq!(roster.take(longer(10), end), Ok(true));
    assert_eq!(roster.current(end).unwrap().map(|list| list.serial), Some(10));
}

#[test]
fn what_is_no_list_for_us_is_refused_and_leaves_no_trace() {
    let folder = Folder::new();
    let mut roster = open(&folder).unwrap();
    roster.take(signed(&content(5, &[1, 2])), NOW).unwrap();
    let good = content(6, &[1, 2]);
    let by_stranger = {
        let content = good.as_bytes();
        let signature = SigningKey::from_bytes(&[8; 32]).sign(Purpose::GatewayList, content);
        SignedList { signature, content }.join()
    };
    let mut changed = signed(&good);
    *changed.last_mut().unwrap() ^= 1;
    let many: Vec<u8> = (2..=65).collect();
    let cases = [
        (good.clone().into_bytes(), Refused::Shape("not a signed list of gateways")),
        (Vec::new(), Refused::Shape("not a signed list of gateways")),
        (vec![b'j'; LIST_MAX_LEN + 1], Refused::Shape("longer than 32 KiB")),
        (by_stranger, Refused::Signature),
        (changed, Refused::Signature),
        (signed(&good.replace("berlin", "paris")), Refused::Cell("paris".into())),
        (signed(&good.replace("2026-11-01", "2026-12-02")), Refused::Early("2026-12-02T00:00:00Z".into())),
        (signed(&good.replace("2027-01-01", "2026-12-01")), Refused::Expired("2026-12-01T00:00:00Z".into())),
        (signed(&content(4, &[1, 2])), Refused::Older { serial: 4, kept: 5 }),
        (signed(&content(5, &[1])), Refused::Twice(5)),
        // 64 of the list, and the one of the agent's file that is none of them.
        (signed(&content(6, &many)), Refused::TooMany(65)),
    ];
    for (bytes, refused) in cases {
        assert_eq!(roster.take(bytes, NOW), Err(refused));
    }
    let invalid = roster.take(signed(&good.replace("serial = 6", "serial = 0")), NOW);
    assert!(matches!(&invalid, Err(Refused::Content(why)) if why.contains("out of range")), "{invalid:?}");
    assert_eq!(
        roster.take(signed("\u{1}"), NOW).map_err(|refused| refused.to_string().len() > 10),
        Err(true)
    );
    assert_eq!(serial(&roster), Some(5));
    drop(roster);
    assert_eq!(serial(&open(&folder).unwrap()), Some(5));
}

#[test]
fn a_clock_that_is_off_leaves_the_agent_with_its_own_file() {
    let folder = Folder::new();
    let mut roster = open(&folder).unwrap();
    let list = signed(&content(5, &[1, 2]));
    // A machine without a clock begins in 1970; ours is fine up to five minutes.
    assert!(matches!(roster.take(list.clone(), 0), Err(Refused::Early(_))));
    let issued = NOW - 30 * 86_400;
    assert!(matches!(roster.take(list.clone(), issued - SKEW_S - 1), Err(Refused::Early(_))));
    assert_eq!(serial(&roster), None);
    assert_eq!(roster.take(list, issued - SKEW_S), Ok(true));
    assert!(matches!(roster.current(0), Err(Refused::Early(_))));
    assert!(matches!(roster.current(u64::MAX), Err(Refused::Expired(_))));
}

/// The write of a list is cut off at every byte: the one before counts, and the same list can be taken again.
#[test]
fn a_write_that_is_cut_off_loses_nothing() {
    let folder = Folder::new();
    let mut roster = open(&folder).unwrap();
    for number in [5, 6] {
        roster.take(signed(&content(number, &[1, 2])), NOW).unwrap();
    }
    drop(roster);
    let files = files(&folder);
    let newest = signed(&content(7, &[1, 2]));
    let older =
        files.iter().find(|path| std::fs::read(path).unwrap() == signed(&content(5, &[1, 2]))).unwrap();
    for cut in (0..newest.len()).step_by(7) {
        std::fs::write(older, &newest[..cut]).unwrap();
        assert_eq!(serial(&open(&folder).unwrap()), Some(6), "{cut}");
    }
    let mut roster = open(&folder).unwrap();
    assert_eq!(roster.take(newest, NOW), Ok(true));
    drop(roster);
    assert_eq!(serial(&open(&folder).unwrap()), Some(7));
}

#[test]
fn damage_that_no_cut_write_makes_is_said_and_nothing_is_overwritten() {
    let folder = Folder::new();
    let mut roster = open(&folder).unwrap();
    for number in [5, 6] {
        roster.take(signed(&content(number, &[1, 2])), NOW).unwrap();
    }
    drop(roster);
    for path in files(&folder) {
        std::fs::write(path, "damaged").unwrap();
    }
    let refused = open(&folder).unwrap_err().to_string();
    assert!(refused.contains("damaged; remove both files to begin anew"), "{refused}");
    assert!(files(&folder).iter().all(|path| std::fs::read(path).unwrap() == b"damaged"));
    // With another key serials begin anew, in files of their own.
    let other = ListConfig { key: SigningKey::from_bytes(&[8; 32]).public().0, ..terms(&folder) };
    assert!(Roster::open(&other, "jump0", Vec::new()).unwrap().current(NOW).unwrap().is_none());
    assert_eq!(files(&folder).len(), 4);
}

#[test]
fn a_place_that_others_can_change_is_refused() {
    let folder = Folder::new();
    drop(open(&folder).unwrap());
    let state = folder.0.join("state");
    let modes = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(modes(&state), 0o700);
    let [first, second] = &files(&folder)[..] else { panic!() };
    assert_eq!([modes(first), modes(second)], [0o600; 2]);
    for (path, good, bad) in [(&state, 0o700, 0o770), (first, 0o600, 0o620), (second, 0o600, 0o602)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(bad)).unwrap();
        let refused = open(&folder).unwrap_err().to_string();
        assert!(refused.contains("others may change what lies there"), "{refused}");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(good)).unwrap();
    }
    let held = open(&folder).unwrap();
    let refused = open(&folder).unwrap_err().to_string();
    assert!(refused.contains("another process keeps its list there"), "{refused}");
    drop(held);
    std::fs::remove_file(second).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", second).unwrap();
    assert!(open(&folder).is_err(), "links are not followed");
    // Nothing is made in a folder that others can change.
    let fresh = ListConfig { state: folder.0.join("open"), ..terms(&folder) };
    std::fs::create_dir(&fresh.state).unwrap();
    std::fs::set_permissions(&fresh.state, std::fs::Permissions::from_mode(0o777)).unwrap();
    assert!(Roster::open(&fresh, "jump0", Vec::new()).is_err());
    assert_eq!(std::fs::read_dir(&fresh.state).unwrap().count(), 0);
    let weak = ListConfig { key: [0; 32], ..terms(&folder) };
    assert_eq!(Roster::open(&weak, "jump0", Vec::new()).map(|_| ()), Err(Refused::Weak));
    let nowhere = ListConfig { state: folder.0.join("a/b"), ..terms(&folder) };
    assert!(matches!(Roster::open(&nowhere, "jump0", Vec::new()), Err(Refused::Unkept(_))));
}
