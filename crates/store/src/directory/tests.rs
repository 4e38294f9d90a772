//! Tests of the folder: one holder, private, and a copy is another one.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const FRESH: [u8; 16] = [7; 16];

struct Bed(PathBuf);

impl Bed {
    fn new() -> Bed {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("directory-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let bed = Bed(std::env::temp_dir().join(name));
        std::fs::create_dir(&bed.0).unwrap();
        bed
    }

    fn data(&self) -> PathBuf {
        self.0.join("data")
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn it_is_made_private_and_keeps_its_identity() {
    let bed = Bed::new();
    let first = DataDir::open(&bed.data(), FRESH).unwrap();
    assert_eq!(first.place().data_dir_id, FRESH);
    assert_ne!(first.place().boot_id, [0; 16]);
    assert_eq!(mode(&bed.data()), 0o700);
    for file in ["lock", "identity"] {
        assert_eq!(mode(&bed.data().join(file)), 0o600, "{file}");
    }
    let place = first.place();
    drop(first);
    assert_eq!(DataDir::open(&bed.data(), [8; 16]).unwrap().place(), place);
}

#[test]
fn one_process_holds_it() {
    let bed = Bed::new();
    let first = DataDir::open(&bed.data(), FRESH).unwrap();
    let second = DataDir::open(&bed.data(), FRESH);
    assert!(matches!(&second, Err(OpenError::InUse { path }) if *path == bed.data()), "{second:?}");
    drop(first);
    DataDir::open(&bed.data(), FRESH).unwrap();
}

#[test]
fn it_can_be_held_until_the_process_ends() {
    let bed = Bed::new();
    DataDir::open(&bed.data(), FRESH).unwrap().hold_until_exit().unwrap();
    let refused = DataDir::open(&bed.data(), FRESH).unwrap_err();
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
}

#[test]
fn a_copy_is_another_one() {
    let bed = Bed::new();
    drop(DataDir::open(&bed.data(), FRESH).unwrap());
    let copy = bed.0.join("copy");
    let copied = Command::new("cp").arg("-a").args([bed.data(), copy.clone()]).status().unwrap();
    assert!(copied.success());
    assert_eq!(DataDir::open(&copy, [8; 16]).unwrap().place().data_dir_id, [8; 16]);
    assert_eq!(DataDir::open(&copy, [9; 16]).unwrap().place().data_dir_id, [8; 16], "and keeps that");
    assert_eq!(DataDir::open(&bed.data(), [9; 16]).unwrap().place().data_dir_id, FRESH);
}

/// Otherwise who comes next would believe the holder dead, as the lock is free.
#[test]
fn who_finds_no_lock_file_is_elsewhere() {
    let bed = Bed::new();
    let holder = DataDir::open(&bed.data(), FRESH).unwrap();
    std::fs::remove_file(bed.data().join("lock")).unwrap();
    let next = DataDir::open(&bed.data(), [8; 16]).unwrap();
    assert_eq!(next.place().data_dir_id, [8; 16]);
    drop(holder);
}

#[test]
fn an_identity_that_makes_no_sense_is_replaced() {
    let bed = Bed::new();
    drop(DataDir::open(&bed.data(), FRESH).unwrap());
    for content in [&b""[..], &[1; 31], &[1; 33], &[1; 5000]] {
        std::fs::write(bed.data().join("identity"), content).unwrap();
        let fresh = [content.len() as u8 + 100; 16];
        assert_eq!(DataDir::open(&bed.data(), fresh).unwrap().place().data_dir_id, fresh);
    }
}

#[test]
fn others_may_not_look_into_it() {
    let bed = Bed::new();
    drop(DataDir::open(&bed.data(), FRESH).unwrap());
    for (file, private, open) in [("", 0o700, 0o750), ("lock", 0o600, 0o604), ("identity", 0o600, 0o620)] {
        let path = bed.data().join(file);
        set_mode(&path, open);
        match DataDir::open(&bed.data(), FRESH) {
            Err(OpenError::Exposed { mode, wanted, .. }) => assert_eq!((mode, wanted), (open, private)),
            other => panic!("{file}: {other:?}"),
        }
        assert_eq!(mode(&path), open, "nothing is changed");
        set_mode(&path, private);
        DataDir::open(&bed.data(), FRESH).unwrap();
    }
}

#[test]
fn it_has_to_be_ours() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("SKIPPED it_has_to_be_ours: it needs root to give files away");
    }
    let bed = Bed::new();
    drop(DataDir::open(&bed.data(), FRESH).unwrap());
    for file in ["", "lock", "identity"] {
        let path = bed.data().join(file);
        std::os::unix::fs::chown(&path, Some(12_345), None).unwrap();
        let refused = DataDir::open(&bed.data(), FRESH);
        assert!(matches!(refused, Err(OpenError::Stranger { owner: 12_345, user: 0, .. })), "{refused:?}");
        std::os::unix::fs::chown(&path, Some(0), None).unwrap();
    }
}

#[test]
fn links_and_other_kinds_are_refused() {
    let bed = Bed::new();
    std::fs::write(bed.0.join("file"), "").unwrap();
    let refused = DataDir::open(&bed.0.join("file"), FRESH);
    assert!(matches!(refused, Err(OpenError::WrongKind { wanted: "a folder", .. })), "{refused:?}");
    drop(DataDir::open(&bed.data(), FRESH).unwrap());
    std::fs::remove_file(bed.data().join("lock")).unwrap();
    symlink(bed.0.join("file"), bed.data().join("lock")).unwrap();
    let refused = DataDir::open(&bed.data(), FRESH);
    assert!(matches!(refused, Err(OpenError::WrongKind { .. })), "{refused:?}");
}

#[test]
fn only_its_last_component_is_made() {
    let bed = Bed::new();
    let refused = DataDir::open(&bed.0.join("no/such"), FRESH);
    assert!(matches!(refused, Err(OpenError::Io { .. })), "{refused:?}");
    assert!(!bed.0.join("no").exists());
}

#[test]
fn small_files_are_replaced_as_a_whole() {
    let bed = Bed::new();
    let directory = DataDir::open(&bed.data(), FRESH).unwrap();
    assert_eq!(directory.read("pin").unwrap(), None);
    for content in [&b"first, which is longer"[..], b"second"] {
        directory.write("pin", content).unwrap();
        assert_eq!(directory.read("pin").unwrap().as_deref(), Some(content));
        assert_eq!(mode(&bed.data().join("pin")), 0o600);
    }
    assert!(!bed.data().join("pin.new").exists());
}
