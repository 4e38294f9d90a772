//! Where an agent keeps the newest list: two files, of which the older one is written over.
//!
//! Both are opened before the process gives up its files, and afterwards they are only cut, written and synced. A write that was
//! cut off leaves a file whose signature is none beside the one before, which counts.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use jumpvpn_config::LIST_MAX_LEN;
use rustix::fs::{Mode, OFlags, openat};

/// Who may write here could put an older list back.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: Mode = Mode::from_raw_mode(0o600);
/// Rights of others to change something.
const OTHERS_WRITE: u32 = 0o022;

/// The two files, open.
#[derive(Debug)]
pub(super) struct Shelf {
    slots: [File; 2],
    /// The one that is written next.
    next: usize,
}

impl Shelf {
    /// Opens `NAME.0` and `NAME.1` in the folder, and makes what is missing. Answers what they hold; the caller says with
    /// [`Shelf::keep`] which of it counts.
    ///
    /// # Errors
    /// They cannot be made, read or written; others may change them; another process has them.
    pub(super) fn open(folder: &Path, name: &str) -> io::Result<(Shelf, [Vec<u8>; 2])> {
        match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
            Err(_) if folder.is_dir() => {}
            made => made?,
        }
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlags::DIRECTORY.bits().cast_signed());
        let folder = options.open(folder)?;
        // Before anything is made in it, and in this one, whatever is put in its place meanwhile.
        check(&folder)?;
        let open = |slot: usize| -> io::Result<File> {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = File::from(openat(&folder, format!("{name}.{slot}"), flags, FILE_MODE)?);
            check(&file).map(|()| file)
        };
        let slots = [open(0)?, open(1)?];
        let [first, second] = &slots;
        first.try_lock().map_err(|_| io::Error::other("another process keeps its list there"))?;
        // The names are to outlive a crash as well.
        folder.sync_all()?;
        let content = |slot: &File| {
            let mut bytes = Vec::new();
            // More than a list may have is none.
            slot.take(LIST_MAX_LEN as u64 + 1).read_to_end(&mut bytes).map(|_| bytes)
        };
        let contents = [content(first)?, content(second)?];
        Ok((Shelf { slots, next: 0 }, contents))
    }

    /// What this file holds is the newest: the other one is written next.
    pub(super) fn keep(&mut self, slot: usize) {
        self.next = 1 - slot;
    }

    /// Puts a list in place of the older one, durably.
    ///
    /// # Errors
    /// The disk's. The newest list before is still there.
    pub(super) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let slot = &self.slots[self.next];
        slot.set_len(0)?;
        slot.write_all_at(bytes, 0)?;
        slot.sync_all()?;
        self.next = 1 - self.next;
        Ok(())
    }
}

/// Whether it is ours, and nobody else may change it.
fn check(file: &File) -> io::Result<()> {
    let facts = file.metadata()?;
    if facts.uid() != rustix::process::geteuid().as_raw() || facts.mode() & OTHERS_WRITE != 0 {
        return Err(io::Error::other("others may change what lies there"));
    }
    Ok(())
}
