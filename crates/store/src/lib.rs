//! Stores of ownership on something that outlives the process: a file beside one gateway, or a cluster that many share.
//!
//! Both keep the contract of [`jumpvpn_ownership::OwnershipStore`] and nothing more: transactions and reads, three outcomes,
//! never a second try. [`Sqlite`] writes a file, [`etcd::Etcd`] speaks with a cluster; [`DataDir`] is a folder that exactly one
//! process holds.
//!
//! A store is made in two steps. Opening reads, checks, and says in words what is wrong; it starts no thread and needs
//! files, so it comes before a process gives up its rights. Starting makes the thread, which then needs no path any more, so it
//! comes after that.
//!
//! Deliberately not here: what the records mean, when something is tried again, and what follows from a loss.

#![forbid(unsafe_code)]

mod desk;
mod directory;
mod error;
pub mod etcd;
mod sqlite;

pub use desk::Waker;
pub use directory::{DataDir, Place};
pub use error::OpenError;
pub use sqlite::{Sqlite, SqliteStore};
