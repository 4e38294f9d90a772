//! Every reason code, event and counter of the project, each declared once.
//!
//! What it is for: a room that does something worth telling builds an [`Event`] value and hands it out; the
//! runtime turns values into log lines ([`json`]), metrics ([`Transitions`], [`DropCounters`]) and streams.
//! `registry.toml` declares the reasons; the enum [`Reason`], the reference page and the schema come from it.
//! [`verify`] proves from written event files that every session behaved as the protocol promises.
//!
//! Deliberately not here: clocks, files, queues, and anything an event must never contain (payload, keys,
//! user data).

#![forbid(unsafe_code)]

mod counters;
pub mod docs;
mod event;
pub mod json;
mod label;
mod reason;
mod state;
mod time;
pub mod verify;

pub use counters::{DropCounters, Transitions};
pub use docs::{docs_markdown, json_schema};
pub use event::{Event, EventKind};
pub use label::{PathLabel, SessionLabel};
pub use reason::{Class, Reason, Severity};
pub use state::{BindingState, State};
pub use time::Time;
