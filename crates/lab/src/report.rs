//! The verdict on a story: figures, medians, what was promised and what was kept, as a table or as JSON.

use std::time::Duration;

use serde_json::{Value, json};

use crate::play::{AgentAccount, Played, Run, STALL_ALLOWED};
use crate::story::{Direction, Limit, Story, Uplink};
use crate::streams::TcpVerdict;

/// Name of the JSON's shape.
const SCHEMA: &str = "jumpvpn.lab/1";

/// All runs of a story, judged.
#[derive(Debug)]
pub struct Report {
    story: Story,
    runs: Vec<Run>,
    discarded_count: u32,
    /// Name and version of the program under test; nothing without a tunnel.
    program: Option<String>,
    events: String,
    findings: Vec<String>,
}

impl Report {
    /// Judges the runs of a story. `events`: path of the merged event file.
    #[must_use]
    pub fn new(story: Story, played: Played, program: Option<String>, events: String) -> Report {
        let Played { runs, discarded_count } = played;
        let findings = judge(&story, &runs);
        Report { story, runs, discarded_count, program, events, findings }
    }

    /// Whether every expectation was met.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.findings.is_empty()
    }

    /// What was promised and not kept, one sentence each.
    #[must_use]
    pub fn findings(&self) -> &[String] {
        &self.findings
    }

    /// The report as one JSON object.
    #[must_use]
    pub fn json(&self) -> Value {
        let event = self.story.steps.first().map(|step| step.action.to_string());
        let runs: Vec<Value> = self.runs.iter().map(|run| run_json(run, event.as_deref())).collect();
        let gap = |direction: Direction| millis(median_gap(&self.runs, direction));
        json!({
            "schema": SCHEMA,
            "story": self.story.name,
            "title": self.story.title,
            "program": self.program,
            "runs": runs,
            "discarded": self.discarded_count,
            "medians": {
                "gap_ms": {"up": gap(Direction::Up), "down": gap(Direction::Down)},
                "detect_ms": median(self.runs.iter().filter_map(detect)).map(millis),
            },
            "expect": self.expectations(),
            "findings": self.findings,
            "events": self.events,
            "pass": self.passed(),
        })
    }

    /// What the story promises, in its own words.
    fn expectations(&self) -> Value {
        let expect = &self.story.expect;
        let text = |limit: &Option<Limit>| limit.map(|limit| limit.to_string());
        json!({
            "gap": {"up": text(&expect.gap_up), "down": text(&expect.gap_down)},
            "lost": {"up": expect.lost_up, "down": expect.lost_down},
            "detect": text(&expect.detect),
            "tcp_alive": expect.tcp_alive,
            "session_same": expect.session_same,
            "switches": expect.switches.map(|(least, most)| [least, most]),
            "switches_per_min": expect.switches_per_min,
            "cooldown_ms": expect.cooldown.map(millis),
        })
    }

    /// The report for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!("{}: {}\n\n", self.story.name, self.story.title);
        text.push_str(
            "run    gap up  gap down   detect  lost up  lost down  reordered  tcp      switches  session\n",
        );
        for (index, run) in self.runs.iter().enumerate() {
            text.push_str(&row(&(index + 1).to_string(), run));
        }
        let gaps = Direction::ALL.map(|direction| shown(Some(median_gap(&self.runs, direction))));
        let detect = shown(median(self.runs.iter().filter_map(detect)));
        text.push_str(&format!("{:<6}{:>7}{:>10}{:>9}\n", "median", gaps[0], gaps[1], detect));
        for run in &self.runs {
            if let Some(Err(reason)) = &run.ssh {
                text.push_str(&format!("\n{reason}\n"));
                break;
            }
        }
        text.push_str(&format!("\nmilliseconds; events: {}\n", self.events));
        if self.passed() {
            text.push_str("pass: every expectation of the story was met\n");
        }
        if self.discarded_count > 0 {
            let count = self.discarded_count;
            text.push_str(&format!(
                "{count} more were played and discarded: the machine was busy meanwhile\n"
            ));
        }
        let stall = self.runs.iter().map(|run| run.machine_stall).max().unwrap_or_default();
        if !self.passed() && stall > STALL_ALLOWED {
            let stall = millis(stall);
            text.push_str(&format!("this machine was busy: it kept a thread waiting for {stall:.1} ms\n"));
        }
        for finding in &self.findings {
            text.push_str(&format!("FAIL: {finding}\n"));
        }
        text
    }
}

fn row(number: &str, run: &Run) -> String {
    let [up, down] = &run.accounts;
    let (switches, session) = match &run.agent {
        Some(agent) => {
            (agent.jumps().count().to_string(), if same_session(agent) { "same" } else { "OTHER" })
        }
        None => ("-".to_owned(), "-"),
    };
    format!(
        "{number:<6}{:>7}{:>10}{:>9}{:>9}{:>11}{:>11}  {:<9}{:<10}{session}\n",
        shown(Some(up.gap)),
        shown(Some(down.gap)),
        shown(detect(run)),
        up.lost_count,
        down.lost_count,
        up.reordered_count + down.reordered_count,
        run.tcp.word(),
        switches,
    )
}

fn shown(duration: Option<Duration>) -> String {
    duration.map_or_else(|| "-".to_owned(), |duration| format!("{:.1}", duration.as_secs_f64() * 1e3))
}

fn run_json(run: &Run, event: Option<&str>) -> Value {
    let [up, down] = &run.accounts;
    let switches = run.agent.as_ref().map(|agent| {
        let switch = |(at, switch): &(Duration, crate::tunnel::Switch)| {
            json!({
                "at_ms": millis(*at),
                "from": switch.old_path,
                "to": switch.new_path,
                "reason": switch.reason,
                "detect_ms": switch.detect.map(millis),
            })
        };
        agent.switches.iter().map(switch).collect::<Vec<_>>()
    });
    json!({
        "event": event,
        "gap_ms": {"up": millis(up.gap), "down": millis(down.gap)},
        "sending_gap_ms": {"up": millis(up.sending_gap), "down": millis(down.sending_gap)},
        "delay_ms": {"up": millis(up.delay), "down": millis(down.delay)},
        "sent": {"up": up.sent_count, "down": down.sent_count},
        "lost": {"up": up.lost_count, "down": down.lost_count},
        "reordered": {"up": up.reordered_count, "down": down.reordered_count},
        "duplicates": {"up": up.duplicate_count, "down": down.duplicate_count},
        "detect_ms": detect(run).map(millis),
        "tcp": run.tcp.word(),
        "tcp_stall_ms": {"up": millis(run.tcp_stalls[0]), "down": millis(run.tcp_stalls[1])},
        "ssh": run.ssh.as_ref().map(ssh_word),
        "session_same": run.agent.as_ref().map(same_session),
        "path": run.agent.as_ref().map(|agent| json!({"before": agent.active[0], "after": agent.active[1]})),
        "switches": switches,
        "audit": run.agent.as_ref().map(|agent| if agent.audit.is_empty() { "proven" } else { "broken" }),
        "start_up_ms": millis(run.start_up),
        "machine_stall_ms": millis(run.machine_stall),
    })
}

fn ssh_word(ssh: &Result<crate::streams::SshVerdict, String>) -> &'static str {
    match ssh {
        Ok(verdict) if verdict.alive => "alive",
        Ok(_) => "broken",
        Err(_) => "absent",
    }
}

/// Milliseconds with three digits behind the point.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn detect(run: &Run) -> Option<Duration> {
    run.agent.as_ref().and_then(AgentAccount::detect)
}

fn same_session(agent: &AgentAccount) -> bool {
    agent.sessions[0].is_some() && agent.sessions[0] == agent.sessions[1]
}

fn median_gap(runs: &[Run], direction: Direction) -> Duration {
    median(runs.iter().map(|run| run.accounts[direction.index()].gap)).unwrap_or_default()
}

fn median(values: impl Iterator<Item = Duration>) -> Option<Duration> {
    let mut values: Vec<Duration> = values.collect();
    values.sort();
    values.get(values.len() / 2).copied()
}

/// What was promised and not kept.
fn judge(story: &Story, runs: &[Run]) -> Vec<String> {
    let mut findings = Vec::new();
    judge_times(story, runs, &mut findings);
    for (index, run) in runs.iter().enumerate() {
        let mut found = Vec::new();
        judge_streams(story, run, &mut found);
        if let Some(agent) = &run.agent {
            judge_agent(story, agent, &mut found);
        }
        findings.extend(found.into_iter().map(|text| format!("run {}: {text}", index + 1)));
    }
    findings
}

fn judge_times(story: &Story, runs: &[Run], findings: &mut Vec<String>) {
    // The longer of the two paths' round trips: a move to it cannot be faster.
    let rtt = Uplink::ALL.map(|uplink| story.rtt(uplink)).into_iter().max().unwrap_or_default();
    let mut check = |what: &str, value: Option<Duration>, limit: Option<Limit>| {
        let Some(limit) = limit else { return };
        let most = limit.on(rtt, story.spacing);
        match value {
            Some(value) if value <= most => {}
            Some(value) => {
                let (value, most) = (millis(value), millis(most));
                findings
                    .push(format!("{what}: median {value:.1} ms, at most {most:.1} ms ({limit}) promised"));
            }
            None => findings.push(format!("{what}: never, at most {limit} promised")),
        }
    };
    check("gap up", Some(median_gap(runs, Direction::Up)), story.expect.gap_up);
    check("gap down", Some(median_gap(runs, Direction::Down)), story.expect.gap_down);
    check("detection", median(runs.iter().filter_map(detect)), story.expect.detect);
}

fn judge_streams(story: &Story, run: &Run, findings: &mut Vec<String>) {
    let expect = &story.expect;
    for (word, account, most) in
        [("up", &run.accounts[0], expect.lost_up), ("down", &run.accounts[1], expect.lost_down)]
    {
        if let Some(most) = most.filter(|most| account.lost_count > *most) {
            findings.push(format!("{} datagrams lost {word}, at most {most} promised", account.lost_count));
        }
    }
    match &run.tcp {
        _ if !expect.tcp_alive => {}
        TcpVerdict::Alive => {}
        TcpVerdict::Stalled { missing_len } => {
            findings.push(format!("the TCP stream stalled, {missing_len} bytes are missing"));
        }
        TcpVerdict::Broken(why) => findings.push(format!("the TCP stream broke: {why}")),
        TcpVerdict::Corrupt { at } => findings.push(format!("byte {at} of the TCP stream is wrong")),
    }
    if let Some(Ok(ssh)) = &run.ssh
        && !ssh.alive
    {
        findings.push(format!("the ssh session died after {} lines", ssh.lines));
    }
}

fn judge_agent(story: &Story, agent: &AgentAccount, findings: &mut Vec<String>) {
    let expect = &story.expect;
    if expect.session_same && !same_session(agent) {
        findings.push(format!("the session is another one: {:?}", agent.sessions));
    }
    if agent.early_count > 0 {
        findings.push(format!("{} switches before anything had happened", agent.early_count));
    }
    findings.extend(agent.audit.iter().map(|finding| format!("the audit is broken: {finding}")));
    let jumps: Vec<_> = agent.jumps().collect();
    if let Some((least, most)) = expect.switches
        && !(least as usize..=most as usize).contains(&jumps.len())
    {
        findings.push(format!("{} switches, {least} to {most} promised", jumps.len()));
    }
    if let Some(most) = expect.switches_per_min {
        let minute = Duration::from_secs(60);
        let within =
            |from: Duration| jumps.iter().filter(|(at, _)| (from..from + minute).contains(at)).count();
        let worst = jumps.iter().map(|(at, _)| within(*at)).max().unwrap_or(0);
        if worst > most as usize {
            findings.push(format!("{worst} switches within a minute, at most {most} promised"));
        }
    }
    if let Some(cooldown) = expect.cooldown {
        for pair in jumps.windows(2) {
            let apart = pair[1].0 - pair[0].0;
            if apart < cooldown && !pair[1].1.from_dead_path() {
                findings.push(format!(
                    "two switches within {:.1} ms, the second for {}",
                    millis(apart),
                    pair[1].1.reason
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests;
