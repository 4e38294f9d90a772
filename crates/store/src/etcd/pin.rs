//! What a gateway remembers of its cluster: one line in a file that stays open, as a confined process reaches no path.
//!
//! The line has the same length always and is written over itself, so that it lies in one sector of the disk.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::ConnectError;
use crate::directory::private;
use crate::{DataDir, OpenError};

/// The file: the cluster's identity as sixteen digits, the highest revision that was seen, and what the store's user remembers.
const FILE: &str = "etcd-cluster";

/// How old what is written down may be: a cluster that is put back to a state of this last minute is found out by whoever runs at the
/// time, and by nobody else.
const FRESH: Duration = Duration::from_secs(60);

/// What is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pin {
    pub cluster: u64,
    pub revision: i64,
    pub mark: Option<u64>,
}

impl Pin {
    /// Nothing the first time. What makes no sense is the pin of no cluster.
    pub fn read(directory: &DataDir) -> Result<Option<Pin>, ConnectError> {
        let Some(content) = directory.read(FILE)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&content);
        let mut words = text.split_ascii_whitespace();
        let mut number = |radix| u64::from_str_radix(words.next()?, radix).ok();
        let cluster = number(16).unwrap_or_default();
        let revision = number(10).and_then(|revision| i64::try_from(revision).ok()).unwrap_or_default();
        Ok(Some(Pin { cluster, revision, mark: number(16) }))
    }

    pub fn check(&self, directory: &DataDir, cluster: u64, revision: i64) -> Result<(), ConnectError> {
        let pin = directory.file(FILE);
        if self.cluster != cluster {
            return Err(ConnectError::Foreign { expected: self.cluster, found: cluster, pin });
        }
        if self.revision > revision {
            return Err(ConnectError::WentBack { expected: self.revision, found: revision, pin });
        }
        Ok(())
    }

    fn line(&self) -> String {
        let mark = self.mark.map_or_else(|| "-".repeat(16), |mark| format!("{mark:016x}"));
        format!("{:016x} {:020} {mark}\n", self.cluster, self.revision)
    }
}

/// The file, open.
pub(super) struct PinFile {
    path: PathBuf,
    file: File,
    /// What is known, and when it was written down.
    known: Mutex<(Pin, Instant)>,
}

impl PinFile {
    /// Writes the pin down, as a whole or not at all, and keeps the file open.
    pub fn create(directory: &DataDir, pin: Pin) -> Result<PinFile, ConnectError> {
        directory.write(FILE, pin.line().as_bytes())?;
        let path = directory.file(FILE);
        let file = private().open(&path).map_err(|error| OpenError::of_file(&path, error))?;
        Ok(PinFile { path, file, known: Mutex::new((pin, Instant::now())) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the store's user remembers.
    pub fn mark(&self) -> Option<u64> {
        self.locked().0.mark
    }

    pub fn keep_mark(&self, mark: u64) -> io::Result<()> {
        self.keep(|pin| Some(mark) != pin.mark.replace(mark))
    }

    /// Notes a revision; it is written down once a minute.
    pub fn saw(&self, revision: i64) {
        let due = {
            let mut known = self.locked();
            let due = known.1.elapsed() >= FRESH && known.0.revision < revision;
            known.1 = if due { Instant::now() } else { known.1 };
            due
        };
        if due {
            // The disk may come back; the pin is not what anything here depends on.
            self.keep_revision(revision).unwrap_or_default();
        }
    }

    /// Writes down how far the cluster has been.
    pub fn keep_revision(&self, revision: i64) -> io::Result<()> {
        self.keep(|pin| {
            let before = pin.revision;
            pin.revision = before.max(revision);
            pin.revision > before
        })
    }

    fn keep(&self, change: impl FnOnce(&mut Pin) -> bool) -> io::Result<()> {
        let mut known = self.locked();
        if !change(&mut known.0) {
            return Ok(());
        }
        self.file.write_all_at(known.0.line().as_bytes(), 0)?;
        self.file.sync_data()
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, (Pin, Instant)> {
        // Nothing panics while it holds this.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
