//! Clients of actors on an async runtime: tasks of that runtime, as its users' are.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use crossbeam_channel::{Receiver, bounded};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::{Arena, Bout};

/// What a client does again and again.
pub trait Operation: Send + 'static {
    /// What refers to the actor.
    type Actor: Clone + Send + 'static;

    /// Does it once.
    fn once(actor: &Self::Actor, i: u64, is_last: bool) -> impl Future<Output = ()> + Send;
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A runtime on threads of its own. It goes when the last clone is dropped.
#[derive(Clone)]
pub struct Runtime(Arc<dyn Fn(Task) + Send + Sync>);

impl Runtime {
    /// A runtime that starts its tasks in this way.
    pub fn new(spawn: impl Fn(Task) + Send + Sync + 'static) -> Self {
        Self(Arc::new(spawn))
    }

    /// tokio with one thread, on which actors and clients take turns. Calls and casts are faster than with
    /// two workers.
    pub fn one_thread() -> Self {
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        let handle = runtime.handle().clone();
        let (alive, over) = oneshot::channel::<()>();
        thread::spawn(move || runtime.block_on(over));
        Self::new(move |task| {
            let _alive = &alive;
            drop(handle.spawn(task));
        })
    }

    /// Runs a task to its end.
    pub fn finish<R: Send + 'static>(&self, task: impl Future<Output = R> + Send + 'static) -> R {
        let (done, result) = bounded(1);
        (self.0)(Box::pin(async move { drop(done.send(task.await)) }));
        result.recv().expect("no task fails")
    }
}

/// A client. A batch of its operations is one task of the runtime.
struct Client<O: Operation> {
    runtime: Runtime,
    actor: O::Actor,
    /// What the last operation of a batch is acknowledged over, if it is a cast.
    acknowledged: Option<Receiver<()>>,
}

impl<O: Operation> Client<O> {
    fn batch<R: Send + 'static>(&self, batch: impl Future<Output = R> + Send + 'static) -> R {
        let result = self.runtime.finish(batch);
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

/// Starts an actor in a runtime; its clients are tasks there.
pub fn arena<O: Operation>(
    runtime: Runtime,
    start: impl Future<Output = O::Actor> + Send + 'static,
    acknowledged: Option<Receiver<()>>,
) -> Arena {
    let actor = runtime.finish(start);
    Box::new(move || {
        let (runtime, actor, acknowledged) = (runtime.clone(), actor.clone(), acknowledged.clone());
        Box::new(Client::<O> { runtime, actor, acknowledged }) as Box<dyn Bout>
    })
}
