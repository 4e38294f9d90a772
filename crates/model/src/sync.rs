//! The names of `crates/runtime/src/sync.rs`, over the scheduler of `shuttle`.

pub(crate) use shuttle::sync::atomic::{AtomicU64, Ordering};
pub(crate) use shuttle::sync::mpsc::{Receiver, SyncSender};
pub(crate) use shuttle::sync::{Condvar, Mutex};
pub(crate) use std::sync::mpsc::TryRecvError;
pub(crate) use std::sync::{Arc, PoisonError};
