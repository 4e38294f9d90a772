//! The agent takes its session to another gateway, or back to its own after a restart.
use std::time::Duration;

use jumpvpn_engine::agent::Notice;
use jumpvpn_engine::gateway::{Command, Config};
use jumpvpn_events::{EventKind, Reason, SessionLabel, State, Time};
use jumpvpn_policy::Policy;
use jumpvpn_wire::{Kind, NoSession, TakeoverInit, TakeoverRefusal};

use crate::journey::{AT, Journey};
use crate::town::Manner;
use crate::world::ms;

/// What a takeover must not change.
fn anchor(journey: &Journey) -> (Option<SessionLabel>, [Option<String>; 2]) {
    let status = journey.status();
    let inner = [
        status.inner_v4.map(|inner| format!("{inner:?}")),
        status.inner_v6.map(|inner| format!("{inner:?}")),
    ];
    assert!(status.session.is_some() && inner.iter().all(Option::is_some));
    (status.session, inner)
}

fn takeovers(journey: &Journey) -> Vec<(u64, u64)> {
    let taken = journey.agent_events.iter().filter(|event| matches!(event.kind, EventKind::Takeover { .. }));
    taken.map(|event| (event.epoch, event.version)).collect()
}

/// Why the session was taken over.
fn why(journey: &Journey) -> Vec<Reason> {
    let taken = journey.agent_events.iter().filter(|event| matches!(event.kind, EventKind::Takeover { .. }));
    taken.map(|event| event.reason).collect()
}

fn never_ended(journey: &Journey) {
    let ended = journey.notices.iter().any(|notice| matches!(notice, Notice::Terminated { .. }));
    assert!(!ended, "{:#?}", journey.agent_events);
}

fn kind(bytes: &[u8]) -> Option<Kind> {
    Kind::of(bytes).ok()
}

/// Datagrams of a kind that arrived since.
fn arrived(journey: &Journey, since: Time, wanted: Kind) -> usize {
    journey.seen.iter().filter(|(at, _, _, bytes)| *at > since && kind(bytes) == Some(wanted)).count()
}

#[test]
fn a_gateway_that_was_started_again_serves_its_sessions_within_300_ms() {
    let mut slowest = Duration::ZERO;
    for seed in 0..20 {
        // Away for the blink of an eye, and up to almost three seconds.
        let away = ms(20 + seed * 140);
        // Who knows another gateway may be on its way there after a while, and that is as good.
        let known = 1 + (seed % 2) as usize;
        let mut journey = Journey::begun_with(known, 100 + seed);
        let before = anchor(&journey);
        journey.kill(0);
        journey.run_with_traffic(away);
        journey.restart(0);
        let listens = journey.now;
        journey.run_with_traffic(ms(2000));
        let back = journey.back_after(listens).expect("it never came back");
        slowest = slowest.max(back);
        assert!(back <= ms(300), "{back:?} after {away:?}: {:#?}", journey.agent_events);
        assert_eq!(anchor(&journey), before);
        assert_eq!(journey.agent.state(), State::Attached);
        assert!(known == 2 || (journey.serving() == 0 && why(&journey) == [Reason::Orphaned]));
        assert_eq!(takeovers(&journey).iter().map(|(epoch, _)| *epoch).collect::<Vec<_>>(), [2]);
        if seed % 5 == 0 {
            assert_eq!(journey.status().key_epoch, 2);
            journey.run(ms(21_000));
            assert_eq!(journey.status().key_epoch, 3, "and hybrid keys again");
        }
        never_ended(&journey);
        journey.audit();
    }
    assert!(slowest > ms(60), "three round trips take 60 ms: {slowest:?}");
}

#[test]
fn an_idle_session_comes_back_too() {
    let mut journey = Journey::begun(1);
    journey.run(ms(60_000));
    journey.kill(0);
    journey.run(ms(1000));
    journey.restart(0);
    // The first packet finds out.
    journey.run_with_traffic(ms(2000));
    assert_eq!(takeovers(&journey).len(), 1);
    never_ended(&journey);
    journey.audit();
}

#[test]
fn a_gateway_that_is_gone_for_good_is_left_for_another() {
    for seed in 0..8 {
        let mut journey = Journey::begun(seed);
        let before = anchor(&journey);
        journey.kill(0);
        journey.town.bury(0);
        let since = journey.now;
        journey.run_with_traffic(ms(4000));
        let back = journey.back_after(since).expect("it never went on");
        assert!(back <= ms(2500), "{back:?}");
        assert_eq!((journey.serving(), anchor(&journey)), (1, before));
        assert_eq!(why(&journey), [Reason::GatewaySilent]);
        never_ended(&journey);
        journey.audit();
        // Jumps go on there.
        journey.set_links(&[1]);
        journey.run_with_traffic(ms(1000));
        assert_eq!(journey.agent.state(), State::Attached);
        assert!(journey.status().paths.iter().any(|path| path.iface.as_str() == "lte"));
        never_ended(&journey);
        journey.audit();
    }
}

/// Its process ended, its machine lives, and somebody there has said that it is dead.
#[test]
fn a_gateway_whose_machine_says_that_it_is_gone_is_left_within_half_a_second() {
    let mut slowest = Duration::ZERO;
    for seed in 0..20 {
        let mut journey = Journey::begun(700 + seed);
        let before = anchor(&journey);
        journey.refuses = true;
        journey.kill(0);
        let since = journey.now;
        journey.run_with_traffic(ms(100));
        journey.town.bury(0);
        journey.run_with_traffic(ms(2000));
        let back = journey.back_after(since).expect("it never went on");
        slowest = slowest.max(back);
        assert_eq!((journey.serving(), anchor(&journey), takeovers(&journey).len()), (1, before, 1));
        assert_eq!(why(&journey), [Reason::GatewaySilent]);
        never_ended(&journey);
        journey.audit();
    }
    assert!(slowest <= ms(500), "{slowest:?}");
    assert!(slowest > ms(100), "silence has to be noticed first: {slowest:?}");
}

/// When each of so many clients, whose gateway dies at the same moment, first asks the other one.
fn asked_after(refuses: bool, count: u64) -> Vec<Duration> {
    let first = |number| {
        let mut journey = Journey::begun(900 + number);
        journey.refuses = refuses;
        journey.kill(0);
        let since = journey.now;
        journey.run_with_traffic(ms(2000));
        let mut sent =
            journey.seen.iter().filter(|(at, up, gateway, _)| *at >= since && *up && *gateway == 1);
        let asked = sent.find(|(.., bytes)| kind(bytes) == Some(Kind::TakeoverInit)).expect("it never asked");
        asked.0.since(since)
    };
    (0..count).map(first).collect()
}

/// Silence is noticed by all at the same moment; up to 400 ms later, or 100 ms where the machine says that nobody is there, each begins
/// at random. Of 32, a quarter of that time has none at all, or more than 20, with other seeds in 4 of 10,000 cases.
#[test]
fn clients_of_a_gateway_that_died_do_not_come_all_at_once() {
    for (refuses, spread) in [(false, ms(400)), (true, ms(100))] {
        let asked = asked_after(refuses, 32);
        let first = *asked.iter().min().unwrap();
        let mut quarters = [0; 4];
        for after in &asked {
            let quarter = (*after - first).as_millis() * 4 / spread.as_millis();
            quarters[quarter.min(3) as usize] += 1;
        }
        assert!(quarters.iter().all(|count| (1..=20).contains(count)), "{quarters:?} of {asked:?}");
    }
}

/// Anybody on the way can say that nobody is there.
#[test]
fn a_forged_word_that_nobody_is_there_moves_nothing() {
    let gateway = |at: usize| AT[at].parse::<std::net::SocketAddr>().unwrap().ip();
    let mut journey = Journey::begun(31);
    for _ in 0..200 {
        (0..2).for_each(|link| journey.refuse(link, gateway(0)));
        journey.exchange(ms(5));
    }
    // Nor while nothing is to be heard: an idle session is silent.
    for _ in 0..400 {
        (0..2).for_each(|link| journey.refuse(link, gateway(0)));
        journey.run(ms(100));
    }
    journey.run_with_traffic(ms(1000));
    assert_eq!((journey.serving(), takeovers(&journey).len()), (0, 0));
    // A word of somebody else is none, even in doubt: the agent leaves when it would have left anyway.
    journey.kill(0);
    journey.town.bury(0);
    let since = journey.now;
    while journey.now.since(since) < ms(1000) {
        (0..2).for_each(|link| journey.refuse(link, gateway(1)));
        journey.exchange(ms(5));
    }
    assert_eq!(journey.back_after(since), None);
    journey.run_with_traffic(ms(3000));
    assert_eq!(journey.serving(), 1);
    never_ended(&journey);
    journey.audit();
}

#[test]
fn a_client_that_cannot_reach_its_gateway_gets_it_to_give_the_session_away() {
    let mut journey = Journey::begun(2);
    // Client and gateway do not reach each other; both reach the other gateway or the store.
    journey.intercept = Some(Box::new(|flight| flight.at == 0));
    journey.run_with_traffic(ms(4000));
    assert_eq!(journey.serving(), 1, "{:#?}", journey.agent_events);
    assert!(journey.town.rows(0).is_empty());
    never_ended(&journey);
    journey.audit();
}

#[test]
fn an_owner_that_lives_is_waited_for_within_the_limit_and_no_longer() {
    let mut policy = Policy::laptop();
    policy.session.transport_lost_ttl = ms(20_000);
    policy.switching.degraded_timeout = ms(9_000);
    let mut journey = Journey::new(policy, 3);
    journey.run_with_traffic(ms(3000));
    journey.town.refuse_release = Some(Reason::OwnerAlive);
    journey.intercept = Some(Box::new(|flight| flight.at == 0));
    let since = journey.now;
    journey.run_with_traffic(ms(12_000));
    never_ended(&journey);
    assert!(arrived(&journey, since, Kind::TakeoverResp) > 2, "it is refused again and again");
    // Once for each attempt that is answered, and not in a hurry.
    assert!(arrived(&journey, since, Kind::TakeoverInit) < 60);
    journey.run_with_traffic(ms(9000));
    let ended = journey.notices.iter().find_map(|notice| match notice {
        Notice::Terminated { reason, .. } => Some(*reason),
        _ => None,
    });
    assert_eq!(ended, Some(Reason::TransportLostTtl));
}

#[test]
fn an_owner_that_lets_go_later_is_not_too_late() {
    let mut journey = Journey::begun(4);
    journey.town.refuse_release = Some(Reason::OwnerAlive);
    journey.intercept = Some(Box::new(|flight| flight.at == 0));
    journey.run_with_traffic(ms(6000));
    journey.town.refuse_release = None;
    let since = journey.now;
    journey.run_with_traffic(ms(6000));
    assert!(journey.back_after(since).is_some_and(|back| back < ms(5000)));
    assert_eq!(journey.serving(), 1);
    never_ended(&journey);
    journey.audit();
}

#[test]
fn advice_is_followed_while_the_old_gateway_still_serves() {
    let mut journey = Journey::begun(5);
    let before = anchor(&journey);
    let (since, sent) = (journey.now, journey.at_agent.len());
    journey.town.gateways[0].handle_command(Command::Drain { span: ms(2000) }, journey.now);
    journey.run_with_traffic(ms(4000));
    assert_eq!((journey.serving(), anchor(&journey)), (1, before));
    assert_eq!(why(&journey), [Reason::GatewayDraining]);
    // One exchange without a usable binding: a round trip, and what was under way.
    let gaps = journey.at_agent.windows(2).map(|pair| pair[1].since(pair[0])).max().unwrap();
    assert!(gaps <= ms(100), "{gaps:?}");
    assert!(journey.at_agent.len() - sent > 700, "{}", journey.at_agent.len() - sent);
    assert!(!journey.agent_events.iter().any(|event| {
        event.at > since && matches!(event.kind, EventKind::StateChange { to: State::Volatile, .. })
    }));
    never_ended(&journey);
    journey.audit();
}

#[test]
fn a_gateway_that_dies_before_its_store_agrees_is_left_with_the_same_credentials() {
    let mut journey = Journey::begun(6);
    journey.kill(0);
    journey.town.bury(0);
    // Gateway 1 answers, and never hears the confirmation.
    journey.intercept =
        Some(Box::new(|flight| flight.at == 1 && flight.up && kind(&flight.bytes) == Some(Kind::Data)));
    journey.run_with_traffic(ms(3000));
    assert_eq!(journey.serving(), 1, "it has claimed");
    assert_eq!(takeovers(&journey), []);
    journey.kill(1);
    journey.intercept = None;
    journey.restart(0);
    let since = journey.now;
    journey.run_with_traffic(ms(6000));
    assert!(journey.back_after(since).is_some(), "{:#?}", journey.agent_events);
    assert_eq!(journey.serving(), 0);
    assert_eq!(takeovers(&journey).len(), 1);
    never_ended(&journey);
    journey.audit();
}

#[test]
fn a_takeover_whose_proof_was_lost_is_found_with_the_new_credentials() {
    let mut journey = Journey::begun(7);
    journey.kill(0);
    journey.town.bury(0);
    // The store agrees, and nobody tells the client.
    journey.intercept =
        Some(Box::new(|flight| flight.at == 1 && !flight.up && kind(&flight.bytes) == Some(Kind::Data)));
    journey.run_with_traffic(ms(7000));
    assert_eq!(takeovers(&journey), []);
    journey.kill(1);
    journey.run_with_traffic(ms(100));
    journey.intercept = None;
    journey.restart(1);
    let since = journey.now;
    journey.run_with_traffic(ms(12_000));
    assert!(journey.back_after(since).is_some(), "{:#?} {:?}", journey.agent_events, journey.drops);
    assert_eq!(journey.serving(), 1);
    never_ended(&journey);
}

#[test]
fn nothing_of_the_old_owner_opens_after_the_confirmation() {
    let mut journey = Journey::begun(8);
    journey.kill(0);
    journey.run_with_traffic(ms(100));
    let old: Vec<Vec<u8>> =
        journey.seen.iter().filter(|(_, up, ..)| !up).map(|(.., bytes)| bytes.clone()).collect();
    journey.restart(0);
    journey.run_with_traffic(ms(1000));
    assert_eq!(takeovers(&journey).len(), 1);
    let from = crate::journey::AT[0].parse().unwrap();
    for mut datagram in old {
        let received =
            journey.agent.handle_datagram(jumpvpn_engine::SocketKey(0), from, &mut datagram, journey.now);
        assert!(matches!(received, jumpvpn_engine::Received::Dropped(_)), "{received:?}");
    }
}

#[test]
fn forged_and_recorded_answers_change_nothing() {
    // Each of them is handed in again with every bit of one byte changed, before the genuine one.
    for (seed, wanted) in [Kind::NoSession, Kind::HsRetry, Kind::TakeoverResp].into_iter().enumerate() {
        let mut journey = Journey::begun(20 + seed as u64);
        let mut seen = 0;
        journey.kill(0);
        journey.run_with_traffic(ms(200));
        journey.restart(0);
        let since = journey.now;
        for _ in 0..60 {
            journey.run_with_traffic(ms(5));
            let fresh: Vec<Vec<u8>> = journey
                .seen
                .iter()
                .skip(seen)
                .filter(|(_, up, _, bytes)| !up && kind(bytes) == Some(wanted))
                .map(|(.., bytes)| bytes.clone())
                .collect();
            seen = journey.seen.len();
            for (index, datagram) in
                fresh.iter().flat_map(|bytes| (1..bytes.len()).map(move |at| (at, bytes)))
            {
                if wanted == Kind::NoSession && (4..12).contains(&index) {
                    // The client's CID, which nobody looks at there.
                    continue;
                }
                let mut forged = datagram.clone();
                forged[index] ^= 0xFF;
                let from = crate::journey::AT[0].parse().unwrap();
                let socket = jumpvpn_engine::SocketKey(0);
                let received = journey.agent.handle_datagram(socket, from, &mut forged, journey.now);
                assert!(
                    matches!(received, jumpvpn_engine::Received::Dropped(_)),
                    "{wanted:?}, byte {index}: {received:?}"
                );
            }
        }
        journey.run_with_traffic(ms(1000));
        assert!(journey.back_after(since).is_some(), "{wanted:?}");
        assert_eq!(takeovers(&journey).len(), 1);
        never_ended(&journey);
    }
}

#[test]
fn a_recorded_word_that_a_session_is_orphaned_ends_nothing_and_moves_nothing() {
    let mut journey = Journey::begun(9);
    journey.kill(0);
    journey.run_with_traffic(ms(300));
    journey.restart(0);
    journey.run_with_traffic(ms(400));
    assert_eq!(takeovers(&journey).len(), 1);
    let words: Vec<Vec<u8>> = journey
        .seen
        .iter()
        .filter(|(.., bytes)| kind(bytes) == Some(Kind::NoSession))
        .map(|(.., bytes)| bytes.clone())
        .collect();
    assert!(!words.is_empty());
    let epoch = journey.status().epoch;
    // In doubt: nothing comes through.
    journey.intercept = Some(Box::new(|_| true));
    journey.run_with_traffic(ms(400));
    for word in &words {
        let mut gone = NoSession::decode(word).unwrap();
        assert!(gone.orphaned);
        gone.orphaned = false;
        for mut forged in [gone.encode().to_vec(), word.clone()] {
            let from = crate::journey::AT[0].parse().unwrap();
            let socket = jumpvpn_engine::SocketKey(0);
            journey.agent.handle_datagram(socket, from, &mut forged, journey.now);
        }
    }
    journey.intercept = None;
    journey.run_with_traffic(ms(2000));
    assert_eq!(journey.status().epoch, epoch);
    never_ended(&journey);
}

#[test]
fn a_replayed_request_within_the_cookies_life_changes_nothing() {
    let mut journey = Journey::begun(10);
    journey.kill(0);
    journey.run_with_traffic(ms(200));
    journey.restart(0);
    journey.run_with_traffic(ms(1000));
    let requests: Vec<Vec<u8>> = journey
        .seen
        .iter()
        .filter(|(.., bytes)| TakeoverInit::parse(bytes).is_ok_and(|init| init.cookie().is_some()))
        .map(|(.., bytes)| bytes.clone())
        .collect();
    assert!(!requests.is_empty());
    let record = journey.town.store.records.clone();
    for request in requests {
        for source in ["203.0.113.1:40000", "203.0.113.2:40000", "198.51.100.1:9"] {
            journey.town.hand_in(0, source.parse().unwrap(), &request);
            journey.town.hand_in(1, source.parse().unwrap(), &request);
        }
    }
    journey.run_with_traffic(ms(6000));
    assert_eq!(journey.town.store.records.len(), record.len());
    let owners = |records: &std::collections::BTreeMap<_, (_, jumpvpn_ownership::SessionRecord)>| {
        records.values().map(|(_, record)| (record.owner, record.owner_epoch)).collect::<Vec<_>>()
    };
    assert_eq!(owners(&journey.town.store.records), owners(&record));
    assert_eq!(takeovers(&journey).len(), 1);
    never_ended(&journey);
}

#[test]
fn refusals_reach_the_client_and_a_store_that_is_ahead_is_caught_up_with() {
    let mut journey = Journey::begun(11);
    // The session was given to gateway 1, which died before it said so: the store is one owner epoch ahead.
    let handle = *journey.town.store.records.keys().next().unwrap();
    let next = journey.town.incarnations[1];
    let (_, record) = journey.town.store.records.get_mut(&handle).unwrap();
    (record.owner, record.owner_epoch) = (next, record.owner_epoch + 1);
    journey.kill(0);
    journey.restart(1);
    let since = journey.now;
    journey.run_with_traffic(ms(5000));
    let refusals: Vec<Reason> = journey
        .seen
        .iter()
        .filter_map(|(.., bytes)| TakeoverRefusal::decode(bytes).ok())
        .filter_map(|refusal| Reason::from_number(refusal.reason))
        .collect();
    assert!(refusals.contains(&Reason::StaleOwnerEpoch), "{refusals:?}");
    assert!(journey.back_after(since).is_some(), "{:#?}", journey.agent_events);
    assert_eq!(takeovers(&journey).first().map(|(epoch, _)| *epoch), Some(3));
    never_ended(&journey);
    journey.audit();
}

#[test]
fn a_jump_and_a_takeover_that_race_end_in_one_place() {
    for seed in 0..12 {
        let mut journey = Journey::begun(40 + seed);
        journey.town.gateways[0].handle_command(Command::Drain { span: ms(200) }, journey.now);
        journey.run_with_traffic(ms(10 + seed * 12));
        let to = if seed % 2 == 0 { [1] } else { [0] };
        journey.set_links(&to);
        journey.run_with_traffic(ms(4000));
        assert_eq!(journey.serving(), 1, "seed {seed}: {:#?}", journey.agent_events);
        let rows = [journey.town.rows(0).len(), journey.town.rows(1).len()];
        assert_eq!(rows, [0, 1], "seed {seed}");
        never_ended(&journey);
        journey.audit();
    }
}

#[test]
fn a_late_store_costs_time_and_nothing_else() {
    let mut journey = Journey::begun(12);
    journey.kill(0);
    journey.run_with_traffic(ms(200));
    journey.restart(0);
    journey.town.manner = Manner::Late;
    for _ in 0..200 {
        journey.run_with_traffic(ms(50));
        journey.town.answer_all(false);
    }
    assert_eq!(takeovers(&journey).len(), 1);
    assert_eq!(journey.agent.state(), State::Attached);
    never_ended(&journey);
    journey.audit();
}

#[test]
fn a_path_that_answers_and_leads_to_nothing_does_not_keep_the_session_from_another() {
    // On one link somebody lets the race through and nothing behind it.
    for dead_end in [0, 1] {
        let mut journey = Journey::begun(60 + dead_end as u64);
        journey.kill(0);
        journey.town.bury(0);
        journey.intercept = Some(Box::new(move |flight| {
            let bare = TakeoverInit::parse(&flight.bytes).is_ok_and(|init| init.cookie().is_none());
            flight.link == dead_end && !bare && kind(&flight.bytes) != Some(Kind::HsRetry)
        }));
        let since = journey.now;
        journey.run_with_traffic(ms(6000));
        let back = journey.back_after(since);
        assert!(back.is_some_and(|back| back < ms(5000)), "link {dead_end}: {back:?}");
        never_ended(&journey);
        journey.audit();
    }
}

#[test]
fn without_any_link_nothing_is_asked_and_the_first_link_is_used() {
    let mut journey = Journey::begun(14);
    journey.kill(0);
    journey.town.bury(0);
    journey.set_links(&[]);
    let since = journey.now;
    journey.run(ms(10_000));
    assert_eq!(arrived(&journey, since, Kind::TakeoverInit), 0);
    journey.set_links(&[1]);
    let since = journey.now;
    journey.run_with_traffic(ms(3000));
    assert!(journey.back_after(since).is_some_and(|back| back < ms(2000)), "{:#?}", journey.agent_events);
    never_ended(&journey);
    journey.audit();
}

#[test]
fn a_birth_goes_to_the_next_gateway_when_the_first_is_silent() {
    let mut journey = Journey::new(Policy::laptop(), 13);
    journey.kill(0);
    journey.run_with_traffic(ms(4000));
    assert_eq!((journey.serving(), journey.agent.state()), (1, State::Attached));
    assert!(journey.at_agent.len() > 100);
}

/// How an agent whose gateways were started again with other files goes on.
fn after_new_files(changes: [fn(&mut Config); 2], seed: u64) -> Journey {
    let mut journey = Journey::begun(seed);
    for (at, change) in changes.into_iter().enumerate() {
        journey.kill(at);
        journey.restart_with(at, change);
    }
    journey.run_with_traffic(ms(5000));
    journey
}

fn strike(config: &mut Config) {
    config.peers.clear();
}

fn move_out(config: &mut Config) {
    config.peers.iter_mut().for_each(|peer| peer.inner[0] = "10.77.0.9".parse().unwrap());
}

fn ends(journey: &Journey) -> Vec<(Reason, bool)> {
    let ends = journey.notices.iter().filter_map(|notice| match notice {
        Notice::Terminated { reason, retry } => Some((*reason, *retry)),
        _ => None,
    });
    ends.collect()
}

#[test]
fn the_session_of_a_client_that_is_struck_everywhere_ends_with_that_reason() {
    for seed in 0..8 {
        let mut journey = after_new_files([strike, strike], 1700 + seed);
        assert_eq!(ends(&journey), [(Reason::PeerRevoked, true)]);
        assert_ne!(journey.agent.state(), State::Attached);
        // Who was struck by mistake is let in again.
        journey.kill(1);
        journey.restart(1);
        journey.run_with_traffic(ms(60_000));
        assert_eq!((journey.serving(), journey.agent.state()), (1, State::Attached));
        journey.audit();
    }
}

#[test]
fn what_a_gateway_said_before_the_session_was_served_again_counts_no_more() {
    for seed in 0..4 {
        let mut journey = Journey::begun(1750 + seed);
        let before = anchor(&journey);
        journey.kill(1);
        journey.restart_with(1, strike);
        // The own gateway is silent for a while, and the other one says that it knows no such client.
        journey.alive[0] = false;
        journey.run_with_traffic(ms(3000));
        assert!(journey.agent.counters().drops.count(Reason::PeerRevoked) > 0);
        journey.alive[0] = true;
        journey.run_with_traffic(ms(5000));
        assert_eq!((journey.serving(), journey.agent.state()), (0, State::Attached));
        // Later the client moves from the one file to the other.
        for (at, change) in [(1, (|_: &mut Config| ()) as fn(&mut Config)), (0, strike)] {
            journey.kill(at);
            journey.restart_with(at, change);
        }
        journey.run_with_traffic(ms(5000));
        assert_eq!((journey.serving(), anchor(&journey)), (1, before));
        never_ended(&journey);
        journey.audit();
    }
}

#[test]
fn a_client_that_one_gateway_still_knows_goes_on_there() {
    let either: [fn(&mut Config); 2] = [strike, move_out];
    for (seed, change) in either.into_iter().enumerate() {
        let journey = after_new_files([change, |_| ()], 1800 + seed as u64);
        assert_eq!((journey.serving(), journey.agent.state()), (1, State::Attached));
        never_ended(&journey);
        journey.audit();
    }
}

#[test]
fn a_client_whose_addresses_were_changed_begins_a_new_session_with_them() {
    let both: [[fn(&mut Config); 2]; 2] = [[move_out, move_out], [strike, move_out]];
    for changes in both {
        let journey = after_new_files(changes, 1900);
        assert_eq!(ends(&journey), [(Reason::PeerChanged, true)]);
        let inner = journey.status().inner_v4.expect("a new session").0;
        assert_eq!((inner, journey.agent.state()), ("10.77.0.9".parse().unwrap(), State::Attached));
        journey.audit();
    }
}
