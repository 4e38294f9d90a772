//! A cell on one machine: three gateways, three members of a store, a laptop, a router that follows the owners, and a
//! server behind it. Every line between them can be cut, slowed down and cut one way.
//!
//! ```text
//!  laptop ──wlan0── NAT ──┐              ┌── gateway1 ──┐
//!     └─────wwan0── NAT ──┴── internet ──┼── gateway2 ──┼── router ── server
//!                                        └── gateway3 ──┘
//!                       core ── gateway1..3, etcd1..3
//! ```
//! Not here: what the program under test does, and the lab with one gateway ([`crate::world`]).

pub mod bird;
pub mod cell;
pub mod daemons;
mod disk;
pub mod drill;
pub mod etcd;
pub mod fault;
pub mod judge;
pub mod nemesis;
pub mod plan;
pub mod view;
pub mod witness;

pub use cell::Cell;
pub use daemons::{Daemons, Keeping, Programs};
pub use disk::Disk;
pub use etcd::Store;
pub use fault::Fault;
