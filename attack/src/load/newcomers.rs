//! What a flood of handshakes leaves to newcomers: clients the gateway knows, which have no session yet and begin while
//! invented senders send HS_INIT with a correct `mac1` as fast as one processor writes them.
//!
//! Nothing tells a newcomer's first message from those of the flood, so each is looked at as it comes out of the queue.
//! How many get in meanwhile, and how soon, is a figure; what is judged is that nobody is kept out any longer. Where there are two processors the gateway has
//! one for itself; newcomers and flood share the other one.

use std::io;
use std::time::{Duration, Instant};

use jumpvpn_session::PrivateKey;

use super::floods::PATIENCE;
use super::{Account, calm, ms, quantile};
use crate::arena::{Arena, Gateway, GatewayOptions, pin};
use crate::flood::{Flood, Pace, Sender, Shot, ammunition};
use crate::swarm::{Swarm, keys};

/// Newcomers of one measurement.
const SHORT: u32 = 20;
const LONG: u32 = 200;
/// Between two of them: their handshakes are not to meet, and they are few beside what a gateway admits.
const SPACING: Duration = Duration::from_millis(50);
/// Before the first, so that the flood fills its queue and uses the cookies up that may be given at once.
const RAMP: Duration = Duration::from_millis(500);
/// How floods are written: nothing is sent; one by one, from everywhere; in trains, which cost their sender less than the
/// gateway, from a few networks, in the long form only.
const PACES: &[Pace] = &[Pace::Burn, Pace::Singles, Pace::Trains];
/// A flood goes on for so long after the last newcomer, unless all are in before.
const SHORT_HOLD: Duration = Duration::from_secs(3);
const LONG_HOLD: Duration = Duration::from_secs(60);

/// Plays the trial.
pub(super) fn run(arena: &Arena, account: &mut Account) -> io::Result<()> {
    let is_apart = std::thread::available_parallelism().is_ok_and(|count| count.get() >= 2);
    // A flood that waits while newcomers are worked on is none: it has a processor for itself.
    let (apart, own) = if is_apart { (Some(0), Some(1)) } else { (None, None) };
    pin(own);
    let count = if account.is_long() { LONG } else { SHORT };
    let keys = keys(count * PACES.len() as u32);
    let peers: Vec<_> = keys.iter().map(|key| key.public()).collect();
    let mut gateway =
        Gateway::start(arena, &peers, GatewayOptions { cpu: own, ..GatewayOptions::default() })?;
    let mut swarm = Swarm::new(arena)?;
    let paces = if account.is_long() { PACES } else { &PACES[..2] };
    for (pace, keys) in paces.iter().copied().zip(keys.chunks(count as usize)) {
        let datagrams = ammunition::handshakes_without_cookie(&gateway.public);
        let shot = Shot { datagrams, sender: Sender::Anyone, pace };
        let flood = Flood::start(arena, shot, apart, PATIENCE * 3)?;
        let first = swarm.count();
        arrive(&gateway, &mut swarm, keys, &flood, pace, account)?;
        flood.stop()?;
        let all_in = |swarm: &Swarm| swarm.birth_times(first).len() == keys.len();
        let all = swarm.run_until(Instant::now() + PATIENCE, all_in)?;
        account.require(all, || {
            format!("{}: {} of {count} newcomers got in", pace.name(), swarm.birth_times(first).len())
        });
    }
    gateway.check()
}

/// Lets newcomers come, one after the other, and tells how they fare under the flood.
fn arrive(
    gateway: &Gateway,
    swarm: &mut Swarm,
    keys: &[PrivateKey],
    flood: &Flood,
    pace: Pace,
    account: &mut Account,
) -> io::Result<()> {
    let hold = if account.is_long() { LONG_HOLD } else { SHORT_HOLD };
    let first = swarm.count();
    swarm.run(RAMP)?;
    let read = || -> io::Result<[f64; 3]> {
        let seen = gateway.drops("COOKIE_REQUIRED")? as f64;
        Ok([flood.sent() as f64, seen, gateway.cpu_time()?.as_secs_f64()])
    };
    let (began, before) = (Instant::now(), read()?);
    for key in keys {
        swarm.add(key, gateway.public, &calm());
        swarm.run(SPACING)?;
    }
    swarm.run_until(Instant::now() + hold, |swarm| swarm.birth_times(first).len() == keys.len())?;
    let (after, seconds) = (read()?, began.elapsed().as_secs_f64());
    let [sent, seen, processor] = std::array::from_fn(|at| (after[at] - before[at]) / seconds);
    let mut times = swarm.birth_times(first);
    account.figure(format!(
        "{:<16} {} of {} newcomers born in {seconds:.1} s: median {}, worst {}; {:.3} M/s sent, {:.3} M/s looked at, processor {processor:.2}",
        pace.name(),
        times.len(),
        keys.len(),
        ms(quantile(&mut times, 0.5)),
        ms(quantile(&mut times, 1.0)),
        sent / 1e6,
        seen / 1e6
    ));
    Ok(())
}
