//! Stores on a real etcd, whose members freeze, end and come back as others, behind connections that are cut.

mod cluster;
mod conforming;
mod doubtful;
mod proxy;
mod start;
mod trust;
