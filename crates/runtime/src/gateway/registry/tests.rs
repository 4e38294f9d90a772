//! Tests of the thread that owns the store.

use std::time::Instant;

use jumpvpn_ownership::{Expected, Handle, MemoryStore, Profile, RequestId, Rev, StoreError};
use mio::{Poll, Token};

use super::*;
use crate::telemetry::{LogLevel, Options};

/// Far above what anything here takes, even on a machine that does other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// A store in memory that rings, and that can be told to break.
struct Ringing {
    store: MemoryStore,
    bell: Arc<dyn Fn() + Send + Sync>,
    broken: Arc<AtomicBool>,
}

impl OwnershipStore for Ringing {
    fn submit(&mut self, ticket: Ticket, operation: Operation) {
        self.store.submit(ticket, operation);
        (self.bell)();
    }

    fn poll(&mut self) -> Option<(Ticket, Outcome)> {
        let (ticket, outcome) = self.store.poll()?;
        let broken = self.broken.load(Ordering::Relaxed);
        Some((ticket, if broken { Outcome::Lost(StoreError::NotDurable) } else { outcome }))
    }

    fn trouble(&self) -> Option<String> {
        self.broken.load(Ordering::Relaxed).then(|| "the disk is gone".to_owned())
    }
}

/// A store that never answers.
struct Silent;

impl OwnershipStore for Silent {
    fn submit(&mut self, _: Ticket, _: Operation) {}

    fn poll(&mut self) -> Option<(Ticket, Outcome)> {
        None
    }
}

fn member(profile: Profile) -> Member {
    Member {
        name: "here".into(),
        public: [7; 32],
        cell: 3,
        boot_id: [1; 16],
        data_dir: [2; 16],
        profile,
        orphan_ttl: PATIENCE,
    }
}

/// An engine's waker, and what keeps it alive.
fn engine() -> (Poll, Arc<Waker>) {
    let poll = Poll::new().unwrap();
    let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
    (poll, waker)
}

/// A log that nobody reads.
fn telemetry() -> Telemetry {
    let options = Options { gateway: "here".into(), file: None, log_level: LogLevel::Quiet, lane_count: 1 };
    Telemetry::start(options).unwrap().telemetry().clone()
}

fn ringing(broken: &Arc<AtomicBool>) -> OpenStore {
    let broken = Arc::clone(broken);
    Box::new(move |bells: Bells| {
        Ok(Box::new(Ringing { store: MemoryStore::new(), bell: bells.outcome, broken }))
    })
}

fn wait_for(registry: &mut Registry, wanted: impl Fn(&News) -> bool) -> News {
    let until = Instant::now() + PATIENCE;
    loop {
        match registry.first(PATIENCE) {
            Some(news) if wanted(&news) => return news,
            _ => assert!(Instant::now() < until, "the news do not come"),
        }
    }
}

#[test]
fn it_joins_answers_and_gives_its_right_back() {
    let (_poll, waker) = engine();
    let opened = open(ringing(&Arc::default())).unwrap();
    let (mut registry, door) = opened.start(&member(Profile::DEFAULT), None, waker, telemetry()).unwrap();
    let right = joined(&registry, &door, PATIENCE, "").unwrap();
    assert!(right.fence().allows(clock::now()));
    let id = RequestId(1);
    assert_eq!(registry.submit(Request::Read { id, handle: Handle::MAX }), None);
    let answer = wait_for(&mut registry, |news| matches!(news, News::Answer(_)));
    assert!(matches!(answer, News::Answer(Answer::Absent { id: of }) if of == id));
    let Look { node: status, trouble } = door.look().unwrap();
    assert_eq!(trouble, None);
    assert_eq!((status.standing, status.incarnation.node_id()), (Standing::Member, node_id("here")));
    assert!(door.stop(PATIENCE));
    assert!(!right.fence().allows(clock::now()), "who has gone may not act");
}

#[test]
fn a_store_that_breaks_is_told_once_and_ends_the_right() {
    let (_poll, waker) = engine();
    let broken = Arc::new(AtomicBool::new(false));
    let opened = open(ringing(&broken)).unwrap();
    let (mut registry, door) = opened.start(&member(Profile::FAST), None, waker, telemetry()).unwrap();
    let right = joined(&registry, &door, PATIENCE, "").unwrap();
    broken.store(true, Ordering::Relaxed);
    let News::Lost(why) = wait_for(&mut registry, |news| matches!(news, News::Lost(_))) else {
        unreachable!()
    };
    assert_eq!(why, "the store could not keep what was written (the disk is gone)");
    assert!(!right.fence().allows(clock::now()));
    assert_eq!(door.look().unwrap().trouble.as_deref(), Some("the disk is gone"));
    let again = std::iter::from_fn(|| registry.poll()).any(|news| matches!(news, News::Lost(_)));
    assert!(!again);
}

/// A store that panics when it is told to.
struct Failing(MemoryStore, Arc<AtomicBool>);

impl OwnershipStore for Failing {
    fn submit(&mut self, ticket: Ticket, operation: Operation) {
        self.0.submit(ticket, operation);
    }

    fn poll(&mut self) -> Option<(Ticket, Outcome)> {
        assert!(!self.1.load(Ordering::Relaxed), "on purpose");
        self.0.poll()
    }
}

#[test]
fn a_thread_that_fails_has_no_right_and_says_so() {
    let (_poll, waker) = engine();
    let fails = Arc::new(AtomicBool::new(false));
    let store = Failing(MemoryStore::new(), Arc::clone(&fails));
    let opened = open(Box::new(move |_| Ok(Box::new(store)))).unwrap();
    // Its right is one of 15 s: it does not run out meanwhile.
    let (mut registry, door) = opened.start(&member(Profile::CALM), None, waker, telemetry()).unwrap();
    let right = joined(&registry, &door, PATIENCE, "").unwrap();
    fails.store(true, Ordering::Relaxed);
    door.look();
    let lost = wait_for(&mut registry, |news| matches!(news, News::Lost(_)));
    assert_eq!(right.fence().valid_until, Time::ZERO);
    assert!(matches!(lost, News::Lost(why) if why.contains("has failed")));
}

#[test]
fn a_store_that_is_silent_at_the_start_is_said_to_be() {
    let (_poll, waker) = engine();
    let opened = open(Box::new(|_| Ok(Box::new(Silent)))).unwrap();
    let (registry, door) = opened.start(&member(Profile::FAST), None, waker, telemetry()).unwrap();
    let refused = joined(&registry, &door, Duration::from_millis(10), "").err().unwrap();
    assert!(refused.starts_with("the store has not answered"), "{refused}");
}

#[test]
fn gateways_without_a_key_find_the_one_in_their_store() {
    let opened = open(ringing(&Arc::default())).unwrap();
    let (opened, first) = opened.with_secret(None).unwrap();
    assert_ne!(*first, [0; 32]);
    let (opened, again) = opened.with_secret(None).unwrap();
    assert_eq!(first, again, "the second one finds what the first has made");
    let (_, configured) = opened.with_secret(Some(Zeroizing::new([9; 32]))).unwrap();
    assert_eq!(*configured, [9; 32]);
    let silent = open(Box::new(|_| Err("no disk".to_owned())));
    assert_eq!(silent.err().unwrap(), "no disk");
}

/// A gateway that remembers a generation, with a store that is empty, and with whatever comes of keeping another one.
fn start_remembering(
    generation: Option<u64>,
    keep: impl FnMut(u64) -> std::io::Result<()> + Send + 'static,
) -> Result<RightToAct, String> {
    let (_poll, waker) = engine();
    let memory = Memory { generation, keep: Box::new(keep), hint: "ask the operator".into() };
    let opened = open(ringing(&Arc::default())).unwrap();
    let (registry, door) = opened.start(&member(Profile::DEFAULT), Some(memory), waker, telemetry()).unwrap();
    joined(&registry, &door, PATIENCE, "ask the operator")
}

#[test]
fn the_generation_of_a_store_is_kept_and_another_one_is_refused() {
    let kept = Arc::new(AtomicU64::new(0));
    let keeper = Arc::clone(&kept);
    let right = start_remembering(None, move |generation| {
        keeper.store(generation, Ordering::Relaxed);
        Ok(())
    });
    assert!(right.unwrap().fence().allows(clock::now()));
    assert_ne!(kept.load(Ordering::Relaxed), 0, "it was kept before anything was served");
    let refused = start_remembering(Some(kept.load(Ordering::Relaxed)), |_| unreachable!("nothing is kept"));
    let refused = refused.err().unwrap();
    assert!(refused.contains("was emptied or restored; ask the operator"), "{refused}");
    let unwritten = start_remembering(None, |_| Err(std::io::Error::other("the disk is full")));
    let unwritten = unwritten.err().unwrap();
    assert!(
        unwritten.contains("which store this is cannot be written down: the disk is full"),
        "{unwritten}"
    );
}

/// Whoever sends words without an end does not keep a heartbeat from going out.
#[test]
fn so_many_words_are_taken_and_then_it_is_looked_what_is_due() {
    let (_poll, waker) = engine();
    let opened = open(ringing(&Arc::default())).unwrap();
    let (words, news) = (opened.words.clone(), channel().0);
    let mut clerk = Clerk {
        node: Node::new(node_config(&member(Profile::DEFAULT), None), SystemRandom, clock::now()),
        memory: None,
        telemetry: telemetry(),
        told: None,
        store: opened.store,
        words: opened.inbox,
        rung: opened.rung,
        news,
        engine: waker,
        right: RightToAct::new(NO_FENCE),
        warned: None,
        stopping: None,
        lost: false,
    };
    for _ in 0..TURN_WORDS + 45 {
        words.try_send(Word::Outcome).unwrap();
    }
    clerk.take_waiting();
    assert_eq!(clerk.words.try_iter().count(), 45);
}

/// While the thread does not run, no more waits for it than is said; what own sessions need is never refused.
#[test]
fn too_many_questions_are_refused_and_ends_of_sessions_are_not() {
    let ((words, inbox), (_news, news)) = (sync_channel(INBOX_COUNT), channel());
    let mut registry = Registry { words, news, waiting: VecDeque::new() };
    let mut ids = (1..).map(RequestId);
    let mut read = || Request::Read { id: ids.next().unwrap(), handle: Handle::MAX };
    for _ in 0..INBOX_COUNT + WAITING_MAX {
        assert_eq!(registry.submit(read()), None);
    }
    let one_more = read();
    let refused = Answer::Refused { id: one_more.id(), reason: Reason::QueueFull };
    assert_eq!(registry.submit(one_more), Some(refused));
    let (id, expected) = (RequestId(0), Expected { rev: Rev(1), epoch: 1, version: 1 });
    let end = Request::Terminate { id, handle: Handle::MAX, expected, reason_number: 0 };
    assert_eq!(registry.submit(end), None);
    assert_eq!(registry.waiting.len(), WAITING_MAX + 1);
    // The thread goes on, and everything that was not refused reaches it in its order.
    let mut heard = Vec::new();
    while let Ok(Word::Request(request)) = inbox.try_recv() {
        heard.push(request.id().0);
        registry.flush();
    }
    let asked = 1..=(INBOX_COUNT + WAITING_MAX) as u64;
    assert_eq!(heard, asked.chain([0]).collect::<Vec<_>>());
    assert_eq!(registry.submit(read()), None);
}
