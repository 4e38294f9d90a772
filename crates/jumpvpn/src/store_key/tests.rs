//! Tests of the key beside an embedded store.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use super::*;

/// A folder that is gone with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("jumpvpn-key-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn the_first_start_makes_a_key_and_the_next_finds_it() {
    let folder = Folder::new("first");
    let (store, key_file) = (folder.0.join("gw.store"), folder.0.join("gw.store.key"));
    let made = read_or_make(&key_file, &store).unwrap();
    assert_eq!(fs::metadata(&key_file).unwrap().mode() & 0o777, 0o600);
    assert_ne!(made.bytes(), &[0; 32]);
    fs::write(&store, "").unwrap();
    assert_eq!(read_or_make(&key_file, &store).unwrap(), made);
}

#[test]
fn a_store_without_its_key_is_refused_and_nothing_is_made() {
    let folder = Folder::new("lost");
    let (store, key_file) = (folder.0.join("gw.store"), folder.0.join("gw.store.key"));
    fs::write(&store, "").unwrap();
    let refused = read_or_make(&key_file, &store).unwrap_err();
    assert!(refused.to_string().contains("put the store's key back"), "{refused}");
    assert!(!key_file.exists());
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let folder = Folder::new("open");
    let (store, key_file) = (folder.0.join("gw.store"), folder.0.join("gw.store.key"));
    read_or_make(&key_file, &store).unwrap();
    fs::set_permissions(&key_file, fs::Permissions::from_mode(0o640)).unwrap();
    let refused = read_or_make(&key_file, &store).unwrap_err();
    assert!(refused.to_string().contains("mode 0640"), "{refused}");
}

#[test]
fn a_key_that_cannot_be_written_leaves_nothing() {
    let folder = Folder::new("nowhere");
    let (store, key_file) = (folder.0.join("none/gw.store"), folder.0.join("none/gw.store.key"));
    let refused = read_or_make(&key_file, &store).unwrap_err();
    assert!(refused.to_string().contains("cannot make the store's key"), "{refused}");
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);
}
