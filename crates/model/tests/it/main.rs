//! What the models say: every promise holds, and every promise can be broken.
#![allow(clippy::unwrap_used, reason = "tests")]

mod engines;
mod ownership;
mod requests;
mod threads;
