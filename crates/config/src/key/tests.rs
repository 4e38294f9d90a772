//! Key texts and key files.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::tests::Folder;

const TEXT: &str = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";

#[test]
fn text_and_back() {
    let key = decode(TEXT).unwrap();
    assert_eq!(key[..3], [1, 2, 3]);
    assert_eq!(encode(&key), TEXT);
    assert_eq!(decode(&format!("  {TEXT}\n")), Ok(key));
}

#[test]
fn bad_texts() {
    assert_eq!(decode(""), Err("not 32 bytes long"));
    assert_eq!(decode("AQID"), Err("not 32 bytes long"));
    assert_eq!(decode("AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyB="), Err("not base64"));
    assert_eq!(decode("no base64 at all!"), Err("not base64"));
    assert_eq!(decode("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), Err("all zero"));
}

#[test]
fn secrets_do_not_print() {
    let key = SecretKey::new(&decode(TEXT).unwrap());
    assert_eq!(format!("{key:?}"), "SecretKey(..)");
}

#[test]
fn files() {
    let folder = Folder::new();
    let path = folder.secret("a.key", &format!("{TEXT}\n"));
    assert_eq!(read_file(&path).ok().unwrap().bytes()[..3], [1, 2, 3]);
    for mode in [0o640, 0o604, 0o610] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let error = read_file(&path).err().unwrap();
        assert!(error.message.contains("others"), "{}", error.message);
        assert!(error.hint.starts_with("chmod 600"), "{}", error.hint);
    }
    assert!(read_file(&folder.path("none.key")).err().unwrap().hint.contains("genkey"));
    assert!(read_file(&folder.path("")).err().unwrap().message.contains("not a file"));
    // Nobody writes to it: opening it would take until somebody does.
    let made = std::process::Command::new("mkfifo").arg(folder.path("fifo.key")).status().unwrap();
    assert!(made.success());
    assert!(read_file(&folder.path("fifo.key")).err().unwrap().message.contains("not a file"));
    assert!(
        read_file(&folder.secret("long.key", &TEXT.repeat(3))).err().unwrap().message.contains("too long")
    );
    assert!(read_file(&folder.secret("bad.key", "secret!")).err().unwrap().message.contains("not base64"));
    assert!(!read_file(&folder.secret("bad.key", "secret!")).err().unwrap().message.contains("secret!"));
}
