//! Files that are not opened, and stay as they are.

use std::fs::Permissions;
use std::io::BufRead;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;

use jumpvpn_ownership::Outcome;
use jumpvpn_store::OpenError;
use rusqlite::Connection;

use crate::bed::{Bed, blind, door, key, put};

/// A store of some hundred pages, all of it in the one file.
fn filled(bed: &Bed) -> Vec<u8> {
    let mut store = bed.store();
    for number in 0..500u32 {
        store.committed(blind(put(&format!("s/{number:03}"), &number.to_be_bytes().repeat(100))));
    }
    drop(store);
    // Closing leaves the log as it is, so somebody else has to move it into the file.
    let connection = Connection::open(bed.file()).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(connection);
    let content = std::fs::read(bed.file()).unwrap();
    assert!(content.len() > 50 * 4096);
    content
}

/// Opens a folder whose files are to be refused, and sees that not a byte of them changes.
#[track_caller]
fn refused(bed: &Bed) -> OpenError {
    let files = || {
        let mut files: Vec<_> =
            std::fs::read_dir(bed.data()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let content = |path: &std::path::PathBuf| std::fs::read(path).unwrap_or_default();
        files.iter().map(|path| (path.clone(), content(path))).collect::<Vec<_>>()
    };
    let before = files();
    let error = bed.open().expect_err("it is refused");
    // An empty log is what SQLite leaves when it has looked for one.
    let after: Vec<_> =
        files().into_iter().filter(|file| before.contains(file) || !file.1.is_empty()).collect();
    assert!(before == after, "a file was changed, although: {error}");
    error
}

#[test]
fn files_that_were_cut_are_damaged() {
    let bed = Bed::new();
    let whole = filled(&bed);
    let mut outcomes = (0, 0);
    for len in (0..200).chain((200..whole.len()).step_by(1021)) {
        std::fs::write(bed.file(), &whole[..len]).unwrap();
        match refused(&bed) {
            OpenError::NotADatabase { .. } => outcomes.0 += 1,
            OpenError::Damaged { .. } => outcomes.1 += 1,
            other => panic!("cut to {len}: {other:?}"),
        }
    }
    assert_eq!(outcomes.0, 100, "below a header");
    assert!(outcomes.1 > 200, "{outcomes:?}");
    std::fs::write(bed.file(), &whole).unwrap();
    bed.open().unwrap();
}

#[test]
fn files_with_other_bytes_are_refused_or_hold_what_was_written() {
    let bed = Bed::new();
    let whole = filled(&bed);
    let all = bed.store().all("", 1000);
    let (mut refusals, mut served) = (0, 0);
    for at in (0..whole.len()).step_by(1511).chain([100, 4096, 4097, 4100, 8192, 8195]) {
        for byte in [0, whole[at] ^ 1] {
            let mut content = whole.clone();
            content[at] = byte;
            std::fs::write(bed.file(), &content).unwrap();
            std::fs::remove_file(bed.data().join("ownership.db-wal")).ok();
            match bed.open() {
                Err(error) => {
                    refusals += 1;
                    let typed = matches!(
                        error,
                        OpenError::NotADatabase { .. }
                            | OpenError::Damaged { .. }
                            | OpenError::OtherApplication { .. }
                            | OpenError::Newer { .. }
                    );
                    assert!(typed, "byte {at}: {error:?}");
                }
                Ok(opened) => {
                    served += 1;
                    drop(opened);
                    assert!(bed.store().all("", 1000) == all, "byte {at} as {byte} went unnoticed");
                }
            }
        }
    }
    // Some bytes were zero before, and some lie between records.
    assert!(refusals > 200 && served > 10, "{refusals} refused, {served} served");
}

#[test]
fn what_is_no_database_is_left_alone() {
    let bed = Bed::new();
    drop(bed.open().unwrap());
    for content in [&b"SQLite format 2\0"[..], &[0; 8192], &[0xff; 8192], b"[gateway]\n"] {
        std::fs::write(bed.file(), content).unwrap();
        let error = refused(&bed);
        assert!(matches!(error, OpenError::NotADatabase { .. }), "{error:?}");
        assert!(error.to_string().contains("ownership.db is not a database"), "{error}");
    }
}

#[test]
fn other_programs_and_other_versions_keep_theirs() {
    let bed = Bed::new();
    drop(bed.open().unwrap());
    let set = |pragma: &str| Connection::open(bed.file()).unwrap().execute_batch(pragma).unwrap();
    set("PRAGMA user_version = 2");
    let error = refused(&bed);
    assert!(matches!(error, OpenError::Newer { found: 2, known: 1, .. }), "{error:?}");
    set("PRAGMA user_version = 0");
    assert!(matches!(refused(&bed), OpenError::Damaged { .. }));
    set("PRAGMA user_version = 1; PRAGMA application_id = 252006675");
    assert!(matches!(refused(&bed), OpenError::OtherApplication { id: 252_006_675, .. }));
    set("PRAGMA application_id = 0");
    assert!(matches!(refused(&bed), OpenError::OtherApplication { id: 0, .. }));
}

/// As another program leaves it behind when it is killed: what counts is in the log alone.
#[test]
fn a_newer_version_in_the_log_is_seen() {
    let bed = Bed::new();
    drop(bed.open().unwrap());
    let other = Connection::open(bed.file()).unwrap();
    other.execute_batch("PRAGMA user_version = 3").unwrap();
    let (file, log) = (bed.file(), bed.data().join("ownership.db-wal"));
    let (content, logged) = (std::fs::read(&file).unwrap(), std::fs::read(&log).unwrap());
    drop(other);
    std::fs::write(&file, content).unwrap();
    std::fs::write(&log, logged).unwrap();
    std::fs::set_permissions(&log, Permissions::from_mode(0o600)).unwrap();
    let error = refused(&bed);
    assert!(matches!(error, OpenError::Newer { found: 3, .. }), "{error:?}");
}

#[test]
fn tables_that_are_not_ours_are_damage() {
    let bed = Bed::new();
    for change in [
        "DROP TABLE kv",
        "DROP TABLE counter",
        "DELETE FROM counter",
        "UPDATE counter SET revision = 0",
        "ALTER TABLE kv RENAME COLUMN val TO value",
    ] {
        let mut store = bed.store();
        store.committed(blind(put("s/1", b"one")));
        drop(store);
        Connection::open(bed.file()).unwrap().execute_batch(change).unwrap();
        let error = bed.open().map(|opened| format!("{opened:?}")).expect_err(change);
        assert!(matches!(error, OpenError::Damaged { .. }), "{change}: {error:?}");
        std::fs::remove_file(bed.file()).unwrap();
    }
}

#[test]
fn files_that_others_can_read_are_refused() {
    let bed = Bed::new();
    drop(bed.open().unwrap());
    for file in ["ownership.db", "ownership.db-wal"] {
        let path = bed.data().join(file);
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let error = refused(&bed);
        assert!(matches!(error, OpenError::Exposed { mode: 0o640, .. }), "{error:?}");
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    }
    bed.open().unwrap();
}

#[test]
fn links_are_not_followed() {
    let bed = Bed::new();
    drop(bed.open().unwrap());
    let elsewhere = bed.0.join("elsewhere");
    std::fs::rename(bed.file(), &elsewhere).unwrap();
    symlink(&elsewhere, bed.file()).unwrap();
    assert!(matches!(refused(&bed), OpenError::WrongKind { .. }));
    std::fs::remove_file(bed.file()).unwrap();
    std::fs::create_dir(bed.file()).unwrap();
    assert!(matches!(refused(&bed), OpenError::WrongKind { .. }));
}

#[test]
fn half_a_new_file_is_thrown_away() {
    let bed = Bed::new();
    drop(bed.open().unwrap());
    std::fs::rename(bed.file(), bed.data().join("ownership.db.new")).unwrap();
    std::fs::remove_file(bed.data().join("ownership.db-wal")).unwrap();
    std::fs::write(bed.data().join("ownership.db.new"), "half").unwrap();
    assert_eq!(bed.store().ask(jumpvpn_ownership::Operation::Read(key("s/1"))), Outcome::Found(None));
    assert!(!bed.data().join("ownership.db.new").exists());
}

#[test]
fn a_second_process_is_told_so() {
    let bed = Bed::new();
    let mut holder = door("hold", &bed.data()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "held\n");
    let error = bed.open().expect_err("somebody holds it");
    assert!(matches!(error, OpenError::InUse { .. }), "{error:?}");
    assert!(error.to_string().contains("held by another process"), "{error}");
    holder.kill().unwrap();
    holder.wait().unwrap();
    bed.open().unwrap();
}

/// Even one that found the lock free, because somebody had removed it.
#[test]
fn a_database_that_is_open_elsewhere_is_in_use() {
    let bed = Bed::new();
    let store = bed.store();
    std::fs::remove_file(bed.data().join("ownership.db.d/lock")).unwrap();
    let said = door("open", &bed.data()).stdin(Stdio::null()).output().unwrap().stdout;
    let said = String::from_utf8(said).unwrap();
    assert!(said.starts_with("refused: InUse"), "{said}");
    drop(store);
}

/// Opening as an ordinary user, who cannot pass over permissions as root does.
#[test]
fn what_may_not_be_written_is_denied() {
    let bed = Bed::new();
    if !rustix::process::geteuid().is_root() {
        drop(bed.open().unwrap());
        std::fs::set_permissions(bed.file(), Permissions::from_mode(0o400)).unwrap();
        return assert!(matches!(refused(&bed), OpenError::Denied { .. }));
    }
    // A home of its own below /tmp, and the program in it: what built it may be out of the user's reach.
    std::fs::set_permissions(&bed.0, Permissions::from_mode(0o755)).unwrap();
    let program = bed.0.join("door");
    std::fs::copy(env!("CARGO_BIN_EXE_store-door"), &program).unwrap();
    std::fs::create_dir(bed.data()).unwrap();
    std::fs::set_permissions(bed.data(), Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::chown(bed.data(), Some(65_534), Some(65_534)).unwrap();
    let as_nobody = |folder: &Path| {
        let mut command = std::process::Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&program)
            .arg("open")
            .arg(folder);
        String::from_utf8(command.stdin(Stdio::null()).output().unwrap().stdout).unwrap()
    };
    assert_eq!(as_nobody(&bed.data()), "opened\n");
    std::fs::set_permissions(bed.file(), Permissions::from_mode(0o400)).unwrap();
    assert!(as_nobody(&bed.data()).starts_with("refused: Denied"), "{}", as_nobody(&bed.data()));
    std::fs::create_dir(bed.0.join("new")).unwrap();
    assert!(as_nobody(&bed.0.join("new")).starts_with("refused: Denied"));
}
