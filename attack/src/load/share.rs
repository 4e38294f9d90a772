//! What a flood leaves to live sessions, in time.
//!
//! The gateway has one processor for itself; clients and flood share another one. 100 clients keep four echo requests
//! each under way, as fast as answers come.
//!
//! *Goodput.* First with a burner in the flood's place, a thread that spins: it takes from the clients' processor what
//! the flood will take. So the ratio of the two goodputs is what the flood does to the gateway, not what it does to the
//! generators. The bar is a share of the processor that remains: the flood alone, with idle sessions, shows what the
//! gateway spends on one of its datagrams; what those of the joint run cost is taken off. With `u` the gateway's
//! processor share beside the burner and `r` what remains, the fair goodput is that beside the burner times
//! `min(1, r / u)`. Kept must be 80 % of it. Both ratios are printed: where the flood takes the whole processor, the fair
//! share says nothing any more.
//!
//! *Jumps.* The median and the worst time of all clients, beside the burner and beside the flood: the difference of the
//! worst times is to be 50 ms at most.
//!
//! Both bars are those of the flood with invented tokens. What other floods do is told; trains bring several times what
//! the gateway can refuse.

use std::io;
use std::time::{Duration, Instant};

use jumpvpn_wire::Kind;

use super::floods::{Bed, Kindling, kinds, strangers};
use super::{Account, ms};
use crate::arena::{Arena, GatewayOptions, pin};
use crate::flood::{Flood, Pace, Sender, Shot};

/// Echo requests of each client under way.
const WINDOW: u32 = 4;
/// Length of a measurement.
const SPAN: Duration = Duration::from_secs(3);
/// Before it, so that buffers fill and rates settle.
const RAMP: Duration = Duration::from_millis(500);
/// Moves that can wait have half of the limit, four a minute: so long between two of them.
const JUMP_PAUSE: Duration = Duration::from_secs(16);
/// Share of the fair goodput that must be kept.
const SHARE_MIN: f64 = 0.8;
/// What a flood may add to the worst time of a jump.
const DELAY_MAX: Duration = Duration::from_millis(50);

/// Plays the trial.
pub(super) fn run(arena: &Arena, account: &mut Account) -> io::Result<()> {
    if std::thread::available_parallelism().is_ok_and(|count| count.get() < 2) {
        account.figure("not measured: it takes two processors");
        return Ok(());
    }
    pin(Some(0));
    let mut bed = Bed::lay(arena, GatewayOptions { cpu: Some(1), ..GatewayOptions::default() })?;
    bed.cpu = Some(0);
    let mut kinds: Vec<Kindling> = kinds(&mut bed)?;
    let trains = strangers(Kind::Reattach);
    kinds.push(Kindling {
        name: "the first one in trains of 64",
        shot: Shot { pace: Pace::Trains, ..trains.shot },
        ..trains
    });
    let burner = Shot { datagrams: Vec::new(), sender: Sender::Anyone, pace: Pace::Burn };
    let calm = measure(arena, &mut bed, burner, true)?;
    account.figure(format!(
        "{:<34} {:>8.0} echoes/s, processor {:.2}, jumps {} ({})",
        "beside a burner",
        calm.goodput,
        calm.processor,
        ms(calm.jumps.0),
        ms(calm.jumps.1)
    ));
    for kind in kinds {
        let is_judged = kind.reason == "UNKNOWN_SESSION" && kind.shot.pace == Pace::Singles;
        let alone = measure(arena, &mut bed, kind.shot.clone(), false)?;
        let both = measure(arena, &mut bed, kind.shot, true)?;
        let cost = alone.processor / alone.refused.max(1.0);
        let remaining = (1.0 - cost * both.refused).max(0.0);
        let fair = calm.goodput * (remaining / calm.processor.max(f64::EPSILON)).min(1.0);
        let (plain, share) = (both.goodput / calm.goodput, both.goodput / fair.max(f64::EPSILON));
        account.figure(format!(
            "{:<34} {:>8.0} echoes/s = {:.0} %, {:.0} % of its share; {:.2} M/s sent, {:.2} M/s refused at {:.0} ns; jumps {} ({})",
            kind.name, both.goodput, plain * 100.0, share * 100.0, both.sent / 1e6, both.refused / 1e6, cost * 1e9,
            ms(both.jumps.0), ms(both.jumps.1)
        ));
        account.require(!is_judged || share >= SHARE_MIN, || {
            format!("{}: {:.0} % of the share", kind.name, share * 100.0)
        });
        let late = both.jumps.1.saturating_sub(calm.jumps.1);
        account
            .require(!is_judged || late <= DELAY_MAX, || format!("{}: jumps {} later", kind.name, ms(late)));
    }
    bed.gateway.check()
}

/// Figures per second.
struct Measured {
    goodput: f64,
    sent: f64,
    refused: f64,
    processor: f64,
    jumps: (Duration, Duration),
}

fn measure(arena: &Arena, bed: &mut Bed, shot: Shot, is_loaded: bool) -> io::Result<Measured> {
    bed.swarm.set_window(if is_loaded { WINDOW } else { 0 });
    let flood = Flood::start(arena, shot, bed.cpu, RAMP + SPAN + super::floods::PATIENCE)?;
    bed.swarm.run(RAMP)?;
    let read = |bed: &Bed| -> io::Result<[f64; 4]> {
        let refused = bed.gateway.drops_total()? as f64;
        let processor = bed.gateway.cpu_time()?.as_secs_f64();
        Ok([bed.swarm.replies as f64, flood.sent() as f64, refused, processor])
    };
    let (began, before) = (Instant::now(), read(bed)?);
    bed.swarm.run(SPAN)?;
    let (after, seconds) = (read(bed)?, began.elapsed().as_secs_f64());
    let [goodput, sent, refused, processor] = std::array::from_fn(|at| (after[at] - before[at]) / seconds);
    let jumps = if is_loaded { bed.jump_all()? } else { Default::default() };
    flood.stop()?;
    bed.swarm.set_window(0);
    bed.swarm.run(if is_loaded { JUMP_PAUSE } else { RAMP })?;
    Ok(Measured { goodput, sent, refused, processor, jumps })
}
