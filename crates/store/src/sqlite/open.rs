//! Opening the file: what is refused before a byte of it is changed, and how a new one comes to be.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::row::record;
use super::writer::Writer;
use crate::directory::{inspect, private, sync_names};
use crate::{DataDir, OpenError, Place};

/// Ending of the folder beside the file, which says who holds it.
const FOLDER_SUFFIX: &str = ".d";

/// Ending of a file under construction. It gets its name when it is whole, so a file of that name is never half of one.
const NEW_SUFFIX: &str = ".new";

/// "JVPN": the mark of our files in SQLite's header (`PRAGMA application_id`).
const APPLICATION_ID: u32 = 0x4a56_504e;

/// The format of the tables (`PRAGMA user_version`).
const FORMAT: u32 = 1;

/// SQLite's header: its magic string, and where format and mark are in it (<https://sqlite.org/fileformat2.html>, 1.3).
const HEADER_LEN: usize = 100;
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const FORMAT_AT: usize = 60;
const APPLICATION_AT: usize = 68;

/// One tree for keys and values: every access is by key, a value stays below a quarter of a page, and the file is 6 % smaller
/// than with two trees, at no difference in speed that stands out (3 pairs of runs on a busy machine). The counter has a row of
/// its own, as the record with the highest revision may be deleted.
const TABLES: &str = "
    CREATE TABLE kv(key BLOB PRIMARY KEY, rev INTEGER NOT NULL, val BLOB NOT NULL, sum INTEGER NOT NULL)
        STRICT, WITHOUT ROWID;
    CREATE TABLE counter(id INTEGER PRIMARY KEY CHECK (id = 0), revision INTEGER NOT NULL) STRICT;
    INSERT INTO counter VALUES (0, 0);
";

/// The file, open and checked, and not yet written to by anybody.
#[derive(Debug)]
pub struct Sqlite {
    directory: DataDir,
    connection: Connection,
    revision: i64,
}

impl Sqlite {
    /// Opens the file, and makes it if there is none; who holds it is said by a folder beside it, whose name ends in `.d`,
    /// and SQLite adds `-wal` for its log. Reads all of it once to see that it is whole. All files are open afterwards; no
    /// thread was started. `fresh` is for [`DataDir::open`].
    ///
    /// # Errors
    /// Nothing is overwritten, repaired or served when the file cannot be read and written, is open to others, damaged, cut short, somebody
    /// else's or too new, and when the disk is full.
    pub fn open(path: &Path, fresh: [u8; 16]) -> Result<Sqlite, OpenError> {
        let directory = DataDir::open(&with_suffix(path, FOLDER_SUFFIX), fresh)?;
        match inspect(path)? {
            None => create(path)?,
            Some(_) => check_header(path)?,
        }
        inspect(&with_suffix(path, "-wal"))?;
        let failed = |error| OpenError::of_database(path, error);
        let connection = connect(path).map_err(failed)?;
        check_marks(path, &connection)?;
        check_whole(path, &connection)?;
        let revision = prove_writable(&connection).map_err(failed)?;
        sync_names(path)?;
        Ok(Sqlite { directory, connection, revision })
    }

    /// Where this process runs and keeps its state.
    pub const fn place(&self) -> Place {
        self.directory.place()
    }

    pub(super) fn into_writer(self) -> (DataDir, Writer) {
        (self.directory, Writer::new(self.connection, self.revision))
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Makes a whole file under another name first.
fn create(path: &Path) -> Result<(), OpenError> {
    let new = with_suffix(path, NEW_SUFFIX);
    let begin = || {
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // SQLite gives its other files the mode of this one.
        private().create_new(true).open(&new).map(drop)
    };
    begin().map_err(|error| OpenError::of_file(&new, error))?;
    let fill = || -> rusqlite::Result<()> {
        let connection = Connection::open_with_flags(&new, flags())?;
        // A file that is not whole is thrown away, so it needs no way back.
        connection.pragma_update(None, "journal_mode", "MEMORY")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        connection.pragma_update(None, "user_version", FORMAT)?;
        connection.execute_batch(&format!("BEGIN; {TABLES} COMMIT;"))?;
        connection.close().map_err(|(_, error)| error)
    };
    fill().map_err(|error| OpenError::of_database(&new, error))?;
    std::fs::rename(&new, path).map_err(|error| OpenError::of_file(path, error))?;
    sync_names(path)
}

/// What the first bytes say, before SQLite sees the file: it would replay the log of a stranger's.
fn check_header(path: &Path) -> Result<(), OpenError> {
    let mut header = [0; HEADER_LEN];
    let open = || private().open(path);
    let mut file: File = open().map_err(|error| OpenError::of_file(path, error))?;
    match file.read_exact(&mut header) {
        Ok(()) if header.starts_with(MAGIC) => {}
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
            return Err(OpenError::of_file(path, error));
        }
        _ => return Err(OpenError::NotADatabase { path: path.to_owned() }),
    }
    let number = |at: usize| header[at..].first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    judge(path, number(APPLICATION_AT), number(FORMAT_AT))
}

/// The same once more, with what the log adds.
fn check_marks(path: &Path, connection: &Connection) -> Result<(), OpenError> {
    let number = |pragma| {
        let read = connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
        read.map(i32::cast_unsigned).map_err(|error| OpenError::of_database(path, error))
    };
    judge(path, number("application_id")?, number("user_version")?)
}

fn judge(path: &Path, application: u32, format: u32) -> Result<(), OpenError> {
    let path = path.to_owned();
    match (application, format) {
        (APPLICATION_ID, FORMAT) => Ok(()),
        (APPLICATION_ID, 0) => Err(OpenError::Damaged { path, detail: "it has no format".into() }),
        (APPLICATION_ID, found) => Err(OpenError::Newer { path, found, known: FORMAT }),
        (id, _) => Err(OpenError::OtherApplication { path, id }),
    }
}

/// No threads beside ours use the connection, so it needs no lock of its own.
fn flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags())?;
    // Who holds it will not let go: better to hear of it at once.
    connection.busy_timeout(std::time::Duration::ZERO)?;
    // Closing changes nothing, so that an end in good order is no other thing than a crash, and a file that was refused stays as it is.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // Exclusive before the log is first looked at: then its index is in memory, and there is no third file.
    demand(&connection, "locking_mode", "EXCLUSIVE")?;
    demand(&connection, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // No files for what is sorted or set aside; a confined process could not make any.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(connection)
}

/// Sets what SQLite may silently not set.
fn demand(connection: &Connection, pragma: &str, value: &str) -> rusqlite::Result<()> {
    let got: String = connection.pragma_update_and_check(None, pragma, value, |row| row.get(0))?;
    if got.eq_ignore_ascii_case(value) { Ok(()) } else { Err(rusqlite::Error::InvalidQuery) }
}

/// The whole file: its structure, its tables, and the counter, which no record is ahead of.
fn check_whole(path: &Path, connection: &Connection) -> Result<(), OpenError> {
    let damaged = |detail: String| OpenError::Damaged { path: path.to_owned(), detail };
    let failed = |error| OpenError::of_database(path, error);
    let said: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if said != "ok" {
        return Err(damaged(said));
    }
    let counter: i64 =
        connection.query_row("SELECT revision FROM counter", [], |row| row.get(0)).map_err(failed)?;
    let newest = newest_record(connection).map_err(failed)?;
    if newest > counter {
        return Err(damaged(format!("a record has revision {newest}, and the counter is at {counter}")));
    }
    Ok(())
}

/// Looks at every record, and says the highest revision among them.
fn newest_record(connection: &Connection) -> rusqlite::Result<i64> {
    let mut select = connection.prepare("SELECT key, rev, val, sum FROM kv")?;
    let records = select.query_map([], record)?;
    records
        .map(|record| record.map(|(_, stored)| stored.rev.0.cast_signed()))
        .try_fold(0, |newest, rev| Ok(newest.max(rev?)))
}

/// Commits something, so that a disk that takes nothing is found now. The counter goes one up with each start.
fn prove_writable(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .query_row("UPDATE counter SET revision = revision + 1 RETURNING revision", [], |row| row.get(0))
}
