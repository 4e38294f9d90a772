//! Every row of the order of checks, with a datagram that fails at it: the table of docs/security/rejects.md.
//!
//! For each: the reason, the answer, that the answer is not longer than the datagram, whether a security event follows,
//! and that no session is any different afterwards.
use std::net::SocketAddr;
use std::time::Duration;

use jumpvpn_engine::gateway::Command;
use jumpvpn_engine::{Gateway, Received};
use jumpvpn_events::{EventKind, Reason, SessionLabel};
use jumpvpn_ownership::{Ask, Fence, Incarnation};
use jumpvpn_policy::{Policy, PostQuantum};
use jumpvpn_session::write_mac1;
use jumpvpn_wire::{Cid, Frame, HS_INIT_LEN, HsInit, HsRetry, Kind, PathId, TransportClass};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::rogue::{Rogue, hello};
use crate::world::{GATEWAY_INNER, MALLORY, MALLORY_INNER, World, gateway_config, key, ms, packet};

/// A gateway with an honest client and one that knows no rules; a row prepares it and sends from `source`.
struct Scene {
    world: World,
    mallory: Rogue,
    source: SocketAddr,
}

/// One way to be refused.
struct Row {
    /// Number in docs/protocol.md, section 7.
    row: &'static str,
    reason: Reason,
    answer: Option<Kind>,
    datagram: fn(&mut Scene) -> Vec<u8>,
}

const fn row(
    row: &'static str,
    reason: Reason,
    answer: Option<Kind>,
    datagram: fn(&mut Scene) -> Vec<u8>,
) -> Row {
    Row { row, reason, answer, datagram }
}

/// Reasons that are counted only: an honest peer sends such things in passing.
pub const NOT_REPORTED: &[Reason] = &[
    Reason::HandoffPending,
    Reason::GatewayDraining,
    Reason::UnknownCid,
    Reason::BindingNotActive,
    Reason::StaleGeneration,
    Reason::NotAttached,
    Reason::NotIp,
    Reason::InnerDestination,
    Reason::KeyExpired,
    Reason::PqRequired,
    Reason::CookieRequired,
    Reason::RebindWait,
];

const ROWS: &[Row] = &[
    // DATA
    row("7.1/1", Reason::Malformed, None, |scene| scene.data()[..31].to_vec()),
    row("7.1/1", Reason::UnknownVersion, None, |scene| changed(scene.data(), 0, 0x20)),
    row("7.1/1", Reason::UnknownType, None, |scene| changed(scene.data(), 0, 0x1F)),
    row("7.1/1", Reason::ReservedBits, None, |scene| changed(scene.data(), 3, 0x80)),
    row("7.1/2", Reason::UnknownCid, None, |scene| {
        let data = scene.data();
        let byte = data[5] ^ 1;
        changed(data, 5, byte)
    }),
    row("7.1/3", Reason::SessionExpired, None, |scene| {
        scene.world.now += Policy::laptop().session.max_lifetime;
        scene.data()
    }),
    row("7.1/3", Reason::FenceExpired, None, |scene| {
        scene.lose_the_fence();
        scene.data()
    }),
    row("7.1/3", Reason::HandoffPending, None, |scene| {
        let data = scene.data();
        scene.give_away();
        data
    }),
    row("7.1/3", Reason::BindingNotActive, None, |scene| {
        let data = scene.data();
        scene.mallory.jump(&mut scene.world, Reason::LinkDown.number());
        // Its time is over, and the timer has not run yet.
        scene.world.now += ms(3000);
        data
    }),
    row("7.1/4", Reason::ForeignSourceBudget, None, |scene| {
        scene.source = elsewhere(2);
        for _ in 0..200 {
            let forged = torn(scene.data());
            scene.world.hand_in(scene.source, &forged);
        }
        scene.data()
    }),
    row("7.1/2", Reason::StaleGeneration, None, |scene| changed(scene.data(), 1, 7)),
    row("7.1/6", Reason::ReplayDetected, None, |scene| {
        let data = scene.data();
        scene.world.hand_in(scene.source, &data);
        data
    }),
    row("7.1/7", Reason::BadSeal, None, |scene| torn(scene.data())),
    row("7.1/9", Reason::NotIp, None, |scene| scene.mallory.packet(&[0x45, 0, 0])),
    row("7.1/9", Reason::InnerSource, None, |scene| scene.inner("10.77.0.2", GATEWAY_INNER)),
    row("7.1/9", Reason::InnerDestination, None, |scene| scene.inner(MALLORY_INNER, "127.0.0.1")),
    row("7.1/9", Reason::PqRequired, None, |scene| {
        let mut policy = Policy::laptop();
        policy.security.pq = PostQuantum::Required;
        *scene = Scene::new(policy);
        scene.inner(MALLORY_INNER, GATEWAY_INNER)
    }),
    row("7.1/9", Reason::KeyExpired, None, |scene| {
        scene.world.now += ms(901_000);
        scene.inner(MALLORY_INNER, GATEWAY_INNER)
    }),
    row("7.1/pending", Reason::FenceExpired, None, |scene| {
        let mut late = scene.hand_shaken();
        scene.lose_the_fence();
        late.frames(&[Frame::Fin])
    }),
    row("7.1/pending", Reason::AddressMismatch, None, |scene| {
        let mut late = scene.hand_shaken();
        scene.source = elsewhere(3);
        late.frames(&[Frame::Fin])
    }),
    row("7.1/pending", Reason::BadSeal, None, |scene| torn(scene.hand_shaken().frames(&[Frame::Fin]))),
    row("7.1/pending", Reason::NotAttached, None, |scene| {
        scene.hand_shaken().frames(&[Frame::Want { tokens: 1, config: false }])
    }),
    // PATH_PROBE, REATTACH, CLOSE
    row("7.2/1", Reason::Malformed, None, |scene| scene.request()[..Kind::Reattach.min_len() - 1].to_vec()),
    row("7.2/1", Reason::ReservedBits, None, |scene| {
        let probe = scene.mallory.probe(Cid(5));
        let flags = probe[1] | 1;
        changed(probe, 1, flags)
    }),
    row("7.2/2", Reason::UnknownSession, None, |scene| changed(scene.request(), 9, 0x55)),
    row("7.2/3", Reason::RateLimited, None, |scene| {
        let request = torn(scene.request());
        for _ in 0..60 {
            scene.world.hand_in(scene.source, &request);
        }
        request
    }),
    row("7.2/4", Reason::NotOwner, None, |scene| {
        let request = scene.request();
        let config =
            jumpvpn_engine::gateway::Config { node: [0, 0, 0, 2], ..gateway_config(1, Policy::laptop()) };
        let rng = Box::new(ChaCha20Rng::seed_from_u64(10));
        scene.world.gateway = Gateway::new(config, rng, scene.world.now).unwrap();
        request
    }),
    row("7.2/5", Reason::UnknownSession, Some(Kind::NoSession), |scene| {
        let request = scene.request();
        scene.world.restart_gateway();
        request
    }),
    row("7.2/6", Reason::SessionExpired, None, |scene| {
        let request = scene.request();
        scene.world.now += Policy::laptop().session.max_lifetime;
        request
    }),
    row("7.2/6", Reason::FenceExpired, None, |scene| {
        let request = scene.request();
        scene.lose_the_fence();
        request
    }),
    row("7.2/6", Reason::KeyExpired, None, |scene| {
        let policy = Policy::laptop();
        let request = scene.request();
        scene.world.now += ms(900_000) + policy.switching.recovery_window;
        request
    }),
    row("7.2/7", Reason::StaleEpoch, None, |scene| changed(scene.request(), 2, 9)),
    row("7.2/8", Reason::ReplayDetected, None, |scene| {
        let probe = scene.mallory.probe(Cid(5));
        scene.world.hand_in(scene.source, &probe);
        probe
    }),
    row("7.2/8", Reason::ReplayDetected, None, |scene| {
        let older = scene.request();
        scene.mallory.jump(&mut scene.world, Reason::LinkDown.number());
        older
    }),
    row("7.2/9", Reason::BadProof, None, |scene| torn(scene.request())),
    row("7.2/proven", Reason::RateLimited, None, |scene| {
        for _ in 0..20 {
            let probe = scene.mallory.probe(Cid(5));
            scene.world.hand_in(scene.source, &probe);
        }
        scene.mallory.probe(Cid(5))
    }),
    row("7.2/proven", Reason::RateLimited, Some(Kind::ReattachResult), |scene| {
        let mut request = scene.proof();
        request.version += 1;
        for _ in 0..20 {
            let refused = scene.mallory.reattach(&request);
            scene.world.hand_in(scene.source, &refused);
        }
        scene.mallory.reattach(&request)
    }),
    row("7.2/10", Reason::AddressMismatch, Some(Kind::PathTicket), |scene| {
        let request = scene.request();
        scene.source = elsewhere(4);
        request
    }),
    row("7.2/11", Reason::StaleTicket, Some(Kind::ReattachResult), |scene| {
        let request = scene.request();
        scene.world.now += Policy::laptop().security.reattach_proof_max_age + ms(1);
        request
    }),
    row("7.2/11", Reason::StaleTicket, Some(Kind::ReattachResult), |scene| {
        let mut request = scene.proof();
        request.owner_epoch += 1;
        scene.mallory.reattach(&request)
    }),
    row("7.2/13", Reason::StaleStateVersion, Some(Kind::ReattachResult), |scene| {
        let mut older = scene.proof();
        older.path_id = PathId(1);
        scene.mallory.jump(&mut scene.world, Reason::LinkDown.number());
        scene.mallory.reattach(&older)
    }),
    row("7.2/14", Reason::InvalidTransportCandidate, Some(Kind::ReattachResult), |scene| {
        let mut request = scene.proof();
        request.transport = TransportClass::Tcp;
        scene.mallory.reattach(&request)
    }),
    row("7.2/14", Reason::InvalidTransportCandidate, Some(Kind::ReattachResult), |scene| {
        let mut request = scene.proof();
        request.rebind = true;
        scene.mallory.reattach(&request)
    }),
    row("7.2/15", Reason::RebindWait, Some(Kind::ReattachResult), |scene| scene.rebinding(false)),
    row("7.2/15", Reason::OldPathAlive, Some(Kind::ReattachResult), |scene| scene.rebinding(true)),
    row("7.2/16", Reason::SwitchCooldown, Some(Kind::ReattachResult), |scene| {
        scene.mallory.jump(&mut scene.world, Reason::LinkDown.number());
        let (request, _) = scene.mallory.request_to_move(&mut scene.world, Reason::OperatorJump.number());
        request
    }),
    row("7.2/16", Reason::SwitchRateLimited, Some(Kind::ReattachResult), |scene| {
        for _ in 0..Policy::laptop().switching.max_switches_per_min {
            scene.mallory.jump(&mut scene.world, Reason::LinkDown.number());
            scene.world.run(ms(200));
        }
        scene.request()
    }),
    row("7.2/6", Reason::HandoffPending, None, |scene| {
        let request = scene.request();
        scene.give_away();
        request
    }),
    // HS_INIT
    row("7.3/1", Reason::Malformed, None, |_| hello(MALLORY, 9).1[..HS_INIT_LEN - 1].to_vec()),
    row("7.3/2", Reason::BadMac1, None, |_| changed(hello(MALLORY, 9).1.to_vec(), 160, 0)),
    row("7.3/2", Reason::GatewayDraining, None, |scene| {
        let span = Duration::from_secs(60);
        scene.world.gateway.handle_command(Command::Drain { span }, scene.world.now);
        hello(MALLORY, 9).1.to_vec()
    }),
    row("7.3/3", Reason::CookieRequired, Some(Kind::HsRetry), |scene| {
        scene.load();
        hello(MALLORY, 9).1.to_vec()
    }),
    row("7.3/4", Reason::BadCookie, Some(Kind::HsRetry), |scene| {
        scene.load();
        let stolen = scene.cookie_for(elsewhere(5), 9);
        scene.source = elsewhere(6);
        stolen
    }),
    row("7.3/5", Reason::PrefixRateLimited, None, |scene| {
        scene.load();
        for number in 0..20 {
            let shown = scene.cookie_for(scene.source, 100 + number);
            scene.world.hand_in(scene.source, &shown);
        }
        scene.cookie_for(scene.source, 9)
    }),
    row("7.3/6", Reason::HandshakeReplay, None, |scene| {
        let (_, init) = hello(MALLORY, 9);
        assert_eq!(scene.world.hand_in(scene.source, &init), Received::Consumed);
        init.to_vec()
    }),
    row("7.3/6", Reason::HandshakeBudget, None, |scene| {
        scene.load();
        // Each comes from a place of its own and shows a cookie, so that nothing but the budget is left to say no.
        let shown: Vec<_> = (0..300_u64)
            .map(|number| {
                let source = SocketAddr::from(([100, (number / 250) as u8, (number % 250) as u8, 1], 5000));
                (source, scene.cookie_for(source, 1000 + number))
            })
            .collect();
        for (source, init) in &shown {
            scene.world.hand_in(*source, init);
        }
        scene.cookie_for(scene.source, 9)
    }),
    row("7.3/7", Reason::BadHandshake, None, |_| {
        let mut init = hello(MALLORY, 9).1;
        init[HsInit::NOISE][40] ^= 1;
        write_mac1(&key(1).public(), &mut init);
        init.to_vec()
    }),
    row("7.3/8", Reason::UnknownPeer, None, |_| hello(77, 9).1.to_vec()),
    row("7.3/8", Reason::CookieRequired, Some(Kind::HsRetry), |scene| {
        for number in 0..2 {
            let (_, init) = hello(MALLORY, 100 + number);
            assert_eq!(scene.world.hand_in(scene.source, &init), Received::Consumed);
        }
        hello(MALLORY, 9).1.to_vec()
    }),
    row("7.3/10", Reason::TableFull, None, |scene| {
        let mut config = gateway_config(0, Policy::laptop());
        config.capacity = 1;
        let mut world = World::with_gateway(config);
        world.run(ms(500));
        scene.world = world;
        hello(MALLORY, 9).1.to_vec()
    }),
    // Everything else that arrives at a gateway
    row("other", Reason::UnknownType, None, |_| {
        let mut reply = vec![0; Kind::PathTicket.min_len()];
        reply[0] = Kind::PathTicket.code();
        reply
    }),
];

impl Scene {
    fn new(policy: Policy) -> Scene {
        let mut world = World::new(policy);
        world.run(ms(500));
        let source = elsewhere(1);
        let mallory = Rogue::born(&mut world, MALLORY, source);
        Scene { world, mallory, source }
    }

    /// A good packet.
    fn data(&mut self) -> Vec<u8> {
        self.mallory.frames(&[Frame::Want { tokens: 1, config: false }])
    }

    fn inner(&mut self, source: &str, destination: &str) -> Vec<u8> {
        let buffer = packet(source, destination, 1);
        let end = buffer.len() - jumpvpn_engine::TAILROOM;
        self.mallory.packet(&buffer[jumpvpn_engine::HEADROOM..end])
    }

    /// What a good request to move says.
    fn proof(&mut self) -> jumpvpn_wire::ReattachPayload {
        self.mallory.proof(&mut self.world, PathId(1), false, Reason::LinkDown.number())
    }

    /// A good request to move.
    fn request(&mut self) -> Vec<u8> {
        let proof = self.proof();
        self.mallory.reattach(&proof)
    }

    /// A request to adopt another address, right after the question to the old one, which answers or does not.
    fn rebinding(&mut self, answered: bool) -> Vec<u8> {
        let old = self.mallory.source;
        (self.source, self.mallory.source) = (elsewhere(7), elsewhere(7));
        let proof = self.mallory.proof(&mut self.world, PathId(0), true, Reason::NatRebinding.number());
        if answered {
            self.world.run(ms(5));
            let alive = self.data();
            self.world.hand_in(old, &alive);
        }
        self.mallory.reattach(&proof)
    }

    /// Another handshake of the same client, up to its confirmation.
    fn hand_shaken(&mut self) -> Rogue {
        Rogue::shake_hands(&mut self.world, MALLORY, 3, self.source)
    }

    /// Another gateway wants the sessions, and the store has not said yet whether it has them.
    fn give_away(&mut self) {
        let to = Incarnation([9; 16]);
        for handle in &self.world.created {
            self.world.gateway.handle_ask(Ask::Release { handle: *handle, to }, self.world.now);
        }
        while self.world.gateway.poll_ownership_request().is_some() {}
    }

    fn lose_the_fence(&mut self) {
        self.world.gateway.handle_fence(Fence { epoch: 1, valid_until: self.world.now });
    }

    /// So many handshakes that cookies are asked for.
    fn load(&mut self) {
        for number in 0..64 {
            self.world.hand_in(elsewhere(9), &hello(1000 + number, 1).1);
        }
        self.world.take_strays(elsewhere(9));
    }

    /// An HS_INIT that shows a cookie for `source`.
    fn cookie_for(&mut self, source: SocketAddr, number: u64) -> Vec<u8> {
        let (_, mut init) = hello(MALLORY, number);
        self.world.hand_in(source, &init);
        let retry = self.world.take_strays(source).pop().expect("no cookie was given out");
        init[HsInit::COOKIE].copy_from_slice(&HsRetry::decode(&retry).unwrap().cookie.0);
        init.to_vec()
    }

    /// All that a refusal must leave as it is.
    fn digest(&self) -> Vec<(SessionLabel, String, [u64; 3], u32, u32, SocketAddr)> {
        let rows = self.world.gateway.sessions(self.world.now);
        rows.map(|row| {
            let counted = [row.step, row.version, row.epoch];
            (row.session, format!("{:?}", row.state), counted, row.key_epoch, row.path_id, row.address)
        })
        .collect()
    }
}

fn elsewhere(host: u8) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, host], 6666))
}

fn changed(mut datagram: Vec<u8>, at: usize, byte: u8) -> Vec<u8> {
    assert_ne!(datagram[at], byte);
    datagram[at] = byte;
    datagram
}

/// The same with its last bit turned: no key made it.
fn torn(mut datagram: Vec<u8>) -> Vec<u8> {
    *datagram.last_mut().unwrap() ^= 1;
    datagram
}

#[test]
fn each_row_refuses_answers_and_reports_as_the_table_says() {
    let deviations: Vec<String> = ROWS.iter().flat_map(deviations).collect();
    assert!(deviations.is_empty(), "{deviations:#?}");
}

/// What is not as the row says.
fn deviations(row: &Row) -> Vec<String> {
    let mut scene = Scene::new(Policy::laptop());
    let datagram = (row.datagram)(&mut scene);
    scene.world.collect();
    scene.world.take_strays(scene.source);
    let (digest, strays) = (scene.digest(), scene.world.strays.len());
    let (counted, reported) = (drops(&scene, row.reason), reports(&scene, row.reason));
    let received = scene.world.hand_in(scene.source, &datagram);
    let answers = scene.world.take_strays(scene.source);
    let kinds: Vec<_> = answers.iter().filter_map(|answer| Kind::of(answer).ok()).collect();
    let others = scene.world.strays.len() - strays;
    let changed = scene.digest() != digest;
    // What came less than a second after another report is due by then.
    scene.world.now += ms(1100);
    scene.world.gateway.handle_timeout(scene.world.now);
    scene.world.collect();
    let event = self::reports(&scene, row.reason) > reported;
    let as_it_should = [
        (received == Received::Dropped(row.reason), format!("{received:?}")),
        (drops(&scene, row.reason) == counted + 1, "counted wrongly".into()),
        (!changed, "a session changed".into()),
        (kinds == Vec::from_iter(row.answer), format!("answered by {kinds:?}")),
        (answers.iter().all(|answer| answer.len() <= datagram.len()), "a longer answer".into()),
        (others == 0, format!("{others} datagrams to others")),
        (event != NOT_REPORTED.contains(&row.reason), format!("security event: {event}")),
    ];
    let wrong = as_it_should.into_iter().filter(|(holds, _)| !holds);
    wrong.map(|(_, what)| format!("{} {}: {what}", row.row, row.reason)).collect()
}

fn drops(scene: &Scene, reason: Reason) -> u64 {
    scene.world.gateway.counters().drops.count(reason)
}

/// The name of an answer in the protocol.
fn name(answer: Kind) -> &'static str {
    match answer {
        Kind::HsRetry => "HS_RETRY",
        Kind::PathTicket => "PATH_TICKET",
        Kind::ReattachResult => "REATTACH_RESULT",
        Kind::NoSession => "NO_SESSION",
        Kind::TakeoverResp => "TAKEOVER_RESP",
        other => panic!("{other:?} answers no refused datagram"),
    }
}

/// Refusals of that reason in security events so far.
fn reports(scene: &Scene, reason: Reason) -> u32 {
    let of_reason = scene.world.gateway_events.iter().filter(|event| event.reason == reason);
    let counts = of_reason.map(|event| match event.kind {
        EventKind::Security { count } => count,
        _ => 0,
    });
    counts.sum()
}

#[test]
fn the_published_table_is_this_one() {
    let page = include_str!("../../../../docs/security/rejects.md");
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_string()).collect();
    let published: Vec<Vec<String>> = page
        .lines()
        .filter(|line| line.starts_with("| 7.") || line.starts_with("| other"))
        .map(cells)
        .collect();
    let takeovers = crate::takeover_refusals::ROWS.iter().map(|row| (row.row, row.reason, row.answer));
    let rows = ROWS.iter().map(|row| (row.row, row.reason, row.answer)).chain(takeovers);
    let ours: Vec<Vec<String>> = rows
        .map(|(row, reason, answer)| {
            let answer = answer.map_or("none", name);
            let event = if NOT_REPORTED.contains(&reason) { "counted" } else { "event" };
            vec![row.into(), reason.code().into(), answer.into(), event.into()]
        })
        .collect();
    for row in &ours {
        assert!(published.iter().any(|line| line[..4] == row[..]), "not published: {row:?}");
    }
    for line in &published {
        assert!(ours.iter().any(|row| line[..4] == row[..]), "published, not tested: {line:?}");
    }
}

#[test]
fn random_bytes_of_every_length_change_nothing() {
    let mut scene = Scene::new(Policy::laptop());
    let before = scene.digest();
    let mut rng = ChaCha20Rng::seed_from_u64(21);
    let mut bytes = vec![0; 2000];
    for len in 0..bytes.len() {
        for _ in 0..4 {
            rng.fill_bytes(&mut bytes);
            // Half of them say that they are of our version.
            if len % 2 == 0 {
                bytes[0] = bytes[0] & 0x0F | 0x10;
            }
            let received = scene.world.hand_in(scene.source, &bytes[..len]);
            assert!(matches!(received, Received::Dropped(_)), "{len} bytes: {received:?}");
        }
    }
    assert_eq!(scene.digest(), before);
    assert!(scene.world.take_strays(scene.source).is_empty());
}
