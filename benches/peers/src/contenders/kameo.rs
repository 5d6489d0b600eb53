//! kameo: actors on tokio, here with two workers. Its clients are tasks, as its users' are.

use std::convert::Infallible;
use std::future::Future;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use kameo::actor::{Actor, ActorRef, Spawn};
use kameo::error::SendError;
use kameo::mailbox::bounded;
use kameo::message::{Context, Message};
use tokio::runtime::{Builder, Runtime};

use super::{Arena, Bout, Cast, LAST};

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

/// What a client does again and again.
trait Operation: Send + 'static {
    type Actor: Actor;

    fn once(actor: &ActorRef<Self::Actor>, i: u64, is_last: bool) -> impl Future<Output = ()> + Send;
}

struct Call;

impl Operation for Call {
    type Actor = Counter;

    async fn once(actor: &ActorRef<Counter>, i: u64, _: bool) {
        assert_eq!(actor.ask(Next(i)).await.expect("an answer"), i + 1);
    }
}

struct CrashAndCall;

impl Operation for CrashAndCall {
    type Actor = Counter;

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
    type Actor = Sink;

    async fn once(actor: &ActorRef<Sink>, i: u64, is_last: bool) {
        let mark = if is_last { LAST } else { i };
        actor.tell([mark, 0, 0, 0]).await.expect("the sink is alive");
    }
}

/// A client. A batch of its operations is one task of the runtime.
struct Client<O: Operation> {
    runtime: Arc<Runtime>,
    actor: ActorRef<O::Actor>,
    /// What the last operation of a batch is acknowledged over, if it is a cast.
    acknowledged: Option<Receiver<()>>,
}

impl<O: Operation> Client<O> {
    fn batch<R: Send + 'static>(&self, batch: impl Future<Output = R> + Send + 'static) -> R {
        let result = self.runtime.block_on(self.runtime.spawn(batch)).expect("no client fails");
        if let Some(acknowledged) = &self.acknowledged {
            acknowledged.recv().expect("the sink is alive");
        }
        result
    }
}

impl<O: Operation> Bout for Client<O> {
    fn run(&mut self, n: u64) {
        let actor = self.actor.clone();
        self.batch(async move {
            for i in 1..=n {
                O::once(&actor, i, i == n).await;
            }
        });
    }

    fn each(&mut self, n: u64, pause: fn()) -> Vec<f64> {
        let actor = self.actor.clone();
        self.batch(async move {
            let mut latencies = Vec::new();
            for i in 1..=n {
                pause();
                let start = Instant::now();
                O::once(&actor, i, i == n).await;
                latencies.push(start.elapsed().as_nanos() as f64);
            }
            latencies
        })
    }
}

fn arena<O: Operation>(
    start: impl AsyncFnOnce() -> ActorRef<O::Actor>,
    acknowledged: Option<Receiver<()>>,
) -> Arena {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build();
    let runtime = Arc::new(runtime.expect("a runtime"));
    let actor = runtime.block_on(start());
    Box::new(move || {
        let (runtime, actor, acknowledged) = (Arc::clone(&runtime), actor.clone(), acknowledged.clone());
        Box::new(Client::<O> { runtime, actor, acknowledged }) as Box<dyn Bout>
    })
}

/// A call: `ask`.
pub fn calls() -> Arena {
    arena::<Call>(async || Counter::spawn_with_mailbox(Counter(None), bounded(REQUESTS)), None)
}

/// Casts: `tell`.
pub fn sink<const CAPACITY: usize>() -> Arena {
    let (done, acknowledged) = unbounded();
    let sink = Sink { done, sum: 0 };
    arena::<Tell>(async || Sink::spawn_with_mailbox(sink, bounded(CAPACITY)), Some(acknowledged))
}

/// A crash, and the first call that the replacement serves.
pub fn restarts() -> Arena {
    arena::<CrashAndCall>(
        async || {
            let parent = Parent::spawn(());
            let counter = Counter::supervise(&parent, Counter(Some(parent.clone())));
            let tireless = counter.restart_limit(u32::MAX, Duration::from_secs(1));
            tireless.spawn_with_mailbox(bounded(REQUESTS)).await
        },
        None,
    )
}
