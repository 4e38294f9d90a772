//! The lab: a whole roaming network on one machine, started by one command of an ordinary user.
//!
//! A laptop with Wi-Fi and LTE, two NAT routers, an internet, a gateway and a server behind it are built from Linux
//! namespaces; the radio links are threads of ours that delay, lose and filter packets under a seed. The real binary
//! runs in the nodes, real streams run through it, faults happen as a story or a key says, and every verdict is
//! derived from arrival times. Deliberately not here: anything the VPN itself does.

pub mod args;
pub mod bench;
mod clock;
pub mod cluster;
mod entry;
pub mod gaps;
pub mod link;
pub mod live;
pub mod namespace;
pub mod nat;
pub mod packet;
pub mod plan;
pub mod play;
pub mod report;
pub mod shaper;
pub mod stall;
pub mod story;
pub mod streams;
pub mod tunnel;
pub mod veth;
mod wiring;
pub mod world;

pub use args::{LabArgs, LabVerb};
pub use entry::{inside, main_lab};
