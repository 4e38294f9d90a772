//! The field: the lab's network with the attacker in it, built once for all scenarios.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use jumpvpn_lab::namespace::Node;
use jumpvpn_lab::plan::{self, Ends, Family};
use jumpvpn_lab::story::Story;
use jumpvpn_lab::tunnel::Program;
use jumpvpn_lab::world::World;

use crate::args::Args;
use crate::wiretap::Wiretap;

/// The attacker's own machine and his router, in a network for tests (RFC 2544), and with IPv6.
const MALLORY: (Ipv4Addr, Ipv4Addr) = (Ipv4Addr::new(198, 18, 0, 66), Ipv4Addr::new(198, 18, 0, 1));
const MALLORY_V6: Ends = Ends { near: plan::documented(0x66, 0x66), far: plan::documented(0x66, 1) };
/// Peers of the gateway in his hands, with their inner addresses: two, so that one can rob the other.
const GUESTS: [(&str, Ipv4Addr); 2] =
    [("mallory", Ipv4Addr::new(10, 77, 0, 3)), ("trudy", Ipv4Addr::new(10, 77, 0, 4))];

/// Settings without which the kernel of the gateway's machine would throw forged packets away before the program under
/// test has to deal with them.
const TRUSTING: &[&str] = &["accept_local", "route_localnet"];

/// The network, the program, and the attacker's places in it.
#[derive(Debug)]
pub(crate) struct Field {
    /// Nodes and links.
    pub(crate) world: World,
    /// The program under test.
    pub(crate) program: Program,
    /// The attacker's machine.
    pub(crate) mallory: Node,
    /// Keys of the peers in his hands: mallory and trudy.
    pub(crate) keys: [String; 2],
    /// The gateway's access line, where everything passes that reaches it or leaves it.
    pub(crate) trunk: Wiretap,
    /// Receives all files.
    pub(crate) folder: PathBuf,
}

impl Field {
    /// Builds everything.
    ///
    /// # Errors
    /// A sentence saying what could not be built.
    pub(crate) fn prepare(args: &Args) -> io::Result<Field> {
        let folder = folder_of(args);
        fs::create_dir_all(&folder)?;
        let folder = std::path::absolute(folder)?;
        let mut program = Program::at(std::path::absolute(&args.program)?, &folder, "laptop")?;
        // What moves must be the attacker's doing: both uplinks are alike, and neither is ever so much better.
        program.set_policy_key("switching.min_improvement", "\"10s\"");
        let mut key = |index: usize| program.add_peer(GUESTS[index].0, GUESTS[index].1);
        let keys = [key(0)?, key(1)?];
        let world = World::build_watched(Story::calm_network(), args.seed)?;
        let mallory = world.join("mallory", "mallory0", MALLORY, MALLORY_V6)?;
        for interface in ["all", "eth0", "lan0"] {
            world.gateway.set(&format!("net.ipv4.conf.{interface}.rp_filter"), "0")?;
            for setting in TRUSTING {
                world.gateway.set(&format!("net.ipv4.conf.{interface}.{setting}"), "1")?;
            }
        }
        let trunk = world.trunk().ok_or_else(|| io::Error::other("no access line to sit on"))?;
        let trunk = Wiretap::on(trunk);
        Ok(Field { world, program, mallory, keys, trunk, folder })
    }

    /// Addresses under which the internet knows the laptop.
    pub(crate) fn is_laptop(address: &SocketAddr) -> bool {
        plan::public_of(Family::of(address.ip())).contains(&address.ip())
    }
}

/// The attacker's own machine.
pub(crate) fn mallory(family: Family) -> IpAddr {
    match family {
        Family::V4 => MALLORY.0.into(),
        Family::V6 => MALLORY_V6.near.into(),
    }
}

/// Where all files go.
pub(crate) fn folder_of(args: &Args) -> PathBuf {
    args.out.clone().unwrap_or_else(|| {
        let name = format!("jumpvpn-attack-{}", std::process::id());
        std::env::temp_dir().join(name)
    })
}
