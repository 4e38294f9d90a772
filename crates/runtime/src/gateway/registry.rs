//! The thread that owns the store: the ownership node of this gateway, driven by what the engine asks, what the store answers,
//! and time.
//!
//! The engine's thread never waits for it. Requests and answers cross on channels; the right to act crosses as one number
//! ([`RightToAct`]), so that it ends on time even when this thread does not run. Each incarnation has a number of its own, which
//! comes with the news of its birth: what an earlier one has left behind is gone before the new right is seen.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, TrySendError, channel, sync_channel,
};
use std::thread;
use std::time::Duration;

use jumpvpn_events::{Reason, Severity, Time};
use jumpvpn_ownership::{
    Answer, Ask, Change, Compare, Fence, Hint, Key, Limits, Node, NodeConfig, Operation, Outcome,
    OwnershipStore, Request, Standing, Status as NodeStatus, Ticket, Transaction, Upkeep, WallClock,
};
use mio::Waker;
use rand_core::Rng;
use zeroize::Zeroizing;

use crate::daemon::{Member, Memory};
use crate::telemetry::Telemetry;
use crate::{SystemRandom, clock};

#[cfg(test)]
mod tests;

/// Words to the thread that may wait: as many takes as a node admits at once. An engine with more of them keeps the
/// rest itself.
const INBOX_COUNT: usize = 4096;
/// Requests that wait for room among those words, changes and ends of own sessions aside: as many again. A thread that takes some
/// microseconds for each word is behind so far only when it does not run.
const WAITING_MAX: usize = INBOX_COUNT;
/// Words of one turn, after the first. What is due, the heartbeat above all, is looked at in between: each word takes some
/// microseconds, and whoever sends them does not stop because it is time for a heartbeat.
const TURN_WORDS: usize = 255;
/// The thread looks at the clock at least this often, whatever the node asks for: a machine that slept has to be noticed.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Before a right that was not renewed ends, the clients are asked to go elsewhere: so long before.
const WARNING: Duration = Duration::from_secs(1);
/// Between two lines in the log about trouble with the store: it may last, and each member of a cluster may have some of its own.
const TROUBLE_PAUSE: Duration = Duration::from_secs(60);
/// How long who asks for the status waits. The thread does nothing that takes longer than a commit.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// What the thread is told.
enum Word {
    /// By the engine.
    Request(Request),
    /// The store has an outcome.
    Outcome,
    /// The store says that something has changed in a mailbox.
    Mail(Hint),
    /// By an operator: send the sessions away, or take some again.
    Drain(bool),
    /// What stands in the status.
    Look(SyncSender<Look>),
    /// Give the right to act back and end; who waits is told.
    Stop(SyncSender<()>),
}

/// What the thread tells of itself.
pub(crate) struct Look {
    pub(crate) node: NodeStatus,
    /// What is wrong with the store, if anything is.
    pub(crate) trouble: Option<String>,
}

/// What the engine is told.
pub(crate) enum News {
    /// The answer to a request.
    Answer(Answer),
    /// Something the engine has to do; never [`Ask::Rejoined`], which is the next one.
    Ask(Ask),
    /// The gateway has joined, and this is its right to act.
    Joined(RightToAct),
    /// The right to act ends soon, because it could not be renewed.
    FenceEnding,
    /// The store can no longer be believed: the process has to end. Why, in one sentence.
    Lost(String),
}

/// The right to act of one incarnation.
#[derive(Clone)]
pub(crate) struct RightToAct {
    /// Number of the incarnation in this process, for people.
    epoch: u64,
    /// Until when, for threads that do not ask anybody: nanoseconds on the clock of the process, 0 for no right.
    until: Arc<AtomicU64>,
}

impl RightToAct {
    fn new(fence: Fence) -> RightToAct {
        RightToAct { epoch: fence.epoch, until: Arc::new(AtomicU64::new(fence.valid_until.as_nanos())) }
    }

    /// As it stands.
    pub(crate) fn fence(&self) -> Fence {
        let valid_until = Time::from_nanos(self.until.load(Ordering::Acquire));
        Fence { epoch: self.epoch, valid_until }
    }

    /// Renews it; a fence of another incarnation ends it. Whether that changed anything: then the engine, and through it the
    /// machine, has to hear of it, or a gateway without traffic would let it run out.
    fn set(&self, fence: Fence) -> bool {
        let until = if fence.epoch == self.epoch { fence.valid_until } else { Time::ZERO };
        self.until.swap(until.as_nanos(), Ordering::AcqRel) != until.as_nanos()
    }
}

/// The engine's end.
pub(crate) struct Registry {
    words: SyncSender<Word>,
    news: Receiver<News>,
    /// Did not fit yet.
    waiting: VecDeque<Request>,
}

impl Registry {
    /// Hands a request in; never blocks. An answer at once is a refusal, because too many wait.
    pub(crate) fn submit(&mut self, request: Request) -> Option<Answer> {
        self.flush();
        if self.waiting.len() >= WAITING_MAX && request.is_refusable() {
            return Some(Answer::Refused { id: request.id(), reason: Reason::QueueFull });
        }
        self.waiting.push_back(request);
        self.flush();
        None
    }

    /// What has come since the last call.
    pub(crate) fn poll(&mut self) -> Option<News> {
        self.flush();
        match self.news.try_recv() {
            // What the earlier incarnation asked for is nobody's wish any more.
            Ok(News::Ask(Ask::Fenced)) => {
                self.waiting.clear();
                Some(News::Ask(Ask::Fenced))
            }
            Ok(news) => Some(news),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(News::Lost("its thread has ended".to_owned())),
        }
    }

    /// Waits for the first news, which are those of the birth or of the loss, so long.
    pub(crate) fn first(&self, limit: Duration) -> Option<News> {
        self.news.recv_timeout(limit).ok()
    }

    fn flush(&mut self) {
        while let Some(request) = self.waiting.pop_front() {
            let sent = self.words.try_send(Word::Request(request));
            if let Err(TrySendError::Full(Word::Request(request))) = sent {
                return self.waiting.push_front(request);
            }
        }
    }
}

/// A way to the thread for the console and the supervisor.
#[derive(Clone)]
pub(crate) struct RegistryDoor {
    words: SyncSender<Word>,
}

impl RegistryDoor {
    /// Sends the sessions away, or takes some again; false if the thread is gone or does not keep up.
    pub(crate) fn drain(&self, draining: bool) -> bool {
        self.words.try_send(Word::Drain(draining)).is_ok()
    }

    /// What stands in the status; nothing if the thread does not answer in time.
    pub(crate) fn look(&self) -> Option<Look> {
        let (answer, answered) = sync_channel(1);
        self.words.try_send(Word::Look(answer)).ok()?;
        answered.recv_timeout(ANSWER_TIMEOUT).ok()
    }

    /// Gives the right to act back, so that others need not wait for its end. Whether that was done in time.
    pub(crate) fn stop(&self, limit: Duration) -> bool {
        let (done, ended) = sync_channel(1);
        self.words.try_send(Word::Stop(done)).is_ok() && ended.recv_timeout(limit).is_ok()
    }
}

/// Where a cell without a configured key keeps it.
const SECRET_KEY: &[u8; 8] = b"meta/key";
/// How long the store may take for one answer before the gateway has joined: twice what a request may take.
const STORE_PATIENCE: Duration = Duration::from_secs(2);
/// How often it is asked for the key: through an election of a new leader (2.5 s measured).
const SECRET_ATTEMPTS: u64 = 3;

/// Tickets of these questions: a node counts its own from zero, and an answer that comes late must not be taken for one of its.
const FIRST_TICKET: u64 = 1 << 63;

/// No right at all.
const NO_FENCE: Fence = Fence { epoch: 0, valid_until: Time::ZERO };

/// What a store calls when there is something to look at.
pub struct Bells {
    /// An outcome can be polled.
    pub outcome: Arc<dyn Fn() + Send + Sync>,
    /// Something has changed in a mailbox.
    pub mail: Arc<dyn Fn(Hint) + Send + Sync>,
}

/// A store that is open and has no thread yet.
pub type OpenStore = Box<dyn FnOnce(Bells) -> Result<Box<dyn OwnershipStore + Send>, String> + Send>;

/// A store that is ready, and nobody who uses it yet.
pub(crate) struct OpenRegistry {
    store: Box<dyn OwnershipStore + Send>,
    words: SyncSender<Word>,
    inbox: Receiver<Word>,
    rung: Arc<AtomicBool>,
}

/// Starts the store.
///
/// # Errors
/// One sentence: the store cannot be started.
pub(crate) fn open(store: OpenStore) -> Result<OpenRegistry, String> {
    let (words, inbox) = sync_channel(INBOX_COUNT);
    let rung = Arc::new(AtomicBool::new(false));
    let (bell, ringing, post) = (words.clone(), Arc::clone(&rung), words.clone());
    let outcome = Arc::new(move || {
        // One word for any number of outcomes. A full inbox is read anyway, and the outcomes with it.
        if !ringing.swap(true, Ordering::AcqRel) {
            bell.try_send(Word::Outcome).unwrap_or_default();
        }
    });
    // What does not fit is found at the next look.
    let mail = Arc::new(move |hint| post.try_send(Word::Mail(hint)).unwrap_or_default());
    let store = store(Bells { outcome, mail })?;
    Ok(OpenRegistry { store, words, inbox, rung })
}

impl OpenRegistry {
    /// The secret of the cell: the one that was configured, else the one in the store, which the first gateway makes.
    ///
    /// # Errors
    /// One sentence: the store does not answer, or holds something else.
    pub(crate) fn with_secret(
        mut self,
        configured: Option<Zeroizing<[u8; 32]>>,
    ) -> Result<(OpenRegistry, Zeroizing<[u8; 32]>), String> {
        if let Some(secret) = configured {
            return Ok((self, secret));
        }
        let key = || Key::new(*SECRET_KEY);
        let mut made = Zeroizing::new([0; 32]);
        SystemRandom.fill_bytes(made.as_mut_slice());
        let compares = vec![Compare::Absent { key: key() }];
        let changes = vec![Change::Put { key: key(), value: made.as_slice().into() }];
        // Whatever becomes of this, what can be read afterwards is the one there is.
        self.ask(FIRST_TICKET, Operation::Commit(Transaction { compares, changes }));
        for attempt in 1..=SECRET_ATTEMPTS {
            let answer = self.ask(FIRST_TICKET + attempt, Operation::Read(key()));
            if let Some(Outcome::Found(Some(stored))) = answer {
                let secret: Result<[u8; 32], _> = stored.value.as_ref().try_into();
                let secret = secret.map_err(|_| "the key in the store is damaged".to_owned())?;
                return Ok((self, Zeroizing::new(secret)));
            }
        }
        Err("the store does not answer".to_owned())
    }

    /// Asks the store one thing, and waits for its answer; nothing if there is none for two seconds.
    pub(crate) fn ask(&mut self, ticket: u64, operation: Operation) -> Option<Outcome> {
        self.store.submit(Ticket(ticket), operation);
        let until = clock::now() + STORE_PATIENCE;
        loop {
            self.rung.store(false, Ordering::Release);
            match self.store.poll() {
                Some((answered, outcome)) if answered == Ticket(ticket) => return Some(outcome),
                Some(_) => {}
                None => {
                    self.inbox.recv_timeout(until.since(clock::now())).ok()?;
                }
            }
        }
    }

    /// Starts the thread, which joins the cell at once: the first news are about that. `engine` is woken when there are some.
    ///
    /// # Errors
    /// One sentence: the thread cannot be started.
    pub(crate) fn start(
        self,
        member: &Member,
        memory: Option<Memory>,
        engine: Arc<Waker>,
        telemetry: Telemetry,
    ) -> Result<(Registry, RegistryDoor), String> {
        let OpenRegistry { store, words, inbox, rung } = self;
        let (news_sender, news) = channel();
        let node = Node::new(node_config(member, memory.as_ref()), SystemRandom, clock::now());
        #[cfg(feature = "planted")]
        let node = crate::planted::broken(node);
        let clerk = Clerk {
            node,
            store,
            memory,
            telemetry,
            told: None,
            words: inbox,
            rung,
            news: news_sender,
            engine,
            right: RightToAct::new(NO_FENCE),
            warned: None,
            stopping: None,
            lost: false,
        };
        let thread = thread::Builder::new().name("jumpvpn-owner".into());
        thread.spawn(move || clerk.run()).map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok((Registry { words: words.clone(), news, waiting: VecDeque::new() }, RegistryDoor { words }))
    }
}

/// The id that a node's incarnations begin with.
pub(crate) fn node_id(name: &str) -> [u8; 4] {
    jumpvpn_session::name_id("node", name)
}

/// What the clock of this process is on the wall.
pub(crate) fn wall_clock() -> WallClock {
    let zero_ms = u64::try_from(clock::unix_nanos(Time::ZERO) / 1_000_000).unwrap_or(u64::MAX);
    WallClock { zero_ms }
}

fn node_config(member: &Member, memory: Option<&Memory>) -> NodeConfig {
    NodeConfig {
        node_id: node_id(&member.name),
        name: member.name.clone(),
        public: member.public,
        cell: member.cell,
        store_generation: memory.and_then(|memory| memory.generation),
        boot_id: member.boot_id,
        data_dir: member.data_dir,
        profile: member.profile,
        clock: wall_clock(),
        upkeep: Upkeep::DEFAULT,
        limits: Limits::CELL,
        orphan_ttl: member.orphan_ttl,
    }
}

/// Waits until the gateway has joined, at most so long.
///
/// # Errors
/// One sentence: why it has not.
pub(crate) fn joined(
    registry: &Registry,
    door: &RegistryDoor,
    patience: Duration,
    hint: &str,
) -> Result<RightToAct, String> {
    let until = clock::now() + patience;
    while let Some(news) = registry.first(until.since(clock::now())) {
        match news {
            News::Joined(right) => return Ok(right),
            News::Lost(why) if hint.is_empty() => return Err(format!("ownership cannot be known: {why}")),
            News::Lost(why) => return Err(format!("ownership cannot be known: {why}; {hint}")),
            News::Answer(_) | News::Ask(_) | News::FenceEnding => {}
        }
    }
    Err(match door.look().map(|look| look.node.standing) {
        Some(Standing::CellFull) => {
            format!("the cell has {} gateways, as many as it may have", Limits::CELL.gateways)
        }
        Some(Standing::SameName) => {
            "another gateway of the same name is alive: each needs its own `node`, and a place of its own"
                .to_owned()
        }
        _ => format!("the store has not answered for {} s", patience.as_secs()),
    })
}

/// What the thread owns.
struct Clerk {
    node: Node<SystemRandom>,
    store: Box<dyn OwnershipStore + Send>,
    memory: Option<Memory>,
    telemetry: Telemetry,
    /// When the log was last told that something is wrong with the store.
    told: Option<Time>,
    words: Receiver<Word>,
    /// Whether a [`Word::Outcome`] is on its way already.
    rung: Arc<AtomicBool>,
    news: Sender<News>,
    engine: Arc<Waker>,
    right: RightToAct,
    /// The end of the fence that the engine was warned of.
    warned: Option<Time>,
    stopping: Option<SyncSender<()>>,
    /// Whether the engine was told that the store cannot be believed.
    lost: bool,
}

/// However the thread ends: the right ends with it, before the store and the lock that it holds are let go.
impl Drop for Clerk {
    fn drop(&mut self) {
        self.right.until.store(0, Ordering::Release);
        if thread::panicking() {
            // Nobody is left to hear it if the engine has ended.
            self.news
                .send(News::Lost("its thread has failed, see the lines above".into()))
                .unwrap_or_default();
            self.engine.wake().unwrap_or_default();
        }
    }
}

impl Clerk {
    fn run(mut self) {
        loop {
            self.turn();
            if self.has_ended() {
                if let Some(done) = self.stopping.take() {
                    done.try_send(()).unwrap_or_default();
                }
                return;
            }
            let pause = self.next_due().since(clock::now()).min(PAUSE_MAX);
            match self.words.recv_timeout(pause) {
                Ok(word) => self.take(word),
                Err(RecvTimeoutError::Timeout) => {}
                // Nobody asks any more: the process ends.
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.take_waiting();
        }
    }

    /// Takes words that are there already, but not so many that a heartbeat waits for them.
    fn take_waiting(&mut self) {
        for word in self.words.try_iter().take(TURN_WORDS).collect::<Vec<_>>() {
            self.take(word);
        }
    }

    fn take(&mut self, word: Word) {
        let now = clock::now();
        match word {
            Word::Request(request) => self.node.handle_request(request, now),
            Word::Outcome => {}
            Word::Mail(hint) => self.node.hint(&hint, now),
            Word::Drain(draining) => self.node.drain(draining, now),
            // Who asked may have given up waiting.
            Word::Look(answer) => {
                let look = Look { node: self.node.status(), trouble: self.store.trouble() };
                answer.try_send(look).unwrap_or_default();
            }
            Word::Stop(done) => {
                self.stopping = Some(done);
                self.node.stop(now);
            }
        }
    }

    /// Moves everything between store, node and engine that is ready.
    fn turn(&mut self) {
        // From here on an outcome rings again: none can lie there unseen.
        self.rung.store(false, Ordering::Release);
        let now = clock::now();
        if self.node.poll_timeout().is_some_and(|due| due <= now) {
            self.node.handle_timeout(now);
        }
        let mut told = false;
        loop {
            // Before anything goes out: our own tombstone must not be on its way while the right is still seen.
            told |= self.right.set(self.node.fence());
            while let Some((ticket, operation)) = self.node.poll_operation() {
                self.store.submit(ticket, operation);
            }
            let Some((ticket, outcome)) = self.store.poll() else { break };
            self.node.handle_outcome(ticket, outcome, clock::now());
        }
        told |= self.warn(clock::now());
        self.tell_trouble(clock::now());
        while let Some(ask) = self.node.poll_ask() {
            let news = match ask {
                Ask::Rejoined { .. } if !self.remember() => continue,
                Ask::Rejoined { .. } => {
                    self.right = RightToAct::new(self.node.fence());
                    News::Joined(self.right.clone())
                }
                ask => News::Ask(ask),
            };
            told |= self.news.send(news).is_ok();
        }
        while let Some(answer) = self.node.poll_answer() {
            told |= self.news.send(News::Answer(answer)).is_ok();
        }
        told |= self.tell_loss();
        if told {
            // Without its poll the engine has ended.
            self.engine.wake().unwrap_or_default();
        }
    }

    /// Sees to it that the next start finds out if the store is another one by then. Without that nothing is served.
    fn remember(&mut self) -> bool {
        let (Some(memory), Some(found)) = (&mut self.memory, self.node.status().store_generation) else {
            return true;
        };
        if memory.generation == Some(found) {
            return true;
        }
        let kept = (memory.keep)(found);
        memory.generation = Some(found);
        let Err(error) = kept else { return true };
        let why = format!("which store this is cannot be written down: {error}");
        // The engine ends with this, and the right to act with the engine.
        self.lost = true;
        self.news.send(News::Lost(why)).unwrap_or_default();
        false
    }

    /// One line for the log when something is wrong with the store, and again while it stays so.
    fn tell_trouble(&mut self, now: Time) {
        if self.told.is_some_and(|told| now.since(told) < TROUBLE_PAUSE) {
            return;
        }
        if let Some(trouble) = self.store.trouble() {
            self.told = Some(now);
            self.telemetry.note(Severity::Warning, format!("the store: {trouble}"));
        }
    }

    /// When the engine is to be warned of the end of its right; not without a right, and once for each end.
    fn warning_due(&self, now: Time) -> Option<Time> {
        let until = self.node.fence().valid_until;
        (now < until && self.warned != Some(until)).then_some(until - WARNING)
    }

    fn warn(&mut self, now: Time) -> bool {
        if self.warning_due(now).is_none_or(|due| now < due) {
            return false;
        }
        self.warned = Some(self.node.fence().valid_until);
        self.news.send(News::FenceEnding).is_ok()
    }

    fn tell_loss(&mut self) -> bool {
        let why = match self.node.standing() {
            Standing::Lost(error) => match self.store.trouble() {
                Some(trouble) => format!("{error} ({trouble})"),
                None => error.to_string(),
            },
            Standing::Foreign => "the store belongs to another cell, or was emptied or restored".to_owned(),
            _ => return false,
        };
        !std::mem::replace(&mut self.lost, true) && self.news.send(News::Lost(why)).is_ok()
    }

    fn next_due(&self) -> Time {
        let warning = self.warning_due(clock::now());
        self.node.poll_timeout().into_iter().chain(warning).min().unwrap_or(Time::MAX)
    }

    /// Whether there is nothing left to do for whoever wants it stopped.
    fn has_ended(&self) -> bool {
        self.stopping.is_some()
            && matches!(self.node.standing(), Standing::Stopped | Standing::Lost(_) | Standing::Foreign)
    }
}
