//! The cell against itself: real routing daemons and a real store, without any VPN.

use std::io;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use jumpvpn_host::{Network, SessionRoutes};
use jumpvpn_lab::cluster::bird::Birds;
use jumpvpn_lab::cluster::judge::{Evidence, Fact, Finding, judge};
use jumpvpn_lab::cluster::witness::Witness;
use jumpvpn_lab::cluster::{Cell, Fault, Store, etcd};
use jumpvpn_lab::namespace::Node;
use jumpvpn_lab::shaper::Conditions;
use jumpvpn_lab::story::{Direction, Directions};
use jumpvpn_lab::tunnel;
use jumpvpn_tun::{Tun, TunOptions};

use crate::cases;

/// First argument of this program when it is to play a case inside the namespaces.
pub const FIRST: &str = "cell";

/// Longest wait for what takes a second or two on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Plays a case inside the namespaces; what it says is shown when it fails.
pub fn start(case: &str) {
    let output = cases::program().args([FIRST, case]).output().expect("start the case");
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    assert!(output.status.success(), "{}: {text}{}", output.status, String::from_utf8_lossy(&output.stderr));
}

/// The inside of it.
pub fn case_inside(arguments: &[String]) -> io::Result<ExitCode> {
    let folder = cases::folder("cell");
    let cell = Cell::build([Conditions::default(); 2], 1)?;
    match arguments.first().map(String::as_str) {
        Some("bird") => routers_follow(&cell, &Birds::start(&cell, &folder)?),
        Some("witness") => double_serving_is_seen(&cell)?,
        _ => faults(&cell, &mut Store::start(&cell, &folder)?),
    }
    std::fs::remove_dir_all(&folder).ok(); // the disks are still mounted, and end with this process
    Ok(ExitCode::SUCCESS)
}

#[track_caller]
fn wait_until(what: &str, mut wanted: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !wanted() {
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(1));
    }
    began.elapsed()
}

/// A gateway without its program: the interface and the routes.
struct Bare {
    tun: Tun,
    routes: SessionRoutes,
}

impl Bare {
    fn start(node: &Node) -> Bare {
        node.run(|| {
            let tun = Tun::create("jump0", &TunOptions { mtu: 1_420, offload: false, queues: 1 }).unwrap();
            let mut network = Network::open().unwrap();
            let index = network.link_index("jump0").unwrap();
            network.add_address(index, "10.77.0.1/24".parse().unwrap()).unwrap();
            network.add_address(index, "fd77::1/64".parse().unwrap()).unwrap();
            network.set_link_up(index).unwrap();
            Bare { tun, routes: SessionRoutes::open("jump0").unwrap() }
        })
        .unwrap()
    }

    /// A datagram of the session to the server comes out of the tunnel.
    fn emit(&mut self, source: Ipv4Addr, number: u8) {
        let mut packet = vec![0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, 0, 0];
        packet.extend(source.octets());
        packet.extend([10, 99, 0, 2]);
        let sum: u32 = packet.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        let folded = (sum & 0xffff) + (sum >> 16);
        packet[10..12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
        packet.extend([0, 9, 0x1b, 0x58, 0, 9, 0, 0, number]);
        assert_eq!(self.tun.try_send(&[&packet]).unwrap(), 1);
    }
}

/// The interface to which the router sends packets for an address.
fn way_to(router: &Node, address: IpAddr) -> Option<String> {
    let ways = || {
        let mut network = Network::open().unwrap();
        let links = network.snapshot().unwrap();
        let routes = network.routes().unwrap();
        let route = routes.iter().find(|route| {
            route.destination.addr() == address
                && route.destination.prefix_len() == route.destination.max_prefix_len()
        });
        route.and_then(|route| links.link(route.oif?).map(|link| link.name.clone()))
    };
    router.run(ways).unwrap()
}

/// How many packets the router's reverse-path filter has dropped so far.
fn refused_count(router: &Node) -> u64 {
    let text = router.run(|| std::fs::read_to_string("/proc/thread-self/net/netstat")).unwrap().unwrap();
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt:")).map(str::split_whitespace);
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let mut pairs = names.zip(values);
    pairs.find(|(name, _)| *name == "IPReversePathFilter").unwrap().1.parse().unwrap()
}

fn routers_follow(cell: &Cell, birds: &Birds) {
    let mut gateways = [Bare::start(&cell.gateways[0]), Bare::start(&cell.gateways[1])];
    let session = Ipv4Addr::new(10, 77, 0, 9);
    let both: [IpAddr; 2] = [session.into(), "fd77::9".parse().unwrap()];
    let at = |epoch| both.map(|address| (address, epoch));
    let all_lead_to = |interface: Option<&str>| {
        both.iter().all(|address| way_to(&cell.router, *address).as_deref() == interface)
    };
    let server = cell.server.run(|| UdpSocket::bind("10.99.0.2:7000")).unwrap().unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let arrive = |count: u8| {
        let mut buffer = [0; 8];
        (0..count).map(|_| server.recv(&mut buffer).map(|_| buffer[0]).unwrap()).collect::<Vec<_>>()
    };

    gateways[0].routes.set(&at(5), &[]).unwrap();
    wait_until("the owner is announced", || all_lead_to(Some("lan1")));
    (0..20).for_each(|number| gateways[0].emit(session, number));
    assert_eq!(arrive(20), (0..20).collect::<Vec<_>>(), "the owner's packets pass");

    gateways[1].routes.set(&at(6), &[]).unwrap();
    let took = wait_until("the newer owner is preferred", || all_lead_to(Some("lan2")));
    println!("the router follows to the newer owner in {:.1} ms", took.as_secs_f64() * 1e3);
    let refused_before = refused_count(&cell.router);
    (0..20).for_each(|number| gateways[0].emit(session, 100 + number));
    wait_until("the router has judged the older owner's packets", || {
        refused_count(&cell.router) == refused_before + 20
    });
    (0..20).for_each(|number| gateways[1].emit(session, number));
    assert_eq!(arrive(20), (0..20).collect::<Vec<_>>(), "only the newer owner's packets pass");

    // The older owner announces again, as one does that was paused: the router hears it, and stays.
    gateways[0].routes.set(&[], &both).unwrap();
    let heard =
        |birds: &Birds| birds.ask_router("show route for 10.77.0.9").unwrap().matches("[gateway1_v4").count();
    wait_until("the router hears the older owner's withdrawal", || heard(birds) == 0);
    gateways[0].routes.set(&at(5), &[]).unwrap();
    wait_until("the router hears the older owner again", || heard(birds) == 1);
    assert!(all_lead_to(Some("lan2")), "an older epoch attracts nothing");
    assert!(birds.ask_gateway(0, "show route").unwrap().contains("10.77.0.9/32"));

    // The newer owner's program ends: its interface goes, and its routes with it.
    let [first, second] = gateways;
    drop(second);
    wait_until("who is gone is withdrawn", || all_lead_to(Some("lan1")));
    drop(first);
    wait_until("nobody is announced", || all_lead_to(None));
}

/// Far above a commit and above an election on a busy machine.
const PATIENT: Duration = Duration::from_secs(20);
/// Far above a commit, and below an election (1 to 2 s): what fails within this is not merely slow.
const SOON: Duration = Duration::from_millis(700);

fn faults(cell: &Cell, store: &mut Store) {
    let from = |gateway: usize, member, patience| {
        etcd::put(&cell.gateways[gateway], member, "key", b"value", patience)
    };
    for gateway in 0..3 {
        (0..3).for_each(|member| from(gateway, member, PATIENT).unwrap());
    }
    let whole = |store: &mut Store| {
        store.wait_until_serving(cell).unwrap();
        (0..3).for_each(|gateway| from(gateway, gateway, PATIENT).unwrap());
    };

    for directions in [Directions::BOTH, Directions::only(Direction::Up), Directions::only(Direction::Down)] {
        let fault = Fault::StoreCut(0, directions).begin(cell, store, None).unwrap();
        (0..3).for_each(|member| _ = from(0, member, SOON).unwrap_err());
        from(1, 0, PATIENT).unwrap();
        fault.end(cell, store, None).unwrap();
        whole(store);
    }
    let slow = Fault::StoreSlow(2, Duration::from_millis(150)).begin(cell, store, None).unwrap();
    let began = Instant::now();
    from(2, 0, PATIENT).unwrap();
    // Two round trips: the connection and the request.
    assert!(began.elapsed() >= Duration::from_millis(600), "{:?}", began.elapsed());
    slow.end(cell, store, None).unwrap();

    let no_quorum = Fault::NoQuorum.begin(cell, store, None).unwrap();
    from(0, 2, Duration::from_secs(3)).unwrap_err();
    no_quorum.end(cell, store, None).unwrap();
    whole(store);

    for fault in [Fault::LeaderCut, Fault::LeaderPaused, Fault::LeaderKilled, Fault::LeaderFrozen] {
        leader_fault(cell, store, fault);
        whole(store);
        println!("{fault}: another one leads, and all three serve again");
    }
    full_disk(cell, store);
    whole(store);
    assert_eq!(etcd::get(&cell.gateways[0], 0, "key", PATIENT).unwrap().as_deref(), Some(&b"value"[..]));
}

fn leader_fault(cell: &Cell, store: &mut Store, fault: Fault) {
    let old = store.leader(cell).expect("a leader");
    if let (Fault::LeaderFrozen, Some(why)) = (fault, store.disk(old).why_shared()) {
        println!("no disk of its own, so {fault} means stopped: {why}");
    }
    let ongoing = fault.begin(cell, store, None).unwrap();
    etcd::put(&cell.gateways[0], old, "key", b"lost", SOON).unwrap_err();
    let others = || (0..3).filter(|member| *member != old);
    // A frozen leader still says that it is there until it has to write; so somebody wants to write.
    wait_until("the others go on", || {
        others().any(|member| etcd::put(&cell.gateways[0], member, "key", b"value", SOON).is_ok())
    });
    ongoing.end(cell, store, None).unwrap();
}

fn full_disk(cell: &Cell, store: &mut Store) {
    if let Some(why) = store.disk(1).why_shared() {
        println!("no disk of its own, so it cannot be full: {why}");
        return;
    }
    let ongoing = Fault::DiskFull(1).begin(cell, store, None).unwrap();
    // More than fits into what etcd has reserved for its log.
    let large = vec![7; 1 << 20];
    let put =
        |number: usize| etcd::put(&cell.gateways[0], 0, &format!("large/{}", number % 4), &large, PATIENT);
    let mut count = 0_u32;
    wait_until("the member with the full disk fails", || {
        // It may be the leader that fails: then a write is lost until the next is elected.
        count += u32::from(put(count as usize).is_ok());
        !store.is_running(1).unwrap()
    });
    wait_until("the others go on", || put(0).is_ok());
    println!("the member with the full disk failed after {count} MiB, and the others go on");
    ongoing.end(cell, store, None).unwrap();
}

/// Two gateways serve one session at once, on the wire as in what they say: the same judge that passes the sound part
/// finds it.
fn double_serving_is_seen(cell: &Cell) -> io::Result<()> {
    let client = Ipv4Addr::new(10, 77, 0, 9);
    let witness = Witness::listen(cell, client, 4747)?;
    let mut gateways = [Bare::start(&cell.gateways[0]), Bare::start(&cell.gateways[1])];
    let clients: Vec<UdpSocket> = (0..2)
        .map(|gateway| cell.gateways[gateway].run(|| UdpSocket::bind("0.0.0.0:4747"))?)
        .collect::<io::Result<_>>()?;
    let mut serve = |gateway: usize, count: usize| {
        for number in 0..count {
            gateways[gateway].emit(client, number as u8);
            clients[gateway].send_to(&[0x10, 0, 0, 0], "198.51.100.7:1").unwrap();
            // Neither is another client's packet, nor what is no user data.
            gateways[gateway].emit(Ipv4Addr::new(10, 77, 0, 8), 0);
            clients[gateway].send_to(&[0x1d, 0, 0, 0], "198.51.100.7:1").unwrap();
        }
    };
    let fact = |gateway, epoch| Fact {
        at: tunnel::unix_now(),
        gateway,
        session: "5e55".to_owned(),
        epoch,
        birth: epoch == 1,
    };
    let mut evidence = Evidence { facts: vec![fact(0, 1)], ..Evidence::default() };
    serve(0, 50);
    evidence.facts.push(fact(1, 2));
    serve(1, 50);
    let hear = |count| wait_until("all is heard", || witness.heard().len() == count);
    hear(200);
    evidence.packets = witness.heard();
    let (figures, findings) = judge(&evidence);
    assert_eq!((figures.packet_counts, figures.move_count), ([100, 100], 1));
    assert_eq!(findings, []);
    serve(0, 3);
    hear(206);
    evidence.packets = witness.heard();
    let (_, findings) = judge(&evidence);
    let is_stale = |finding: &Finding| matches!(finding, Finding::Stale { count: 3, epochs: [1, 2], .. });
    assert!(findings.len() == 2 && findings.iter().all(is_stale), "{findings:?}");
    Ok(())
}
