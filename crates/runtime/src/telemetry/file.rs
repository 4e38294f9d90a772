//! The JSON Lines file. A line is written completely or not at all, as far as a disk lets us.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use super::outlet::LineSink;

/// Readable by the group that may read the control socket as well; events hold no secrets but habits of people.
const FILE_MODE: u32 = 0o640;

/// The file events are appended to: where it is, and the file itself while there is one.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: Option<File>,
}

impl EventFile {
    /// Opens the file, creating it if it does not exist. A disk that is full or failing and a FIFO that nobody reads are
    /// no reason not to start: such a file is tried again with each event. Also answers what is wrong with it then.
    ///
    /// # Errors
    /// What somebody has to mend who can read this now: a directory that does not exist, a name that is one, a missing
    /// right.
    pub fn open(path: &Path) -> io::Result<(EventFile, Option<io::Error>)> {
        let (file, trouble) = match open(path) {
            Ok(file) => (Some(file), None),
            Err(error) if is_misconfigured(error.kind()) => return Err(error),
            Err(error) => (None, Some(error)),
        };
        Ok((EventFile { path: path.to_owned(), file }, trouble))
    }

    /// Events into something that is open already.
    #[cfg(test)]
    pub(super) fn opened(file: File) -> EventFile {
        EventFile { path: PathBuf::new(), file: Some(file) }
    }
}

fn open(path: &Path) -> io::Result<File> {
    // Without O_NONBLOCK a FIFO without a reader would hold up the start.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    OpenOptions::new().append(true).create(true).mode(FILE_MODE).custom_flags(flags).open(path)
}

fn is_misconfigured(kind: ErrorKind) -> bool {
    use ErrorKind::{InvalidFilename, IsADirectory, NotADirectory, NotFound, PermissionDenied};
    matches!(kind, NotFound | PermissionDenied | IsADirectory | NotADirectory | InvalidFilename)
}

/// Lines into a file or a pipe that may be full.
pub(super) struct FileSink {
    path: PathBuf,
    file: Option<File>,
    /// What a short write left over of a line; it goes first next time, so that no line is torn for good.
    rest: Vec<u8>,
    /// There was such a rest when the file went.
    torn: bool,
}

impl FileSink {
    pub(super) fn new(file: EventFile) -> FileSink {
        FileSink { path: file.path, file: file.file, rest: Vec::new(), torn: false }
    }

    /// Where the file is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file anew. The present one stays in use when that fails, unless it was deleted.
    ///
    /// # Errors
    /// What the operating system says.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        // The end of a line belongs behind its beginning; a file that does not take it keeps a torn line.
        self.write_rest().ok();
        let file = open(&self.path)?;
        self.give_up_rest();
        self.file = Some(file);
        Ok(())
    }

    /// The file to write to: not one that nobody will ever find again.
    fn ready(&mut self) -> io::Result<()> {
        let deleted =
            |file: &File| file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.nlink() == 0);
        if self.file.as_ref().is_some_and(|file| !deleted(file)) {
            return Ok(());
        }
        self.give_up_rest();
        self.file = None;
        self.file = Some(open(&self.path)?);
        Ok(())
    }

    fn give_up_rest(&mut self) {
        self.torn |= !self.rest.is_empty();
        self.rest.clear();
    }

    fn write_rest(&mut self) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Err(ErrorKind::NotConnected.into()) };
        while !self.rest.is_empty() {
            let len = write_some(file, &self.rest)?;
            self.rest.drain(..len);
        }
        Ok(())
    }
}

impl LineSink for FileSink {
    fn try_write(&mut self, line: &Arc<str>) -> io::Result<()> {
        self.ready()?;
        self.write_rest()?;
        self.rest.extend_from_slice(line.as_bytes());
        self.rest.push(b'\n');
        let whole_len = self.rest.len();
        let result = self.write_rest();
        if result.is_err() && self.rest.len() == whole_len {
            // Nothing of it was written: the line is refused. Otherwise its rest is kept and it counts as taken.
            self.rest.clear();
            return result;
        }
        Ok(())
    }

    fn has_lost_last(&mut self) -> bool {
        self.ready().ok(); // the line that is offered next finds out why not
        std::mem::take(&mut self.torn)
    }
}

fn write_some(file: &mut File, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match file.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests;
