//! Gateways that are broken on purpose, so that a judge of them has something to find. Exists with the feature `planted` alone,
//! which the program that is shipped does not have.

use std::sync::OnceLock;

use jumpvpn_ownership::{Mutant, Node};
use rand_core::CryptoRng;

static PLANTED: OnceLock<Mutant> = OnceLock::new();

/// Breaks the gateway that this process is going to be. The first fault stays.
pub fn plant(fault: Mutant) {
    PLANTED.set(fault).unwrap_or_default();
}

/// The node, broken if it is to be.
pub(crate) fn broken<R: CryptoRng>(mut node: Node<R>) -> Node<R> {
    if let Some(fault) = PLANTED.get() {
        node.break_by(*fault);
    }
    node
}
