//! Two gateways with the ownership layer behind them: deaths, handoffs and outages of the store, end to end. Whatever happens, every
//! 5 ms at most one of them would send a packet to the client (`Town::run`).
use std::net::SocketAddr;
use std::time::Duration;

use jumpvpn_engine::gateway::Command;
use jumpvpn_engine::{HEADROOM, Received, TAILROOM};
use jumpvpn_events::{Reason, Time};
use jumpvpn_policy::Policy;
use jumpvpn_session::{Side, TakenOver};
use jumpvpn_wire::{Cid, Frame, FrameWriter, NoSession, TakeoverRefusal, TakeoverRespPayload};

use crate::members::Wire;
use crate::rogue::Rogue;
use crate::town::{KEYS, Town};
use crate::world::{GATEWAY_INNER, MALLORY, MALLORY_INNER, ms, packet};

fn home() -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 66], 6666))
}

/// Whether a gateway lets a packet of the client pass.
fn serves(town: &mut Town, at: usize, client: &mut Rogue) -> bool {
    let buffer = packet(MALLORY_INNER, GATEWAY_INNER, 1);
    let sealed = client.packet(&buffer[HEADROOM..buffer.len() - TAILROOM]);
    matches!(town.hand_in(at, client.source, &sealed), Received::Packet(_))
}

/// Whether it would send one to the client, whoever that is.
fn sends(town: &mut Town, at: usize) -> bool {
    let mut down = packet(GATEWAY_INNER, MALLORY_INNER, 2);
    town.gateways[at].handle_packet(&mut down, town.now).is_ok()
}

/// What comes of a takeover within three seconds: `None` if it is done.
fn try_to_move(town: &mut Town, at: usize, client: &mut Rogue) -> Option<Reason> {
    let stand = client.stand();
    let credentials = client.credentials();
    let mut initiator = client.ask_takeover_as(KEYS[at], &credentials, (stand.1, stand.2));
    let init = town.with_cookie(at, client.source, &mut initiator);
    town.hand_in(at, client.source, &init);
    town.run(ms(500));
    let answer = town.take_sent(at, client.source).pop().expect("no answer to a takeover");
    if let Ok(refusal) = initiator.read_refusal(&answer) {
        return Reason::from_number(refusal.reason);
    }
    let (taken, payload) = initiator.handle_response(&answer).map_err(|(_, error)| error).unwrap();
    let fin = confirmation(&taken, &payload);
    town.hand_in(at, client.source, &fin);
    town.run(ms(3000));
    let refused =
        town.take_sent(at, client.source).into_iter().find_map(|sent| TakeoverRefusal::decode(&sent).ok());
    if let Some(refusal) = refused {
        return Reason::from_number(refusal.reason);
    }
    client.adopt(taken, &payload);
    // The number of the confirmation is used up.
    client.frames(&[Frame::Fin]);
    None
}

/// FIN under the keys of a takeover whose client keeps what it has until it knows more.
fn confirmation(taken: &TakenOver, payload: &TakeoverRespPayload) -> Vec<u8> {
    let mut traffic = taken.secret.binding(&taken.context, &taken.binding, Side::Client);
    let mut datagram = vec![0; HEADROOM + Frame::HEADER_LEN + TAILROOM];
    assert!(FrameWriter::new(&mut datagram[HEADROOM..]).push(&Frame::Fin));
    traffic.send.seal(payload.server_cid, 0, &mut datagram).unwrap();
    datagram
}

#[test]
fn a_gateway_that_was_started_again_says_so_and_goes_on() {
    let mut town = Town::of_members();
    let mut client = town.birth(MALLORY, home());
    assert!(serves(&mut town, 0, &mut client));
    town.kill(0);
    assert!(!serves(&mut town, 0, &mut client) && !sends(&mut town, 0));
    town.start(0);
    town.run(ms(100));
    let probe = client.probe(Cid(5));
    town.hand_in(0, home(), &probe);
    let word = NoSession::decode(&town.take_sent(0, home()).pop().unwrap()).unwrap();
    assert!(word.orphaned, "it was dead for certain: the same machine holds its lock");
    assert_eq!(try_to_move(&mut town, 0, &mut client), None);
    assert!(serves(&mut town, 0, &mut client));
    assert_eq!(client.stand().1, 2);
}

#[test]
fn a_gateway_that_died_is_followed_when_its_right_is_over_for_certain() {
    let mut town = Town::of_members();
    let mut client = town.birth(MALLORY, home());
    town.run(ms(1500));
    town.kill(0);
    let died = town.now;
    assert_eq!(try_to_move(&mut town, 1, &mut client), Some(Reason::OwnerAlive), "nobody knows yet");
    while let Some(reason) = try_to_move(&mut town, 1, &mut client) {
        assert_eq!(reason, Reason::OwnerAlive);
        assert!(town.now.since(died) < ms(20_000), "it never went on");
    }
    assert!(town.now.since(died) >= ms(6_000), "not before the lease is over");
    assert!(serves(&mut town, 1, &mut client) && sends(&mut town, 1));
    assert!(town.rows(1)[0].moved);
}

#[test]
fn a_living_gateway_gives_the_session_away_within_a_second() {
    let mut town = Town::of_members();
    let mut client = town.birth(MALLORY, home());
    town.run(ms(1000));
    let began = town.now;
    town.agree(1, &mut client);
    let fin = client.frames(&[Frame::Fin]);
    town.hand_in(1, home(), &fin);
    while town.rows(1).is_empty() {
        assert!(town.now.since(began) < ms(2000), "it never came");
        town.run(ms(5));
    }
    assert!(town.now.since(began) <= ms(1000), "{:?}", town.now.since(began));
    assert!(serves(&mut town, 1, &mut client) && !sends(&mut town, 0));
    assert!(town.rows(0).is_empty());
}

#[test]
fn who_is_cut_off_from_the_store_stops_before_another_one_begins() {
    for wire in [Wire::Cut, Wire::Deaf] {
        let mut town = Town::of_members();
        let mut client = town.birth(MALLORY, home());
        town.run(ms(1000));
        town.members.as_mut().unwrap().wires[0] = wire;
        let cut = town.now;
        while town.rows(1).is_empty() {
            assert!(town.now.since(cut) < ms(30_000), "it never went on");
            // The client asks elsewhere all the time, and keeps what it has.
            try_to_move(&mut town, 1, &mut client);
        }
        assert!(!sends(&mut town, 0) && town.rows(0).is_empty());
        assert!(serves(&mut town, 1, &mut client));
        // It comes back as another incarnation, and may have the session again.
        town.members.as_mut().unwrap().wires[0] = Wire::Good;
        town.run(ms(10_000));
        assert_eq!(try_to_move(&mut town, 0, &mut client), None);
        assert!(serves(&mut town, 0, &mut client) && !sends(&mut town, 1));
    }
}

#[test]
fn a_store_that_is_gone_for_all_ends_nothing_but_pauses_everything() {
    let mut town = Town::of_members();
    let mut client = town.birth(MALLORY, home());
    town.run(ms(1000));
    town.members.as_mut().unwrap().wires.fill(Wire::Cut);
    town.run(ms(4000));
    assert!(serves(&mut town, 0, &mut client), "its right is good for six seconds");
    town.run(ms(4000));
    assert!(!serves(&mut town, 0, &mut client) && !sends(&mut town, 0));
    town.members.as_mut().unwrap().wires.fill(Wire::Good);
    town.run(ms(10_000));
    assert_eq!(try_to_move(&mut town, 0, &mut client), None);
    assert!(serves(&mut town, 0, &mut client));
}

#[test]
fn a_client_that_is_born_again_elsewhere_ends_its_session_here() {
    let mut town = Town::of_members();
    let mut client = town.birth(MALLORY, home());
    town.run(ms(1000));
    let (initiator, init) = crate::rogue::hello_to(MALLORY, KEYS[1], 9);
    town.hand_in(1, home(), &init);
    let answer = town.take_sent(1, home()).pop().unwrap();
    let mut newer = Rogue::of_answer(initiator, &answer, MALLORY, home());
    let fin = newer.frames(&[Frame::Fin]);
    town.hand_in(1, home(), &fin);
    town.run(ms(3000));
    assert!(town.rows(0).is_empty() && !serves(&mut town, 0, &mut client));
    assert!(serves(&mut town, 1, &mut newer));
}

/// Successful moves in the minute before each of them, the one with the most.
fn most_in_a_minute(moves: &[Time]) -> usize {
    let within = |last: &Time| moves.iter().filter(|at| *at <= last && last.since(**at) < ms(60_000)).count();
    moves.iter().map(within).max().unwrap_or_default()
}

/// Two gateways whose policy allows so many moves a minute and one per cooldown, and a client.
fn with_limits(max_switches_per_min: u16, switch_cooldown: Duration) -> (Town, Rogue) {
    let mut policy = Policy::laptop();
    policy.switching.max_switches_per_min = max_switches_per_min;
    policy.switching.switch_cooldown = switch_cooldown;
    let mut town = Town::of_members_with(policy);
    let client = town.birth(MALLORY, home());
    (town, client)
}

/// Each move between gateways is a write, and each gateway would allow the whole limit if it began to count anew.
#[test]
fn the_limit_of_moves_holds_for_all_gateways_together() {
    const LIMIT: usize = 6;
    let (mut town, mut client) = with_limits(LIMIT as u16, ms(500));
    let (began, mut moves, mut refusals) = (town.now, Vec::new(), Vec::new());
    let mut at = 0;
    while town.now.since(began) < ms(150_000) {
        match try_to_move(&mut town, 1 - at, &mut client) {
            None => {
                at = 1 - at;
                moves.push(town.now);
            }
            Some(reason) => {
                refusals.push(reason);
                town.run(ms(2_000));
            }
        }
    }
    assert_eq!(most_in_a_minute(&moves), LIMIT, "{moves:?}");
    assert!(moves.len() >= 2 * LIMIT, "it may move again every minute: {moves:?}");
    assert!(refusals.iter().all(|reason| *reason == Reason::SwitchRateLimited), "{refusals:?}");
    // The limit is for what a client asks for. When its gateway dies it may go on, and be given on, at once.
    while try_to_move(&mut town, 1 - at, &mut client).is_none() {
        at = 1 - at;
    }
    town.kill(at);
    town.start(at);
    town.run(ms(200));
    assert_eq!(try_to_move(&mut town, at, &mut client), None);
    town.run(ms(1_000));
    assert_eq!(try_to_move(&mut town, 1 - at, &mut client), None);
}

/// What was long ago counts no more, however often a session has changed its owner since: one change each ten seconds is far
/// below the limit.
#[test]
fn a_session_that_changes_gateways_below_the_limit_is_never_refused() {
    let (mut town, mut client) = with_limits(8, ms(500));
    for change in 0..30 {
        assert_eq!(try_to_move(&mut town, 1 - change % 2, &mut client), None, "change {change}");
        town.run(ms(6_500));
    }
}

/// A gateway that sends its sessions away uses nothing up of what they may do by themselves.
#[test]
fn being_sent_away_is_no_move() {
    let (mut town, mut client) = with_limits(2, ms(500));
    for at in [1, 0, 1, 0, 1] {
        town.gateways[1 - at].handle_command(Command::Drain { span: ms(0) }, town.now);
        town.run(ms(1_000));
        assert_eq!(try_to_move(&mut town, at, &mut client), None);
        town.gateways[1 - at].handle_command(Command::Undrain, town.now);
    }
    assert_eq!(try_to_move(&mut town, 0, &mut client), None);
    town.run(ms(1_000));
    assert_eq!(try_to_move(&mut town, 1, &mut client), None);
    town.run(ms(1_000));
    assert_eq!(try_to_move(&mut town, 0, &mut client), Some(Reason::SwitchRateLimited));
}

/// A client that its gateway has just heard may wait for the cooldown; one that it does not hear asks because it is cut off.
#[test]
fn who_is_not_heard_waits_for_no_cooldown() {
    let (mut town, mut client) = with_limits(8, ms(30_000));
    assert_eq!(try_to_move(&mut town, 1, &mut client), None);
    assert!(serves(&mut town, 1, &mut client));
    assert_eq!(try_to_move(&mut town, 0, &mut client), Some(Reason::SwitchCooldown));
    town.run(ms(1_000));
    assert_eq!(try_to_move(&mut town, 0, &mut client), None);
}
