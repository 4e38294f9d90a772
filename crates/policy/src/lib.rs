//! The deterministic rules: which path is best, when a session may move, and when it has to give up.
//!
//! Everything is a total function of values. Time is an argument, there is no randomness, no floating point and no
//! state except [`SwitchHistory`] and [`Flaps`], which the caller keeps and passes in. The same inputs give the
//! same verdict, on the agent, on the gateway, in the simulator and in `jumpvpn show policy`.
//!
//! Deliberately not here: measuring paths and sending anything (engine), reading files (config).
//!
//! Where to look: [`Policy`] and its one table of [`keys`], [`rank`](rank()) and [`choose`](choose()) for the agent,
//! [`admit`](admit()) for the gateway, [`recovery`] for the bounds of retrying.

#![forbid(unsafe_code)]

mod admit;
mod choose;
mod flaps;
mod history;
pub mod keys;
mod model;
mod presets;
mod rank;
pub mod recovery;
pub mod value;
mod view;

pub use admit::{AdmitCause, admit};
pub use choose::{Cause, Verdict, choose, churn_exceeded};
pub use flaps::Flaps;
pub use history::SwitchHistory;
pub use model::{
    Detection, OutOfBounds, PathCosts, Policy, PostQuantum, Probe, Security, Session, Switching, Transport,
    Volatility,
};
pub use presets::PRESETS;
pub use rank::{Band, Rank, rank};
pub use view::{Class, ClassSet, Health, PathView};
