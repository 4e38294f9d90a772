//! What threads share is made of these, under one name, so that the same files can be compiled over the locks of a
//! scheduler that tries every order (`crates/model/src/threads.rs`).

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
pub(crate) use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
pub(crate) use std::sync::{Arc, Condvar, Mutex, PoisonError};
