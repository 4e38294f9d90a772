//! Every kind of flood against a gateway with 100 sessions, one after the other.
//!
//! During most of them the sessions are idle, so that nothing but the flood could change them. During some they carry
//! packets and every one of them jumps.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use jumpvpn_wire::{HS_INIT_LEN, Kind};

use super::{Account, calm, ms, quantile};
use crate::arena::{Arena, Gateway, GatewayOptions};
use crate::flood::{Flood, Pace, Replies, Sender, Shot, ammunition};
use crate::swarm::{Swarm, keys};

/// Sessions: enough that one that is hit alone stands out.
pub(super) const SESSION_COUNT: u32 = 100;
/// Births per second, below what a gateway admits without asking for cookies.
pub(super) const BIRTH_RATE: u32 = 200;
/// Longest wait for what must happen in the end: the machine may be busy.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Length of a flood: some hundred thousand datagrams.
const SHORT_SPAN: Duration = Duration::from_millis(800);
const LONG_SPAN: Duration = Duration::from_secs(10);
/// Growth of resident memory that is no growth: tables of a fixed size become resident page by page when they are first
/// touched, the sketches of the admission (2 MiB) among them. It is the same for floods of a second and of ten.
const MEMORY_SLACK_LEN: u64 = 3 << 20;
/// Reasons that the gateway may report while one flood runs, each once a second: its own, and the last of the one before.
const REASONS_MAX: usize = 8;
/// HS_RETRY to HS_INIT in all, per second and at once (docs/protocol.md, 7.3, row 3).
const RETRIES: (f64, f64) = (100_000.0, 2_000.0);

/// One kind.
pub(super) struct Kindling {
    pub(super) name: &'static str,
    pub(super) shot: Shot,
    /// How the gateway must count it, mostly.
    pub(super) reason: &'static str,
    /// Whether handshakes may be answered with a request for a cookie.
    pub(super) answered: bool,
    /// Whether all sessions jump meanwhile.
    pub(super) jumps: bool,
}

/// Plays the trial.
pub(super) fn run(arena: &Arena, account: &mut Account) -> io::Result<()> {
    let mut bed = Bed::lay(arena, GatewayOptions::default())?;
    let replies = Replies::capture(arena)?;
    // Everything a flood can touch for the first time: the receive buffers of each queue.
    let first = [
        strangers(Kind::Reattach).shot.datagrams,
        ammunition::unknown_cids(),
        ammunition::handshakes_without_mac(),
    ];
    for datagrams in first {
        let touched = Shot { datagrams, sender: Sender::Anyone, pace: Pace::Trains };
        bed.under(arena, touched, Duration::from_millis(300), |_| Ok(()))?;
    }
    let mut kinds = kinds(&mut bed)?;
    let warm = bed.gateway.resident_bytes()?;
    kinds.sort_by_key(|kind| kind.jumps);
    let span = if account.is_long() { LONG_SPAN } else { SHORT_SPAN };
    let mut total = 0;
    for kind in kinds {
        replies.take()?;
        total += one(arena, &mut bed, &replies, kind, span, account)?;
    }
    let growth = bed.gateway.resident_bytes()?.saturating_sub(warm);
    account.figure(format!("{total} datagrams in all, resident memory +{} KiB", growth / 1024));
    account.require(growth <= MEMORY_SLACK_LEN, || format!("the gateway grew by {growth} bytes"));
    let ended = bed.swarm.ended();
    account.require(ended.is_empty(), || format!("sessions ended: {ended:?}"));
    bed.gateway.check()
}

/// One flood and its judgement; the number of its datagrams.
fn one(
    arena: &Arena,
    bed: &mut Bed,
    replies: &Replies,
    kind: Kindling,
    span: Duration,
    account: &mut Account,
) -> io::Result<u64> {
    let Kindling { name, shot, reason, answered, jumps } = kind;
    let (before, drops) = (bed.gateway.sessions_digest()?, bed.gateway.drops(reason)?);
    let lines = bed.gateway.event_count("\"SECURITY\"")?;
    let began = Instant::now();
    let mut jumped = None;
    let sent = bed.under(arena, shot, span, |bed| {
        if jumps {
            jumped = Some(bed.jump_all()?);
        }
        Ok(())
    })?;
    let refused = bed.gateway.drops(reason)? - drops;
    let lengths = replies.take()?;
    let seconds = began.elapsed().as_secs_f64();
    let reported = bed.gateway.event_count("\"SECURITY\"")? - lines;
    account.figure(format!(
        "{name:<34} {:>9} sent, {refused:>9} {reason}, {} replies, {reported} reports{}",
        sent,
        lengths.len(),
        jumped.as_ref().map_or(String::new(), |(median, worst)| format!(
            ", jumps {} ({})",
            ms(*median),
            ms(*worst)
        ))
    ));
    account.require(refused * 10 >= sent.min(1000), || {
        format!("{name}: only {refused} of {sent} were {reason}")
    });
    let most = if answered { (RETRIES.0 * seconds + RETRIES.1) as usize } else { 0 };
    account.require(lengths.len() <= most, || format!("{name}: {} replies, {most} at most", lengths.len()));
    account.require(lengths.iter().all(|len| *len <= HS_INIT_LEN), || format!("{name}: a reply is longer"));
    let reports_max = REASONS_MAX * (seconds as usize + 2);
    account.require(reported <= reports_max, || format!("{name}: {reported} reports in {seconds:.1} s"));
    if !jumps {
        let after = bed.gateway.sessions_digest()?;
        let changed = before.iter().zip(&after).find(|(before, after)| before != after);
        let same = before.len() == after.len() && changed.is_none();
        account.require(same, || format!("{name}: sessions changed, first {changed:?}"));
    }
    Ok(sent)
}

/// The gateway and its clients.
pub(super) struct Bed {
    pub(super) gateway: Gateway,
    pub(super) swarm: Swarm,
    /// Processor of everybody but the gateway.
    pub(super) cpu: Option<usize>,
}

impl Bed {
    /// Starts both.
    ///
    /// # Errors
    /// One of them did not come to life.
    pub(super) fn lay(arena: &Arena, options: GatewayOptions<'_>) -> io::Result<Bed> {
        let keys = keys(SESSION_COUNT);
        let peers: Vec<_> = keys.iter().map(|key| key.public()).collect();
        let gateway = Gateway::start(arena, &peers, options)?;
        let mut swarm = Swarm::new(arena)?;
        swarm.raise(&keys, gateway.public, &calm(), BIRTH_RATE, PATIENCE)?;
        let mut bed = Bed { gateway, swarm, cpu: None };
        // The first jump waits for a ticket of the other link.
        bed.carry(Duration::from_millis(500))?;
        Ok(bed)
    }

    /// Lets all sessions carry packets for a while.
    pub(super) fn carry(&mut self, span: Duration) -> io::Result<()> {
        self.swarm.set_window(1);
        self.swarm.run(span)?;
        self.swarm.set_window(0);
        self.swarm.run(Duration::from_millis(200))
    }

    /// Lets the swarm live under a flood for `span`, then for as long as `more` takes. The number of datagrams sent.
    pub(super) fn under(
        &mut self,
        arena: &Arena,
        shot: Shot,
        span: Duration,
        more: impl FnOnce(&mut Bed) -> io::Result<()>,
    ) -> io::Result<u64> {
        let flood = Flood::start(arena, shot, self.cpu, span + PATIENCE * 2)?;
        self.swarm.run(span)?;
        more(self)?;
        let sent = flood.stop()?;
        // What is still in the queue belongs to it.
        self.swarm.run(Duration::from_millis(100))?;
        Ok(sent)
    }

    /// Every session jumps while it carries packets; median and worst time.
    ///
    /// # Errors
    /// Not all of them did.
    pub(super) fn jump_all(&mut self) -> io::Result<(Duration, Duration)> {
        let count = self.swarm.count();
        self.swarm.set_window(1);
        let before = self.swarm.replies;
        self.swarm.jump_all();
        let all =
            self.swarm.run_until(Instant::now() + PATIENCE, |swarm| swarm.jump_times().len() == count)?;
        let carried = self.swarm.run_until(Instant::now() + PATIENCE, |swarm| swarm.replies > before)?;
        self.swarm.set_window(0);
        let mut times = self.swarm.jump_times();
        if !all || !carried {
            let text = format!("{} of {count} sessions jumped, packets passed: {carried}", times.len());
            return Err(io::Error::other(text));
        }
        Ok((quantile(&mut times, 0.5), quantile(&mut times, 1.0)))
    }
}

/// REATTACH and its kin under invented tokens.
pub(super) fn strangers(kind: Kind) -> Kindling {
    let name = match kind {
        Kind::PathProbe => "PATH_PROBE, invented tokens",
        Kind::Close => "CLOSE, invented tokens",
        _ => "REATTACH, invented tokens",
    };
    let shot = singles(ammunition::unknown_tokens(kind));
    Kindling { name, shot, reason: "UNKNOWN_SESSION", answered: false, jumps: kind == Kind::Reattach }
}

fn singles(datagrams: Vec<Vec<u8>>) -> Shot {
    Shot { datagrams, sender: Sender::Anyone, pace: Pace::Singles }
}

/// All of them. Some need what client 0 has sent.
pub(super) fn kinds(bed: &mut Bed) -> io::Result<Vec<Kindling>> {
    let missing = || io::Error::other("client 0 sent nothing to capture");
    bed.carry(Duration::from_millis(300))?;
    let probe = bed.swarm.captured(Kind::PathProbe).ok_or_else(missing)?.to_vec();
    let data = bed.swarm.captured(Kind::Data).ok_or_else(missing)?.to_vec();
    let link = bed.swarm.active_link(0);
    let victim = Sender::Forged(SocketAddr::new(bed.swarm.address_of(0, link), Swarm::port(link)));
    let tokens = ammunition::captured_token(Kind::Reattach, &probe).ok_or_else(missing)?;
    let takeovers = ammunition::captured_token(Kind::TakeoverInit, &probe).ok_or_else(missing)?;
    let packets = ammunition::captured_cid(&data).ok_or_else(missing)?;
    let kind = |name, datagrams, reason| Kindling {
        name,
        shot: singles(datagrams),
        reason,
        answered: false,
        jumps: false,
    };
    let forged = |kind: Kindling, name| Kindling { name, shot: Shot { sender: victim, ..kind.shot }, ..kind };
    let gateway = &bed.gateway.public;
    Ok(vec![
        // The victim's first jump since the capture: later it has other tokens.
        Kindling {
            jumps: true,
            ..forged(kind("", tokens.clone(), "RATE_LIMITED"), "a captured token, victim's address")
        },
        strangers(Kind::Reattach),
        Kindling { jumps: false, ..strangers(Kind::PathProbe) },
        Kindling { jumps: false, ..strangers(Kind::Close) },
        kind("REATTACH, a captured token", tokens, "RATE_LIMITED"),
        kind("PATH_PROBE, seen before", vec![probe; ammunition::COUNT], "RATE_LIMITED"),
        forged(
            kind("", vec![data; ammunition::COUNT], "REPLAY_DETECTED"),
            "DATA, seen before, victim's address",
        ),
        kind("DATA, invented CIDs", ammunition::unknown_cids(), "UNKNOWN_CID"),
        kind("DATA, a captured CID", packets.clone(), "FOREIGN_SOURCE_BUDGET"),
        forged(kind("", packets, "BAD_SEAL"), "a captured CID, victim's address"),
        kind("HS_INIT without mac1", ammunition::handshakes_without_mac(), "BAD_MAC1"),
        Kindling {
            answered: true,
            jumps: true,
            ..kind(
                "HS_INIT with mac1, no cookie",
                ammunition::handshakes_without_cookie(gateway),
                "COOKIE_REQUIRED",
            )
        },
        // This gateway shares its sessions with no other: nothing can be taken over.
        kind("TAKEOVER_INIT, a captured token", takeovers, "UNKNOWN_SESSION"),
        kind("what nobody says to a gateway", ammunition::foreign_types(), "UNKNOWN_TYPE"),
        kind("malformed", ammunition::malformed(), "MALFORMED"),
    ])
}
