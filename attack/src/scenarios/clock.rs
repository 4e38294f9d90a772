//! Clocks that somebody sets: what was said under a clock that was ahead must not stand in the way when it is right again
//! (the class of CVE-2021-46873).

use std::io;
use std::time::Duration;

use crate::siege::Siege;
use crate::snapshot::Snapshot;

/// Ten years.
const AHEAD: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The client's clock goes ten years ahead and back, then the gateway's; after each change the client comes in again.
pub(crate) fn decade(siege: &mut Siege<'_>) -> io::Result<()> {
    siege.share = 0.0;
    for ahead in [AHEAD, Duration::ZERO] {
        let (field, before) = (siege.field, siege.session.clone());
        siege.tunnel.restart_agent_ahead(&field.program, field.world.site(siege.family), ahead)?;
        born_again(siege, before)?;
    }
    for ahead in [AHEAD, Duration::ZERO] {
        let (field, before) = (siege.field, siege.session.clone());
        siege.tunnel.restart_gateway_ahead(&field.program, field.world.site(siege.family), ahead)?;
        born_again(siege, before)?;
    }
    Ok(())
}

fn born_again(siege: &mut Siege<'_>, before: Option<String>) -> io::Result<()> {
    siege.until("the client comes in under the other clock", |siege| {
        let now = Snapshot::of(&siege.tunnel).ok();
        Ok(now.is_some_and(|now| now.agent.session != before && now.session_of("laptop").is_some()))
    })?;
    siege.settle()?;
    siege.session = siege.baseline.agent.session.clone();
    Ok(())
}
