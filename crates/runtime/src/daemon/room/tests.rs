//! Tests of what a gateway takes at its start, against what is asked for.

use allocation_counter::measure;
use jumpvpn_engine::Gateway;
use jumpvpn_engine::gateway::Config;
use jumpvpn_ownership::Ledger;
use jumpvpn_policy::Policy;
use jumpvpn_session::{PrivateKey, SuiteSet};

use super::*;
use crate::daemon::start::TOMBSTONE_COUNT;
use crate::{SystemRandom, clock};

fn config(capacity: usize) -> Config {
    Config {
        private: PrivateKey::generate(&mut SystemRandom),
        peers: Vec::new(),
        networks: Vec::new(),
        own: Vec::new(),
        allow_local: false,
        suites: SuiteSet::ALL,
        policy: Policy::laptop(),
        capacity,
        node: [0; 4],
        cell: None,
        started_minute: 0,
        mtu: 1400,
    }
}

#[test]
fn what_is_asked_for_covers_what_is_taken() {
    for capacity in [64, 10_000, 400_000] {
        let mut made = None;
        let taken = measure(|| {
            let store = Ledger::new(capacity + TOMBSTONE_COUNT, 1);
            let engine = Gateway::new(config(capacity), Box::new(SystemRandom), clock::now());
            made = Some((store, engine.ok().unwrap()));
        });
        let (taken, asked) = (taken.bytes_max as usize, DAEMON_LEN + capacity * SESSION_LEN);
        assert!(taken + (16 << 20) <= asked, "{taken} bytes for {capacity} sessions, asked for {asked}");
        assert!(asked <= taken * 4 + DAEMON_LEN, "{taken} bytes for {capacity} sessions, asked for {asked}");
    }
}

#[test]
fn more_than_there_is_is_refused_in_words() {
    let refusal = check_tables(usize::MAX).unwrap_err();
    assert!(refusal.message.contains("not enough memory") && !refusal.permission, "{}", refusal.message);
    assert!(check_tables(64).is_ok());
}
