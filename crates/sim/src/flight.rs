//! Datagrams under way.
use std::net::SocketAddr;

use jumpvpn_wire::Kind;

/// Where a datagram comes from, as nobody inside the world can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// An engine sent it.
    Genuine,
    /// A copy that somebody else sent.
    Copy,
    /// Somebody altered or invented it.
    Forged,
    /// A client with valid keys made it to do harm.
    Hostile,
}

/// A datagram under way.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    /// Number of the genuine datagram it is or was copied from.
    pub id: usize,
    pub origin: Origin,
    /// From a client to the gateway, or back.
    pub up: bool,
    /// The client that sent the genuine one, or whose address it goes to.
    pub client: usize,
    /// The client for which a packet was sealed, where that is certain.
    pub meant: Option<usize>,
    /// Its way to a client, where it goes to one: client and link.
    pub way: (usize, usize),
    /// It is put on the last hop: no translator stands before the client.
    pub inside: bool,
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub bytes: Vec<u8>,
}

impl Flight {
    /// Its kind, if it has one.
    pub fn kind(&self) -> Option<Kind> {
        Kind::of(&self.bytes).ok()
    }

    /// For the trace.
    pub fn words(&self) -> String {
        let kind = self.kind().map_or_else(|| "?".to_owned(), |kind| format!("{kind:?}"));
        let origin = match self.origin {
            Origin::Genuine => "",
            Origin::Copy => " COPY",
            Origin::Forged => " FORGED",
            Origin::Hostile => " HOSTILE",
        };
        format!("#{}{origin} {kind} {} B {} > {}", self.id, self.bytes.len(), self.source, self.destination)
    }
}
