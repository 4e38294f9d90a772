//! Tests of what the supervisor hears of an engine's thread.

use std::sync::mpsc::channel;

use super::*;

#[test]
fn the_supervisor_is_told_of_a_panic() {
    let (words, heard) = channel();
    spawn_engine(0, words, || panic!("on purpose")).unwrap();
    let Ok(Word::Ended(Err(message))) = heard.recv() else { panic!("another word") };
    assert!(message.contains("fault of this program"), "{message}");
}

#[test]
fn the_supervisor_is_told_of_a_proper_end() {
    let (words, heard) = channel();
    spawn_engine(0, words, || Ok(Ended::Asked)).unwrap();
    assert!(matches!(heard.recv(), Ok(Word::Ended(Ok(Ended::Asked)))));
}
