//! Both engines under hostile traffic: a real exchange between two clients and a gateway, in virtual time, that a script
//! disturbs with changed, repeated, re-addressed, spliced and invented datagrams.
//!
//! An input is a script of four-byte operations (`script`); whatever it says, the world (`world`) holds every step
//! against the promises (`promise`).

mod promise;
mod script;
mod world;

use script::Side;
pub(crate) use script::{Operation, compose, event_files};

/// Hostile datagrams go to the gateway.
pub fn engine_gateway(data: &[u8]) {
    script::play(data, Side::Gateway);
}

/// Hostile datagrams go to the clients.
pub fn engine_agent(data: &[u8]) {
    script::play(data, Side::Agent);
}
