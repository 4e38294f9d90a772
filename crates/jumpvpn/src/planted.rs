//! The test build alone: a log of what keys are used for, and faults that are planted in gateways. Asked for by two variables
//! of the environment, whose names the program that is shipped does not know.

use std::env;
use std::fs::File;
use std::io::{self, Write};

use jumpvpn_ownership::Mutant;
use jumpvpn_session::KeyUse;

use crate::exit::{Code, Failure};

/// File that receives a line of JSON for each block of numbers that a key seals under.
const KEY_LOG: &str = "JUMPVPN_KEY_LOG";
/// Fault of the gateway; there is one.
const FAULT: &str = "JUMPVPN_PLANTED_FAULT";
/// An observer declares death before the owner's own time is over.
const EARLY_DEATH: &str = "early-death";

/// Must come before the first key, and before the process gives up its files.
pub(crate) fn begin() -> Result<(), Failure> {
    let failed = |what: &str, error: io::Error| Failure::new(Code::Failed, format!("{what}: {error}"));
    if let Some(path) = env::var_os(KEY_LOG) {
        let log = File::options().create(true).append(true).open(path);
        let log = log.map_err(|error| failed("cannot open the key log", error))?;
        jumpvpn_session::log_keys_to(Box::new(move |told| write(&log, told)));
    }
    match env::var(FAULT) {
        Err(_) => Ok(()),
        Ok(fault) if fault == EARLY_DEATH => {
            jumpvpn_runtime::plant(Mutant::DeathBeforeTheFence);
            Ok(())
        }
        Ok(fault) => Err(Failure::new(Code::Failed, format!("no fault {fault:?} can be planted"))),
    }
}

/// One write for each line, so that those of threads do not mix.
fn write(mut log: &File, told: KeyUse) {
    let KeyUse { key, lane, from, to } = told;
    let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let line = format!("{{\"key\":\"{key}\",\"lane\":{lane},\"from\":{from},\"to\":{to}}}\n");
    // A log with a hole would prove what is not so.
    log.write_all(line.as_bytes()).expect("the key log can be written");
}
