//! Bodies of the fuzz targets: functions over bytes that panic when a promise of the protocol is broken.
//!
//! Both libFuzzer (`fuzz_targets/`, nightly) and the seeded runner (`src/bin/stable.rs`, stable) call them. Each
//! target is deterministic: keys come from fixed seeds.

#[cfg(not(feature = "libfuzzer"))]
pub mod coverage;
mod data;
mod engines;
mod handshake;
mod machine;
pub mod mutate;
mod reattach;
pub mod seeds;
mod store;
mod text;
mod wire;

pub use data::data_open;
pub use engines::{engine_agent, engine_gateway};
pub use handshake::{handshake_init, handshake_response};
pub use machine::{netlink_message, tun_packet};
pub use reattach::reattach_verify;
pub use store::store_record;
pub use text::{config_text, control_request, event_file, gateway_list};
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
    Target { name: "engine_gateway", run: engine_gateway },
    Target { name: "engine_agent", run: engine_agent },
    Target { name: "config_text", run: config_text },
    Target { name: "gateway_list", run: gateway_list },
    Target { name: "control_request", run: control_request },
    Target { name: "event_file", run: event_file },
    Target { name: "store_record", run: store_record },
    Target { name: "tun_packet", run: tun_packet },
    Target { name: "netlink_message", run: netlink_message },
];

#[cfg(test)]
mod tests;
