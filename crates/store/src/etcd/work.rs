//! The thread that speaks with the cluster: so many operations at a time, heartbeats at once.

use std::sync::Arc;

use jumpvpn_ownership::{Hint, Key, Operation, Outcome, Ticket};
use tokio::runtime::Runtime;
use tokio::task::{JoinHandle, JoinSet, LocalSet};

use super::member::TIMEOUT;
use super::messages::WatchAnswer;
use super::shared::Shared;
use super::{Inbox, Listener};
use crate::desk::Outbox;

/// Operations on their way at a time. One gateway with more would only wait in etcd's queues, where time counts.
const IN_FLIGHT: usize = 64;

/// What is done at once.
pub(super) enum Order {
    Beat(Ticket, Operation),
    Watch(Key, Listener),
}

/// Works until nobody can order any more.
pub(super) fn run(runtime: &Runtime, shared: Arc<Shared>, inbox: Inbox, outbox: Outbox) {
    LocalSet::new().block_on(runtime, work(Arc::clone(&shared), inbox, outbox));
    shared.remember();
}

async fn work(shared: Arc<Shared>, mut inbox: Inbox, outbox: Outbox) {
    let mut under_way: JoinSet<(Ticket, Outcome)> = JoinSet::new();
    let mut beats: JoinSet<(Ticket, Outcome)> = JoinSet::new();
    let mut watch: Option<JoinHandle<()>> = None;
    loop {
        tokio::select! {
            biased;
            order = inbox.urgent.recv() => match order {
                Some(Order::Beat(ticket, operation)) => {
                    let beat = Arc::clone(&shared).hedged(operation);
                    beats.spawn_local(async move { (ticket, beat.await) });
                }
                Some(Order::Watch(prefix, listener)) => {
                    let next = tokio::task::spawn_local(watched(Arc::clone(&shared), prefix, listener));
                    if let Some(former) = watch.replace(next) {
                        former.abort();
                    }
                }
                None => return,
            },
            // invariant: these tasks do not panic; one that did would end the thread, and everything would be lost.
            Some(done) = beats.join_next() => outbox.send([done.expect("a beat has an outcome")]),
            Some(done) = under_way.join_next() => outbox.send([done.expect("an operation has an outcome")]),
            order = inbox.usual.recv(), if under_way.len() < IN_FLIGHT => match order {
                // Nobody counts on it any more, and it must not be sent so late.
                Some((ticket, _, since)) if since.elapsed() > TIMEOUT => outbox.send([(ticket, Outcome::Unknown)]),
                Some((ticket, operation, _)) => {
                    let operation = Arc::clone(&shared).once(operation);
                    under_way.spawn_local(async move { (ticket, operation.await) });
                }
                None => return,
            },
        }
    }
}

/// Says that there is something to look at, as long as some member tells.
async fn watched(shared: Arc<Shared>, prefix: Key, listener: Listener) {
    loop {
        let (key, range_end) = shared.space.range(&prefix);
        let member = &shared.members[shared.member(0)];
        if let Ok(mut changes) = member.watch(key, range_end, shared.token().as_ref()).await {
            while let Ok(Some(WatchAnswer { canceled: false, events, .. })) = changes.message().await {
                if events.is_empty() {
                    // It has begun.
                    listener(Hint::Anything);
                }
                let changed = events.into_iter().filter_map(|event| event.kv);
                changed.for_each(|changed| listener(shared.space.hint(changed)));
            }
        }
        // What happened in between is found by looking.
        listener(Hint::Anything);
        tokio::time::sleep(TIMEOUT).await;
    }
}
