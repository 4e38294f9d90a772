//! What the live view shows and what its keys change.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::keys::{self, Fault};
use crate::gaps::Account;
use crate::plan::{self, Family, UPLINKS};
use crate::story::{Action, Direction, Uplink};
use crate::streams::{SshVerdict, Streams};
use crate::tunnel::{self, Moment, Program, Status, Tunnel};
use crate::world::World;

/// Spacing of the numbered datagrams, as in the stories.
const SPACING: Duration = Duration::from_millis(5);
/// Datagrams younger than this may still be under way and are not called lost.
const UNDER_WAY: Duration = Duration::from_secs(1);
/// Single datagrams are remembered at least this long, and forgotten when twice as old.
const REMEMBERED: Duration = Duration::from_secs(60);

/// A lab with everything running.
#[derive(Debug)]
pub struct LiveLab<'a> {
    world: &'a World,
    tunnel: Option<Tunnel>,
    streams: Streams,
    folder: PathBuf,
    notes: Vec<String>,
    began: Instant,
    selected: Uplink,
    /// What is wrong with each uplink, by [`Uplink::index`].
    faults: [Option<Fault>; 2],
    last_fault: Option<(String, Instant)>,
    message: String,
    seen: Seen,
    forget_at: Instant,
}

/// The last look at everything.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// What the agent said.
    pub status: Status,
    /// The account of the datagrams since the last fault, by [`Direction::index`]; losses since the start.
    pub accounts: [Account; 2],
    /// Bytes of the TCP stream that arrived right.
    pub tcp_len: [u64; 2],
    /// How the TCP stream is.
    pub tcp: &'static str,
    /// The ssh session, or why there is none.
    pub ssh: Option<Result<SshVerdict, String>>,
}

impl<'a> LiveLab<'a> {
    /// Starts the daemons, if any, and all streams.
    ///
    /// # Errors
    /// A sentence: what did not start.
    pub fn start(world: &'a World, program: Option<&Program>, folder: &Path) -> io::Result<LiveLab<'a>> {
        let tunnel = match program {
            Some(program) => Some(Tunnel::start(program, world.site(Family::V4), folder)?),
            None => None,
        };
        let from = if tunnel.is_some() { plan::LAPTOP_INNER } else { UPLINKS[0].laptop };
        let streams = Streams::start(&world.laptop, &world.server, from, SPACING, Some(folder))?;
        Ok(LiveLab {
            world,
            tunnel,
            streams,
            folder: folder.to_owned(),
            notes: Vec::new(),
            began: Instant::now(),
            selected: Uplink::Wifi,
            faults: [None; 2],
            last_fault: None,
            message: String::new(),
            seen: Seen::default(),
            forget_at: Instant::now() + 2 * REMEMBERED,
        })
    }

    /// Looks at everything again.
    pub fn look(&mut self) {
        let now = Instant::now();
        let since = self.last_fault.as_ref().map_or(self.began, |(_, at)| *at);
        let longest = self.seen.accounts.map(|account| account.gap);
        self.seen.accounts = Direction::ALL.map(|direction| {
            let record = self.streams.udp.record(direction);
            let settled = now.checked_sub(UNDER_WAY).unwrap_or(now);
            let lost_count = record.account(since, settled).lost_count;
            let account = record.account(since, now);
            Account { lost_count, gap: account.gap.max(longest[direction.index()]), ..account }
        });
        if now >= self.forget_at {
            self.streams.udp.forget_before(now - REMEMBERED);
            self.forget_at = now + REMEMBERED;
        }
        self.seen.tcp_len = Direction::ALL.map(|direction| self.streams.tcp.right_len(direction));
        self.seen.tcp = match self.streams.tcp.verdict_now().word() {
            // Bytes are always under way here.
            "stalled" => "alive",
            word => word,
        };
        self.seen.ssh = self.streams.ssh.as_ref().map(|ssh| match ssh {
            Ok(ssh) => Ok(ssh.verdict()),
            Err(reason) => Err(reason.clone()),
        });
        match self.tunnel.as_ref().map(Tunnel::status) {
            Some(Ok(status)) => self.seen.status = status,
            Some(Err(error)) => self.message = format!("the agent does not answer: {error}"),
            None => {}
        }
    }

    /// Lets a fault happen to the selected uplink, or takes it back when it is there already.
    pub fn cause(&mut self, fault: Fault) {
        let uplink = self.selected;
        let present = &mut self.faults[uplink.index()];
        let again = *present == Some(fault);
        let mut actions = Vec::new();
        if let Some(old) = present.take().filter(|old| *old != fault && !is_event(fault)) {
            actions.push(keys::action(old, uplink, false));
        }
        actions.push(keys::action(fault, uplink, !again));
        if !again && !is_event(fault) && fault != Fault::Clear {
            *present = Some(fault);
        }
        for action in actions {
            self.apply(&action);
        }
    }

    fn apply(&mut self, action: &Action) {
        let moment = Moment::now();
        let done = match &self.tunnel {
            Some(tunnel) if action.needs_agent() => tunnel.steer(action),
            _ => self.world.apply(action),
        };
        tunnel::note(&mut self.notes, 1, &action.to_string());
        self.streams.tcp.mark();
        self.seen.accounts = [Account::default(); 2];
        self.last_fault = Some((action.to_string(), moment.at));
        self.message = done.err().map(|error| error.to_string()).unwrap_or_default();
    }

    /// Faults go to this uplink from now on.
    pub fn select(&mut self, uplink: Uplink) {
        self.selected = uplink;
    }

    /// What was seen at the last look.
    #[must_use]
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Where faults go.
    #[must_use]
    pub fn selected(&self) -> Uplink {
        self.selected
    }

    /// What is wrong with an uplink.
    #[must_use]
    pub fn fault(&self, uplink: Uplink) -> Option<Fault> {
        self.faults[uplink.index()]
    }

    /// What was done last, and how long ago.
    #[must_use]
    pub fn last_fault(&self) -> Option<(&str, Duration)> {
        self.last_fault.as_ref().map(|(what, at)| (what.as_str(), at.elapsed()))
    }

    /// What went wrong with the last key, if anything.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// How long it has been running.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// Ends everything in good order and writes the merged event file; returns its path.
    ///
    /// # Errors
    /// A daemon ended badly, or the file cannot be written.
    pub fn stop(mut self) -> io::Result<PathBuf> {
        let path = self.folder.join("events.jsonl");
        let mut merged = File::create(&path)?;
        let Some(tunnel) = self.tunnel.take() else { return Ok(path) };
        let (agent, gateway) = (tunnel.agent_events(), tunnel.gateway_events());
        tunnel.stop()?;
        tunnel::merge(&mut merged, 1, &self.notes, &[("laptop", &agent), ("gateway", &gateway)])?;
        Ok(path)
    }
}

/// Happens once and does not last.
fn is_event(fault: Fault) -> bool {
    matches!(fault, Fault::Rebind | Fault::Jump | Fault::Pin | Fault::Unpin)
}
