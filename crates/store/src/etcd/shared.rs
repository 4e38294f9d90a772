//! What all calls share: the members and which of them is asked first, who we are, and which cluster it has to be.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use jumpvpn_ownership::{Operation, Outcome, StoreError};
use tokio::task::JoinSet;

use super::Login;
use super::member::{Member, TIMEOUT, Token, Trouble};
use super::messages::{AUTHENTICATE, AuthenticateAnswer, AuthenticateAsked, Headed, RANGE, TXN};
use super::pin::PinFile;
use super::translate::{Call, Reading, Space};

/// Copies of a heartbeat, each to another member: one that is frozen does not cost the right to act.
const COPIES: usize = 2;

/// What all calls share.
pub(super) struct Shared {
    pub(super) members: Vec<Member>,
    /// Place of the member that is asked first: the one that answered last.
    pub(super) first: AtomicUsize,
    pub(super) space: Space,
    pub(super) cluster: u64,
    /// The highest revision that an answer had: no later one is below it.
    pub(super) revision: AtomicI64,
    pub(super) login: Option<Login>,
    pub(super) token: Mutex<Option<Token>>,
    /// Set while somebody signs in.
    pub(super) signing_in: AtomicBool,
    /// Set once, for good.
    pub(super) lost: Mutex<Option<StoreError>>,
    pub(super) trouble: Arc<Mutex<Option<String>>>,
    /// What will be known of the cluster at the next start; set when it has been connected to.
    pub(super) pin: OnceLock<Arc<PinFile>>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing panics while it holds one of these.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// The member to ask, counted from the first.
    pub(super) fn member(&self, offset: usize) -> usize {
        (self.first.load(Ordering::Relaxed) + offset) % self.members.len()
    }

    /// Carries an operation out at one member.
    pub(super) async fn once(self: Arc<Self>, operation: Operation) -> Outcome {
        let (call, reading) = self.space.ask(operation);
        let member = self.member(0);
        self.attempt(member, call, reading).await
    }

    /// Carries an operation out whose compares can hold once only, at two members at a time.
    ///
    /// A conflict may be the other copy's doing, so it counts only when the other copy has come to nothing. That what stands
    /// there is what was to be put proves nothing: it may be due to an earlier submission, whose time is not this one's.
    pub(super) async fn hedged(self: Arc<Self>, operation: Operation) -> Outcome {
        let (call, reading) = self.space.ask(operation);
        let mut copies = JoinSet::new();
        for offset in 0..COPIES.min(self.members.len()) {
            let shared = Arc::clone(&self);
            let (member, call, reading) = (self.member(offset), call.clone(), reading.clone());
            copies.spawn_local(async move { shared.attempt(member, call, reading).await });
        }
        let mut said = Outcome::Unknown;
        while let Some(outcome) = copies.join_next().await {
            match outcome {
                Ok(outcome @ (Outcome::Committed(_) | Outcome::Lost(_))) => return outcome,
                Ok(outcome @ Outcome::Conflict(_)) => said = outcome,
                Ok(_) | Err(_) => {}
            }
        }
        said
    }

    async fn attempt(self: Arc<Self>, member: usize, call: Call, reading: Reading) -> Outcome {
        if let Some(lost) = locked(&self.lost).clone() {
            return Outcome::Lost(lost);
        }
        let at = &self.members[member];
        let token = self.token();
        let before = self.revision.load(Ordering::Relaxed);
        let outcome = match call {
            Call::Txn(asked) => {
                let answer = at.call(TXN, asked, token.as_ref(), TIMEOUT).await;
                self.believed(answer, before, |answer| self.space.committed(answer, &reading))
            }
            Call::Range(asked) => {
                let answer = at.call(RANGE, asked, token.as_ref(), TIMEOUT).await;
                self.believed(answer, before, |answer| self.space.found(answer, &reading))
            }
        };
        match outcome {
            Ok(outcome) => {
                *locked(&self.trouble) = None;
                outcome
            }
            Err(trouble) => self.without_answer(member, trouble),
        }
    }

    /// An answer of the right cluster, read. Calls are linearizable, so an answer below the revision that was known `before` the
    /// call comes from a store that was emptied or put back. Its identity does not tell: it is made of the members' addresses and
    /// their token, which may be the same as ever.
    fn believed<A: Headed>(
        &self,
        answer: Result<A, Trouble>,
        before: i64,
        read: impl FnOnce(A) -> Option<Outcome>,
    ) -> Result<Outcome, Trouble> {
        let answer = answer?;
        let (cluster, revision) =
            answer.header().map_or((0, 0), |header| (header.cluster_id, header.revision));
        if cluster != self.cluster {
            return Err(Trouble::Foreign(format!("it is of another cluster now, {cluster:016x}")));
        }
        if revision < before {
            return Err(Trouble::Foreign(format!("it is at revision {revision} and was at {before}")));
        }
        self.revision.fetch_max(revision, Ordering::Relaxed);
        if let Some(pin) = self.pin.get() {
            pin.saw(revision);
        }
        read(answer).ok_or_else(|| Trouble::Senseless("the answer is not to what was asked".into()))
    }

    /// The next start finds out as well, wherever the store is by then. A disk that fails leaves what was known a minute ago.
    pub(super) fn remember(&self) {
        if let Some(pin) = self.pin.get() {
            pin.keep_revision(self.revision.load(Ordering::Relaxed)).unwrap_or_default();
        }
    }

    fn lose(&self, error: StoreError) -> Outcome {
        Outcome::Lost(locked(&self.lost).get_or_insert(error).clone())
    }

    fn without_answer(self: &Arc<Self>, member: usize, trouble: Trouble) -> Outcome {
        *locked(&self.trouble) = Some(format!("{}: {trouble}", self.members[member].name));
        match trouble {
            Trouble::Foreign(_) => {
                self.remember();
                return self.lose(StoreError::Foreign);
            }
            Trouble::Senseless(why) => return self.lose(StoreError::Corrupt(why.into())),
            Trouble::SignedOut(_) => self.sign_in_again(),
            Trouble::Denied(_) => {}
            Trouble::Unanswered(_) => {
                let next = (member + 1) % self.members.len();
                // Unless somebody has already turned to another one.
                self.first.compare_exchange(member, next, Ordering::Relaxed, Ordering::Relaxed).ok();
            }
        }
        Outcome::Unknown
    }

    /// Tokens end with their time and with the member that made them.
    fn sign_in_again(self: &Arc<Self>) {
        if self.signing_in.swap(true, Ordering::Relaxed) {
            return;
        }
        let shared = Arc::clone(self);
        tokio::task::spawn_local(async move {
            let member = shared.member(0);
            if let Err(trouble) = shared.sign_in(&shared.members[member], TIMEOUT).await {
                *locked(&shared.trouble) = Some(format!("{}: {trouble}", shared.members[member].name));
            }
            shared.signing_in.store(false, Ordering::Relaxed);
        });
    }

    /// Signs in, if there is somebody to sign in as.
    pub(super) async fn sign_in(&self, at: &Member, timeout: std::time::Duration) -> Result<(), Trouble> {
        let Some(login) = &self.login else { return Ok(()) };
        let asked = AuthenticateAsked { name: login.user.clone(), password: login.password.to_string() };
        let answer: AuthenticateAnswer = at.call(AUTHENTICATE, asked, None, timeout).await?;
        let token = answer.token.parse().map_err(|_| Trouble::Senseless("the token is no text".into()))?;
        *locked(&self.token) = Some(token);
        Ok(())
    }

    /// Who we are now.
    pub(super) fn token(&self) -> Option<Token> {
        locked(&self.token).clone()
    }
}
