//! Requests on their way: one at a time for each session, each with at most one operation under way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jumpvpn_events::{Reason, Time};
use rand_core::CryptoRng;

use super::keys;
use super::{Held, Node, Purpose, RETRY};
use crate::{
    Answer, Change, Expected, Handle, Incarnation, Moves, Operation, Outcome, Request, RequestId, Rev,
    SessionRecord, Stored,
};

/// Requests that wait at once, changes and ends of own sessions aside: 4,096 takeovers of 1 ms each are done before the first
/// client asks again.
const PENDING_MAX: usize = 4_096;

/// How long a session's owner is waited for. Its mailbox is read four times a second, and a client asks again after a few
/// seconds.
pub(super) const OWNER_WAIT: Duration = Duration::from_secs(2);

/// How long a look is tried for: a client that asked has then asked again.
const READ_WAIT: Duration = Duration::from_secs(2);

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Task {
    /// With the revision that the store had reached before the client's handshake was answered.
    Create(Box<SessionRecord>, Rev),
    Update(Expected, Box<SessionRecord>),
    /// Without an expectation: whatever it is, if it is nobody else's.
    Terminate(Option<Expected>, u16),
    Read,
    Take(Box<(Rev, SessionRecord)>, Box<SessionRecord>),
    /// Without moves: those that the record has.
    Release(Option<Expected>, Incarnation, Option<Moves>),
}

/// What the operation under way, or waiting, is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// The session's record.
    Record,
    /// The tombstone of the record's owner.
    Tombstone,
    /// The change itself.
    Write,
    /// The tombstone of the owner of what is in the way; then it is told.
    Obstacle,
    /// A wish in the mailbox of the owner.
    Ask,
    /// The record, until it changes.
    AwaitRecord,
    /// What the owner says.
    AwaitReply,
    /// The owner's tombstone.
    AwaitDeath,
    /// The session that has an inner address.
    Holder,
    /// The tombstone of its owner.
    HolderTombstone,
    /// Its end.
    EndHolder,
    /// A wish in the mailbox of its owner.
    AskHolder,
    /// Its record, until it changes.
    AwaitHolder,
    /// The wish that nothing has come of goes.
    Withdraw,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Job {
    /// `None`: by the node itself.
    pub id: Option<RequestId>,
    pub handle: Handle,
    pub task: Task,
    pub step: Step,
    operation: Option<Operation>,
    sent: Time,
    due: Option<Time>,
    /// When waiting for others, or for a look, ends.
    pub deadline: Time,
    /// Attempts that failed because somebody else was faster.
    pub rounds: u8,
    /// The wish in the owner's mailbox: its own, or the one that it grants.
    pub wished: Option<Stored>,
    /// The newest change of that wish that this job was told of.
    told: Rev,
    /// The newest that the look under way, or the last one, shows.
    shown: Rev,
    /// What the change is based on.
    pub base: Option<Held>,
    /// What is in the way.
    pub obstacle: Option<Held>,
    /// It may be younger than this birth.
    pub younger: bool,
    /// What the change puts there.
    pub written: Option<(Box<[u8]>, SessionRecord)>,
}

impl Job {
    /// Whether another node has to do something first.
    const fn is_waiting(&self) -> bool {
        matches!(self.step, Step::AwaitRecord | Step::AwaitHolder)
    }

    /// In whose mailbox its wish stands, and about which session.
    pub fn wish_place(&self) -> Option<(Incarnation, Handle)> {
        match (&self.task, &self.obstacle) {
            (Task::Take(seen, _), _) => Some((seen.1.owner, self.handle)),
            (Task::Create(..), Some(holder)) => Some((holder.record.owner, holder.record.handle)),
            _ => None,
        }
    }

    /// The wish stands there, since that change.
    pub fn note_wish(&mut self, rev: Rev) {
        let changes = match &self.operation {
            Some(Operation::Commit(transaction)) => &transaction.changes[..],
            _ => &[],
        };
        self.wished = changes.iter().find_map(|change| match change {
            Change::Put { value, .. } => Some(Stored { rev, value: value.clone() }),
            Change::Delete { .. } => None,
        });
        self.shown = rev;
    }

    /// Whether the wish has changed since the last look began.
    pub fn has_news(&self) -> bool {
        self.told > self.shown
    }
}

/// What a job does next.
pub(super) enum Next {
    Do(Step, Operation),
    /// The same, at that time.
    At(Time, Step, Operation),
    Answer(Answer),
    /// It is over, and there is nobody to tell.
    Done,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Jobs {
    last: u64,
    running: BTreeMap<u64, Job>,
    /// Those of them that have a wish in somebody's mailbox, by its place.
    wishing: BTreeSet<(Incarnation, Handle, u64)>,
    timers: BTreeSet<(Time, u64)>,
    /// Sessions that a change is under way for, with the requests behind it.
    queues: BTreeMap<Handle, VecDeque<Request>>,
    queued: usize,
}

impl Jobs {
    pub fn len(&self) -> usize {
        self.running.len() + self.queued
    }

    pub fn is_busy(&self, handle: Handle) -> bool {
        self.queues.contains_key(&handle)
    }

    pub fn due(&self) -> Option<Time> {
        self.timers.first().map(|(due, _)| *due)
    }

    fn insert(&mut self, key: u64, job: Job) {
        self.wishing.extend(job.wish_place().map(|(owner, handle)| (owner, handle, key)));
        self.running.insert(key, job);
    }

    fn remove(&mut self, key: u64) -> Option<Job> {
        let job = self.running.remove(&key)?;
        if let Some((owner, handle)) = job.wish_place() {
            self.wishing.remove(&(owner, handle, key));
        }
        Some(job)
    }

    /// Those that wait for what becomes of a wish: of that one, or of any.
    pub(super) fn wishing_at(&self, place: Option<(Incarnation, Handle)>) -> Vec<u64> {
        match place {
            Some((owner, handle)) => {
                let of_one = (owner, handle, 0)..=(owner, handle, u64::MAX);
                self.wishing.range(of_one).map(|(.., key)| *key).collect()
            }
            None => self.wishing.iter().map(|(.., key)| *key).collect(),
        }
    }

    /// Forgets everything; the requests that are left without an answer.
    pub fn clear(&mut self) -> Vec<RequestId> {
        let running = std::mem::take(&mut self.running).into_values().filter_map(|job| job.id);
        let queues = std::mem::take(&mut self.queues);
        let queued = queues.into_values().flatten().map(|request| request.id());
        let ids = running.chain(queued).collect();
        self.timers.clear();
        self.wishing.clear();
        self.queued = 0;
        ids
    }
}

impl<R: CryptoRng> Node<R> {
    pub(super) fn admit(&mut self, request: Request, now: Time) {
        let id = request.id();
        if let Request::Decline { handle, reason_number, .. } = request {
            self.decline(handle, reason_number, now);
            self.answers.push_back(Answer::Noted { id });
            return;
        }
        if request.is_refusable() && self.jobs.len() >= PENDING_MAX {
            return self.refuse(id, Reason::QueueFull);
        }
        // What is under way may be births as well.
        let here = self.held.len() + self.jobs.len();
        let sessions = self.watch.load().saturating_add(here as u64);
        if matches!(request, Request::Create { .. }) && sessions >= self.config.limits.sessions {
            return self.refuse(id, Reason::CellFull);
        }
        let handle = request.handle();
        if !matches!(request, Request::Read { .. })
            && let Some(queue) = self.jobs.queues.get_mut(&handle)
        {
            if matches!(request, Request::Take { .. }) {
                return self.refuse(id, Reason::StoreConflict);
            }
            queue.push_back(request);
            self.jobs.queued += 1;
            return;
        }
        self.start(request, now);
    }

    fn start(&mut self, request: Request, now: Time) {
        let (id, handle) = (Some(request.id()), request.handle());
        let task = match request {
            Request::Create { record, began, .. } => Task::Create(record, self.known_before(began)),
            Request::Update { expected, record, .. } => Task::Update(expected, record),
            Request::Terminate { expected, reason_number, .. } => {
                Task::Terminate(Some(expected), reason_number)
            }
            Request::Take { seen, record, .. } => Task::Take(seen, record),
            Request::Release { expected, to, moves, .. } => Task::Release(Some(expected), to, Some(moves)),
            Request::Read { .. } | Request::Decline { .. } => Task::Read,
        };
        self.start_task(id, handle, task, now);
    }

    pub(super) fn start_task(&mut self, id: Option<RequestId>, handle: Handle, task: Task, now: Time) {
        let wait = if task == Task::Read { READ_WAIT } else { OWNER_WAIT };
        if task != Task::Read {
            self.jobs.queues.entry(handle).or_default();
        }
        let wished = self.wish_to_grant(handle, &task);
        let mut job = Job {
            id,
            handle,
            task,
            step: Step::Record,
            operation: None,
            sent: now,
            due: None,
            deadline: now + wait,
            rounds: 0,
            wished,
            told: Rev(0),
            shown: Rev(0),
            base: None,
            obstacle: None,
            younger: false,
            written: None,
        };
        self.jobs.last += 1;
        let key = self.jobs.last;
        let next = self.begin(&mut job, now);
        self.follow(key, job, next, now);
    }

    fn follow(&mut self, key: u64, mut job: Job, next: Next, now: Time) {
        match next {
            Next::Do(step, operation) => {
                job.step = step;
                job.operation = Some(operation);
                self.send_job(key, job, now);
            }
            Next::At(due, step, operation) => {
                job.step = step;
                job.operation = Some(operation);
                self.delay(key, job, due);
            }
            Next::Answer(answer) => {
                self.answers.extend(job.id.map(|_| answer));
                self.end_job(&job, now);
            }
            Next::Done => self.end_job(&job, now),
        }
    }

    fn send_job(&mut self, key: u64, mut job: Job, now: Time) {
        if let Some(operation) = job.operation.clone() {
            (job.sent, job.due) = (now, None);
            if job.is_waiting() {
                job.shown = job.shown.max(job.told);
            }
            self.outbox.submit(Purpose::Job(key), operation);
            self.jobs.insert(key, job);
        }
    }

    fn delay(&mut self, key: u64, mut job: Job, due: Time) {
        job.due = Some(due);
        self.jobs.timers.insert((due, key));
        self.jobs.insert(key, job);
    }

    /// The next request for the same session begins.
    fn end_job(&mut self, job: &Job, now: Time) {
        // A lost right has forgotten the queues.
        if job.task == Task::Read || !self.is_member() {
            return;
        }
        if let (Task::Terminate(..) | Task::Release(..), Some(wished)) = (&job.task, &job.wished) {
            // Nothing has come of what was wished here, and nothing will.
            self.delete(keys::request(self.life.me, job.handle), wished);
        }
        let Some(queue) = self.jobs.queues.get_mut(&job.handle) else { return };
        if let Some(request) = queue.pop_front() {
            self.jobs.queued -= 1;
            self.start(request, now);
        } else {
            self.jobs.queues.remove(&job.handle);
        }
    }

    /// A wish has changed, or any may have: whoever waits for what becomes of it looks now, or again after the look under way.
    pub(super) fn hurry_waiting(&mut self, place: Option<(Incarnation, Handle)>, rev: Rev, now: Time) {
        for key in self.jobs.wishing_at(place) {
            let Some(job) = self.jobs.running.get_mut(&key) else { continue };
            job.told = job.told.max(rev);
            let news = place.is_none() || job.has_news();
            if let Some(due) = job.due.filter(|due| news && job.is_waiting() && *due > now) {
                self.jobs.timers.remove(&(due, key));
                self.jobs.timers.insert((now, key));
                job.due = Some(now);
            }
        }
    }

    pub(super) fn jobs_timeout(&mut self, now: Time) {
        while let Some((due, key)) = self.jobs.timers.first().copied().filter(|(due, _)| *due <= now) {
            self.jobs.timers.remove(&(due, key));
            if let Some(job) = self.jobs.remove(key) {
                self.send_job(key, job, now);
            }
        }
    }

    pub(super) fn job_outcome(&mut self, key: u64, outcome: Outcome, now: Time) {
        let Some(mut job) = self.jobs.remove(key) else { return };
        if outcome == Outcome::Unknown {
            if let Some(next) = self.despair(&job, now) {
                return self.follow(key, job, next, now);
            }
            let due = now.max(job.sent + RETRY);
            return self.delay(key, job, due);
        }
        let next = self.advance(&mut job, outcome, now);
        self.follow(key, job, next, now);
    }

    /// A look has no consequences, so it need not be repeated for ever. A change must be.
    fn despair(&self, job: &Job, now: Time) -> Option<Next> {
        let id = job.id?;
        if job.task == Task::Read && now >= job.deadline {
            return Some(Next::Answer(Answer::Unknown { id }));
        }
        if self.is(super::Mutant::UnknownMeansFailed) && matches!(job.task, Task::Release(..)) {
            return job
                .base
                .as_ref()
                .map(|base| Next::Answer(self.conflict_with(id, base, crate::Owner::Me)));
        }
        None
    }
}
