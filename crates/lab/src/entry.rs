//! The way in: from the command line to a lab that runs, and out again with an exit code.

use std::fmt::Display;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use crate::args::{LabArgs, LabVerb};
use crate::cluster::drill::Drill;
use crate::cluster::nemesis::{Arena, Choice};
use crate::cluster::view::CellView;
use crate::cluster::{Keeping, Programs, drill, nemesis};
use crate::live::{self, LiveLab};
use crate::namespace;
use crate::plan::Family;
use crate::play::Stage;
use crate::report::Report;
use crate::shaper::Conditions;
use crate::story::{BUILT_IN, Story};
use crate::tunnel::{self, Program, Tunnel};
use crate::world::World;

/// Exit codes of the program (`jumpvpn help`): something failed, wrong usage, no permission, invalid file.
const FAILED: u8 = 1;
const USAGE: u8 = 2;
const NO_PERMISSION: u8 = 4;
const INVALID: u8 = 6;

/// Nodes a shell can be opened in.
const NODES: [&str; 4] = ["laptop", "internet", "gateway", "server"];

/// Runs `jumpvpn lab …`. The program must reach this with one thread and with `lab` as its first argument: it is started
/// again with the same arguments inside the namespaces.
#[must_use]
pub fn main_lab(args: LabArgs) -> ExitCode {
    match &args.verb {
        Some(LabVerb::Stories) => {
            list_stories();
            ExitCode::SUCCESS
        }
        Some(LabVerb::AsPlainUser { command }) => refuse(FAILED, &namespace::as_plain_user(command)),
        Some(LabVerb::Run { story, ipv6, .. }) => match Story::load(story) {
            Ok(story) if *ipv6 && story.is_about_nat() => {
                refuse(USAGE, &format!("{} is about a router's NAT, and nobody translates IPv6", story.name))
            }
            Ok(story) => inside(|| run(&args, story)),
            Err(mistakes) => refuse(INVALID, &mistakes),
        },
        Some(LabVerb::Shell { node, command }) => {
            if !NODES.contains(&node.as_str()) {
                return refuse(USAGE, &format!("no node {node:?}; there are {}", NODES.join(", ")));
            }
            shell(&args, node, command)
        }
        Some(LabVerb::Nemesis { seconds, control }) => inside(|| nemesis(&args, *seconds, *control)),
        Some(LabVerb::Drill { drills, pace, alone, runs }) => {
            let keeping = if *alone { Keeping::Alone } else { Keeping::Cell { pace: pace.key() } };
            inside(|| drill(&args, drills, keeping, *runs))
        }
        None if args.gateways > 1 => inside(|| live_cell(&args)),
        None => inside(|| live(&args)),
    }
}

fn refuse(code: u8, reason: &dyn Display) -> ExitCode {
    eprintln!("jumpvpn lab: {reason}");
    ExitCode::from(code)
}

fn list_stories() {
    for (name, text) in BUILT_IN {
        match Story::parse(name, text) {
            Ok(story) => println!("{name:<14} {}", story.title),
            Err(mistakes) => eprintln!("{mistakes}"),
        }
    }
}

/// Does `work` inside the namespaces. Outside of them the program is started again in there, with the same arguments,
/// and must come here again; the process must have one thread. What fails is printed.
#[must_use]
pub fn inside(work: impl FnOnce() -> io::Result<ExitCode>) -> ExitCode {
    if !namespace::is_inside() {
        return namespace::start_inside().unwrap_or_else(|refusal| refuse(NO_PERMISSION, &refusal));
    }
    if let Err(refusal) = namespace::settle_in() {
        return refuse(NO_PERMISSION, &refusal);
    }
    work().unwrap_or_else(|error| refuse(FAILED, &error))
}

/// A network that is built, and the program to try on it.
struct Built {
    world: World,
    program: Option<Program>,
    folder: PathBuf,
}

fn build(args: &LabArgs, name: &str, network: [Conditions; 2], family: Family) -> io::Result<Built> {
    let folder = out_folder(args.out.as_deref(), name)?;
    let program = if args.no_vpn { None } else { Some(Program::prepare(&folder, &args.policy)?) };
    let world = World::build(network, family, args.seed)?;
    if args.no_vpn {
        world.open_direct_way()?;
    }
    Ok(Built { world, program, folder })
}

fn run(args: &LabArgs, mut story: Story) -> io::Result<ExitCode> {
    let Some(LabVerb::Run { json, runs, ipv6, .. }) = &args.verb else { return Ok(ExitCode::from(USAGE)) };
    let family = if *ipv6 { Family::V6 } else { Family::V4 };
    story.runs = runs.unwrap_or(story.runs);
    let Built { world, program, folder } = build(args, &story.name, story.network, family)?;
    let events = folder.join("events.jsonl");
    let mut merged = File::create(&events)?;
    let stage = Stage { world: &world, family, program: program.as_ref(), folder: &folder };
    let played = stage.play_all(&story, &mut merged, |number| {
        if !json {
            eprintln!("{}: run {number}, {} wanted", story.name, story.runs);
        }
    })?;
    let version = program.as_ref().and_then(Program::version);
    let report = Report::new(story, played, version, events.display().to_string());
    if *json {
        println!("{}", report.json());
    } else {
        print!("{}", report.table());
    }
    Ok(ExitCode::from(if report.passed() { 0 } else { FAILED }))
}

fn live(args: &LabArgs) -> io::Result<ExitCode> {
    let built = build(args, "live", Story::calm_network(), Family::V4)?;
    let mut lab = LiveLab::start(&built.world, built.program.as_ref(), &built.folder)?;
    live::show(&mut lab)?;
    println!("events: {}", lab.stop()?.display());
    Ok(ExitCode::SUCCESS)
}

/// Gateways that give up a silent one early: nobody wants to wait in a lab.
const EARLY: Keeping = Keeping::Cell { pace: "fast" };

/// Keys and settings of a cell.
fn cell_programs(args: &LabArgs, name: &str, keeping: Keeping) -> io::Result<(Programs, PathBuf)> {
    let folder = out_folder(args.out.as_deref(), name)?;
    let path = std::env::var_os("JUMPVPN_BIN").map_or_else(|| "/proc/self/exe".into(), PathBuf::from);
    Ok((Programs::prepare(path, &folder, keeping)?, folder))
}

fn live_cell(args: &LabArgs) -> io::Result<ExitCode> {
    let (programs, folder) = cell_programs(args, "cell", EARLY)?;
    let mut view = CellView::new(Arena::open(programs, &folder, args.seed)?);
    live::show(&mut view)?;
    println!("events and logs: {}", folder.display());
    Ok(ExitCode::SUCCESS)
}

fn nemesis(args: &LabArgs, seconds: u64, control: bool) -> io::Result<ExitCode> {
    let (mut programs, folder) = cell_programs(args, "nemesis", EARLY)?;
    if control {
        programs.plant("early-death");
    }
    let choice = if control { Choice::Forgotten } else { Choice::All };
    let order = nemesis::Order { time: Duration::from_secs(seconds), seed: args.seed, choice };
    let outcome = nemesis::run(order, programs, &folder, &mut |what| println!("{what}"))?;
    outcome.findings.iter().for_each(|finding| println!("FINDING: {finding}"));
    outcome.troubles.iter().for_each(|trouble| println!("FINDING: {trouble}"));
    let what = if control { "control run, in which there has to be something to find: " } else { "" };
    println!("{what}seed {}: {}", args.seed, outcome.line());
    let as_it_should_be = if control { outcome.has_caught_two_owners() } else { outcome.is_sound() };
    Ok(ExitCode::from(if as_it_should_be { 0 } else { FAILED }))
}

fn drill(args: &LabArgs, drills: &[Drill], keeping: Keeping, runs: u32) -> io::Result<ExitCode> {
    let (programs, folder) = cell_programs(args, "drill", keeping)?;
    let drills = if drills.is_empty() { Drill::all(keeping) } else { drills };
    let mut arena = Arena::open(programs, &folder, args.seed)?;
    let mut sound = true;
    for &drill in drills {
        match drill::measure(drill, &mut arena, runs) {
            Ok(measured) => {
                sound &= measured.is_sound();
                println!("{measured}");
            }
            // What one drill shows is no reason not to see the others.
            Err(error) => {
                sound = false;
                println!("{drill:?}: {error}");
            }
        }
    }
    Ok(ExitCode::from(if sound { 0 } else { FAILED }))
}

/// Where the files of a story go: the folder asked for, or one under the current folder, or under the system's folder
/// for temporary files when that cannot be written.
fn out_folder(asked: Option<&Path>, story: &str) -> io::Result<PathBuf> {
    let folder = match asked {
        Some(folder) => folder.to_owned(),
        None => {
            let here = Path::new("jumpvpn-lab");
            // Whoever starts the lab in a working copy does not want to see its files there.
            let ignored = fs::create_dir_all(here).and_then(|()| fs::write(here.join(".gitignore"), "*\n"));
            if ignored.is_ok() { here.join(story) } else { temporary_folder(story) }
        }
    };
    fs::create_dir_all(&folder)?;
    std::path::absolute(folder)
}

/// The number of the user outside keeps users apart; inside the namespaces everybody is 0.
fn temporary_folder(story: &str) -> PathBuf {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let outside = map.split_whitespace().nth(1).unwrap_or("0");
    std::env::temp_dir().join(format!("jumpvpn-lab-{outside}")).join(story)
}

/// Joins the lab that runs, or starts one for the time of the shell.
fn shell(args: &LabArgs, node: &str, command: &[String]) -> ExitCode {
    let mut program = match command.split_first() {
        Some((program, arguments)) => {
            let mut built = Command::new(program);
            built.args(arguments);
            built
        }
        None => Command::new(std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into())),
    };
    program.env("JUMPVPN_LAB_NODE", node).env("JUMPVPN_SOCKET", socket_of(node));
    if !namespace::is_inside() {
        match namespace::join(node, &mut program) {
            Ok(Some(code)) => return code,
            Ok(None) => {}
            Err(error) => return refuse(FAILED, &format!("cannot enter the running lab: {error}")),
        }
    }
    inside(|| shell_in_new_lab(args, node, &mut program))
}

/// Which daemon `jumpvpn status` asks in a node.
fn socket_of(node: &str) -> &'static str {
    if node == "gateway" { tunnel::GATEWAY_SOCKET } else { tunnel::AGENT_SOCKET }
}

fn shell_in_new_lab(args: &LabArgs, node: &str, command: &mut Command) -> io::Result<ExitCode> {
    let built = build(args, "shell", Story::calm_network(), Family::V4)?;
    let tunnel = match &built.program {
        Some(program) => Some(Tunnel::start(program, built.world.site(Family::V4), &built.folder)?),
        None => None,
    };
    let node = built.world.node(node).ok_or_else(|| io::Error::other("no such node"))?;
    let status = node.spawn(command)?.wait()?;
    if let Some(tunnel) = tunnel {
        tunnel.stop()?;
    }
    Ok(namespace::exit_code(status))
}
