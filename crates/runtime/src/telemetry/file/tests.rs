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
    let mut sink = FileSink::new(writer);
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

#[test]
fn the_event_file_is_appended_to_and_a_fifo_does_not_hold_up() {
    let dir = std::env::temp_dir().join(format!("jumpvpn-file-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("events.jsonl");
    for line in ["one", "two"] {
        FileSink::new(open_event_file(&path).unwrap()).try_write(&line.into()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    let fifo = dir.join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    assert!(open_event_file(&fifo).is_err(), "nobody reads it");
    std::fs::remove_dir_all(&dir).unwrap();
}
