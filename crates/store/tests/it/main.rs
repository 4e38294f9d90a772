//! Stores on real files, with processes that are killed, disks that fill, and files that somebody else has touched.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failing test may panic")]

mod bed;
mod conforming;
mod crash;
mod disk;
mod etcd;
mod refused;
mod sqlite;
