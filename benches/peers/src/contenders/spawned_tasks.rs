//! spawned-concurrency, its actors as tasks of tokio. A mailbox has no bound; there are no restarts.

use crossbeam_channel::{Sender, unbounded};
use spawned_concurrency::message::Message;
use spawned_concurrency::tasks::{Actor, ActorRef, ActorStart, Context, Handler};

use super::tasks::{Operation, Runtime, arena};
use super::{Arena, Cast, LAST};

struct Counter;

impl Actor for Counter {}

struct Next(u64);

impl Message for Next {
    type Result = u64;
}

impl Handler<Next> for Counter {
    async fn handle(&mut self, Next(n): Next, _: &Context<Self>) -> u64 {
        n + 1
    }
}

struct Sink {
    done: Sender<()>,
    sum: u64,
}

impl Actor for Sink {}

struct Tell(Cast);

impl Message for Tell {
    type Result = ();
}

impl Handler<Tell> for Sink {
    async fn handle(&mut self, Tell(cast): Tell, _: &Context<Self>) {
        self.sum = self.sum.wrapping_add(cast[0]);
        if cast[0] == LAST {
            let _ = self.done.send(());
        }
    }
}

struct Call;

impl Operation for Call {
    type Actor = ActorRef<Counter>;

    async fn once(actor: &ActorRef<Counter>, i: u64, _: bool) {
        let answer = actor.request_raw(Next(i)).expect("the actor is alive").await;
        assert_eq!(answer.expect("an answer"), i + 1);
    }
}

struct Cast32;

impl Operation for Cast32 {
    type Actor = ActorRef<Sink>;

    async fn once(actor: &ActorRef<Sink>, i: u64, is_last: bool) {
        let mark = if is_last { LAST } else { i };
        actor.send(Tell([mark, 0, 0, 0])).expect("the sink is alive");
    }
}

/// A call: `request_raw`, which has no time-out and so is faster than `request`.
pub fn calls() -> Arena {
    arena::<Call>(Runtime::one_thread(), async { Counter.start() }, None)
}

/// Casts: `send`, whatever the capacity.
pub fn sink() -> Arena {
    let (done, acknowledged) = unbounded();
    let start = async { Sink { done, sum: 0 }.start() };
    arena::<Cast32>(Runtime::one_thread(), start, Some(acknowledged))
}
