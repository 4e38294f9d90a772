//! TUN and TAP devices of the real kernel, each test in a network namespace of its own.
#![allow(clippy::unwrap_used, reason = "a failing step is a failing test")]

mod devices;
#[path = "../../../host/tests/it/netns.rs"]
mod netns;
mod tunnel;
