//! Every way a takeover can be refused, as `refusals` does for the rest: the rows 7.4 of docs/security/rejects.md.
//!
//! Most are refused when the store has answered, so what counts is what is counted, not what `handle_datagram` says.
use std::net::SocketAddr;
use std::time::Duration;

use jumpvpn_engine::gateway::Command;
use jumpvpn_events::{EventKind, Reason, SessionLabel};
use jumpvpn_ownership::{Ask, Fence, RecordState, Request};
use jumpvpn_policy::{Policy, PostQuantum};
use jumpvpn_wire::{Frame, Kind, TAKEOVER_INIT_LEN, TakeoverInit, TakeoverRefusal};

use crate::refusals::NOT_REPORTED;
use crate::rogue::Rogue;
use crate::town::{KEYS, Manner, Town};
use crate::world::{MALLORY, ms};

/// The gateway that is asked. The other one has the session, or had it.
const ASKED: usize = 1;

/// Two gateways, and a client of the first that asks the second.
struct Scene {
    town: Town,
    client: Rogue,
    source: SocketAddr,
}

/// One way to be refused.
pub struct Row {
    /// Number in docs/protocol.md, section 7.
    pub row: &'static str,
    pub reason: Reason,
    pub answer: Option<Kind>,
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

/// A refusal that a holder of the credentials can believe.
const SEALED: Option<Kind> = Some(Kind::TakeoverResp);

pub const ROWS: &[Row] = &[
    row("7.4/1", Reason::Malformed, None, |scene| scene.request()[..TAKEOVER_INIT_LEN - 1].to_vec()),
    row("7.4/1", Reason::ReservedBits, None, |scene| changed(scene.request(), 1, |byte| byte | 1)),
    row("7.4/2", Reason::UnknownSession, None, |scene| changed(scene.request(), 9, |byte| byte ^ 1)),
    row("7.4/3", Reason::FenceExpired, None, |scene| {
        let request = scene.request();
        scene.lose_the_fence();
        request
    }),
    row("7.4/4", Reason::CookieRequired, Some(Kind::HsRetry), |scene| {
        scene.client.ask_takeover(KEYS[ASKED]).message().to_vec()
    }),
    row("7.4/4", Reason::BadCookie, Some(Kind::HsRetry), |scene| {
        let request = scene.request();
        scene.source = elsewhere(2);
        request
    }),
    row("7.4/5", Reason::PrefixRateLimited, None, |scene| {
        let request = scene.request();
        for _ in 0..20 {
            scene.town.hand_in(ASKED, scene.source, &request);
        }
        request
    }),
    row("7.4/5", Reason::RateLimited, None, |scene| {
        for host in 0..60 {
            scene.client.source = SocketAddr::from(([100, 1, host, 1], 5000));
            let request = scene.request();
            scene.town.hand_in(ASKED, scene.client.source, &request);
        }
        scene.client.source = scene.source;
        scene.request()
    }),
    row("7.4/7", Reason::StoreBusy, None, |scene| {
        scene.town.manner = Manner::Slow;
        for _ in 0..4 {
            let request = scene.request();
            scene.town.hand_in(ASKED, scene.source, &request);
        }
        scene.request()
    }),
    row("7.4/8", Reason::UnknownSession, Some(Kind::NoSession), |scene| {
        scene.change_record(|record| record.state = RecordState::Terminated { reason_number: 1 });
        scene.request()
    }),
    row("7.4/8", Reason::UnknownSession, Some(Kind::NoSession), |scene| {
        scene.town.bury(0);
        scene.expire();
        scene.request()
    }),
    row("7.4/8", Reason::UnknownSession, None, |scene| {
        scene.change_record(|record| record.sealed.clear());
        scene.request()
    }),
    row("7.4/8", Reason::StaleEpoch, None, |scene| changed(scene.request(), 2, |byte| byte + 3)),
    row("7.4/9", Reason::BadProof, None, |scene| {
        changed(scene.request(), TakeoverInit::MAC.start, |byte| byte ^ 1)
    }),
    row("7.4/9", Reason::ReplayDetected, None, |scene| {
        let older = scene.request();
        scene.town.agree(ASKED, &mut scene.client);
        older
    }),
    row("7.4/10", Reason::StaleOwnerEpoch, SEALED, |scene| {
        scene.change_record(|record| record.owner_epoch += 1);
        scene.request()
    }),
    row("7.4/10", Reason::StoreRollback, SEALED, |scene| scene.request_as((2, 1))),
    row("7.4/10", Reason::StaleStateVersion, SEALED, |scene| scene.request_as((1, u64::MAX))),
    row("7.4/10", Reason::PeerRevoked, SEALED, |scene| {
        scene.configured_otherwise(|config| config.peers.truncate(1));
        scene.request()
    }),
    row("7.4/10", Reason::PeerChanged, SEALED, |scene| {
        scene.configured_otherwise(|config| config.peers[1].inner[0] = "10.77.0.9".parse().unwrap());
        scene.request()
    }),
    row("7.4/10", Reason::StoreBusy, SEALED, |scene| {
        // A confirmed one that the store has not answered; what is asked now reads the record all the same.
        scene.client.cseq += 10;
        let again = scene.request();
        scene.client.cseq -= 11;
        let town = &mut scene.town;
        town.agree(ASKED, &mut scene.client);
        town.manner = Manner::Held;
        let fin = scene.client.frames(&[Frame::Fin]);
        town.hand_in(ASKED, scene.source, &fin);
        again
    }),
    row("7.4/10", Reason::StoreBusy, SEALED, |scene| {
        scene.town.move_to(ASKED, &mut scene.client);
        scene.town.run(ms(11_000));
        let request = scene.request();
        scene.town.manner = Manner::Held;
        let rekey = scene.client.classical_rekey();
        scene.town.hand_in(ASKED, scene.source, &rekey);
        assert!(matches!(scene.town.asked()[..], [Request::Update { .. }]));
        request
    }),
    row("7.4/10", Reason::SessionExpired, SEALED, |scene| {
        scene.expire();
        scene.request()
    }),
    row("7.4/10", Reason::PqRequired, SEALED, |scene| {
        scene.configured_otherwise(|config| config.policy.security.pq = PostQuantum::Required);
        scene.request()
    }),
    row("7.4/10", Reason::HandoffPending, SEALED, |scene| {
        scene.town.move_to(ASKED, &mut scene.client);
        scene.town.run(ms(2000));
        let request = scene.request();
        let (handle, to) = (*scene.town.store.records.keys().next().unwrap(), scene.town.incarnations[0]);
        scene.town.gateways[ASKED].handle_ask(Ask::Release { handle, to }, scene.town.now);
        assert!(scene.town.gateways[ASKED].poll_ownership_request().is_some());
        request
    }),
    row("7.4/10", Reason::SwitchRateLimited, SEALED, |scene| {
        for _ in 0..Policy::laptop().switching.max_switches_per_min {
            scene.town.move_to(ASKED, &mut scene.client);
            scene.town.run(ms(300));
        }
        scene.request()
    }),
    row("7.4/10", Reason::GatewayDraining, SEALED, |scene| {
        let span = Duration::from_secs(60);
        scene.town.gateways[ASKED].handle_command(Command::Drain { span }, scene.town.now);
        scene.request()
    }),
    row("7.4/10", Reason::TableFull, SEALED, |scene| {
        scene.configured_otherwise(|config| config.capacity = 0);
        scene.request()
    }),
    row("7.4/11", Reason::BadHandshake, SEALED, |scene| {
        // The credentials of the session, and the key of somebody else.
        scene.client.pretend_to_be(77);
        scene.request()
    }),
    row("7.4/pending", Reason::FenceExpired, None, |scene| {
        let fin = scene.confirmation();
        scene.lose_the_fence();
        fin
    }),
    row("7.4/pending", Reason::AddressMismatch, None, |scene| {
        let fin = scene.confirmation();
        scene.source = elsewhere(3);
        fin
    }),
    row("7.4/pending", Reason::BadSeal, None, |scene| {
        let fin = scene.confirmation();
        let last = fin.len() - 1;
        changed(fin, last, |byte| byte ^ 1)
    }),
    row("7.4/pending", Reason::NotAttached, None, |scene| {
        scene.confirmation();
        scene.client.frames(&[Frame::Want { tokens: 1, config: false }])
    }),
    row("7.4/taken", Reason::StoreConflict, SEALED, |scene| {
        let fin = scene.confirmation();
        scene.change_record(|record| record.version += 1);
        fin
    }),
    row("7.4/taken", Reason::SwitchRateLimited, SEALED, |scene| {
        let fin = scene.confirmation();
        scene.town.refuse_release = Some(Reason::SwitchRateLimited);
        fin
    }),
];

impl Scene {
    fn new() -> Scene {
        let mut town = Town::with_policy(Policy::laptop());
        let source = elsewhere(1);
        let client = town.birth(MALLORY, source);
        Scene { town, client, source }
    }

    /// A good request, with a cookie.
    fn request(&mut self) -> Vec<u8> {
        let stand = self.client.stand();
        self.request_as((stand.1, stand.2))
    }

    fn request_as(&mut self, known: (u64, u64)) -> Vec<u8> {
        let credentials = self.client.credentials();
        let mut initiator = self.client.ask_takeover_as(KEYS[ASKED], &credentials, known);
        self.town.with_cookie(ASKED, self.client.source, &mut initiator)
    }

    /// The confirmation of a takeover that was answered.
    fn confirmation(&mut self) -> Vec<u8> {
        self.town.agree(ASKED, &mut self.client);
        self.client.frames(&[Frame::Fin])
    }

    fn change_record(&mut self, change: impl Fn(&mut jumpvpn_ownership::SessionRecord)) {
        self.town.store.records.values_mut().for_each(|(_, record)| change(record));
    }

    /// By our clock its time is over from now on.
    fn expire(&mut self) {
        let now = self.town.now;
        self.change_record(|record| record.expires = now);
    }

    fn configured_otherwise(&mut self, change: impl FnOnce(&mut jumpvpn_engine::gateway::Config)) {
        self.town.configure(ASKED, change);
    }

    fn lose_the_fence(&mut self) {
        self.town.gateways[ASKED].handle_fence(Fence { epoch: 1, valid_until: self.town.now });
    }

    /// All that a refusal must leave as it is.
    fn digest(&self) -> Vec<(usize, SessionLabel, String, [u64; 3], u32, SocketAddr)> {
        let rows = (0..KEYS.len()).flat_map(|at| self.town.rows(at).into_iter().map(move |row| (at, row)));
        rows.map(|(at, row)| {
            let counted = [row.step, row.version, row.epoch];
            (at, row.session, format!("{:?}", row.state), counted, row.key_epoch, row.address)
        })
        .collect()
    }

    fn drops(&self, reason: Reason) -> u64 {
        self.town.gateways[ASKED].counters().drops.count(reason)
    }

    /// Refusals of that reason in security events so far.
    fn reports(&self, reason: Reason) -> u32 {
        let of_reason = self.town.events.iter().filter(|(at, event)| *at == ASKED && event.reason == reason);
        of_reason
            .map(|(_, event)| if let EventKind::Security { count } = event.kind { count } else { 0 })
            .sum()
    }
}

fn elsewhere(host: u8) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, host], 6666))
}

fn changed(mut datagram: Vec<u8>, at: usize, change: impl FnOnce(u8) -> u8) -> Vec<u8> {
    let byte = change(datagram[at]);
    assert_ne!(datagram[at], byte);
    datagram[at] = byte;
    datagram
}

#[test]
fn each_row_refuses_answers_and_reports_as_the_table_says() {
    let deviations: Vec<String> = ROWS.iter().flat_map(deviations).collect();
    assert!(deviations.is_empty(), "{deviations:#?}");
}

/// What is not as the row says.
fn deviations(row: &Row) -> Vec<String> {
    let mut scene = Scene::new();
    let datagram = (row.datagram)(&mut scene);
    scene.town.settle();
    scene.town.sent.clear();
    let (digest, writes) = (scene.digest(), scene.town.store.writes);
    let (counted, reported) = (scene.drops(row.reason), scene.reports(row.reason));
    scene.town.hand_in(ASKED, scene.source, &datagram);
    let answers = scene.town.take_sent(ASKED, scene.source);
    let kinds: Vec<_> = answers.iter().filter_map(|answer| Kind::of(answer).ok()).collect();
    let believable = answers.iter().filter_map(|answer| TakeoverRefusal::decode(answer).ok());
    let reasons: Vec<_> = believable.map(|refusal| Reason::from_number(refusal.reason)).collect();
    // A confirmation has shown its address with a cookie before.
    let proven = row.row == "7.4/taken";
    let longest = if proven { TAKEOVER_INIT_LEN } else { datagram.len() };
    let changed = (scene.digest(), scene.town.store.writes) != (digest, writes);
    let others = scene.town.sent.len();
    let drops = scene.drops(row.reason);
    scene.town.run(ms(1100));
    let event = scene.reports(row.reason) > reported;
    let silent = NOT_REPORTED.contains(&row.reason);
    let as_it_should = [
        (drops == counted + 1, format!("counted {counted} and then {drops}")),
        (!changed, "a session or a record changed".into()),
        (kinds == Vec::from_iter(row.answer), format!("answered by {kinds:?}")),
        (row.answer != SEALED || reasons == [Some(row.reason)], format!("because of {reasons:?}")),
        (answers.iter().all(|answer| answer.len() <= longest), "a longer answer".into()),
        (others == 0, format!("{others} datagrams to others")),
        (event != silent, format!("security event: {event}")),
    ];
    let wrong = as_it_should.into_iter().filter(|(holds, _)| !holds);
    wrong.map(|(_, what)| format!("{} {}: {what}", row.row, row.reason)).collect()
}
