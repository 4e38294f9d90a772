//! What the verbs `agent` and `gateway` have in common.

use jumpvpn_config::{Loaded, Report, SecretKey};
use jumpvpn_runtime::telemetry::LogLevel;
use jumpvpn_runtime::{DaemonError, Ended, check_memory};
use jumpvpn_session::{PresharedKey, PrivateKey};

use crate::args::DaemonArgs;
use crate::check;
use crate::exit::{Code, Failure, Outcome, say};

/// MTU of the inner interface when none is named: a 1500-byte link less the outer headers (IPv6 40, UDP 8) and ours (16
/// header, 16 tag), so that a full inner packet fits one datagram of either family.
pub(crate) const DEFAULT_MTU: u16 = 1500 - 40 - 8 - 32;

/// Memory that a configuration takes, as a multiple of the file's length: its tree, its values and what is made of them.
/// `check` of 20,000 peers in 2.2 MB took 22 times that.
const CONFIG_FACTOR: usize = 32;

/// Whether there is memory for the configuration and for what every daemon needs.
pub(crate) fn check_room(args: &DaemonArgs) -> Outcome {
    // A file that cannot be looked at is told when it is read.
    let file_len = std::fs::metadata(&args.config).map_or(0, |metadata| metadata.len());
    let config_len = usize::try_from(file_len).unwrap_or(usize::MAX).saturating_mul(CONFIG_FACTOR);
    outcome(check_memory(config_len).map(|()| Ended::Asked))
}

/// The content of a file, after its warnings were printed.
pub(crate) fn accepted<T>(loaded: Result<Loaded<T>, Report>) -> Result<T, Failure> {
    let Loaded { config, warnings } = loaded.map_err(|report| check::refusal(&report))?;
    if !warnings.findings.is_empty() {
        say(&warnings);
    }
    Ok(config)
}

/// What the log shows.
pub(crate) fn log_level(args: &DaemonArgs) -> LogLevel {
    match (args.verbose, args.quiet) {
        (true, _) => LogLevel::Verbose,
        (_, true) => LogLevel::Quiet,
        _ => LogLevel::Normal,
    }
}

/// What this daemon is called in its events: the name of its file.
pub(crate) fn name(args: &DaemonArgs) -> String {
    args.config.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The exit code for how a daemon ended.
pub(crate) fn outcome(ended: Result<Ended, DaemonError>) -> Outcome {
    match ended {
        Ok(Ended::Asked) => Ok(()),
        Ok(Ended::Refused(reason)) => {
            let failure = Failure::new(Code::Refused, format!("{}: {}", reason.code(), reason.meaning()));
            Err(failure.hint(reason.action()))
        }
        Err(DaemonError { message, permission: true }) => Err(Failure::new(Code::Permission, message)),
        Err(DaemonError { message, permission: false }) => Err(Failure::new(Code::Failed, message)),
    }
}

/// The private key of a file as the engine wants it.
pub(crate) fn private(key: &SecretKey) -> PrivateKey {
    PrivateKey::from_bytes(key.bytes())
}

/// The preshared key of a file as the engine wants it.
pub(crate) fn preshared(key: Option<&SecretKey>) -> Option<PresharedKey> {
    key.map(|key| PresharedKey::from_bytes(key.bytes()))
}
