//! Every row refuses what it must, in its place, and none is decoration: without it something would commit.

use jumpvpn_wire::{Quality, Ticket};
use proptest::prelude::*;

use super::*;
use crate::testing::rng;

const NOW: Time = Time::from_millis(1_000_000);
const SERVER: Cid = Cid(0x5E7);
const AGE: Duration = Duration::from_secs(5);
const ALLOWED: &[TransportClass] = &[TransportClass::Udp, TransportClass::Tls];
const SOURCE: &str = "192.0.2.9:4000";
const LOCAL: &str = "198.51.100.1:443";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// One attempt to move a session, with everything that can be wrong about it.
#[derive(Debug, Clone)]
struct Case {
    own: Vec<IpAddr>,
    record: Record<'static>,
    proof: ReattachPayload,
    source: SocketAddr,
    local: SocketAddr,
    class: TransportClass,
    /// What the ticket was issued for.
    ticket: TicketBinding,
    issued: Time,
    foreign_key: bool,
    budget: Result<(), (Reason, Duration)>,
    allow_local: bool,
}

impl Case {
    /// A MOVE that commits.
    fn good() -> Self {
        let handle = Handle::from_parts(1, 2);
        let record = Record {
            handle,
            version: 7,
            owner_epoch: 3,
            fenced: false,
            allowed: ALLOWED,
            addresses: AddressRules { own: &[], allow_local: false },
            binding_path: PathId(1),
            last_heard: NOW,
            rebind: None,
            ticket_max_age: AGE,
        };
        let proof = ReattachPayload {
            ticket: Ticket([0; 32]),
            version: 7,
            owner_epoch: 3,
            path_id: PathId(2),
            rebind: false,
            warm: false,
            transport: TransportClass::Udp,
            reason: 1,
            observed: ObservedAddress::new(address(SOURCE)),
            client_cid: Cid(9),
            client_nonce: [4; 16],
            quality: Quality::default(),
        };
        let ticket = TicketBinding {
            handle,
            owner_epoch: 3,
            version: 7,
            path_id: PathId(2),
            class: TransportClass::Udp,
            observed: address(SOURCE),
            local: address(LOCAL),
            client_cid: Cid(9),
        };
        Self {
            own: vec![address(LOCAL).ip()],
            record,
            proof,
            source: address(SOURCE),
            local: address(LOCAL),
            class: TransportClass::Udp,
            ticket,
            issued: NOW,
            foreign_key: false,
            budget: Ok(()),
            allow_local: false,
        }
    }

    /// A REBIND that commits: same path, the old address has been asked and is silent.
    fn good_rebind() -> Self {
        let mut case = Self::good();
        case.on_path(PathId(1));
        case.proof.rebind = true;
        let hold = Duration::from_millis(200);
        case.record.rebind = Some(RebindCheck { path_id: PathId(1), started: NOW - hold, hold });
        case.record.last_heard = NOW - Duration::from_secs(1);
        case
    }

    fn on_path(&mut self, path_id: PathId) {
        self.proof.path_id = path_id;
        self.ticket.path_id = path_id;
    }

    /// Moves the whole attempt (ticket, proof, packet) to another source.
    fn from(&mut self, source: &str) {
        self.source = address(source);
        self.ticket.observed = self.source;
        self.proof.observed = ObservedAddress::new(self.source);
    }

    fn over(&mut self, class: TransportClass) {
        self.class = class;
        self.ticket.class = class;
        self.proof.transport = class;
    }

    fn decide_without(&self, row: Option<u8>) -> Decision {
        let mut random = rng(1);
        let tickets = TicketKeys::new(NOW - AGE, &mut random).unwrap();
        let other = TicketKeys::new(NOW - AGE, &mut random).unwrap();
        let mut proof = self.proof;
        let issuer = if self.foreign_key { &other } else { &tickets };
        proof.ticket = issuer.issue(self.issued, &self.ticket, SERVER);
        let addresses = AddressRules { own: &self.own, allow_local: self.allow_local };
        let record = Record { addresses, ..self.record };
        let request = Request { proof: &proof, source: self.source, local: self.local, class: self.class };
        if row.is_none() {
            return verify(NOW, &record, &request, &tickets, self.budget);
        }
        let evidence =
            Evidence { now: NOW, record: &record, request: &request, tickets: &tickets, budget: self.budget };
        decide(CHECKS.iter().filter(|check| Some(check.row) != row), &evidence)
    }

    fn decide(&self) -> Decision {
        self.decide_without(None)
    }
}

fn commit() -> Decision {
    Decision::Commit { server_cid: SERVER }
}

fn reject(reason: Reason) -> Decision {
    Decision::Reject { reason, retry_after: Duration::ZERO }
}

fn changed(change: impl FnOnce(&mut Case)) -> Case {
    let mut case = Case::good();
    change(&mut case);
    case
}

/// Attempts that exactly one row refuses.
fn single_faults() -> Vec<(&'static str, u8, Decision, Case)> {
    let ticket = reject(Reason::StaleTicket);
    let candidate = reject(Reason::InvalidTransportCandidate);
    let wait = Decision::Reject { reason: Reason::RebindWait, retry_after: Duration::from_millis(150) };
    let budget = Decision::Reject { reason: Reason::SwitchCooldown, retry_after: Duration::from_secs(1) };
    let rebind = |change: fn(&mut Case)| {
        let mut case = Case::good_rebind();
        change(&mut case);
        case
    };
    vec![
        // The attacker's address is in the packet and even in the ticket; the client never accepted it.
        (
            "address",
            10,
            Decision::AddressMismatch,
            changed(|case| {
                case.source = address("203.0.113.66:6666");
                case.ticket.observed = case.source;
            }),
        ),
        (
            "port",
            10,
            Decision::AddressMismatch,
            changed(|case| {
                case.source.set_port(4001);
                case.ticket.observed = case.source;
            }),
        ),
        ("forged ticket", 11, ticket, changed(|case| case.foreign_key = true)),
        ("old ticket", 11, ticket, changed(|case| case.issued = NOW - AGE - Duration::from_millis(1))),
        ("ticket of another session", 11, ticket, changed(|case| case.ticket.handle = Handle::MAX)),
        ("ticket of another path", 11, ticket, changed(|case| case.ticket.path_id = PathId(3))),
        ("ticket of another version", 11, ticket, changed(|case| case.ticket.version = 6)),
        ("ticket of another owner", 11, ticket, changed(|case| case.ticket.owner_epoch = 2)),
        (
            "ticket of another source",
            11,
            ticket,
            changed(|case| case.ticket.observed = address("192.0.2.8:1")),
        ),
        ("ticket of another local address", 11, ticket, changed(|case| case.ticket.local.set_port(444))),
        ("ticket of another transport", 11, ticket, changed(|case| case.ticket.class = TransportClass::Tls)),
        ("ticket of another client CID", 11, ticket, changed(|case| case.ticket.client_cid = Cid(8))),
        ("fence passed", 12, reject(Reason::NotOwner), changed(|case| case.record.fenced = true)),
        (
            "older owner",
            12,
            reject(Reason::NotOwner),
            changed(|case| {
                case.proof.owner_epoch = 2;
                case.ticket.owner_epoch = 2;
            }),
        ),
        (
            "newer owner",
            12,
            reject(Reason::NotOwner),
            changed(|case| {
                case.proof.owner_epoch = 4;
                case.ticket.owner_epoch = 4;
            }),
        ),
        (
            "older version",
            13,
            reject(Reason::StaleStateVersion),
            changed(|case| {
                case.proof.version = 6;
                case.ticket.version = 6;
            }),
        ),
        (
            "newer version",
            13,
            reject(Reason::StaleStateVersion),
            changed(|case| {
                case.proof.version = 8;
                case.ticket.version = 8;
            }),
        ),
        ("transport not allowed", 14, candidate, changed(|case| case.over(TransportClass::Tcp))),
        (
            "proof names another transport",
            14,
            candidate,
            changed(|case| case.proof.transport = TransportClass::Tls),
        ),
        ("loopback", 14, candidate, changed(|case| case.from("127.0.0.1:1"))),
        ("loopback v6", 14, candidate, changed(|case| case.from("[::1]:1"))),
        ("mapped loopback", 14, candidate, changed(|case| case.from("[::ffff:127.0.0.1]:1"))),
        ("link-local", 14, candidate, changed(|case| case.from("169.254.1.1:1"))),
        ("link-local v6", 14, candidate, changed(|case| case.from("[fe80::1]:1"))),
        ("multicast", 14, candidate, changed(|case| case.from("224.0.0.1:1"))),
        ("multicast v6", 14, candidate, changed(|case| case.from("[ff02::1]:1"))),
        ("broadcast", 14, candidate, changed(|case| case.from("255.255.255.255:1"))),
        ("unspecified", 14, candidate, changed(|case| case.from("0.0.0.0:1"))),
        ("unspecified v6", 14, candidate, changed(|case| case.from("[::]:1"))),
        ("port zero", 14, candidate, changed(|case| case.from("192.0.2.9:0"))),
        ("own address", 14, candidate, changed(|case| case.from("198.51.100.1:9"))),
        (
            "rebind of another path",
            14,
            candidate,
            rebind(|case| {
                case.record.binding_path = PathId(4);
            }),
        ),
        ("old address not asked", 15, reject(Reason::RebindWait), rebind(|case| case.record.rebind = None)),
        (
            "another path asked",
            15,
            reject(Reason::RebindWait),
            rebind(|case| {
                case.record.rebind =
                    case.record.rebind.map(|check| RebindCheck { path_id: PathId(9), ..check });
            }),
        ),
        (
            "hold time not over",
            15,
            wait,
            rebind(|case| {
                let started = NOW - Duration::from_millis(50);
                case.record.rebind = case.record.rebind.map(|check| RebindCheck { started, ..check });
            }),
        ),
        (
            "old address answered",
            15,
            reject(Reason::OldPathAlive),
            rebind(|case| {
                case.record.last_heard = NOW - Duration::from_millis(100);
            }),
        ),
        (
            "budget",
            16,
            budget,
            changed(|case| {
                case.budget = Err((Reason::SwitchCooldown, Duration::from_secs(1)));
            }),
        ),
    ]
}

#[test]
fn a_good_move_and_a_good_rebind_commit() {
    assert_eq!(Case::good().decide(), commit());
    assert_eq!(Case::good_rebind().decide(), commit());
    assert_eq!(changed(|case| case.issued = NOW - AGE).decide(), commit(), "the age limit is inclusive");
    assert_eq!(changed(|case| case.over(TransportClass::Tls)).decide(), commit());
    assert_eq!(changed(|case| case.on_path(PathId(1))).decide(), commit(), "a client may change its mind");
    assert_eq!(changed(|case| case.from("[2001:db8::7]:5")).decide(), commit());
    assert_eq!(changed(|case| case.source = address("[::ffff:192.0.2.9]:4000")).decide(), commit());
    assert_eq!(changed(|case| case.from("10.1.2.3:5")).decide(), commit(), "private networks are allowed");
}

#[test]
fn what_was_heard_when_the_question_went_out_is_no_answer() {
    let mut case = Case::good_rebind();
    let started = case.record.rebind.unwrap().started;
    case.record.last_heard = started;
    assert_eq!(case.decide(), commit());
    case.record.last_heard = started + Duration::from_nanos(1);
    assert_eq!(case.decide(), reject(Reason::OldPathAlive));
}

#[test]
fn local_addresses_are_for_laboratories() {
    for source in ["127.0.0.1:1", "[::1]:1", "169.254.1.1:1", "198.51.100.1:9"] {
        let case = changed(|case| {
            case.from(source);
            case.allow_local = true;
        });
        assert_eq!(case.decide(), commit(), "{source}");
    }
    let case = changed(|case| {
        case.from("224.0.0.1:1");
        case.allow_local = true;
    });
    assert_eq!(case.decide(), reject(Reason::InvalidTransportCandidate), "multicast never");
}

#[test]
fn each_fault_is_refused_for_its_own_reason() {
    for (name, _, expected, case) in single_faults() {
        assert_eq!(case.decide(), expected, "{name}");
    }
}

#[test]
fn no_check_is_decoration() {
    for (name, row, _, case) in single_faults() {
        assert_eq!(case.decide_without(Some(row)), commit(), "without row {row} `{name}` would commit");
        for other in CHECKS.iter().map(|check| check.row).filter(|&other| other != row) {
            assert_ne!(case.decide_without(Some(other)), commit(), "row {other} is not what stops `{name}`");
        }
    }
    for check in CHECKS {
        assert!(single_faults().iter().any(|&(_, row, ..)| row == check.row), "row {} has a case", check.row);
    }
}

#[test]
fn rows_run_in_the_order_of_the_protocol() {
    assert_eq!(CHECKS.iter().map(|check| check.row).collect::<Vec<_>>(), [10, 11, 12, 13, 14, 15, 16]);
    // An attempt wrong in every way falls at row 10; repaired step by step, at each later row in turn.
    let mut case = Case::good_rebind();
    case.budget = Err((Reason::SwitchRateLimited, Duration::from_secs(9)));
    case.record.last_heard = NOW;
    case.record.allowed = &[];
    case.record.version = 8;
    case.record.fenced = true;
    case.foreign_key = true;
    case.source.set_port(1);
    case.ticket.observed = case.source;
    assert_eq!(case.decide(), Decision::AddressMismatch);
    case.source = address(SOURCE);
    case.ticket.observed = case.source;
    assert_eq!(case.decide(), reject(Reason::StaleTicket));
    case.foreign_key = false;
    assert_eq!(case.decide(), reject(Reason::NotOwner));
    case.record.fenced = false;
    assert_eq!(case.decide(), reject(Reason::StaleStateVersion));
    case.record.version = 7;
    assert_eq!(case.decide(), reject(Reason::InvalidTransportCandidate));
    case.record.allowed = ALLOWED;
    assert_eq!(case.decide(), reject(Reason::OldPathAlive));
    case.record.last_heard = Time::ZERO;
    let limited = Decision::Reject { reason: Reason::SwitchRateLimited, retry_after: Duration::from_secs(9) };
    assert_eq!(case.decide(), limited);
    case.budget = Ok(());
    assert_eq!(case.decide(), commit());
}

#[test]
fn after_a_commit_every_other_ticket_is_dead() {
    // Two candidate paths, both warm: the first commits, the version moves, the second is refused by version.
    let first = Case::good();
    let mut second = changed(|case| case.on_path(PathId(3)));
    assert_eq!(first.decide(), commit());
    second.record.version += 1;
    assert_eq!(second.decide(), reject(Reason::StaleStateVersion));
    // A client that only claims the new version does not get the old ticket through.
    second.proof.version += 1;
    assert_eq!(second.decide(), reject(Reason::StaleTicket));
}

/// A second, independent reading of the table: commit if and only if all of this holds.
fn model(case: &Case) -> bool {
    let proof = &case.proof;
    let public = !matches!(case.source.ip(), IpAddr::V4(ip) if ip.is_loopback() || ip.is_multicast());
    let rebind_settled = case.record.rebind.is_some_and(|check| {
        check.path_id == proof.path_id
            && case.record.last_heard <= check.started
            && check.started + check.hold <= NOW
    });
    ObservedAddress::new(case.source) == proof.observed
        && !case.foreign_key
        && case.issued <= NOW
        && NOW.since(case.issued) <= AGE
        && case.ticket.version == proof.version
        && case.ticket.path_id == proof.path_id
        && case.ticket.observed == case.source
        && case.ticket.class == case.class
        && !case.record.fenced
        && proof.owner_epoch == case.record.owner_epoch
        && case.ticket.owner_epoch == proof.owner_epoch
        && proof.version == case.record.version
        && case.record.allowed.contains(&case.class)
        && proof.transport == case.class
        && public
        && (!proof.rebind || (proof.path_id == case.record.binding_path && rebind_settled))
        && case.budget.is_ok()
}

prop_compose! {
    /// Attempts that are right in most ways.
    fn case()(rebind: bool, faults in proptest::collection::vec(0u8..18, 0..3), millis in 0u64..400) -> Case {
        let mut case = if rebind { Case::good_rebind() } else { Case::good() };
        for fault in faults {
            match fault {
                0 => case.source = address("203.0.113.1:5"),
                1 => case.from("127.0.0.1:5"),
                2 => case.foreign_key = true,
                3 => case.issued = NOW - Duration::from_millis(4_800 + millis),
                4 => case.record.version = 8,
                5 => case.proof.version = 8,
                6 => case.ticket.version = 8,
                7 => case.record.owner_epoch = 4,
                8 => case.proof.owner_epoch = 4,
                9 => case.ticket.owner_epoch = 4,
                10 => case.record.fenced = true,
                11 => case.over(TransportClass::Tcp),
                12 => case.proof.transport = TransportClass::Tls,
                13 => case.budget = Err((Reason::SwitchBudget, Duration::ZERO)),
                14 => case.on_path(PathId(2)),
                15 => case.record.last_heard = NOW - Duration::from_millis(millis),
                16 => case.record.rebind = None,
                _ => case.ticket.observed = address("203.0.113.1:5"),
            }
        }
        case
    }
}

proptest! {
    #[test]
    fn verify_agrees_with_the_model(case in case()) {
        let decision = case.decide();
        prop_assert_eq!(decision == commit(), model(&case), "{:?}", decision);
        prop_assert_eq!(decision, case.decide(), "the same question has the same answer");
    }

    #[test]
    fn no_invented_ticket_commits(ticket: [u8; 32]) {
        let case = Case::good();
        let tickets = TicketKeys::new(NOW, &mut rng(1)).unwrap();
        let proof = ReattachPayload { ticket: Ticket(ticket), ..case.proof };
        let request = Request { proof: &proof, source: case.source, local: case.local, class: case.class };
        prop_assert_eq!(verify(NOW, &case.record, &request, &tickets, Ok(())), reject(Reason::StaleTicket));
    }
}
