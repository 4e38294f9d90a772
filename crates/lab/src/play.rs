//! Playing a story: warm up, let things happen, settle, draw up the accounts. Again and again, as often as it says.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::gaps::Account;
use crate::plan::{self, Family, UPLINKS};
use crate::stall::StallWatch;
use crate::story::{Direction, Step, Story};
use crate::streams::{SshVerdict, Streams, TcpVerdict};
use crate::tunnel::{self, Moment, Program, Switch, Tunnel};
use crate::world::World;

/// Datagrams that are under way when sending stops need half a round trip, a resent one a whole: half a second is
/// plenty on every path the lab is meant for, and what comes later than that is lost to any application.
const DRAIN: Duration = Duration::from_millis(500);
/// TCP doubles its retransmission timer from 0.2 s: after a gap of 350 ms the last retry comes within 0.8 s, after a
/// whole second within 1.6 s.
const TCP_PATIENCE: Duration = Duration::from_secs(3);
/// The streams must flow before the story begins; longer than a few round trips means that nothing goes through.
const FLOW_TIMEOUT: Duration = Duration::from_secs(3);
/// Both uplinks are alike, so an agent that chose by lot would fail to choose the right one once in a thousand stories.
const START_ATTEMPTS: u32 = 10;
/// A look at the counters.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What happened in one run.
#[derive(Debug, Clone)]
pub struct Run {
    /// The account of the datagrams, by [`Direction::index`].
    pub accounts: [Account; 2],
    /// Longest pause of the TCP stream from the fault on, by [`Direction::index`].
    pub tcp_stalls: [Duration; 2],
    /// How the TCP stream is at the end.
    pub tcp: TcpVerdict,
    /// How the ssh session is at the end, if there was one, or why there was none.
    pub ssh: Option<Result<SshVerdict, String>>,
    /// What the agent says; nothing without a tunnel.
    pub agent: Option<AgentAccount>,
    /// From nothing to both paths warm and all streams flowing.
    pub start_up: Duration,
    /// The longest time for which an idle thread of the lab was not given the processor although it was due.
    pub machine_stall: Duration,
}

/// What the agent's status and audit say about a run.
#[derive(Debug, Clone)]
pub struct AgentAccount {
    /// Session ids before the fault and at the end.
    pub sessions: [Option<String>; 2],
    /// Names of the active path before the fault and at the end.
    pub active: [Option<String>; 2],
    /// Switches from the fault on, with their time since the fault.
    pub switches: Vec<(Duration, Switch)>,
    /// Switches before anything had happened.
    pub early_count: usize,
    /// From the fault to the moment in which the agent left its calm state.
    pub noticed: Option<Duration>,
    /// What is wrong with the event files of both sides, one sentence each.
    pub audit: Vec<String>,
}

impl AgentAccount {
    /// Switches to another path, with their time since the fault.
    pub fn jumps(&self) -> impl Iterator<Item = &(Duration, Switch)> {
        self.switches.iter().filter(|(_, switch)| switch.is_jump())
    }

    /// From the fault to the moment in which the agent noticed; when its state never changed, what it says about its
    /// first switch.
    #[must_use]
    pub fn detect(&self) -> Option<Duration> {
        let told = || self.switches.first().map(|(at, switch)| switch.detect.unwrap_or(*at));
        self.noticed.or_else(told)
    }
}

/// What is needed to play.
#[derive(Debug)]
pub struct Stage<'a> {
    /// The network.
    pub world: &'a World,
    /// Over which of its versions of IP the daemons speak.
    pub family: Family,
    /// The program under test; without it the streams cross the Wi-Fi link directly.
    pub program: Option<&'a Program>,
    /// Receives the files of each run.
    pub folder: &'a Path,
}

/// All runs of a story.
#[derive(Debug, Clone, Default)]
pub struct Played {
    /// As many as the story says.
    pub runs: Vec<Run>,
    /// Runs that were played again because the machine was busy, whatever their figures were.
    pub discarded_count: u32,
}

/// The streams are specified to fractions of a millisecond. A run in which the machine stalled for longer than this was
/// not the experiment that the story describes; the tightest expectation is spacing + 5 ms.
pub const STALL_ALLOWED: Duration = Duration::from_millis(4);
/// No run is played again once the whole has taken this long: a story is to take half a minute at most.
const REPLAY_UNTIL: Duration = Duration::from_secs(22);

impl Run {
    /// Whether the machine kept streams or daemons waiting. Judged by what an idle thread and the senders saw, never by
    /// what arrived.
    #[must_use]
    pub fn is_disturbed(&self, spacing: Duration) -> bool {
        let sending_gap = self.accounts.iter().map(|account| account.sending_gap).max().unwrap_or_default();
        self.machine_stall > STALL_ALLOWED || sending_gap > spacing + STALL_ALLOWED
    }

    /// Whether the agent had moved before the story began, so that its fault met a path that was not in use.
    fn began_elsewhere(&self) -> bool {
        self.agent.as_ref().is_some_and(|agent| agent.early_count > 0)
    }
}

impl Stage<'_> {
    /// Plays a story as often as it says. Disturbed runs are played again, in all at most once per run; the calmest of
    /// what is left over fills the places that remain.
    ///
    /// # Errors
    /// As [`Stage::play`].
    pub fn play_all(
        &self,
        story: &Story,
        merged: &mut File,
        mut progress: impl FnMut(u32),
    ) -> io::Result<Played> {
        let wanted = story.runs as usize;
        let began = Instant::now();
        let mut runs = Vec::new();
        let mut disturbed = Vec::new();
        for number in 1..=story.runs * 2 {
            if number > story.runs && began.elapsed() > REPLAY_UNTIL {
                break;
            }
            progress(number);
            let run = self.play(story, number, merged)?;
            if run.is_disturbed(story.spacing) {
                disturbed.push(run)
            } else {
                runs.push(run)
            }
            if runs.len() == wanted {
                break;
            }
        }
        disturbed.sort_by_key(|run| (run.began_elsewhere(), run.machine_stall));
        let fill = disturbed.len().min(wanted - runs.len());
        let discarded_count = u32::try_from(disturbed.len() - fill).unwrap_or(u32::MAX);
        runs.extend(disturbed.drain(..fill));
        Ok(Played { runs, discarded_count })
    }

    /// Plays a story once and appends to the merged event file.
    ///
    /// # Errors
    /// A sentence: the run could not be made. Failed expectations are not errors.
    pub fn play(&self, story: &Story, number: u32, merged: &mut File) -> io::Result<Run> {
        let began = Instant::now();
        let mut notes = Vec::new();
        self.world.calm_down()?;
        let folder = self.folder.join(format!("run-{number}"));
        std::fs::create_dir_all(&folder)?;
        let mut tunnel = match self.program {
            Some(program) => Some(self.start_tunnel(program, story, &folder)?),
            None => None,
        };
        let streams = self.start_streams(story, tunnel.is_some())?;
        let before = status(tunnel.as_ref())?;
        let start_up = began.elapsed();
        tunnel::note(&mut notes, number, &format!("{} begins", story.name));
        let watch = StallWatch::start()?;
        let fault = self.let_it_happen(story, number, &streams, tunnel.as_ref(), &mut notes)?;
        let end = Instant::now();
        let machine_stall = watch.longest();
        let tcp_stalls = Direction::ALL.map(|direction| streams.tcp.longest_stall(direction));
        streams.stop_sending();
        drain(&streams);
        let tcp = streams.tcp.verdict(TCP_PATIENCE);
        let ssh = streams.ssh.as_ref().map(|ssh| match ssh {
            Ok(ssh) => Ok(ssh.verdict_after_one_more(TCP_PATIENCE)),
            Err(reason) => Err(reason.clone()),
        });
        let accounts = Direction::ALL.map(|direction| streams.udp.record(direction).account(fault.at, end));
        let after = status(tunnel.as_ref())?;
        let agent = match tunnel.take() {
            Some(tunnel) => Some(agent_account(tunnel, number, fault, [before, after], &notes, merged)?),
            None => {
                tunnel::merge(merged, number, &notes, &[])?;
                None
            }
        };
        Ok(Run { accounts, tcp_stalls, tcp, ssh, agent, start_up, machine_stall })
    }

    /// Starts until the session is born over the uplink the story begins with: which one answers first is the
    /// agent's free choice, and a fault of the other would be another story.
    fn start_tunnel(&self, program: &Program, story: &Story, folder: &Path) -> io::Result<Tunnel> {
        let begins_with = story.begins_with();
        for _ in 0..START_ATTEMPTS {
            let tunnel = Tunnel::start(program, self.world.site(self.family), folder)?;
            let status = tunnel.status()?;
            if status.active().is_some_and(|path| path.runs_over(begins_with.interface())) {
                return Ok(tunnel);
            }
            tunnel.stop()?;
        }
        let name = begins_with.name();
        Err(io::Error::other(format!("the session never began over {name}, in {START_ATTEMPTS} attempts")))
    }

    fn start_streams(&self, story: &Story, through_tunnel: bool) -> io::Result<Streams> {
        let from = if through_tunnel { plan::LAPTOP_INNER } else { UPLINKS[0].laptop };
        let ssh = story.ssh.then_some(self.folder);
        let streams = Streams::start(&self.world.laptop, &self.world.server, from, story.spacing, ssh)?;
        let until = Instant::now() + FLOW_TIMEOUT;
        let flows = |direction| streams.udp.progress(direction).0 > 0 && streams.tcp.right_len(direction) > 0;
        while !Direction::ALL.into_iter().all(flows) {
            if Instant::now() >= until {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "nothing comes through the network"));
            }
            thread::sleep(LOOK_AGAIN);
        }
        Ok(streams)
    }

    /// Does one step after the other, waits for the end, and returns the moment of the first step.
    fn let_it_happen(
        &self,
        story: &Story,
        number: u32,
        streams: &Streams,
        tunnel: Option<&Tunnel>,
        notes: &mut Vec<String>,
    ) -> io::Result<Moment> {
        let start = Instant::now();
        let mut fault = None;
        for Step { at, action } in &story.steps {
            sleep_until(start + *at);
            tunnel::note(notes, number, &action.to_string());
            if fault.is_none() {
                streams.tcp.mark();
                fault = Some(Moment::now());
            }
            match tunnel {
                Some(tunnel) if action.needs_agent() => tunnel.steer(action)?,
                _ => self.world.apply(action)?,
            }
        }
        sleep_until(start + story.ends_at());
        Ok(fault.unwrap_or_else(Moment::now))
    }
}

fn status(tunnel: Option<&Tunnel>) -> io::Result<Option<tunnel::Status>> {
    tunnel.map(Tunnel::status).transpose()
}

fn sleep_until(moment: Instant) {
    thread::sleep(moment.saturating_duration_since(Instant::now()));
}

/// Waits until every datagram has arrived, or can be called lost.
fn drain(streams: &Streams) {
    let until = Instant::now() + DRAIN;
    let complete = |direction: Direction| {
        let record = streams.udp.record(direction);
        record.arrivals.len() as u64 >= record.next_number()
    };
    while Instant::now() < until && !Direction::ALL.into_iter().all(complete) {
        thread::sleep(LOOK_AGAIN);
    }
}

/// Ends the daemons, so that their event files are whole, and reads those.
fn agent_account(
    tunnel: Tunnel,
    number: u32,
    fault: Moment,
    [before, after]: [Option<tunnel::Status>; 2],
    notes: &[String],
    merged: &mut File,
) -> io::Result<AgentAccount> {
    let (agent_events, gateway_events): (PathBuf, PathBuf) = (tunnel.agent_events(), tunnel.gateway_events());
    tunnel.stop()?;
    let files: [(&str, &Path); 2] = [("laptop", &agent_events), ("gateway", &gateway_events)];
    tunnel::merge(merged, number, notes, &files)?;
    let noticed = tunnel::first_doubt(&agent_events, fault.unix)?;
    let switches = tunnel::switches(&agent_events)?;
    let since = |switch: Switch| (switch.unix.saturating_sub(fault.unix), switch);
    let statuses = [before.unwrap_or_default(), after.unwrap_or_default()];
    let active = |status: &tunnel::Status| status.active().map(|path| path.name.clone());
    Ok(AgentAccount {
        early_count: switches.iter().filter(|switch| switch.unix < fault.unix).count(),
        noticed: noticed.map(|unix| unix.saturating_sub(fault.unix)),
        audit: tunnel::audit(&files)?,
        active: [active(&statuses[0]), active(&statuses[1])],
        sessions: statuses.map(|status| status.session),
        switches: switches.into_iter().filter(|switch| switch.unix >= fault.unix).map(since).collect(),
    })
}
