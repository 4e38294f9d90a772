//! Datagrams in and out of real sockets, in batches.
//!
//! One [`UdpBinding`] is one socket of one path, bound to its device, so that a dead default route cannot take it
//! along. Everything is synchronous and non-blocking; the caller owns the buffers and waits for readiness on the file
//! descriptor. Not here: what a datagram means, which path is used, and any retry.

mod batch;
mod error;
mod sort;
mod udp;

pub use batch::{Datagram, DatagramBatch, MAX_BATCH_COUNT};
pub use error::{BindError, SendError};
pub use udp::{BindOptions, UdpBinding};
