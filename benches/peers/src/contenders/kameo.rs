//! kameo: actors on tokio.

use std::convert::Infallible;
use std::panic::resume_unwind;
use std::time::Duration;

use crossbeam_channel::{Sender, unbounded};
use kameo::actor::{Actor, ActorRef, Spawn};
use kameo::error::SendError;
use kameo::mailbox::bounded;
use kameo::message::{Context, Message};

use super::tasks::{Operation, Runtime, arena};
use super::{Arena, Cast, LAST};

const REQUESTS: usize = 1024;

/// Keeps its supervisor, if it has one: that stops when nobody refers to it.
#[derive(Clone)]
struct Counter(#[expect(dead_code)] Option<ActorRef<Parent>>);

impl Actor for Counter {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(counter: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(counter)
    }
}

struct Next(u64);

impl Message<Next> for Counter {
    type Reply = u64;

    async fn handle(&mut self, Next(n): Next, _: &mut Context<Self, u64>) -> u64 {
        n + 1
    }
}

struct Crash;

impl Message<Crash> for Counter {
    type Reply = ();

    async fn handle(&mut self, Crash: Crash, _: &mut Context<Self, ()>) {
        resume_unwind(Box::new("crash"))
    }
}

struct Sink {
    done: Sender<()>,
    sum: u64,
}

impl Actor for Sink {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(sink: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(sink)
    }
}

impl Message<Cast> for Sink {
    type Reply = ();

    async fn handle(&mut self, cast: Cast, _: &mut Context<Self, ()>) {
        self.sum = self.sum.wrapping_add(cast[0]);
        if cast[0] == LAST {
            let _ = self.done.send(());
        }
    }
}

struct Parent;

impl Actor for Parent {
    type Args = ();
    type Error = Infallible;

    async fn on_start((): (), _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(Self)
    }
}

struct Call;

impl Operation for Call {
    type Actor = ActorRef<Counter>;

    async fn once(actor: &ActorRef<Counter>, i: u64, _: bool) {
        assert_eq!(actor.ask(Next(i)).await.expect("an answer"), i + 1);
    }
}

struct CrashAndCall;

impl Operation for CrashAndCall {
    type Actor = ActorRef<Counter>;

    async fn once(actor: &ActorRef<Counter>, i: u64, _: bool) {
        actor.tell(Crash).await.expect("it is supervised");
        // What is asked between a crash and the restart is refused, and asked again.
        while let Err(error) = actor.ask(Next(i)).await {
            assert!(matches!(error, SendError::ActorRestarting(_)), "it is supervised");
            tokio::task::yield_now().await;
        }
    }
}

struct Tell;

impl Operation for Tell {
    type Actor = ActorRef<Sink>;

    async fn once(actor: &ActorRef<Sink>, i: u64, is_last: bool) {
        let mark = if is_last { LAST } else { i };
        actor.tell([mark, 0, 0, 0]).await.expect("the sink is alive");
    }
}

/// A call: `ask`.
pub fn calls() -> Arena {
    let start = async { Counter::spawn_with_mailbox(Counter(None), bounded(REQUESTS)) };
    arena::<Call>(Runtime::one_thread(), start, None)
}

/// Casts: `tell`.
pub fn sink<const CAPACITY: usize>() -> Arena {
    let (done, acknowledged) = unbounded();
    let start = async { Sink::spawn_with_mailbox(Sink { done, sum: 0 }, bounded(CAPACITY)) };
    arena::<Tell>(Runtime::one_thread(), start, Some(acknowledged))
}

/// A crash, and the first call that the replacement serves.
pub fn restarts() -> Arena {
    let start = async {
        let parent = Parent::spawn(());
        let counter = Counter::supervise(&parent, Counter(Some(parent.clone())));
        let tireless = counter.restart_limit(u32::MAX, Duration::from_secs(1));
        tireless.spawn_with_mailbox(bounded(REQUESTS)).await
    };
    arena::<CrashAndCall>(Runtime::one_thread(), start, None)
}
