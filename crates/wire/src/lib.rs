//! Bytes to typed messages and back: every format that crosses the wire between agent and gateway.
//!
//! Deliberately not here: keys, sealing, sockets, clocks, allocation and any decision about what a message
//! means. A parser in this crate accepts exactly one encoding of each value and refuses everything else with a
//! [`Malformed`]; it never panics, whatever the bytes. The formats are those of `docs/protocol.md` section 4.
//!
//! All integers are little-endian. All reserved bits are zero; a set reserved bit makes the message malformed.
#![forbid(unsafe_code)]

mod address;
mod control;
mod cursor;
mod error;
mod frames;
mod handshake;
mod headers;
mod ids;
mod kind;
mod limits;
mod reattach;
mod takeover;

pub use address::ObservedAddress;
pub use control::{
    CloseAckPayload, ClosePayload, HintPayload, NoSession, ProbeFlags, ProbePayload, TicketPayload,
};
pub use error::Malformed;
pub use frames::{
    AdvisedGateway, ConfigFrame, Frame, FrameReader, FrameWriter, Heartbeat, HeartbeatAck, LIST_MAX_LEN,
    LIST_PART_MAX_LEN, ListPart, MAX_ADVISED, MoveAdvice, ReceiveReport, TokenList, is_ip_packet,
};
pub use handshake::{
    Cookie, HS_INIT_LEN, HS_RESP_LEN, HsInit, HsResp, HsRetry, InitPayload, RespPayload, features,
};
pub use headers::{ControlHeader, DataHeader, MAX_LANES, ReplyHeader};
pub use ids::{Cid, Handle, PathId, ResetToken, RouteToken, SessionId, Ticket};
pub use kind::{Kind, REBIND_HINT_TRIGGER_LEN, REPLIES, TransportClass, VERSION};
pub use limits::GrantedLimits;
pub use reattach::{Quality, ReattachPayload, ResultPayload, ResultStatus};
pub use takeover::{
    TAKEOVER_INIT_LEN, TAKEOVER_RESP_LEN, TakeoverInit, TakeoverInitPayload, TakeoverRefusal, TakeoverResp,
    TakeoverRespPayload,
};

/// Length of an AEAD tag, bytes. Both suites use 16 (RFC 8439 section 2.8, NIST SP 800-38D).
pub const TAG_LEN: usize = 16;

/// Length of the DATA header, bytes.
pub const DATA_HEADER_LEN: usize = 16;

/// What a DATA datagram adds to its plaintext, bytes: header and tag. The same as WireGuard's, so the inner MTU
/// on a 1500-byte IPv6 path stays 1420.
pub const DATA_OVERHEAD: usize = DATA_HEADER_LEN + TAG_LEN;

/// Largest plaintext of one DATA datagram, bytes. The AEAD limit of 2^25 packets per key rests on packets of at
/// most 2^10 blocks (RFC 9001 appendix B).
pub const MAX_PLAINTEXT_LEN: usize = 16 * 1024;

/// Largest datagram, bytes.
pub const MAX_DATAGRAM_LEN: usize = MAX_PLAINTEXT_LEN + DATA_OVERHEAD;

/// Length of the client → server control header, bytes.
pub const CONTROL_HEADER_LEN: usize = 28;

/// Length of the server → client control header, bytes.
pub const REPLY_HEADER_LEN: usize = 20;
