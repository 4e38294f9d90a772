//! What the tunnel carries on this machine: laptop and gateway on one plain cable, and traffic of our own through it.
//!
//! The cable is a pair of virtual Ethernet interfaces without delay, rate or loss: nothing but the processors limits
//! it. Generators, both daemons and the kernel share them, as everything on one machine does; the same transfer
//! without a tunnel is measured beside it.

mod load;

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use crate::namespace::Node;
use crate::plan;
use crate::tunnel::{Program, Site, Tunnel};
use crate::wiring::{add_default_route, cable};

/// The laptop on the cable.
const LAPTOP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 20);
/// Its interface.
const UPLINK: &str = "eth0";
/// Rounds of a measurement; a median of three survives one outlier.
const ROUNDS: usize = 3;
/// Length of a round: hundreds of times what congestion control needs to find the rate.
const ROUND: Duration = Duration::from_secs(2);

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measurement {
    /// `raw_tcp_gbps`, `tcp_one_flow_gbps`, `tcp_four_flows_gbps`, `cpu_s_per_gb_agent`, `cpu_s_per_gb_gateway`.
    Throughput,
    /// `udp_200b_pps`.
    Pps,
    /// `rtt_idle_ms`, `rtt_loaded_ms`.
    Latency,
}

/// One figure: a value per round.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Its published name.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// In the order they were measured.
    pub values: Vec<f64>,
}

/// Measures; must be called [`inside`](crate::inside). `folder` receives keys, settings and logs, `progress` what is being
/// measured.
///
/// # Errors
/// A sentence: what did not start, or broke.
pub fn measure(
    measurement: Measurement,
    folder: &Path,
    policy: &str,
    progress: &mut dyn FnMut(&str),
) -> io::Result<Vec<Figure>> {
    std::fs::create_dir_all(folder)?;
    let folder = &std::path::absolute(folder)?;
    let program = Program::prepare(folder, policy)?;
    let laptop = Node::create("laptop")?;
    let gateway = Node::create("gateway")?;
    gateway.set("net.ipv4.ip_forward", "1")?;
    cable(&laptop, (UPLINK, LAPTOP), &gateway, ("eth0", plan::GATEWAY))?;
    laptop.run(|| add_default_route(UPLINK, plan::GATEWAY, 100))??;
    let site = Site { laptop: &laptop, gateway: &gateway, uplinks: &[UPLINK], family: plan::Family::V4 };
    let tunnel = Tunnel::start(&program, site, folder)?;
    let ground = Ground { laptop: &laptop, gateway: &gateway, tunnel: &tunnel };
    let figures = match measurement {
        Measurement::Throughput => ground.throughput(progress),
        Measurement::Pps => ground.pps(progress),
        Measurement::Latency => ground.latency(progress),
    }?;
    tunnel.stop()?;
    Ok(figures)
}

/// From where to where traffic goes.
type Way = (Ipv4Addr, Ipv4Addr);
/// Through the tunnel, laptop to gateway.
const TUNNELLED: Way = (plan::LAPTOP_INNER, plan::GATEWAY_INNER);
/// Beside it.
const RAW: Way = (LAPTOP, plan::GATEWAY);

struct Ground<'a> {
    laptop: &'a Node,
    gateway: &'a Node,
    tunnel: &'a Tunnel,
}

impl Ground<'_> {
    fn throughput(&self, progress: &mut dyn FnMut(&str)) -> io::Result<Vec<Figure>> {
        let raw = self.rates("tcp beside the tunnel", RAW, 1, progress)?;
        let mut cpu = [Vec::new(), Vec::new()];
        let mut one = Vec::new();
        for round in 1..=ROUNDS {
            progress(&format!("one tcp flow, round {round} of {ROUNDS}"));
            let load = load::Tcp::start(self.laptop, self.gateway, TUNNELLED, 1)?;
            let before = self.tunnel.cpu_times();
            let bytes = load.bytes_within(ROUND);
            let after = self.tunnel.cpu_times();
            one.push(gbps(bytes));
            for (index, values) in cpu.iter_mut().enumerate() {
                let (Some(before), Some(after)) = (before[index], after[index]) else { continue };
                values.push((after - before).as_secs_f64() / (bytes as f64 / 1e9));
            }
        }
        let four = self.rates("four tcp flows", TUNNELLED, 4, progress)?;
        let [agent, gateway] = cpu;
        Ok(vec![
            Figure { name: "tcp_one_flow_gbps", unit: "Gbit/s", values: one },
            Figure { name: "tcp_four_flows_gbps", unit: "Gbit/s", values: four },
            Figure { name: "raw_tcp_gbps", unit: "Gbit/s", values: raw },
            Figure { name: "cpu_s_per_gb_agent", unit: "s/GB", values: agent },
            Figure { name: "cpu_s_per_gb_gateway", unit: "s/GB", values: gateway },
        ])
    }

    fn rates(
        &self,
        what: &str,
        way: Way,
        flows: usize,
        progress: &mut dyn FnMut(&str),
    ) -> io::Result<Vec<f64>> {
        let round = |round| {
            progress(&format!("{what}, round {round} of {ROUNDS}"));
            let load = load::Tcp::start(self.laptop, self.gateway, way, flows)?;
            Ok(gbps(load.bytes_within(ROUND)))
        };
        (1..=ROUNDS).map(round).collect()
    }

    fn pps(&self, progress: &mut dyn FnMut(&str)) -> io::Result<Vec<Figure>> {
        let round = |round| {
            progress(&format!("datagrams of 200 bytes, round {round} of {ROUNDS}"));
            let count = load::udp_arrivals(self.laptop, self.gateway, TUNNELLED, ROUND)?;
            Ok(count as f64 / ROUND.as_secs_f64())
        };
        let values: io::Result<Vec<f64>> = (1..=ROUNDS).map(round).collect();
        Ok(vec![Figure { name: "udp_200b_pps", unit: "1/s", values: values? }])
    }

    fn latency(&self, progress: &mut dyn FnMut(&str)) -> io::Result<Vec<Figure>> {
        let mut idle = Vec::new();
        let mut loaded = Vec::new();
        for round in 1..=ROUNDS {
            progress(&format!("round trips, round {round} of {ROUNDS}"));
            idle.push(self.round_trip()?);
            let load = load::Tcp::start(self.laptop, self.gateway, TUNNELLED, 1)?;
            loaded.push(self.round_trip()?);
            drop(load);
        }
        Ok(vec![
            Figure { name: "rtt_idle_ms", unit: "ms", values: idle },
            Figure { name: "rtt_loaded_ms", unit: "ms", values: loaded },
        ])
    }

    fn round_trip(&self) -> io::Result<f64> {
        let median = load::round_trip(self.laptop, self.gateway, TUNNELLED, ROUND)?;
        Ok(median.as_secs_f64() * 1e3)
    }
}

/// Bytes of one round in 10^9 bits per second.
fn gbps(bytes: u64) -> f64 {
    bytes as f64 * 8.0 / ROUND.as_secs_f64() / 1e9
}
