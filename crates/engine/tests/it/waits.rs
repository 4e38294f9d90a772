//! What waits for the store: how much room it takes, how long it waits, and what an answer still means when it comes.
use std::net::SocketAddr;
use std::time::Duration;

use jumpvpn_engine::Received;
use jumpvpn_engine::gateway::Command;
use jumpvpn_events::{Reason, Time};
use jumpvpn_ownership::{Answer, Ask, Fence, Handle, Owner, Request};
use jumpvpn_wire::{Cid, Frame, TakeoverRefusal};

use crate::rogue::Rogue;
use crate::takeover::advice;
use crate::town::{KEYS, Manner, Town};
use crate::world::{MALLORY, ms, peer};

/// The gateway that is asked. The other one has the session, or had it.
const ASKED: usize = 1;
const ALICE: u64 = 2;
const CAROL: u64 = 4;
/// The shortest time there is here.
const TICK: Duration = Duration::from_nanos(1);

fn at(host: u8) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, host], 7000))
}

fn confirm(town: &mut Town, client: &mut Rogue) {
    let fin = client.frames(&[Frame::Fin]);
    assert_eq!(town.hand_in(ASKED, client.source, &fin), Received::Consumed);
}

/// Refusals that were sent to the client, and when it may come again.
fn refusals(town: &mut Town, client: &Rogue) -> Vec<(Option<Reason>, u32)> {
    let sent = town.take_sent(ASKED, client.source);
    let told = sent.iter().filter_map(|answer| TakeoverRefusal::decode(answer).ok());
    told.map(|refusal| (Reason::from_number(refusal.reason), refusal.retry_after_ms)).collect()
}

fn lose_the_fence(town: &mut Town) {
    town.gateways[ASKED].handle_fence(Fence { epoch: 1, valid_until: town.now });
}

/// The right to act is over, and there is another.
fn fence_anew(town: &mut Town) {
    town.gateways[ASKED].handle_ask(Ask::Fenced, town.now);
    let incarnation = town.incarnations[ASKED];
    town.gateways[ASKED].handle_ask(Ask::Rejoined { incarnation }, town.now);
    town.gateways[ASKED].handle_fence(Fence { epoch: 2, valid_until: Time::MAX });
}

/// What the asked gateway asks the store.
fn requests(town: &mut Town) -> Vec<Request> {
    std::iter::from_fn(|| town.gateways[ASKED].poll_ownership_request()).collect()
}

/// Gateway 0 would like to have the only session; its handle.
fn ask_for_it(town: &mut Town) -> Handle {
    let (handle, to) = (*town.store.records.keys().next().unwrap(), town.incarnations[0]);
    town.gateways[ASKED].handle_ask(Ask::Release { handle, to }, town.now);
    handle
}

/// What came of that.
#[track_caller]
fn assert_answer(said: &[Request], given: bool, case: impl std::fmt::Debug) {
    match given {
        true => assert!(matches!(said, [Request::Release { .. }]), "{case:?}: {said:?}"),
        false => assert!(matches!(said, [Request::Decline { .. }]), "{case:?}: {said:?}"),
    }
}

#[test]
fn what_the_store_is_asked_for_counts_as_if_it_were_there() {
    // Sessions that live there, births and takeovers that the store is asked for; one more has no room, and two have.
    for (live, births, takeovers) in [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1)] {
        for more in [0, 1] {
            let mut town = Town::new();
            let carol = || peer("carol", CAROL, &["10.77.0.4"]);
            let mut config = town.config(0);
            config.peers.push(carol());
            town.configure(0, |changed| *changed = config);
            town.configure(ASKED, |config| {
                config.peers.push(carol());
                config.capacity = live + births + takeovers + more;
            });
            let mut client = town.birth(MALLORY, at(MALLORY as u8));
            let mut taken = (takeovers > 0).then(|| town.birth(CAROL, at(CAROL as u8)));
            if live > 0 {
                town.birth_at(ASKED, ALICE, at(ALICE as u8));
            }
            town.manner = Manner::Held;
            if births > 0 {
                let seed = if live > 0 { CAROL } else { ALICE };
                town.birth_at(ASKED, seed, at(seed as u8));
            }
            if let Some(taken) = &mut taken {
                town.agree(ASKED, taken);
                confirm(&mut town, taken);
            }
            let case = format!("{live} live, {births} births, {takeovers} takeovers, room for {more}");
            assert_eq!(town.rows(ASKED).len(), live, "{case}");
            assert_eq!(town.asked().len(), births + takeovers, "{case}");
            let mut initiator = client.ask_takeover(KEYS[ASKED]);
            let request = town.with_cookie(ASKED, client.source, &mut initiator);
            town.hand_in(ASKED, client.source, &request);
            let full = vec![(Some(Reason::TableFull), 1000)];
            let refused = refusals(&mut town, &client);
            assert_eq!(refused, if more == 0 { full } else { vec![] }, "{case}");
        }
    }
}

#[test]
fn a_refusal_says_when_the_client_may_come_again() {
    for (reason, retry_after_ms) in [(Reason::OwnerAlive, 200), (Reason::StoreBusy, 1000)] {
        let mut town = Town::new();
        let mut client = town.birth(MALLORY, at(1));
        town.refuse_release = Some(reason);
        town.agree(ASKED, &mut client);
        confirm(&mut town, &mut client);
        assert_eq!(refusals(&mut town, &client), [(Some(reason), retry_after_ms)]);
    }
}

#[test]
fn a_refusal_of_the_store_is_not_handed_on_without_the_right_to_act() {
    let mut town = Town::new();
    let mut client = town.birth(MALLORY, at(1));
    town.refuse_release = Some(Reason::StoreBusy);
    town.agree(ASKED, &mut client);
    town.manner = Manner::Late;
    confirm(&mut town, &mut client);
    lose_the_fence(&mut town);
    town.answer_all(false);
    assert!(town.take_sent(ASKED, client.source).is_empty());
    assert_eq!(town.gateways[ASKED].counters().drops.count(Reason::StoreUnknown), 1);
}

#[test]
fn a_version_may_be_so_far_ahead_of_the_store_and_no_further() {
    let ahead = 1 << 32;
    for (version, refused) in [(1 + ahead, None), (2 + ahead, Some(Reason::StaleStateVersion))] {
        let mut town = Town::new();
        let mut client = town.birth(MALLORY, at(1));
        let credentials = client.credentials();
        let mut initiator = client.ask_takeover_as(KEYS[ASKED], &credentials, (1, version));
        let request = town.with_cookie(ASKED, client.source, &mut initiator);
        town.hand_in(ASKED, client.source, &request);
        let told: Vec<_> = refusals(&mut town, &client).into_iter().map(|(reason, _)| reason).collect();
        assert_eq!(told, Vec::from_iter(refused.map(Some)), "version {version}");
    }
}

#[test]
fn a_new_right_to_act_confirms_no_takeover_of_the_one_before() {
    let mut town = Town::new();
    let mut client = town.birth(MALLORY, at(1));
    town.agree(ASKED, &mut client);
    fence_anew(&mut town);
    let fin = client.frames(&[Frame::Fin]);
    assert_eq!(town.hand_in(ASKED, client.source, &fin), Received::Dropped(Reason::UnknownCid));
    assert!(town.rows(ASKED).is_empty());
}

#[test]
fn a_new_right_to_act_answers_no_request_that_waited_under_the_one_before() {
    for fenced in [false, true] {
        let mut town = Town::new();
        let mut client = town.birth(MALLORY, at(1));
        let mut initiator = client.ask_takeover(KEYS[ASKED]);
        let request = town.with_cookie(ASKED, client.source, &mut initiator);
        town.manner = Manner::Slow;
        assert_eq!(town.hand_in(ASKED, client.source, &request), Received::Consumed);
        if fenced {
            fence_anew(&mut town);
        }
        town.answer_all(false);
        assert_eq!(town.take_sent(ASKED, client.source).len(), usize::from(!fenced));
    }
}

#[test]
fn a_new_right_to_act_tells_nobody_what_was_asked_under_the_one_before() {
    for fenced in [false, true] {
        let mut town = Town::new();
        let mut client = town.birth_at(ASKED, MALLORY, at(1));
        town.restart(ASKED);
        town.manner = Manner::Slow;
        let probe = client.probe(Cid(5));
        assert_eq!(town.hand_in(ASKED, client.source, &probe), Received::Dropped(Reason::UnknownSession));
        assert!(matches!(town.asked()[..], [Request::Read { .. }]));
        if fenced {
            fence_anew(&mut town);
        }
        town.take_sent(ASKED, client.source);
        town.answer_all(false);
        assert_eq!(town.take_sent(ASKED, client.source).len(), usize::from(!fenced));
    }
}

/// A session that the store has as the asked gateway's own, which nobody holds, and its client.
fn stray() -> (Town, Rogue) {
    let mut town = Town::new();
    let mut client = town.birth(MALLORY, at(1));
    town.bury(0);
    town.agree(ASKED, &mut client);
    town.manner = Manner::Late;
    confirm(&mut town, &mut client);
    // It hears of it too late.
    town.run(ms(6000));
    town.manner = Manner::Prompt;
    town.answer_all(false);
    assert!(town.rows(ASKED).is_empty());
    (town, client)
}

#[test]
fn a_stray_is_given_away_while_it_is_one_and_with_the_right_to_act() {
    type Meanwhile = fn(&mut Town, &mut Rogue);
    let cases: [(Meanwhile, bool); 3] = [
        (|_, _| (), true),
        (|town, _| lose_the_fence(town), false),
        (|town, client| town.move_to(ASKED, client), false),
    ];
    for (number, (meanwhile, given)) in cases.into_iter().enumerate() {
        let (mut town, mut client) = stray();
        let handle = ask_for_it(&mut town);
        let asked = requests(&mut town);
        let [Request::Read { id, .. }] = asked[..] else { panic!("{asked:?}") };
        meanwhile(&mut town, &mut client);
        let (rev, record) = town.store.records[&handle].clone();
        let found = Answer::Found { id, rev, record: Box::new(record), owner: Owner::Me };
        town.gateways[ASKED].handle_ownership(found, town.now);
        let said = requests(&mut town);
        assert_answer(&said, given, number);
    }
}

#[test]
fn a_client_that_was_not_heard_for_a_second_waits_for_no_cooldown() {
    // Its last move was so long ago, and the cooldown lasts 1.5 s.
    for (later, given) in [(ms(1000) - TICK, false), (ms(1000), true)] {
        let mut town = Town::new();
        let mut client = town.birth(MALLORY, at(1));
        town.move_to(ASKED, &mut client);
        town.now += later;
        ask_for_it(&mut town);
        let asked = requests(&mut town);
        assert_answer(&asked, given, later);
    }
}

#[test]
fn a_session_that_is_asked_for_while_it_is_written_is_given_away_afterwards() {
    let mut town = Town::new();
    let mut client = town.birth_at(ASKED, MALLORY, at(1));
    town.manner = Manner::Slow;
    let rekey = client.classical_rekey();
    town.hand_in(ASKED, client.source, &rekey);
    ask_for_it(&mut town);
    town.settle();
    assert!(matches!(town.asked()[..], [Request::Update { .. }]), "{:?}", town.asked());
    town.answer_all(false);
    assert!(matches!(town.asked()[..], [Request::Release { .. }]), "{:?}", town.asked());
}

#[test]
fn a_question_gives_its_place_away_after_five_seconds() {
    let mut town = Town::new();
    let mut client = town.birth_at(ASKED, MALLORY, at(1));
    town.restart(ASKED);
    let mut ask = |town: &mut Town| {
        let probe = client.probe(Cid(7));
        town.hand_in(ASKED, client.source, &probe);
        town.asked().len()
    };
    town.manner = Manner::Slow;
    let first = town.now;
    while ask(&mut town) < 64 {
        town.now += ms(20);
    }
    assert!(town.now < first + ms(4000));
    town.now = first + ms(5000) - TICK;
    assert_eq!(ask(&mut town), 64);
    town.now = first + ms(5000);
    assert_eq!(ask(&mut town), 65);
    assert_eq!(ask(&mut town), 65, "one place for one");
}

/// Two clients of an owner that is dead.
fn two_orphans() -> (Town, [Rogue; 2]) {
    let mut town = Town::new();
    let clients = [town.birth(MALLORY, at(1)), town.birth(ALICE, at(2))];
    town.bury(0);
    (town, clients)
}

fn pending(town: &Town) -> usize {
    town.gateways[ASKED].status().takeovers
}

#[test]
fn takeovers_at_the_same_time_do_not_meet() {
    let (mut town, mut clients) = two_orphans();
    // A newer request takes the place of the older one of that client, and of no other.
    for (number, count) in [(0, 1), (1, 2), (1, 2), (0, 2), (1, 2)] {
        town.ask(ASKED, &mut clients[number]);
        assert_eq!(pending(&town), count);
    }
    town.agree(ASKED, &mut clients[0]);
    // While the store is asked for one of them, the other one's client may still ask.
    town.manner = Manner::Held;
    confirm(&mut town, &mut clients[0]);
    town.agree(ASKED, &mut clients[1]);
    confirm(&mut town, &mut clients[1]);
    assert_eq!((pending(&town), town.asked().len()), (2, 2));
    town.answer_all(false);
    assert_eq!((pending(&town), town.rows(ASKED).len()), (0, 2));
}

#[test]
fn a_takeover_ends_five_seconds_after_the_last_word_of_its_client() {
    let (mut town, mut clients) = two_orphans();
    clients.iter_mut().for_each(|client| town.agree(ASKED, client));
    let answered = town.now;
    let due = town.gateways[ASKED].poll_timeout().unwrap();
    assert!(due <= answered + ms(5000), "the first timer fires {:?} later", due.since(answered));
    town.run(ms(3000));
    town.manner = Manner::Slow;
    confirm(&mut town, &mut clients[0]);
    for (after, count) in [(ms(5000) - TICK, 2), (ms(5000), 1), (ms(8000) - TICK, 1), (ms(8000), 0)] {
        town.now = answered + after;
        town.gateways[ASKED].handle_timeout(town.now);
        assert_eq!(pending(&town), count, "after {after:?}");
    }
    town.answer_all(false);
    assert!(town.rows(ASKED).is_empty(), "the answer comes too late");
}

#[test]
fn all_clients_of_a_gateway_that_drains_are_told() {
    let mut town = Town::new();
    let mut clients = [(MALLORY, at(1)), (ALICE, at(2))].map(|(seed, source)| town.birth(seed, source));
    town.sent.clear();
    town.gateways[0].handle_command(Command::Drain { span: Duration::from_secs(2) }, town.now);
    town.run(ms(2100));
    for client in &mut clients {
        let sent = town.take_sent(0, client.source);
        assert_eq!(advice(client, &sent), [(Reason::GatewayDraining, 1); 2], "each is told twice");
    }
}

#[test]
fn a_request_goes_on_when_the_address_of_its_client_changes() {
    let mut town = Town::new();
    let mut client = town.birth(MALLORY, at(1));
    let mut initiator = client.ask_takeover(KEYS[ASKED]);
    let mut request = town.with_cookie(ASKED, at(1), &mut initiator);
    assert_eq!(town.hand_in(ASKED, at(1), &request), Received::Consumed);
    assert!(initiator.read_refusal(&town.take_sent(ASKED, at(1))[0]).is_err());
    // The same request with another cookie: it is no older than the one that was answered.
    assert_eq!(town.hand_in(ASKED, at(9), &request), Received::Dropped(Reason::BadCookie));
    let retry = town.take_sent(ASKED, at(9)).pop().unwrap();
    initiator.handle_retry(&retry, request.first_chunk_mut().unwrap()).unwrap();
    assert_eq!(town.hand_in(ASKED, at(9), &request), Received::Consumed);
    let answers = town.take_sent(ASKED, at(9));
    assert_eq!(answers.len(), 1);
    assert!(initiator.read_refusal(&answers[0]).is_err());
}
