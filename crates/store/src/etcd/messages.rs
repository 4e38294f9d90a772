//! The few messages of etcd's interface that are used, with the few fields that are used. Numbers are those of etcd's
//! `rpc.proto` and `kv.proto`; fields that are not here are skipped when read.

#![allow(missing_docs, reason = "etcd's documentation of its interface is the better one")]

use prost::{Enumeration, Message, Oneof};

/// Paths of the calls.
pub(super) const RANGE: &str = "/etcdserverpb.KV/Range";
pub(super) const TXN: &str = "/etcdserverpb.KV/Txn";
pub(super) const AUTHENTICATE: &str = "/etcdserverpb.Auth/Authenticate";
pub(super) const STATUS: &str = "/etcdserverpb.Maintenance/Status";
pub(super) const WATCH: &str = "/etcdserverpb.Watch/Watch";

/// An answer that says where it comes from: all of them.
pub(super) trait Headed {
    fn header(&self) -> Option<&Header>;
}

macro_rules! headed {
    ($($answer:ty),+) => {
        $(impl Headed for $answer {
            fn header(&self) -> Option<&Header> {
                self.header.as_ref()
            }
        })+
    };
}

headed!(RangeAnswer, TxnAnswer, AuthenticateAnswer, StatusAnswer, WatchAnswer);

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Header {
    #[prost(uint64, tag = "1")]
    pub cluster_id: u64,
    #[prost(int64, tag = "3")]
    pub revision: i64,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct KeyValue {
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    #[prost(int64, tag = "3")]
    pub mod_revision: i64,
    #[prost(bytes = "vec", tag = "5")]
    pub value: Vec<u8>,
}

/// Linearizable, in the order of keys: what etcd does unless it is told otherwise.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct RangeAsked {
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    /// Empty for one key; `[0]` for all from `key` on.
    #[prost(bytes = "vec", tag = "2")]
    pub range_end: Vec<u8>,
    #[prost(int64, tag = "3")]
    pub limit: i64,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct RangeAnswer {
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    #[prost(message, repeated, tag = "2")]
    pub kvs: Vec<KeyValue>,
    #[prost(bool, tag = "3")]
    pub more: bool,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Put {
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Delete {
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Step {
    #[prost(oneof = "StepKind", tags = "1, 2, 3")]
    pub kind: Option<StepKind>,
}

#[derive(Clone, PartialEq, Eq, Oneof)]
pub(super) enum StepKind {
    #[prost(message, tag = "1")]
    Range(RangeAsked),
    #[prost(message, tag = "2")]
    Put(Put),
    #[prost(message, tag = "3")]
    Delete(Delete),
}

/// An answer to a step; those of puts and deletes say nothing that is needed.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct StepAnswer {
    #[prost(message, optional, tag = "1")]
    pub range: Option<RangeAnswer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub(super) enum Relation {
    Equal = 0,
    Greater = 1,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub(super) enum Property {
    Version = 0,
    ModRevision = 2,
    Value = 3,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Comparison {
    #[prost(enumeration = "Relation", tag = "1")]
    pub relation: i32,
    #[prost(enumeration = "Property", tag = "2")]
    pub property: i32,
    #[prost(bytes = "vec", tag = "3")]
    pub key: Vec<u8>,
    #[prost(oneof = "Operand", tags = "4, 6, 7")]
    pub operand: Option<Operand>,
}

#[derive(Clone, PartialEq, Eq, Oneof)]
pub(super) enum Operand {
    /// How often the key was written since it came to be; 0 where nothing stands.
    #[prost(int64, tag = "4")]
    Version(i64),
    #[prost(int64, tag = "6")]
    ModRevision(i64),
    #[prost(bytes, tag = "7")]
    Value(Vec<u8>),
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct TxnAsked {
    #[prost(message, repeated, tag = "1")]
    pub compare: Vec<Comparison>,
    #[prost(message, repeated, tag = "2")]
    pub success: Vec<Step>,
    #[prost(message, repeated, tag = "3")]
    pub failure: Vec<Step>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct TxnAnswer {
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    #[prost(bool, tag = "2")]
    pub succeeded: bool,
    #[prost(message, repeated, tag = "3")]
    pub responses: Vec<StepAnswer>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct AuthenticateAsked {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub password: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct AuthenticateAnswer {
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    #[prost(string, tag = "2")]
    pub token: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct StatusAsked {}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct StatusAnswer {
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    #[prost(string, tag = "2")]
    pub version: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct WatchAsked {
    #[prost(message, optional, tag = "1")]
    pub create: Option<WatchCreate>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct WatchCreate {
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub range_end: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct WatchAnswer {
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    #[prost(bool, tag = "4")]
    pub canceled: bool,
    #[prost(message, repeated, tag = "11")]
    pub events: Vec<WatchEvent>,
}

/// Whether it was put or deleted is not read: whoever is told looks for himself.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct WatchEvent {
    #[prost(message, optional, tag = "2")]
    pub kv: Option<KeyValue>,
}
