//! Bodies of the fuzz targets: functions over bytes that panic when a promise of the protocol is broken.
//!
//! Both libFuzzer (`fuzz_targets/`, nightly) and the seeded runner (`src/bin/stable.rs`, stable) call them. Each
//! target is deterministic: keys come from fixed seeds.

mod data;
mod handshake;
pub mod mutate;
mod reattach;
pub mod seeds;
mod wire;

pub use data::data_open;
pub use handshake::{handshake_init, handshake_response};
pub use reattach::reattach_verify;
pub use wire::{wire_datagram, wire_frames};

/// A target and its name, which is also the name of its corpus folder.
#[derive(Clone, Copy)]
pub struct Target {
    /// Name.
    pub name: &'static str,
    /// Body.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "wire_datagram", run: wire_datagram },
    Target { name: "wire_frames", run: wire_frames },
    Target { name: "handshake_init", run: handshake_init },
    Target { name: "handshake_response", run: handshake_response },
    Target { name: "reattach_verify", run: reattach_verify },
    Target { name: "data_open", run: data_open },
];

#[cfg(test)]
mod tests;
