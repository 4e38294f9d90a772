//! Sessions that go on at another gateway, or after a restart of their own.
use std::net::SocketAddr;
use std::time::Duration;

use jumpvpn_engine::counters::OwnershipChange;
use jumpvpn_engine::gateway::Command;
use jumpvpn_engine::{HEADROOM, Received, TAILROOM};
use jumpvpn_events::{EventKind, Reason, State, Time};
use jumpvpn_ownership::{Answer, Ask, Fence, Owner, RecordState, Request, RequestId, Rev, SessionRecord};
use jumpvpn_policy::Policy;
use jumpvpn_session::{CredentialsPlace, orphaned_proof, reset_token};
use jumpvpn_wire::{Cid, Frame, FrameReader, Kind, NoSession, SessionId};

use crate::rogue::{Rogue, hello_to};
use crate::town::{KEYS, Manner, Town, keys};
use crate::world::{GATEWAY_INNER, MALLORY, MALLORY_INNER, key, ms, packet};

fn home() -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 66], 6666))
}

/// A packet of the client's, sealed.
fn up(client: &mut Rogue) -> Vec<u8> {
    let buffer = packet(MALLORY_INNER, GATEWAY_INNER, 1);
    client.packet(&buffer[HEADROOM..buffer.len() - TAILROOM])
}

/// Whether the gateway lets packets pass both ways.
fn serves(town: &mut Town, at: usize, client: &mut Rogue) -> bool {
    let sealed = up(client);
    let went_up = matches!(town.hand_in(at, client.source, &sealed), Received::Packet(_));
    let mut down = packet(GATEWAY_INNER, MALLORY_INNER, 2);
    let sent = town.gateways[at].handle_packet(&mut down, town.now);
    let came_down = sent.is_ok_and(|transmit| client.open(&down[..transmit.len]).is_some());
    assert_eq!(went_up, came_down, "it serves one way only");
    went_up
}

fn count(town: &Town, at: usize, change: OwnershipChange) -> u64 {
    town.gateways[at].counters().ownership.count(change)
}

fn kinds(town: &Town, at: usize) -> Vec<&'static str> {
    town.events.iter().filter(|(from, _)| *from == at).map(|(_, event)| event.kind.name()).collect()
}

/// The one record of the store.
fn record(town: &Town) -> &jumpvpn_ownership::SessionRecord {
    &town.store.records.values().next().unwrap().1
}

fn the_record(town: &mut Town) -> &mut SessionRecord {
    &mut town.store.records.values_mut().next().unwrap().1
}

/// Key epochs whose credentials the record has.
fn known_epochs(town: &Town) -> Vec<u32> {
    let record = record(town);
    let (sid, owner_epoch) = (SessionId(record.sid), record.owner_epoch);
    let place = CredentialsPlace { cell: b"town", sid, owner_epoch };
    keys().open(&place, &record.sealed).unwrap().iter().map(jumpvpn_session::Credentials::n).collect()
}

#[test]
fn after_a_restart_the_session_goes_on() {
    let mut town = Town::new();
    let mut client = town.birth(MALLORY, home());
    assert!(serves(&mut town, 0, &mut client));
    let (sid, ..) = client.stand();
    assert_eq!(known_epochs(&town), [0]);
    town.restart(0);
    let lost = client.probe(Cid(5));
    assert_eq!(town.hand_in(0, home(), &lost), Received::Dropped(Reason::UnknownSession));
    let word = NoSession::decode(&town.take_sent(0, home()).pop().unwrap()).unwrap();
    let handle = jumpvpn_wire::Handle::new(record(&town).handle.number()).unwrap();
    let token = reset_token(keys().reset_key(), handle);
    assert!(word.orphaned && word.reset_token == orphaned_proof(&token, word.cseq));
    town.move_to(0, &mut client);
    assert_eq!(client.stand(), (sid, 2, 2, 1));
    assert!(serves(&mut town, 0, &mut client));
    let row = &town.rows(0)[0];
    assert_eq!((row.state, row.version, row.epoch, row.key_epoch), (State::Attached, 2, 2, 1));
    assert_eq!(row.inner, [MALLORY_INNER.parse::<std::net::IpAddr>().unwrap()]);
    assert!(!row.moved && !record(&town).moved, "it is where it was");
    assert_eq!((record(&town).owner_epoch, record(&town).version), (2, 2));
    assert_eq!((record(&town).key_epoch, known_epochs(&town)), (1, vec![1]), "the epoch before is over");
    assert_eq!(town.gateways[0].counters().handshakes, 1);
    assert_eq!(count(&town, 0, OwnershipChange::Taken), 1);
}

/// Something that happens to the store.
type Change = fn(&mut Town);

/// What a gateway that was started again says about the session of a client, where the store has been changed like that, and
/// with a right to act that is there, or not, when the store is asked and when it answers.
fn said_of_the_lost(change: Change, when_asked: bool, when_answered: bool) -> (usize, Option<bool>) {
    let mut town = Town::new();
    let mut client = town.birth(MALLORY, home());
    town.take_sent(0, home());
    town.restart(0);
    change(&mut town);
    town.manner = Manner::Slow;
    for (right, at_answer) in [(when_asked, false), (when_answered, true)] {
        let valid_until = if right { Time::MAX } else { town.now };
        town.gateways[0].handle_fence(Fence { epoch: 1, valid_until });
        if !at_answer {
            let probe = client.probe(Cid(5));
            assert_eq!(town.hand_in(0, home(), &probe), Received::Dropped(Reason::UnknownSession));
        }
    }
    let question_count = town.asked().len();
    town.answer_all(false);
    let word = town.take_sent(0, home()).pop();
    (question_count, word.map(|word| NoSession::decode(&word).unwrap().orphaned))
}

#[test]
fn without_the_right_to_act_nobody_is_told_that_its_session_is_lost() {
    let changes: [(Change, Option<bool>); 8] = [
        // It lives, and its owner is dead.
        (|_| {}, Some(true)),
        // The same, after five gateways had it in a row that did not come to write their own credentials.
        (|town| the_record(town).owner_epoch += 5, Some(true)),
        (|town| town.store.records.clear(), Some(false)),
        (|town| the_record(town).state = RecordState::Terminated { reason_number: 0 }, Some(false)),
        (|town| the_record(town).expires = town.now, Some(false)),
        (|town| the_record(town).sealed.clear(), Some(false)),
        // Nobody can go on with it here, and perhaps elsewhere.
        (|town| the_record(town).sealed[20] ^= 1, None),
        (
            |town| {
                let span = Duration::from_secs(60);
                town.gateways[0].handle_command(Command::Drain { span }, town.now);
            },
            None,
        ),
    ];
    for (number, (change, said)) in changes.into_iter().enumerate() {
        assert_eq!(said_of_the_lost(change, true, true), (1, said), "change {number}");
        assert_eq!(said_of_the_lost(change, true, false), (1, None), "change {number}");
        assert_eq!(said_of_the_lost(change, false, true), (0, None), "change {number}");
    }
}

#[test]
fn another_gateway_takes_over_what_a_dead_one_had() {
    let mut town = Town::new();
    let mut client = town.birth(MALLORY, home());
    town.restart(0);
    // It comes from elsewhere, too.
    client.source = SocketAddr::from(([198, 51, 100, 77], 7777));
    town.move_to(1, &mut client);
    assert!(serves(&mut town, 1, &mut client));
    assert!(town.rows(1)[0].moved && record(&town).moved);
    assert_eq!(town.rows(1)[0].address, client.source);
    assert_eq!(count(&town, 1, OwnershipChange::Taken), 1);
    // And back again, which is a handoff now.
    town.run(ms(2000));
    town.move_to(0, &mut client);
    assert!(serves(&mut town, 0, &mut client));
    assert!(town.rows(1).is_empty());
    assert_eq!(
        (count(&town, 0, OwnershipChange::Received), count(&town, 1, OwnershipChange::Released)),
        (1, 1)
    );
    assert_eq!(client.stand().1, 3);
}

#[test]
fn a_living_owner_gives_the_session_away() {
    let mut town = Town::new();
    let mut client = town.birth(MALLORY, home());
    let late = up(&mut client);
    town.move_to(1, &mut client);
    assert!(serves(&mut town, 1, &mut client));
    assert!(town.rows(0).is_empty(), "the keys are erased");
    assert_eq!(town.hand_in(0, home(), &late), Received::Dropped(Reason::UnknownCid));
    assert_eq!(town.hand_in(1, home(), &late), Received::Dropped(Reason::UnknownCid));
    assert_eq!(kinds(&town, 0).last(), Some(&"RELEASE"));
    assert_eq!(kinds(&town, 1)[..3], ["TAKEOVER", "PATH_STATE", "STATE_CHANGE"]);
    let commits: Vec<_> = town.events.iter().filter(|(_, event)| event.kind.is_commit()).collect();
    let facts: Vec<_> = commits.iter().map(|(at, event)| (*at, event.epoch, event.version)).collect();
    assert_eq!(facts, [(0, 1, 1), (1, 2, 2)]);
}

#[test]
fn a_client_that_lost_its_keys_gets_new_ones_where_it_is() {
    let mut town = Town::new();
    let mut client = town.birth(MALLORY, home());
    let late = up(&mut client);
    town.move_to(0, &mut client);
    assert!(serves(&mut town, 0, &mut client));
    assert_eq!(town.hand_in(0, home(), &late), Received::Dropped(Reason::UnknownCid));
    let row = &town.rows(0)[0];
    assert_eq!((row.version, row.epoch, row.step), (2, 2, 3), "birth, jump begun, jump committed");
    assert_eq!(count(&town, 0, OwnershipChange::Renewed), 1);
    assert_eq!(town.rows(0).len(), 1);
}

#[test]
fn the_version_goes_on_from_what_the_client_knows() {
    let mut town = Town::new();
    let mut client = town.birth(MALLORY, home());
    town.restart(0);
    // Nine moves that no store has heard of.
    let credentials = client.credentials();
    let mut initiator = client.ask_takeover_as(KEYS[1], &credentials, (1, 10));
    let init = town.with_cookie(1, home(), &mut initiator);
    town.hand_in(1, home(), &init);
    let answer = town.take_sent(1, home()).pop().unwrap();
    let (taken, payload) = initiator.handle_response(&answer).map_err(|(_, error)| error).unwrap();
    assert_eq!(payload.version, 11);
    client.adopt(taken, &payload);
    let fin = client.frames(&[Frame::Fin]);
    town.hand_in(1, home(), &fin);
    assert_eq!((record(&town).version, town.rows(1)[0].version), (11, 11));
}

#[test]
fn a_replayed_request_writes_nothing_and_is_answered_as_before() {
    let mut town = Town::new();
    let mut client = town.birth(MALLORY, home());
    town.restart(0);
    let mut initiator = client.ask_takeover(KEYS[1]);
    let init = town.with_cookie(1, home(), &mut initiator);
    town.hand_in(1, home(), &init);
    let first = town.take_sent(1, home());
    let (writes, handshakes) = (town.store.writes, town.gateways[1].counters().handshakes);
    for _ in 0..4 {
        assert_eq!(town.hand_in(1, home(), &init), Received::Consumed);
        assert_eq!(town.take_sent(1, home()), first, "the same answer");
    }
    assert_eq!(town.gateways[1].counters().handshakes, handshakes, "without a key operation");
    let elsewhere = SocketAddr::from(([198, 51, 100, 78], 7777));
    assert_eq!(town.hand_in(1, elsewhere, &init), Received::Dropped(Reason::BadCookie));
    town.run(ms(6000));
    assert_eq!(town.gateways[1].status().takeovers, 0, "it is forgotten");
    assert_eq!(town.store.writes, writes, "nothing was ever written");
    assert!(town.rows(1).is_empty());
}

/// The network, or the client that waits for a slow store, has it arrive twice before the store has answered.
#[test]
fn a_request_that_came_twice_while_the_store_was_asked_is_answered_once() {
    let mut town = Town::new();
    let mut client = town.birth(MALLORY, home());
    town.sent.clear();
    town.manner = Manner::Slow;
    let mut initiator = client.ask_takeover(KEYS[1]);
    let init = town.with_cookie(1, home(), &mut initiator);
    town.sent.clear();
    for _ in 0..3 {
        assert_eq!(town.hand_in(1, home(), &init), Received::Consumed);
    }
    town.answer_all(false);
    let answers = town.take_sent(1, home());
    assert_eq!(answers.len(), 1, "a second answer would undo the first");
    assert_eq!(town.hand_in(1, home(), &init), Received::Consumed);
    assert_eq!(town.take_sent(1, home()), answers, "the same again for who asks again");
}

#[test]
fn a_session_that_is_given_away_is_frozen_until_the_store_has_answered() {
    let mut town = Town::new();
    let mut client = town.birth(MALLORY, home());
    let mut stayed = town.birth(2, SocketAddr::from(([198, 51, 100, 70], 7000)));
    town.agree(1, &mut client);
    town.manner = Manner::Late;
    let fin = client.frames(&[Frame::Fin]);
    town.hand_in(1, home(), &fin);
    town.settle();
    assert!(town.said_count() > 0, "the store has given it away, and nobody has heard of it");
    let mut down = packet(GATEWAY_INNER, MALLORY_INNER, 2);
    assert_eq!(town.gateways[0].handle_packet(&mut down, town.now), Err(Reason::HandoffPending));
    // Far beyond the time after which silence ends a session.
    town.sent.clear();
    for _ in 0..60 {
        town.run(ms(1000));
        let alive = stayed.frames(&[Frame::Want { tokens: 1, config: false }]);
        town.hand_in(0, stayed.source, &alive);
    }
    assert!(town.take_sent(0, home()).is_empty(), "not a word");
    assert_eq!(town.rows(0).len(), 2, "no timer ends it");
    town.answer_all(true);
    assert_eq!(town.rows(0).len(), 1, "the other one stayed");
}

#[test]
fn packets_and_control_messages_of_a_frozen_session_are_dropped() {
    let mut town = Town::new();
    let mut client = town.birth(MALLORY, home());
    let (data, probe) = (up(&mut client), client.probe(Cid(9)));
    let close = client.seal(Kind::Close, &jumpvpn_wire::ClosePayload { reason: 1, version: 1 }.encode());
    town.manner = Manner::Slow;
    let handle = record(&town).handle;
    let to = town.incarnations[1];
    town.gateways[0].handle_ask(Ask::Release { handle, to }, town.now);
    town.settle();
    assert!(matches!(town.asked()[..], [Request::Release { .. }]));
    for datagram in [data, probe, close] {
        assert_eq!(town.hand_in(0, home(), &datagram), Received::Dropped(Reason::HandoffPending));
    }
    town.gateways[0].handle_ask(Ask::Release { handle, to }, town.now);
    town.settle();
    assert!(matches!(town.asked()[1..], [Request::Decline { .. }]), "once is enough");
    assert!(town.take_sent(0, home()).iter().all(|sent| sent[0] == Kind::Data.code()), "only the welcome");
}

/// Makes the answer to a request, from what the record is.
type Say = fn(RequestId, (Rev, SessionRecord)) -> Answer;

#[test]
fn only_an_answer_that_says_not_made_wakes_a_frozen_session() {
    // Whether it is awake, and whether it is still there.
    let answers: [(Say, bool, bool); 6] = [
        (|id, _| Answer::Refused { id, reason: Reason::NotOwner }, true, true),
        // Whom it was for is dead.
        (
            |id, current| Answer::Conflict { id, current: Some(Box::new(current)), owner: Some(Owner::Me) },
            true,
            true,
        ),
        (|id, _| Answer::Unknown { id }, false, true),
        // What was under way when the fence ended may have been made.
        (|id, _| Answer::Refused { id, reason: Reason::FenceExpired }, false, true),
        (
            |id, current| Answer::Conflict {
                id,
                current: Some(Box::new(current)),
                owner: Some(Owner::Alive),
            },
            false,
            false,
        ),
        // It changed, and we did not do that: the right to act had been over.
        (
            |id, (rev, record)| Answer::Conflict {
                id,
                current: Some(Box::new((Rev(rev.0 + 1), record))),
                owner: Some(Owner::Me),
            },
            false,
            false,
        ),
    ];
    for (number, (answer, awake, held)) in answers.into_iter().enumerate() {
        let mut town = Town::new();
        let mut client = town.birth(MALLORY, home());
        let (handle, to) = (record(&town).handle, town.incarnations[1]);
        town.gateways[0].handle_ask(Ask::Release { handle, to }, town.now);
        let id = town.gateways[0].poll_ownership_request().unwrap().id();
        let said = answer(id, town.store.records[&handle].clone());
        town.gateways[0].handle_ownership(said, town.now);
        assert_eq!(serves(&mut town, 0, &mut client), awake, "answer {number}");
        assert_eq!(town.rows(0).len(), usize::from(held), "answer {number}");
    }
}

#[test]
fn a_frozen_session_ends_when_it_is_ours_again_and_not_before() {
    let ended = |town: &Town| {
        town.events.iter().filter(|(_, event)| matches!(event.kind, EventKind::Termination { .. })).count()
    };
    for given in [false, true] {
        let mut town = Town::new();
        town.birth(MALLORY, home());
        let (handle, to) = (record(&town).handle, town.incarnations[1]);
        town.manner = Manner::Slow;
        town.gateways[0].handle_ask(Ask::Release { handle, to }, town.now);
        let id = town.gateways[0].poll_ownership_request().unwrap().id();
        let session = town.rows(0)[0].session;
        town.sent.clear();
        town.gateways[0].handle_command(Command::Close { session, reason: Reason::OwnerClosed }, town.now);
        town.settle();
        // Perhaps it lives elsewhere already: nothing is said, and nothing is told as a fact.
        assert!(town.sent.is_empty() && town.asked().is_empty() && ended(&town) == 0);
        let said = match given {
            true => Answer::Committed { id, rev: Rev(77), moves: record(&town).moves },
            false => Answer::Refused { id, reason: Reason::NotOwner },
        };
        town.gateways[0].handle_ownership(said, town.now);
        town.settle();
        assert_eq!(matches!(town.asked()[..], [Request::Terminate { .. }]), !given);
        town.answer_all(false);
        assert!(town.rows(0).is_empty());
        assert_eq!(ended(&town), usize::from(!given));
    }
}

#[test]
fn a_session_that_ends_while_it_is_taken_anew_stays_ended() {
    let mut town = Town::new();
    let mut client = town.birth(MALLORY, home());
    town.agree(0, &mut client);
    town.manner = Manner::Late;
    let fin = client.frames(&[Frame::Fin]);
    town.hand_in(0, home(), &fin);
    let session = town.rows(0)[0].session;
    town.gateways[0].handle_command(Command::Close { session, reason: Reason::OwnerClosed }, town.now);
    town.settle();
    town.manner = Manner::Prompt;
    town.answer_all(false);
    assert!(town.rows(0).is_empty(), "its end was told");
    assert!(matches!(record(&town).state, RecordState::Terminated { .. }));
}

#[test]
fn a_confirmation_that_was_held_back_does_not_end_a_session_that_came_after() {
    for answered_later in [false, true] {
        let mut town = Town::new();
        let mut held_back = (!answered_later).then(|| hello_there(&mut town));
        let mut client = town.birth(MALLORY, home());
        town.agree(1, &mut client);
        held_back = held_back.or_else(|| {
            town.run(ms(5));
            Some(hello_there(&mut town))
        });
        let fin = client.frames(&[Frame::Fin]);
        assert_eq!(town.hand_in(1, home(), &fin), Received::Consumed);
        assert_eq!(town.rows(1).len(), 1);
        let session = town.rows(1)[0].session;
        let confirmation = held_back.unwrap().frames(&[Frame::Fin]);
        let received = town.hand_in(1, home(), &confirmation);
        let wanted = if answered_later { Received::Consumed } else { Received::Dropped(Reason::UnknownCid) };
        assert_eq!(received, wanted);
        assert_eq!(town.rows(1)[0].session == session, !answered_later, "the later handshake wins");
    }
}

/// Shakes hands with the second gateway, up to the confirmation.
fn hello_there(town: &mut Town) -> Rogue {
    let (initiator, init) = hello_to(MALLORY, KEYS[1], 9);
    assert_eq!(town.hand_in(1, home(), &init), Received::Consumed);
    let answer = town.take_sent(1, home()).pop().unwrap();
    Rogue::of_answer(initiator, &answer, MALLORY, home())
}

#[test]
fn a_session_that_moved_a_moment_ago_is_not_given_away() {
    let mut town = Town::new();
    let mut client = town.birth(MALLORY, home());
    town.move_to(1, &mut client);
    // Right back again: the new owner's cooldown holds.
    let (initiator, answer) = town.ask(0, &mut client);
    let before = client.stand();
    let (taken, payload) = initiator.handle_response(&answer).map_err(|(_, error)| error).unwrap();
    let mut other = client;
    other.adopt(taken, &payload);
    let fin = other.frames(&[Frame::Fin]);
    town.hand_in(0, home(), &fin);
    let refusal = town.take_sent(0, home()).pop().unwrap();
    let refusal = jumpvpn_wire::TakeoverRefusal::decode(&refusal).unwrap();
    assert_eq!(Reason::from_number(refusal.reason), Some(Reason::SwitchCooldown));
    assert!(refusal.retry_after_ms > 0);
    assert_eq!((refusal.owner_epoch, refusal.version), (before.1, before.2));
    assert_eq!((town.rows(0).len(), town.rows(1).len()), (0, 1));
}

#[test]
fn a_rekey_is_answered_when_the_store_has_the_credentials() {
    let mut town = Town::new();
    let mut client = town.birth(MALLORY, home());
    let other = SocketAddr::from(([198, 51, 100, 70], 7000));
    town.birth(2, other);
    town.sent.clear();
    town.manner = Manner::Slow;
    let rekey = client.classical_rekey();
    town.hand_in(0, home(), &rekey);
    assert!(town.take_sent(0, home()).is_empty(), "no answer yet");
    assert!(matches!(town.asked()[..], [Request::Update { .. }]));
    // Asked again meanwhile, with the same keys and with others: still one change, and no answer.
    let again = client.classical_rekey();
    town.run(ms(3000));
    town.hand_in(0, home(), &again);
    assert!(town.take_sent(0, home()).is_empty());
    assert_eq!(town.asked().len(), 1);
    assert_eq!(town.gateways[0].counters().drops.count(Reason::StoreBusy), 1);
    town.answer_all(false);
    let answers = town.take_sent(0, home());
    let plain = client.open(&answers[0]).unwrap();
    let answered = FrameReader::new(&plain).any(|frame| matches!(frame, Ok(Frame::RekeyResp(_))));
    assert!(answered && answers.len() == 1);
    let record =
        town.store.records.values().map(|(_, record)| record).find(|record| record.key_epoch == 1).unwrap();
    let (sid, owner_epoch) = (SessionId(record.sid), record.owner_epoch);
    let held = keys().open(&CredentialsPlace { cell: b"town", sid, owner_epoch }, &record.sealed).unwrap();
    assert_eq!(held.iter().map(jumpvpn_session::Credentials::n).collect::<Vec<_>>(), [1, 0]);
    // The client never got the answer: the epoch before is as good.
    town.manner = Manner::Prompt;
    town.restart(0);
    town.move_to(1, &mut client);
    assert!(serves(&mut town, 1, &mut client));
}

#[test]
fn without_a_cell_nothing_is_written_but_births_and_ends() {
    let mut world = crate::world::World::new(Policy::laptop());
    world.run_with_traffic(ms(3000));
    assert_eq!(world.agent.status(world.now).key_epoch, 1, "a rekey was made");
    let mut client = Rogue::born(&mut world, MALLORY, home());
    let (taken, retry) = (client.ask_takeover(1), Kind::HsRetry.code());
    let received = world.hand_in(home(), taken.message());
    assert_eq!(received, Received::Dropped(Reason::UnknownSession), "nobody can take anything over");
    assert!(world.take_strays(home()).iter().all(|sent| sent[0] != retry));
}

#[test]
fn what_ends_while_its_record_is_written_is_ended_in_the_store_as_well() {
    for reversed in [false, true] {
        let mut town = Town::new();
        let mut client = town.birth(MALLORY, home());
        let session = town.rows(0)[0].session;
        town.manner = Manner::Slow;
        let rekey = client.classical_rekey();
        town.hand_in(0, home(), &rekey);
        let reason = Reason::OwnerClosed;
        town.gateways[0].handle_command(Command::Close { session, reason }, town.now);
        town.settle();
        if reversed {
            town.reverse_asked();
        }
        town.answer_all(reversed);
        town.answer_all(reversed);
        assert!(town.rows(0).is_empty());
        let ended = RecordState::Terminated { reason_number: reason.number() };
        assert_eq!(record(&town).state, ended, "reversed: {reversed}");
    }
}

#[test]
fn a_birth_that_supersedes_stands_any_order_of_the_store() {
    for reversed in [false, true] {
        let mut town = Town::new();
        town.birth(MALLORY, home());
        town.manner = Manner::Slow;
        let mut newer = town.shake_hands(MALLORY, 7, home());
        let fin = newer.frames(&[Frame::Fin]);
        town.hand_in(0, home(), &fin);
        assert_eq!(town.asked().len(), 2, "the end of the old one, and the new one");
        if reversed {
            town.reverse_asked();
        }
        for _ in 0..4 {
            town.answer_all(reversed);
        }
        assert_eq!(town.rows(0).len(), 1);
        assert!(serves(&mut town, 0, &mut newer));
        let live = town.store.records.values().filter(|(_, record)| record.state == RecordState::Live);
        assert_eq!(live.count(), 1);
    }
}

#[test]
fn a_birth_that_was_given_up_is_ended_when_the_store_has_made_it() {
    let mut town = Town::new();
    town.manner = Manner::Slow;
    let mut late = town.shake_hands(MALLORY, 0, home());
    let fin = late.frames(&[Frame::Fin]);
    town.hand_in(0, home(), &fin);
    town.run(ms(6000));
    assert_eq!(town.gateways[0].status().pending, 0);
    town.answer_all(false);
    town.answer_all(false);
    assert!(matches!(record(&town).state, RecordState::Terminated { .. }));
}

#[test]
fn a_client_that_begins_anew_ends_what_a_dead_gateway_left() {
    let mut town = Town::new();
    town.birth(MALLORY, home());
    town.restart(0);
    let mut newer = town.shake_hands(MALLORY, 5, home());
    let fin = newer.frames(&[Frame::Fin]);
    town.hand_in(0, home(), &fin);
    assert!(serves(&mut town, 0, &mut newer));
    assert_eq!(town.store.records.len(), 2);
    let live = town.store.records.values().filter(|(_, record)| record.state == RecordState::Live);
    assert_eq!(live.count(), 1);
}

#[test]
fn who_was_given_the_addresses_of_another_ends_what_that_one_left() {
    let mut town = Town::new();
    town.birth(MALLORY, home());
    let inner = town.config(0).peers[1].inner.clone();
    town.restart_with(0, |config| {
        config.peers.truncate(1);
        config.peers[0].inner = inner;
    });
    // Meanwhile a gateway with another file may take that session over; nobody does.
    for (number, waited, is_born) in [(0, 0, false), (1, 9, false), (2, 2, true)] {
        town.run(Duration::from_secs(waited));
        let mut heir = town.shake_hands(2, number, home());
        let fin = heir.frames(&[Frame::Fin]);
        town.hand_in(0, home(), &fin);
        assert_eq!(serves(&mut town, 0, &mut heir), is_born, "after {waited} s more");
    }
    let left: Vec<_> = town.store.records.values().map(|(_, record)| (record.state, record.peer)).collect();
    assert_eq!(left.len(), 2);
    assert!(left.contains(&(RecordState::Live, key(2).public().0)), "{left:?}");
    assert!(!left.contains(&(RecordState::Live, key(MALLORY).public().0)), "{left:?}");
}

#[test]
fn who_loses_its_fence_while_it_waits_serves_nothing() {
    let mut town = Town::new();
    let mut client = town.birth(MALLORY, home());
    town.restart(0);
    town.agree(1, &mut client);
    town.manner = Manner::Late;
    let fin = client.frames(&[Frame::Fin]);
    town.hand_in(1, home(), &fin);
    town.gateways[1].handle_fence(Fence { epoch: 1, valid_until: town.now });
    town.sent.clear();
    town.answer_all(false);
    assert!(town.rows(1).is_empty() && town.sent.is_empty());
    // The record is its own, and nobody holds it: its client comes again.
    town.manner = Manner::Prompt;
    town.gateways[1].handle_fence(Fence { epoch: 1, valid_until: Time::MAX });
    town.move_to(1, &mut client);
    assert!(serves(&mut town, 1, &mut client));
    assert_eq!(client.stand().1, 3);
}

#[test]
fn a_fenced_gateway_forgets_everything_at_once() {
    let mut town = Town::new();
    let mut client = town.birth(MALLORY, home());
    let mut half = town.shake_hands(2, 0, SocketAddr::from(([198, 51, 100, 70], 7000)));
    town.manner = Manner::Late;
    let fin = half.frames(&[Frame::Fin]);
    town.hand_in(0, half.source, &fin);
    town.sent.clear();
    town.gateways[0].handle_ask(Ask::Fenced, town.now);
    let incarnation = town.incarnations[1];
    town.gateways[0].handle_ask(Ask::Rejoined { incarnation }, town.now);
    town.gateways[0].handle_fence(Fence { epoch: 2, valid_until: Time::MAX });
    town.answer_all(false);
    assert!(town.rows(0).is_empty() && town.sent.is_empty(), "without a word, and for good");
    assert_eq!(town.gateways[0].status().pending, 0);
    let late = up(&mut client);
    assert_eq!(town.hand_in(0, home(), &late), Received::Dropped(Reason::UnknownCid));
    let released = town.events.iter().find(|(_, event)| event.kind == EventKind::Release { given: false });
    assert_eq!(released.unwrap().1.reason, Reason::FenceExpired);
    let later = town.gateways[0].poll_timeout();
    assert!(later.is_none_or(|due| due > town.now), "no timer of the dead is left");
}

#[test]
fn what_is_not_ours_any_more_is_erased_without_a_word() {
    let mut town = Town::new();
    town.birth(MALLORY, home());
    town.sent.clear();
    let handle = record(&town).handle;
    let writes = town.store.writes;
    town.gateways[0].handle_ask(Ask::Lost { handle }, town.now);
    town.settle();
    assert!(town.rows(0).is_empty() && town.sent.is_empty());
    assert_eq!(town.store.writes, writes);
    assert_eq!(count(&town, 0, OwnershipChange::Lost), 1);
}

#[test]
fn a_session_of_ours_that_nobody_holds_is_given_away_when_it_is_asked_for() {
    let mut town = Town::new();
    let mut client = town.birth(MALLORY, home());
    town.restart(0);
    // The gateway takes it, and hears of that too late.
    town.agree(1, &mut client);
    town.manner = Manner::Late;
    let fin = client.frames(&[Frame::Fin]);
    town.hand_in(1, home(), &fin);
    town.run(ms(6000));
    town.manner = Manner::Prompt;
    town.answer_all(false);
    assert!(town.rows(1).is_empty());
    town.move_to(0, &mut client);
    assert!(serves(&mut town, 0, &mut client));
}

/// What is advised in what was sent to that address.
pub fn advice(client: &mut Rogue, sent: &[Vec<u8>]) -> Vec<(Reason, usize)> {
    let opened = sent.iter().filter_map(|datagram| client.open(datagram));
    let frames = opened.flat_map(|plain| {
        let found = FrameReader::new(&plain).filter_map(|frame| match frame {
            Ok(Frame::MoveAdvice(advice)) => {
                Some((Reason::from_number(advice.reason).unwrap(), advice.gateways().count()))
            }
            _ => None,
        });
        found.collect::<Vec<_>>()
    });
    frames.collect()
}

#[test]
fn a_gateway_that_drains_sends_its_clients_away_and_takes_no_others() {
    let mut town = Town::new();
    let mut client = town.birth(MALLORY, home());
    town.sent.clear();
    town.gateways[0].handle_command(Command::Drain { span: Duration::from_secs(2) }, town.now);
    town.run(ms(2100));
    let sent = town.take_sent(0, home());
    assert_eq!(advice(&mut client, &sent), [(Reason::GatewayDraining, 1); 2], "told twice");
    assert!(town.gateways[0].status().draining);
    town.run(ms(3000));
    let sent = town.take_sent(0, home());
    assert_eq!(
        advice(&mut client, &sent),
        [(Reason::GatewayDraining, 1); 2],
        "and again, if it did not listen"
    );
    assert!(serves(&mut town, 0, &mut client), "until it goes");
    let (_, init) = crate::rogue::hello(2, 3);
    assert_eq!(town.hand_in(0, home(), &init), Received::Dropped(Reason::GatewayDraining));
    // Although it jumped a moment ago: we have asked it to.
    town.move_to(1, &mut client);
    assert!(serves(&mut town, 1, &mut client));
    let (initiator, answer) = town.ask(0, &mut client);
    let refusal = initiator.read_refusal(&answer).unwrap();
    assert_eq!(Reason::from_number(refusal.reason), Some(Reason::GatewayDraining));
    town.sent.clear();
    town.run(ms(10_000));
    assert!(town.take_sent(0, home()).is_empty(), "nobody is left to be asked");
}

#[test]
fn before_the_fence_ends_the_clients_are_told_and_afterwards_nothing_is() {
    let mut town = Town::new();
    let mut client = town.birth(MALLORY, home());
    town.sent.clear();
    let until = town.now + ms(1000);
    town.gateways[0].handle_fence(Fence { epoch: 1, valid_until: until });
    town.gateways[0].handle_fence_ending(town.now);
    town.run(ms(900));
    let sent = town.take_sent(0, home());
    assert_eq!(advice(&mut client, &sent), [(Reason::FenceEnding, 1); 2]);
    town.run(ms(5000));
    assert!(town.take_sent(0, home()).is_empty());
    // Renewed in time: nobody needs to go.
    let mut town = Town::new();
    town.birth(MALLORY, home());
    town.sent.clear();
    town.gateways[0].handle_fence(Fence { epoch: 1, valid_until: town.now + ms(1000) });
    town.gateways[0].handle_fence_ending(town.now);
    town.gateways[0].handle_fence(Fence { epoch: 1, valid_until: Time::MAX });
    town.run(ms(3000));
    assert!(town.take_sent(0, home()).is_empty());
}

#[test]
fn all_gateways_tell_one_story() {
    let mut town = Town::new();
    let mut client = town.birth(MALLORY, home());
    for at in [1, 0, 0, 1] {
        town.run(ms(2000));
        town.move_to(at, &mut client);
        assert!(serves(&mut town, at, &mut client));
    }
    let files = [0, 1].map(|at| town.event_file(at));
    let told = jumpvpn_events::verify::verify_lines(files.iter().map(|text| ("gw", text.as_bytes())));
    let summary = told.unwrap_or_else(|findings| panic!("{findings:#?}"));
    assert_eq!(summary.commits, 5, "a birth and four takeovers");
}

#[test]
fn routes_follow_the_addresses_of_sessions() {
    let mut town = Town::new();
    let changes = |town: &mut Town, at: usize| -> Vec<(Option<u64>, bool)> {
        let all: Vec<_> = std::iter::from_fn(|| town.gateways[at].poll_route()).collect();
        let inner: std::net::IpAddr = MALLORY_INNER.parse().unwrap();
        assert!(all.iter().all(|change| change.address == inner), "{all:?}");
        all.into_iter().map(|change| (change.owner_epoch, change.moved)).collect()
    };
    let mut client = town.birth(MALLORY, home());
    assert_eq!(changes(&mut town, 0), [(Some(1), false)]);
    town.move_to(1, &mut client);
    assert_eq!(changes(&mut town, 0), [(None, false)]);
    assert_eq!(changes(&mut town, 1), [(Some(2), true)]);
    // New keys where it is: the same address, a higher epoch.
    town.move_to(1, &mut client);
    assert_eq!(changes(&mut town, 1), [(None, true), (Some(3), true)]);
    let session = town.rows(1)[0].session;
    let reason = Reason::OwnerClosed;
    town.gateways[1].handle_command(Command::Close { session, reason }, town.now);
    town.settle();
    assert_eq!(changes(&mut town, 1), [(None, true)]);
}

/// A session does not outlive its time by being taken over late.
#[test]
fn a_session_whose_time_is_over_when_the_store_answers_ends_with_that_reason() {
    const LIFE: Duration = Duration::from_secs(60);
    for confirmed_late in [false, true] {
        let mut policy = Policy::laptop();
        policy.session.max_lifetime = LIFE;
        let mut town = Town::with_policy(policy);
        let mut client = town.birth(MALLORY, home());
        town.restart(0);
        town.run(LIFE - ms(1_000));
        town.agree(1, &mut client);
        let fin = client.frames(&[Frame::Fin]);
        if confirmed_late {
            let writes = town.store.writes;
            town.run(ms(2_000));
            town.hand_in(1, home(), &fin);
            let refusal = town.take_sent(1, home()).pop().unwrap();
            let refusal = jumpvpn_wire::TakeoverRefusal::decode(&refusal).unwrap();
            assert_eq!(Reason::from_number(refusal.reason), Some(Reason::SessionExpired));
            assert_eq!(town.store.writes, writes, "nothing is written for what is over");
            continue;
        }
        town.manner = Manner::Late;
        town.hand_in(1, home(), &fin);
        town.run(ms(2_000));
        town.manner = Manner::Prompt;
        town.answer_all(false);
        town.run(ms(10));
        assert!(town.rows(1).is_empty() && !serves(&mut town, 1, &mut client));
        let reason_number = Reason::SessionExpired.number();
        assert_eq!(record(&town).state, RecordState::Terminated { reason_number });
        let ended =
            town.events.iter().rfind(|(_, event)| matches!(event.kind, EventKind::Termination { .. }));
        assert_eq!(ended.map(|(at, event)| (*at, event.reason)), Some((1, Reason::SessionExpired)));
    }
}
