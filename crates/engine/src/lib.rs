//! Sans-IO engines of the two sides of a session.
//!
//! [`Agent`] is the client: it owns the paths, measures them, decides with the policy engine when to jump,
//! and proves possession on the wire. [`Gateway`] owns sessions: admission, reattach, forwarding, expiry.
//! Both are plain values: time is an argument, randomness is handed in at construction, every output is
//! polled. Deliberately not here: sockets, TUN, netlink, stores, clocks and threads (see the `runtime` room).
//!
//! Order of work for a caller, per wake-up: drain every input (`handle_datagram`, `handle_packet`,
//! `handle_links`, …) *before* `handle_timeout`, so that a late wake-up is never mistaken for silence; then
//! drain `poll_transmit`, `poll_event`, `poll_notice`; then sleep until `poll_timeout`.
#![forbid(unsafe_code)]

pub mod agent;
mod api;
pub mod counters;
pub mod gateway;
mod inner;
mod keyed;
mod outbox;
mod queue;
mod rejection;
mod resend;
mod rtt;
mod sketch;
mod wheel;

pub use agent::Agent;
pub use api::*;
pub use counters::Counters;
pub use gateway::Gateway;

/// The reason code of a malformed datagram.
fn malformed_reason(malformed: jumpvpn_wire::Malformed) -> jumpvpn_events::Reason {
    use jumpvpn_events::Reason;
    use jumpvpn_wire::Malformed;
    match malformed {
        Malformed::Version => Reason::UnknownVersion,
        Malformed::Type => Reason::UnknownType,
        Malformed::Reserved => Reason::ReservedBits,
        _ => Reason::Malformed,
    }
}

/// What a side that follows this rule says of hybrid keys.
fn pq_features(pq: jumpvpn_policy::PostQuantum) -> u32 {
    use jumpvpn_policy::PostQuantum;
    use jumpvpn_wire::features;
    match pq {
        PostQuantum::Off => 0,
        PostQuantum::On => features::PQ,
        PostQuantum::Required => features::PQ | features::PQ_REQUIRED,
    }
}

/// Whether a jump for this reason leaves a path that is taken for dead.
fn leaves_a_dead_path(reason: jumpvpn_events::Reason) -> bool {
    use jumpvpn_events::Reason;
    matches!(
        reason,
        Reason::LinkDown
            | Reason::AddressGone
            | Reason::RouteGone
            | Reason::SocketError
            | Reason::PathSilent
            | Reason::PathSilentUplink
            | Reason::Resumed
    )
}

/// Composes a DATA packet of control frames in `buffer` and seals it in place. Returns its length; `None` when
/// the frames do not fit or the keys are used up.
fn seal_frames(
    buffer: &mut [u8],
    cid: jumpvpn_wire::Cid,
    send: &mut jumpvpn_session::TrafficSender,
    frames: &[jumpvpn_wire::Frame<'_>],
) -> Option<usize> {
    let body_end = buffer.len() - TAILROOM;
    let mut writer = jumpvpn_wire::FrameWriter::new(&mut buffer[HEADROOM..body_end]);
    if !frames.iter().all(|frame| writer.push(frame)) {
        return None;
    }
    let len = HEADROOM + writer.len() + TAILROOM;
    send.seal(cid, 0, &mut buffer[..len]).ok()?;
    Some(len)
}
