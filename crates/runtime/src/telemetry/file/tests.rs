//! Tests of the file sink against a full pipe.

use std::io::Read;
use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, pipe_with};

use super::*;

fn pipe() -> (File, File) {
    let (reader, writer): (OwnedFd, OwnedFd) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).unwrap();
    (reader.into(), writer.into())
}

#[test]
fn lines_are_whole_through_a_pipe_that_fills_up() {
    let (mut reader, writer) = pipe();
    let mut sink = FileSink::new(EventFile::opened(writer));
    // Longer than PIPE_BUF, so that the pipe takes parts of lines.
    let lines: Vec<Arc<str>> = (0..200).map(|n| format!("{n:05}{}", "x".repeat(4990 + n)).into()).collect();
    let mut taken = Vec::new();
    let mut read = Vec::new();
    for line in &lines {
        match sink.try_write(line) {
            Ok(()) => taken.push(Arc::clone(line)),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                let mut some = [0; 10_000];
                let len = reader.read(&mut some).unwrap();
                read.extend_from_slice(&some[..len]);
            }
        }
    }
    sink.write_rest().ok();
    drop(sink);
    loop {
        match reader.read_to_end(&mut read) {
            Ok(_) => break,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    }
    let text = String::from_utf8(read).unwrap();
    assert!(taken.len() < lines.len(), "the pipe never filled up");
    let expected: Vec<&str> = taken.iter().map(|line| &**line).collect();
    let mut found: Vec<&str> = text.lines().collect();
    if found.last() != expected.last() {
        // The tail of the last line may still have been waiting for room.
        let torn = found.pop().unwrap();
        assert!(expected[found.len()].starts_with(torn));
    }
    assert_eq!(found, expected[..found.len()]);
}

fn fifo(path: &Path) {
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("jumpvpn-file-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn the_event_file_is_appended_to() {
    let folder = Folder::new("append");
    let path = folder.0.join("events.jsonl");
    for line in ["one", "two"] {
        FileSink::new(EventFile::open(&path).unwrap().0).try_write(&line.into()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
}

#[test]
fn a_fifo_holds_up_nothing_and_takes_lines_while_it_is_read() {
    let folder = Folder::new("fifo");
    let path = folder.0.join("fifo");
    fifo(&path);
    let (file, trouble) = EventFile::open(&path).unwrap();
    assert!(trouble.is_some(), "nobody reads it");
    let mut sink = FileSink::new(file);
    assert!(sink.try_write(&"lost".into()).is_err());
    for text in ["one", "two"] {
        let mut reader =
            OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(&path).unwrap();
        sink.try_write(&text.into()).unwrap();
        let mut read = [0; 16];
        let len = reader.read(&mut read).unwrap();
        assert_eq!(&read[..len], format!("{text}\n").as_bytes());
        drop(reader);
        // The reader is gone: a broken pipe is an error like any other, and no signal.
        assert_eq!(sink.try_write(&"lost".into()).unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}

#[test]
fn what_a_person_has_to_mend_is_no_start() {
    let folder = Folder::new("mend");
    let directory = EventFile::open(&folder.0).unwrap_err();
    assert_eq!(directory.kind(), ErrorKind::IsADirectory);
    let nowhere = EventFile::open(&folder.0.join("no/events.jsonl")).unwrap_err();
    assert_eq!(nowhere.kind(), ErrorKind::NotFound);
}

#[test]
fn a_line_whose_end_is_never_written_is_said_to_be_lost_once() {
    let folder = Folder::new("torn");
    let path = folder.0.join("events.jsonl");
    let (_reader, writer) = pipe();
    let mut sink = FileSink { path: path.clone(), ..FileSink::new(EventFile::opened(writer)) };
    // Longer than PIPE_BUF, so that the pipe takes the beginning of the last one.
    let line: Arc<str> = "x".repeat(5000).into();
    while sink.rest.is_empty() {
        sink.try_write(&line).unwrap();
    }
    assert!(!sink.has_lost_last(), "its end may still come");
    sink.reopen().unwrap();
    assert!(sink.has_lost_last());
    assert!(!sink.has_lost_last());
    sink.try_write(&"whole".into()).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole\n");
}
