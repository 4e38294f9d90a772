//! What one gateway may rely on when it talks to its ledger.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use jumpvpn_events::{Reason, Time};

use crate::{
    Answer, Expected, Handle, Incarnation, Ledger, Moves, Owner, RecordState, Request, RequestId, Rev,
    SessionRecord,
};

mod walk;

/// Opens an empty store for so many records.
type Open<'a> = &'a mut dyn FnMut(usize) -> Ledger;

/// Places in the stores the checks use, unless they are about capacity.
const ROOM: usize = 64;

/// How long the sessions of the checks live.
const LIFETIME: Duration = Duration::from_secs(3_600);

/// Runs every check on fresh stores.
///
/// # Panics
/// If the store does not conform.
pub(super) fn run(open: Open<'_>) {
    let checks: [fn(&mut Client); 9] = [
        creates_and_reads,
        refuses_a_second_record,
        keeps_inner_addresses_unique,
        updates_only_what_is_expected,
        lets_one_of_two_writers_win,
        absorbs_termination,
        refuses_what_breaks_the_rules,
        takes_what_is_its_own,
        allows_acting,
    ];
    for check in checks {
        check(&mut Client::new(open(ROOM)));
    }
    refuses_more_than_fits(&mut Client::new(open(3)));
    for seed in 1..=20 {
        walk::random(&mut Client::new(open(walk::ROOM)), seed);
    }
}

/// A live record with inner addresses of its own. Handles below 2^16.
///
/// # Panics
/// If the number is too large.
pub(crate) fn record(number: u16) -> SessionRecord {
    let [high, low] = number.to_be_bytes();
    SessionRecord {
        handle: handle(number),
        sid: [low; 16],
        peer: [high; 32],
        state: RecordState::Live,
        owner_epoch: 1,
        owner: Incarnation([1; 16]),
        version: 1,
        inner_v4: Some(Ipv4Addr::new(10, 77, high, low)),
        inner_v6: Some(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, number)),
        created: Time::ZERO,
        expires: Time::ZERO + LIFETIME,
        moved: false,
        moves: Moves::default(),
        key_epoch: 0,
        sealed: Vec::new(),
    }
}

fn handle(number: u16) -> Handle {
    // invariant: 16 bits fit into 48.
    Handle::new(u64::from(number)).unwrap_or(Handle::MAX)
}

/// Numbers the requests and checks that each answer belongs to its request.
struct Client {
    store: Ledger,
    next: u64,
    now: Time,
}

impl Client {
    fn new(store: Ledger) -> Client {
        Client { store, next: 1, now: Time::from_millis(1_000) }
    }

    fn id(&mut self) -> RequestId {
        self.next += 1;
        RequestId(self.next)
    }

    fn submit(&mut self, request: &Request) -> Answer {
        let answer = self.store.submit(request, self.now);
        assert_eq!(answer.id(), request.id(), "the answer belongs to another request");
        answer
    }

    fn create(&mut self, record: &SessionRecord) -> Answer {
        let id = self.id();
        self.submit(&Request::Create { id, record: Box::new(record.clone()), began: Time::ZERO })
    }

    fn update(&mut self, expected: Expected, record: &SessionRecord) -> Answer {
        let id = self.id();
        self.submit(&Request::Update { id, expected, record: Box::new(record.clone()) })
    }

    fn terminate(&mut self, expected: Expected, handle: Handle) -> Answer {
        let (id, reason_number) = (self.id(), Reason::OwnerClosed.number());
        self.submit(&Request::Terminate { id, handle, expected, reason_number })
    }

    fn take(&mut self, seen: &(Rev, SessionRecord), record: &SessionRecord) -> Answer {
        let id = self.id();
        let (seen, record) = (Box::new(seen.clone()), Box::new(record.clone()));
        self.submit(&Request::Take { id, seen, record })
    }

    fn read(&mut self, handle: Handle) -> Option<(Rev, SessionRecord)> {
        let id = self.id();
        match self.submit(&Request::Read { id, handle }) {
            Answer::Found { rev, record, owner: Owner::Me, .. } => Some((rev, unowned(*record))),
            Answer::Absent { .. } => None,
            other => panic!("read: {other:?}"),
        }
    }

    /// Creates a record that must be accepted, and says what to expect of it from now on.
    fn created(&mut self, record: &SessionRecord) -> Expected {
        expected(committed(&self.create(record)), record)
    }
}

/// The record without what was filled in.
fn unowned(written: SessionRecord) -> SessionRecord {
    SessionRecord { owner: record(0).owner, ..written }
}

fn committed(answer: &Answer) -> Rev {
    match answer {
        Answer::Committed { rev, .. } => *rev,
        other => panic!("not committed: {other:?}"),
    }
}

/// The record that stood in the way.
fn obstacle(answer: Answer) -> Option<(Rev, SessionRecord)> {
    match answer {
        Answer::Conflict { current, .. } => current.map(|current| (current.0, unowned(current.1))),
        other => panic!("no conflict: {other:?}"),
    }
}

fn refusal(answer: &Answer) -> Reason {
    match answer {
        Answer::Refused { reason, .. } => *reason,
        other => panic!("not refused: {other:?}"),
    }
}

fn expected(rev: Rev, record: &SessionRecord) -> Expected {
    Expected { rev, epoch: record.owner_epoch, version: record.version }
}

fn creates_and_reads(client: &mut Client) {
    assert_eq!(client.read(handle(1)), None, "an empty store has a record");
    let rev = client.created(&record(1)).rev;
    assert_eq!(client.read(handle(1)), Some((rev, record(1))));
    assert_eq!(client.read(handle(2)), None);
    let bare = SessionRecord { inner_v4: None, inner_v6: None, ..record(2) };
    let next = client.created(&bare).rev;
    assert!(next > rev, "revisions rise");
    assert_eq!(client.read(handle(2)), Some((next, bare)));
}

fn refuses_a_second_record(client: &mut Client) {
    let rev = client.created(&record(1)).rev;
    let second = SessionRecord { sid: [9; 16], ..record(1) };
    let answer = client.create(&second);
    assert_eq!(obstacle(answer), Some((rev, record(1))));
    assert_eq!(client.read(handle(1)), Some((rev, record(1))), "a conflict changes nothing");
}

fn keeps_inner_addresses_unique(client: &mut Client) {
    let one = client.created(&record(1));
    let same_v4 = SessionRecord { inner_v4: record(1).inner_v4, ..record(2) };
    let same_v6 = SessionRecord { inner_v6: record(1).inner_v6, ..record(2) };
    for thief in [&same_v4, &same_v6] {
        let answer = client.create(thief);
        assert_eq!(obstacle(answer), Some((one.rev, record(1))), "an inner address was given away twice");
    }
    committed(&client.terminate(one, handle(1)));
    client.created(&same_v4);
    let free = SessionRecord { inner_v4: None, ..record(3) };
    client.created(&free);
    let answer = client.create(&SessionRecord { inner_v6: free.inner_v6, ..record(4) });
    assert!(obstacle(answer).is_some(), "a second address was given away twice");
}

fn updates_only_what_is_expected(client: &mut Client) {
    let first = client.created(&record(1));
    let wrong = [
        Expected { rev: Rev(first.rev.0 + 1), ..first },
        Expected { epoch: first.epoch + 1, ..first },
        Expected { version: first.version + 1, ..first },
    ];
    let new = SessionRecord { version: 5, ..record(1) };
    for expected in wrong {
        let answer = client.update(expected, &new);
        assert_eq!(obstacle(answer), Some((first.rev, record(1))), "{expected:?}");
        let answer = client.terminate(expected, handle(1));
        assert_eq!(obstacle(answer), Some((first.rev, record(1))), "{expected:?}");
    }
    assert_eq!(client.read(handle(1)), Some((first.rev, record(1))));
    let rev = committed(&client.update(first, &new));
    assert!(rev > first.rev);
    assert_eq!(client.read(handle(1)), Some((rev, new)));
    let absent = client.update(first, &record(2));
    assert_eq!(obstacle(absent), None);
    let absent = client.terminate(first, handle(2));
    assert_eq!(obstacle(absent), None);
}

fn lets_one_of_two_writers_win(client: &mut Client) {
    let first = client.created(&record(1));
    let (one, two) =
        (SessionRecord { owner_epoch: 2, ..record(1) }, SessionRecord { owner_epoch: 3, ..record(1) });
    let rev = committed(&client.update(first, &one));
    let answer = client.update(first, &two);
    assert_eq!(obstacle(answer), Some((rev, one.clone())));
    let answer = client.terminate(first, handle(1));
    assert_eq!(obstacle(answer), Some((rev, one)));
}

fn absorbs_termination(client: &mut Client) {
    let first = client.created(&record(1));
    let rev = committed(&client.terminate(first, handle(1)));
    let state = RecordState::Terminated { reason_number: Reason::OwnerClosed.number() };
    let tombstone = SessionRecord { state, version: 2, ..record(1) };
    assert_eq!(client.read(handle(1)), Some((rev, tombstone.clone())));
    let now = expected(rev, &tombstone);
    for expected in [first, now] {
        let answer = client.update(expected, &SessionRecord { version: 9, ..record(1) });
        assert_eq!(obstacle(answer), Some((rev, tombstone.clone())), "a session rose from the dead");
        let answer = client.terminate(expected, handle(1));
        assert_eq!(obstacle(answer), Some((rev, tombstone.clone())), "a session died twice");
    }
    let answer = client.create(&record(1));
    assert_eq!(obstacle(answer), Some((rev, tombstone.clone())), "a handle was used again");
    assert_eq!(client.read(handle(1)), Some((rev, tombstone)));
}

fn refuses_what_breaks_the_rules(client: &mut Client) {
    let state = RecordState::Terminated { reason_number: 1 };
    let answer = client.create(&SessionRecord { state, ..record(1) });
    assert_eq!(refusal(&answer), Reason::StateForbidden, "a session was born dead");
    let original = SessionRecord { owner_epoch: 5, version: 5, ..record(1) };
    let first = client.created(&original);
    let forbidden = [
        SessionRecord { sid: [9; 16], ..original.clone() },
        SessionRecord { peer: [9; 32], ..original.clone() },
        SessionRecord { version: 4, ..original.clone() },
        SessionRecord { owner_epoch: 4, version: 6, ..original.clone() },
        SessionRecord { state, ..original.clone() },
        SessionRecord { inner_v4: None, version: 6, ..original.clone() },
        SessionRecord { inner_v6: record(2).inner_v6, version: 6, ..original.clone() },
        SessionRecord { sealed: vec![0; SessionRecord::SEALED_MAX_LEN + 1], ..original.clone() },
    ];
    for new in forbidden {
        let answer = client.update(first, &new);
        assert_eq!(refusal(&answer), Reason::StateForbidden, "{new:?}");
    }
    assert_eq!(client.read(handle(1)), Some((first.rev, original)));
}

/// A client that lost its keys comes back: the same owner, the next epoch.
fn takes_what_is_its_own(client: &mut Client) {
    let rev = client.created(&record(1)).rev;
    let seen = (rev, SessionRecord { owner: client.store.incarnation(), ..record(1) });
    let next = SessionRecord { owner_epoch: 2, version: 4, key_epoch: 1, sealed: vec![9; 20], ..record(1) };
    let kept = client.take(&seen, &record(1));
    assert_eq!(refusal(&kept), Reason::StateForbidden, "the epoch has to rise");
    let skipped = client.take(&seen, &SessionRecord { owner_epoch: 3, ..next.clone() });
    assert_eq!(refusal(&skipped), Reason::StateForbidden, "by one");
    let rev = committed(&client.take(&seen, &next));
    let next = SessionRecord { moves: record(1).moves.and_one(client.now), ..next };
    assert_eq!(client.read(handle(1)), Some((rev, next.clone())), "and it has not moved");
    let late = client.take(&seen, &next);
    assert_eq!(obstacle(late), Some((rev, next.clone())), "the second of two");
    committed(&client.terminate(expected(rev, &next), handle(1)));
    let over = client.take(
        &(rev, SessionRecord { owner: client.store.incarnation(), ..next.clone() }),
        &SessionRecord { owner_epoch: 3, ..next },
    );
    assert!(obstacle(over).is_some(), "a session rose from the dead");
}

fn refuses_more_than_fits(client: &mut Client) {
    let live: BTreeMap<u16, Expected> = (1..=3).map(|n| (n, client.created(&record(n)))).collect();
    client.now = Time::ZERO + LIFETIME * 2;
    let answer = client.create(&record(4));
    assert_eq!(
        refusal(&answer),
        Reason::TableFull,
        "a live session made room, or there was more room than told"
    );
    client.now = Time::from_millis(2_000);
    committed(&client.terminate(live[&2], handle(2)));
    // A tombstone makes room for a live session: absent and terminated say the same of a handle.
    client.created(&record(4));
    assert_eq!(client.read(handle(2)), None);
    assert!(client.read(handle(1)).is_some() && client.read(handle(3)).is_some());
}

fn allows_acting(client: &mut Client) {
    let fence = client.store.fence();
    assert!(fence.epoch > 0, "0 is no fencing number");
    assert!(fence.allows(client.now), "a fresh store has no valid fence");
}
