//! Births and deaths without end: the gateway's engine in virtual time, its peers coming and going. Its memory must be the
//! same in the end as after the first thousandth.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use jumpvpn_engine::gateway::{Command, Config, Peer};
use jumpvpn_engine::{Gateway, HEADROOM, SocketKey, TAILROOM, TRANSMIT_BUFFER_LEN};
use jumpvpn_events::{Reason, Time};
use jumpvpn_lab::plan::Family;
use jumpvpn_ownership::{Fence, Ledger};
use jumpvpn_policy::Policy;
use jumpvpn_runtime::SystemRandom;
use jumpvpn_session::{BindingContext, Initiator, InitiatorConfig, PrivateKey, Side, SuiteSet};
use jumpvpn_wire::{Cid, Frame, FrameWriter, HS_INIT_LEN, InitPayload, Kind};
use rand_core::Rng;

use super::Account;
use crate::arena::{Arena, INNER, inner_of, outer, resident_bytes};
use crate::swarm::keys;

/// Peers that take turns.
const PEER_COUNT: u32 = 64;
const SHORT: u32 = 10_000;
const LONG: u32 = 1_000_000;
/// Virtual time between two births: peers are born once a second at most, the gateway admits 500 of all.
const SPACING: Duration = Duration::from_millis(20);
/// Every so many births all sessions end by the operator's word; else a newborn one ends its peer's older one.
const SWEEP: u32 = 1000;
/// Lifetime of a session, so that tombstones go within the run: a store keeps one that long.
const LIFETIME: Duration = Duration::from_secs(60);
/// Growth that is no growth: pages the allocator touches late. One byte for each birth of the long form is more.
const MEMORY_SLACK_LEN: u64 = 512 * 1024;

/// Plays the trial.
pub(super) fn run(_arena: &Arena, account: &mut Account) -> io::Result<()> {
    let count = if account.is_long() { LONG } else { SHORT };
    let mut world = World::new()?;
    // Long enough for tombstones to come and go.
    let warm_up = 2 * (LIFETIME.as_millis() / SPACING.as_millis()) as u32;
    let began = Instant::now();
    let mut warm = None;
    for number in 0..count {
        world.birth(number)?;
        if number == warm_up.min(count / 2) {
            warm = Some(resident_bytes(std::process::id())?);
        }
    }
    let growth = resident_bytes(std::process::id())?.saturating_sub(warm.unwrap_or_default());
    account.figure(format!(
        "{count} births and deaths in {:.1} s ({:.0} s of virtual time), {} sessions left, memory +{} KiB",
        began.elapsed().as_secs_f64(),
        world.now.since(BEGINNING).as_secs_f64(),
        world.gateway.sessions(world.now).count(),
        growth / 1024
    ));
    account.require(growth <= MEMORY_SLACK_LEN, || format!("memory grew by {growth} bytes"));
    Ok(())
}

/// Where the gateway is.
fn gateway_address() -> IpAddr {
    outer::gateway(Family::V4).ip()
}

const BEGINNING: Time = Time::from_millis(1_000_000);

struct World {
    gateway: Gateway,
    store: Ledger,
    keys: Vec<PrivateKey>,
    public: jumpvpn_session::PublicKey,
    now: Time,
}

impl World {
    fn new() -> io::Result<World> {
        let keys = keys(PEER_COUNT);
        let private = PrivateKey::generate(&mut SystemRandom);
        let public = private.public();
        let peer = |(index, key): (u32, &PrivateKey)| Peer {
            name: format!("c{index}"),
            public: key.public(),
            psk: None,
            inner: vec![inner_of(index).into()],
        };
        let mut policy = Policy::laptop();
        policy.session.max_lifetime = LIFETIME;
        let capacity = PEER_COUNT as usize;
        let config = Config {
            private,
            peers: (0..).zip(&keys).map(peer).collect(),
            networks: vec![INNER.into()],
            own: vec![gateway_address()],
            allow_local: false,
            suites: SuiteSet::ALL,
            policy,
            capacity,
            node: [0; 4],
            cell: None,
            started_minute: 0,
            mtu: 1400,
        };
        let mut gateway =
            Gateway::new(config, Box::new(SystemRandom), BEGINNING).map_err(io::Error::other)?;
        // Tombstones of one lifetime, and room.
        let tombstones = 2 * (LIFETIME.as_millis() / SPACING.as_millis()) as usize;
        let store = Ledger::new(capacity + tombstones, 1);
        gateway.handle_fence(Fence { epoch: 1, valid_until: Time::MAX });
        Ok(World { gateway, store, keys, public, now: BEGINNING })
    }

    /// A birth from an address that was never used.
    fn birth(&mut self, number: u32) -> io::Result<()> {
        self.now += SPACING;
        if number % SWEEP == SWEEP - 1 {
            self.gateway.handle_command(Command::CloseAll { reason: Reason::OwnerClosed }, self.now);
        }
        self.gateway.handle_timeout(self.now);
        self.settle();
        let source = SocketAddr::new(IpAddr::V4(Ipv4Addr::from(0x0b00_0000 + number)), 40_000);
        let failed = |what| io::Error::other(format!("birth {number}: {what}"));
        let payload = InitPayload { features: 0, policy: 0, lanes: 1, lifetime_s: 0, random: [0; 16] };
        let config = InitiatorConfig {
            private: &self.keys[(number % PEER_COUNT) as usize],
            gateway: &self.public,
            psk: None,
            suites: SuiteSet::ALL,
            cid: Cid(SystemRandom.next_u64()),
            payload,
        };
        let mut hello = [0; HS_INIT_LEN];
        let mut initiator =
            Initiator::start(config, &mut SystemRandom, &mut hello).map_err(io::Error::other)?;
        let mut answer = self.hand_in(source, &mut hello).ok_or_else(|| failed("no answer"))?;
        if answer[0] == Kind::HsRetry.code() {
            initiator.handle_retry(&answer, &mut hello).map_err(io::Error::other)?;
            answer = self.hand_in(source, &mut hello).ok_or_else(|| failed("no answer to a cookie"))?;
        }
        let (established, payload) =
            initiator.handle_response(&answer).map_err(|(_, error)| io::Error::other(error.to_string()))?;
        let epoch = established.epoch(&payload);
        let mut traffic = established.secret.binding(&epoch, &BindingContext::birth(), Side::Client);
        let mut fin = [0; HEADROOM + 4 + TAILROOM];
        let fits = FrameWriter::new(&mut fin[HEADROOM..HEADROOM + 4]).push(&Frame::Fin);
        debug_assert!(fits);
        traffic.send.seal(payload.server_cid, 0, &mut fin).map_err(|_| failed("not sealed"))?;
        let received =
            self.gateway.handle_datagram(SocketKey(0), source, gateway_address(), &mut fin, self.now);
        self.settle();
        let is_born = self.gateway.sessions(self.now).any(|row| row.address == source);
        if is_born { Ok(()) } else { Err(failed(&format!("{received:?}"))) }
    }

    /// Hands a datagram in; what is answered.
    fn hand_in(&mut self, source: SocketAddr, datagram: &mut [u8]) -> Option<Vec<u8>> {
        let mut copy = datagram.to_vec();
        // What became of it shows in what is answered.
        self.gateway.handle_datagram(SocketKey(0), source, gateway_address(), &mut copy, self.now);
        let mut buffer = [0; TRANSMIT_BUFFER_LEN];
        let transmit = self.gateway.poll_transmit(&mut buffer, self.now)?;
        Some(buffer[..transmit.len].to_vec())
    }

    /// The store answers, and what the gateway says is thrown away.
    fn settle(&mut self) {
        let mut buffer = [0; TRANSMIT_BUFFER_LEN];
        while let Some(request) = self.gateway.poll_ownership_request() {
            let answer = self.store.submit(&request, self.now);
            self.gateway.handle_ownership(answer, self.now);
        }
        while self.gateway.poll_transmit(&mut buffer, self.now).is_some() {}
        while self.gateway.poll_event().is_some() {}
    }
}
