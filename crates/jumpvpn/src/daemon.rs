//! What the verbs `agent` and `gateway` have in common.

use jumpvpn_config::{Loaded, Report, SecretKey};
use jumpvpn_runtime::telemetry::LogLevel;
use jumpvpn_runtime::{DaemonError, Ended};
use jumpvpn_session::{PresharedKey, PrivateKey};

use crate::args::DaemonArgs;
use crate::check;
use crate::exit::{Code, Failure, Outcome};

/// MTU of the inner interface when none is named: a 1500-byte link less the outer headers (IPv6 40, UDP 8) and ours (16
/// header, 16 tag), so that a full inner packet fits one datagram of either family.
pub(crate) const DEFAULT_MTU: u16 = 1500 - 40 - 8 - 32;

/// The content of a file, after its warnings were printed.
pub(crate) fn accepted<T>(loaded: Result<Loaded<T>, Report>) -> Result<T, Failure> {
    let Loaded { config, warnings } = loaded.map_err(|report| check::refusal(&report))?;
    if !warnings.findings.is_empty() {
        eprintln!("{warnings}");
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
    PrivateKey::from_bytes(*key.bytes())
}

/// The preshared key of a file as the engine wants it.
pub(crate) fn preshared(key: Option<&SecretKey>) -> Option<PresharedKey> {
    key.map(|key| PresharedKey::from_bytes(*key.bytes()))
}
