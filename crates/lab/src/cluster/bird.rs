//! Real routing daemons (BIRD 2) in the cell, with the configurations that the project recommends.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::cell::Cell;
use super::plan::{self, COUNT};
use crate::namespace::Node;

/// The recommended configuration of a gateway.
const GATEWAY: &str = include_str!("../../../../packaging/bird/jumpvpn.conf");
/// The recommended configuration of a router; its addresses are those of the lab.
const ROUTER: &str = include_str!("../../../../packaging/bird/router.conf");
/// Where the program is: administrators' programs are often not on the search path of others.
const PROGRAMS: [&str; 2] = ["bird", "/usr/sbin/bird"];

/// All routing daemons of a cell, running until this is dropped.
#[derive(Debug)]
pub struct Birds {
    router: Bird,
    gateways: [Bird; COUNT],
}

/// One routing daemon.
#[derive(Debug)]
struct Bird {
    process: Child,
    socket: PathBuf,
}

impl Birds {
    /// Starts one in the router and one in each gateway. `folder` receives their configurations and logs.
    ///
    /// # Errors
    /// BIRD is missing (Debian's package `bird2`), or a file cannot be written.
    pub fn start(cell: &Cell, folder: &Path) -> io::Result<Birds> {
        fs::create_dir_all(folder)?;
        Ok(Birds {
            router: Bird::start(&cell.router, "router", ROUTER, folder)?,
            gateways: super::cell::each(|index| {
                let config = gateway_config(index)?;
                Bird::start(&cell.gateways[index], plan::GATEWAYS[index], &config, folder)
            })?,
        })
    }

    /// What the router's BIRD answers to a command of `birdc`.
    ///
    /// # Errors
    /// It does not answer.
    pub fn ask_router(&self, command: &str) -> io::Result<String> {
        self.router.ask(command)
    }

    /// What a gateway's BIRD answers.
    ///
    /// # Errors
    /// It does not answer.
    pub fn ask_gateway(&self, gateway: usize, command: &str) -> io::Result<String> {
        self.gateways[gateway].ask(command)
    }
}

impl Bird {
    fn start(node: &Node, name: &str, config: &str, folder: &Path) -> io::Result<Bird> {
        let file = folder.join(format!("bird-{name}.conf"));
        // The machine's log is none of the lab's business.
        fs::write(&file, replaced(config, "log syslog all;", "log stderr all;")?)?;
        let log = File::create(folder.join(format!("bird-{name}.log")))?;
        let socket = PathBuf::from(format!("/run/jumpvpn/bird-{name}.ctl"));
        for program in PROGRAMS {
            let mut command = Command::new(program);
            command.arg("-f").arg("-c").arg(&file).arg("-s").arg(&socket);
            command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?);
            match node.spawn(&mut command) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
                Ok(process) => return Ok(Bird { process, socket }),
            }
        }
        let text =
            "the routing daemon BIRD is missing: install the package `bird2` (it need not run as a service)";
        Err(io::Error::new(io::ErrorKind::NotFound, text))
    }

    fn ask(&self, command: &str) -> io::Result<String> {
        use std::io::{BufRead, BufReader, Write};
        let stream = std::os::unix::net::UnixStream::connect(&self.socket)?;
        let mut lines = BufReader::new(&stream).lines();
        let mut text = String::new();
        // "0001 BIRD 2.0.12 ready.", then our command's answer; a line whose code is followed by a space is the last.
        lines.next().transpose()?;
        writeln!(&stream, "{command}")?;
        for line in lines {
            let line = line?;
            // "1007-" or, where the code is that of the line before, a space.
            let has_code = line.starts_with(|first: char| first.is_ascii_digit());
            let is_last = has_code && line.as_bytes().get(4) == Some(&b' ');
            text.push_str(line.get(if has_code { 5 } else { 1 }..).unwrap_or_default());
            text.push('\n');
            if is_last {
                return Ok(text);
            }
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

impl Drop for Bird {
    fn drop(&mut self) {
        self.process.kill().and_then(|()| self.process.wait()).ok();
    }
}

/// The recommended configuration with the addresses of one gateway.
fn gateway_config(gateway: usize) -> io::Result<String> {
    let [[router_v4, my_v4], [router_v4_here, my_v4_here]] = [plan::lan_v4(0), plan::lan_v4(gateway)];
    let [[router_v6, my_v6], [router_v6_here, my_v6_here]] = [plan::lan_v6(0), plan::lan_v6(gateway)];
    let changes = [
        (format!("MY_V4 = {my_v4};"), format!("MY_V4 = {my_v4_here};")),
        (format!("ROUTER_V4 = {router_v4};"), format!("ROUTER_V4 = {router_v4_here};")),
        (format!("MY_V6 = {my_v6};"), format!("MY_V6 = {my_v6_here};")),
        (format!("ROUTER_V6 = {router_v6};"), format!("ROUTER_V6 = {router_v6_here};")),
    ];
    changes.iter().try_fold(GATEWAY.to_owned(), |config, (from, to)| replaced(&config, from, to))
}

fn replaced(text: &str, from: &str, to: &str) -> io::Result<String> {
    if !text.contains(from) {
        return Err(io::Error::other(format!("the configuration in packaging/bird has no {from:?}")));
    }
    Ok(text.replacen(from, to, 1))
}
