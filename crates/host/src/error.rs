//! What this machine refused, and what a person can do about it.

use std::io;

/// Failure to read or change the network configuration of this machine.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The process lacks a right.
    #[error("not allowed to {action}: run as root or give the program CAP_NET_ADMIN")]
    PermissionDenied {
        /// What was tried.
        action: String,
    },
    /// The link, address, route or rule does not exist.
    #[error("cannot {action}: no such thing ({source})")]
    NotFound {
        /// What was tried.
        action: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The address, route or rule exists already.
    #[error("cannot {action}: it exists already")]
    Exists {
        /// What was tried.
        action: String,
    },
    /// Anything else the kernel refused; `detail` is the kernel's own sentence when it gave one.
    #[error("cannot {action}: {source}{}", detail_suffix(.detail))]
    Io {
        /// What was tried.
        action: String,
        /// What the kernel said.
        source: io::Error,
        /// The kernel's explanation (NLMSGERR_ATTR_MSG), empty when it gave none.
        detail: String,
    },
    /// The program `nft` is missing.
    #[error("cannot {action}: the program `nft` is not installed; install the package `nftables`")]
    NftMissing {
        /// What was tried.
        action: String,
    },
    /// The program `nft` refused the rules.
    #[error("cannot {action}: nft says: {message}")]
    Nft {
        /// What was tried.
        action: String,
        /// The standard error output of nft.
        message: String,
    },
    /// The caller asked for something that cannot be.
    #[error("{0}")]
    Invalid(String),
}

fn detail_suffix(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(" ({detail})") }
}
