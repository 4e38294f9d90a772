//! What a sender may cost us before it has proven anything: fixed memory, no queue, no reply longer than its
//! request.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jumpvpn_events::{Reason, Time};
use jumpvpn_wire::RouteToken;
use rand_core::CryptoRng;

use crate::sketch::{Bucket, Sketch};

/// Public-key work for handshakes, per second and at once. A handshake costs about 0.3 ms of one core; 500 per
/// second leave most of it to traffic.
const HANDSHAKE_RATE: (u32, u32) = (500, 256);
/// Public-key work for takeovers, per second and at once, beside that for handshakes: whoever asks for one has shown the
/// session's credentials, so that strangers cannot use it up. The 25,000 clients of a gateway that died are served within 13 s;
/// at 0.3 ms each that is two thirds of one core for so long (`jumpvpn bench takeover`).
const TAKEOVER_RATE: (u32, u32) = (2_000, 256);
/// From this load on (eighths of the budget) a handshake needs a cookie; WireGuard's threshold is the same
/// eighth of its queue.
const COOKIE_FROM_EIGHTHS: u64 = 1;
/// HS_RETRY replies to HS_INIT per second and at once, all sources together: they go to unproven addresses, and are not longer
/// than what they answer. A flood takes its share of them from newcomers, so they are as many as a core can spare: 2 µs each
/// are a fifth of it, less than looking at such a flood costs.
const RETRY_RATE: (u32, u32) = (100_000, 2_000);
/// From this load on (eighths of that) the sources' prefixes share the rest: the flood of one network, however fast, leaves
/// everybody else's cookies alone. Not before: whoever forges a few thousand addresses of one network would take its cookies.
const SHARED_FROM_EIGHTHS: u64 = 4;
/// HS_RETRY per IPv4 /24 or IPv6 /48 then, per second and at once: as many as handshakes of it are admitted ([`WIDE_RATE`]).
const RETRY_SHARE: (u32, u32) = WIDE_RATE;
/// The same to TAKEOVER_INIT, whose sender has shown a route token. They are counted apart, so that a flood of handshakes keeps no
/// client from its session; all 25,000 clients of a gateway that died get one within 2 s.
const TAKEOVER_RETRY_RATE: (u32, u32) = (10_000, 2_000);
/// Control messages per route token: 50 per second (docs/protocol.md, order of checks).
const TOKEN_RATE: (u32, u32) = (50, 50);
/// Handshakes per IPv4 address or IPv6 /64 behind a valid cookie: 20 per second, burst 5.
const NARROW_RATE: (u32, u32) = (20, 5);
/// Handshakes per IPv4 /24 or IPv6 /48: carrier NAT hides many users behind one prefix.
const WIDE_RATE: (u32, u32) = (200, 200);
/// Ephemeral keys remembered against replayed HS_INITs; at 500 handshakes per second about half a second,
/// which is what a pending entry needs to notice the rest.
const EPHEMERAL_COUNT: usize = 256;

/// Admission state of one instance.
pub(crate) struct Admission {
    handshakes: Bucket,
    takeovers: Bucket,
    retries: Bucket,
    retry_shares: Sketch,
    takeover_retries: Bucket,
    tokens: Sketch,
    narrow: Sketch,
    wide: Sketch,
    ephemerals: [[u8; 16]; EPHEMERAL_COUNT],
    next_ephemeral: usize,
}

impl Admission {
    /// Everything full and empty.
    pub fn new(rng: &mut dyn CryptoRng) -> Admission {
        Admission {
            handshakes: Bucket::new(HANDSHAKE_RATE.0, HANDSHAKE_RATE.1),
            takeovers: Bucket::new(TAKEOVER_RATE.0, TAKEOVER_RATE.1),
            retries: Bucket::new(RETRY_RATE.0, RETRY_RATE.1),
            retry_shares: Sketch::new(RETRY_SHARE.0, RETRY_SHARE.1, rng),
            takeover_retries: Bucket::new(TAKEOVER_RETRY_RATE.0, TAKEOVER_RETRY_RATE.1),
            tokens: Sketch::new(TOKEN_RATE.0, TOKEN_RATE.1, rng),
            narrow: Sketch::new(NARROW_RATE.0, NARROW_RATE.1, rng),
            wide: Sketch::new(WIDE_RATE.0, WIDE_RATE.1, rng),
            ephemerals: [[0; 16]; EPHEMERAL_COUNT],
            next_ephemeral: 0,
        }
    }

    /// Bucket of this very route token: it can be emptied only by somebody who saw the token.
    pub fn check_token(&mut self, token: &RouteToken, now: Time) -> Result<(), Reason> {
        if self.tokens.take(token.0, now) { Ok(()) } else { Err(Reason::RateLimited) }
    }

    /// Whether the load asks for cookies.
    pub fn cookie_needed(&self, now: Time) -> bool {
        self.handshakes.used_eighths(now) >= COOKIE_FROM_EIGHTHS
    }

    /// Pace of HS_RETRY replies to HS_INIT from this address, which anybody may have written there.
    pub fn may_retry(&mut self, source: IpAddr, now: Time) -> bool {
        if self.retries.is_empty(now) {
            return false;
        }
        let is_shared = self.retries.used_eighths(now) >= SHARED_FROM_EIGHTHS;
        (!is_shared || self.retry_shares.take(prefixes(source).1, now)) && self.retries.take(now)
    }

    /// Pace of HS_RETRY replies to TAKEOVER_INIT.
    pub fn may_retry_takeover(&mut self, now: Time) -> bool {
        self.takeover_retries.take(now)
    }

    /// Buckets of the source's prefixes, for sources that have shown a cookie.
    pub fn check_prefix(&mut self, source: IpAddr, now: Time) -> Result<(), Reason> {
        let (narrow, wide) = prefixes(source);
        if self.narrow.take(narrow, now) && self.wide.take(wide, now) {
            Ok(())
        } else {
            Err(Reason::PrefixRateLimited)
        }
    }

    /// Whether this ephemeral key is new.
    pub fn check_ephemeral(&self, ephemeral: &[u8; 32]) -> Result<(), Reason> {
        if self.ephemerals.contains(&short(ephemeral)) { Err(Reason::HandshakeReplay) } else { Ok(()) }
    }

    /// Remembers an ephemeral key. Only those of answered handshakes: a client that is asked for a cookie comes again
    /// with the same one, and strangers do not push those of peers out.
    pub fn note_ephemeral(&mut self, ephemeral: &[u8; 32]) {
        self.ephemerals[self.next_ephemeral] = short(ephemeral);
        self.next_ephemeral = (self.next_ephemeral + 1) % EPHEMERAL_COUNT;
    }

    /// Takes one handshake's public-key work from the budget.
    pub fn take_handshake(&mut self, now: Time) -> Result<(), Reason> {
        if self.handshakes.take(now) { Ok(()) } else { Err(Reason::HandshakeBudget) }
    }

    /// Takes one takeover's public-key work from the budget.
    pub fn take_takeover(&mut self, now: Time) -> Result<(), Reason> {
        if self.takeovers.take(now) { Ok(()) } else { Err(Reason::HandshakeBudget) }
    }
}

fn short(ephemeral: &[u8; 32]) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&ephemeral[..16]);
    short
}

/// The prefixes a source is limited by: IPv4 /32 and /24, IPv6 /64 and /48.
fn prefixes(source: IpAddr) -> (IpAddr, IpAddr) {
    match source {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            (source, Ipv4Addr::new(a, b, c, 0).into())
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            (Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into(), Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into())
        }
    }
}

#[cfg(test)]
mod tests;
