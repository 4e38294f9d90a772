//! The TUN device of this machine: inner packets in and out in batches, with the kernel's segmentation offloads.
//!
//! Everything is synchronous and non-blocking; the caller owns the buffers and waits for readiness on the file
//! descriptor. Not here: addresses, routes and link state (room `host`), and any knowledge of what a packet means.
#![allow(unsafe_code)] // ioctl(2), readv(2) and writev(2) on a character device have no safe wrapper

mod batch;
mod device;
mod error;
mod tap;

pub use batch::{HEADROOM, Packet, PacketBatch, TAILROOM};
pub use device::{Tun, TunOptions};
pub use error::TunError;
pub use tap::Tap;
