//! The JSON Lines file. A line is written completely or not at all, as far as a disk lets us.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::OFlags;

use super::outlet::LineSink;

/// Readable by the group that may read the control socket as well; events hold no secrets but habits of people.
const FILE_MODE: u32 = 0o640;

/// Opens the event file for appending, creating it if it does not exist.
///
/// # Errors
/// What the operating system says.
pub fn open_event_file(path: &Path) -> io::Result<File> {
    // Without O_NONBLOCK a FIFO without a reader would hold up the start.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    OpenOptions::new().append(true).create(true).mode(FILE_MODE).custom_flags(flags).open(path)
}

/// Lines into a file or a pipe that may be full.
pub(super) struct FileSink {
    file: File,
    /// What a short write left over of a line; it goes first next time, so that no line is torn for good.
    rest: Vec<u8>,
}

impl FileSink {
    pub(super) fn new(file: File) -> FileSink {
        FileSink { file, rest: Vec::new() }
    }

    fn write_rest(&mut self) -> io::Result<()> {
        while !self.rest.is_empty() {
            let len = write_some(&mut self.file, &self.rest)?;
            self.rest.drain(..len);
        }
        Ok(())
    }
}

impl LineSink for FileSink {
    fn try_write(&mut self, line: &Arc<str>) -> io::Result<()> {
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
}

fn write_some(file: &mut File, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match file.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests;
