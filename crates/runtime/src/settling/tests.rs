//! Tests of waiting.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::*;

#[test]
fn who_asks_waits_until_all_has_arrived() {
    let settling = Arc::new(Settling::default());
    settling.wait(Duration::from_secs(60));
    settling.begin();
    settling.begin();
    let other = Arc::clone(&settling);
    let waiting = thread::spawn(move || {
        let began = Instant::now();
        other.wait(Duration::from_secs(60));
        began.elapsed()
    });
    settling.end();
    settling.end();
    assert!(waiting.join().unwrap() < Duration::from_secs(60));
    settling.begin();
    settling.wait(Duration::from_millis(1));
}
