//! The TUN device of this machine: inner packets in and out in batches, with the kernel's segmentation offloads.
//!
//! With offloads the kernel hands over super-packets of up to 64 KiB, which are cut here into packets of the MTU, and
//! takes them back, joined here from the packets that arrive. One system call then moves some forty packets, which is
//! most of the cost of a userspace tunnel.
//!
//! Cutting and joining are ours rather than a library's because the joined packet is gathered by writev(2) straight
//! from the buffers the datagrams were opened in; the libraries at hand copy every payload into one growing buffer.
//!
//! Everything is synchronous and non-blocking; the caller owns the buffers and waits for readiness on the file
//! descriptor. Not here: addresses, routes and link state (room `host`), and any knowledge of what a packet means.

mod batch;
pub mod checksum;
mod device;
mod error;
mod headers;
mod join;
mod split;
mod sys;
mod tap;
mod vnet;

pub use batch::{HEADROOM, Packet, PacketBatch, TAILROOM};
pub use device::{Tun, TunCounters, TunOptions};
pub use error::TunError;
pub use tap::Tap;

/// What the fuzzer reaches into: cutting and joining, without a device.
#[cfg(feature = "fuzzing")]
pub mod fuzzing {
    pub use crate::join::{Head, Joiner, MAX_MEMBER_COUNT};
    pub use crate::split::{Split, complete_checksum};
    pub use crate::vnet::{VNET_LEN, VnetHeader};
}
