//! Why there is no cluster to work with, in words for the person who has to mend it.

use std::io;
use std::path::PathBuf;

use crate::OpenError;

/// Why a cluster could not be used. Nothing was written to it. Trying again helps with [`ConnectError::Unreachable`] and
/// [`ConnectError::NoQuorum`]; everything else needs a person.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// An endpoint cannot be used as it is written.
    #[error("endpoint `{endpoint}`: {why}")]
    Endpoint {
        /// The endpoint.
        endpoint: String,
        /// What is wrong with it.
        why: String,
    },
    /// No endpoint was given.
    #[error("etcd needs at least one endpoint")]
    NoEndpoint,
    /// A certificate or key cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A certificate or key is not one.
    #[error("the certificates or the key for etcd cannot be used: {detail}")]
    Tls {
        /// What the library said.
        detail: String,
    },
    /// No endpoint answers.
    #[error("no endpoint of etcd answers: {}", told(attempts))]
    Unreachable {
        /// Each endpoint, and why not.
        attempts: Vec<(String, String)>,
    },
    /// An endpoint answers, but not for the cluster.
    #[error("etcd answers, but has no quorum: {detail}")]
    NoQuorum {
        /// What it said.
        detail: String,
    },
    /// The user, the password or the certificate is refused.
    #[error("etcd refuses the credentials: {detail}")]
    Credentials {
        /// What it said.
        detail: String,
    },
    /// The user may not read the keys.
    #[error("etcd does not let this user read the keys: {detail}")]
    Denied {
        /// What it said.
        detail: String,
    },
    /// It is another cluster than before.
    #[error(
        "etcd is another cluster ({found:016x}) than before ({expected:016x}); if that is meant, stop all \
         gateways of the cell, empty the prefix, and remove {} on each", pin.display()
    )]
    Foreign {
        /// The identity that was there first.
        expected: u64,
        /// The identity it has now.
        found: u64,
        /// Where the first one is kept.
        pin: PathBuf,
    },
    /// It has forgotten what it knew: it was emptied, or put back to an earlier state.
    #[error(
        "etcd is at revision {found} and was at {expected} before; if that is meant, stop all gateways of the \
         cell, empty the prefix, and remove {} on each", pin.display()
    )]
    WentBack {
        /// The revision it had when this machine last began to work with it.
        expected: i64,
        /// The revision it has now.
        found: i64,
        /// Where the first one is kept.
        pin: PathBuf,
    },
    /// The endpoints belong to more than one cluster.
    #[error("{one} and {other} are members of different clusters")]
    Mixed {
        /// An endpoint.
        one: String,
        /// Another one.
        other: String,
    },
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] OpenError),
    /// The system has no descriptor or thread left.
    #[error("cannot work with etcd: {0}")]
    System(#[from] io::Error),
}

fn told(attempts: &[(String, String)]) -> String {
    attempts.iter().map(|(endpoint, why)| format!("{endpoint} ({why})")).collect::<Vec<_>>().join(", ")
}
