//! ractor: actors on tokio. A mailbox has no bound. A supervisor is an actor that hears of the end of
//! its children and does what it likes: here it starts the next one and shows where it is.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Sender, unbounded};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};

use super::tasks::{Operation, Runtime, arena};
use super::{Arena, Cast, LAST};

type Outcome<T = ()> = Result<T, ActorProcessingErr>;

enum Msg {
    Next(u64, RpcReplyPort<u64>),
    Crash,
}

struct Counter;

impl Actor for Counter {
    type Msg = Msg;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Msg>, (): ()) -> Outcome {
        Ok(())
    }

    async fn handle(&self, _: ActorRef<Msg>, msg: Msg, (): &mut ()) -> Outcome {
        match msg {
            Msg::Next(n, reply) => reply.send(n + 1).expect("the caller waits"),
            Msg::Crash => resume_unwind(Box::new("crash")),
        }
        Ok(())
    }
}

struct Sink(Sender<()>);

impl Actor for Sink {
    type Msg = Tell;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Tell>, (): ()) -> Outcome<u64> {
        Ok(0)
    }

    async fn handle(&self, _: ActorRef<Tell>, Tell(cast): Tell, sum: &mut u64) -> Outcome {
        *sum = sum.wrapping_add(cast[0]);
        if cast[0] == LAST {
            let _ = self.0.send(());
        }
        Ok(())
    }
}

struct Tell(Cast);

/// Where the counter is that serves now.
#[derive(Clone, Default)]
struct Current(Arc<Mutex<Option<ActorRef<Msg>>>>);

impl Current {
    fn set(&self, counter: ActorRef<Msg>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(counter);
    }

    fn get(&self) -> ActorRef<Msg> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().expect("the first has started")
    }
}

struct Parent(Current);

impl Parent {
    async fn start_counter(&self, myself: &ActorRef<()>) -> Outcome {
        let (counter, _) = Counter::spawn_linked(None, Counter, (), myself.get_cell()).await?;
        self.0.set(counter);
        Ok(())
    }
}

impl Actor for Parent {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<()>, (): ()) -> Outcome {
        self.start_counter(&myself).await
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<()>,
        event: SupervisionEvent,
        (): &mut (),
    ) -> Outcome {
        match event {
            SupervisionEvent::ActorFailed(..) => self.start_counter(&myself).await,
            _ => Ok(()),
        }
    }
}

struct Call;

impl Operation for Call {
    type Actor = ActorRef<Msg>;

    async fn once(actor: &ActorRef<Msg>, i: u64, _: bool) {
        let answer = actor.call(|reply| Msg::Next(i, reply), None).await.expect("the actor is alive");
        assert_eq!(answer.expect("an answer"), i + 1);
    }
}

struct CrashAndCall;

impl Operation for CrashAndCall {
    type Actor = Current;

    async fn once(current: &Current, i: u64, _: bool) {
        current.get().cast(Msg::Crash).expect("it is supervised");
        loop {
            // What is asked between a crash and the restart is lost, and asked again.
            match current.get().call(|reply| Msg::Next(i, reply), None).await {
                Ok(answer) if answer.is_success() => return assert_eq!(answer.expect("an answer"), i + 1),
                _ => tokio::task::yield_now().await,
            }
        }
    }
}

struct Cast32;

impl Operation for Cast32 {
    type Actor = ActorRef<Tell>;

    async fn once(actor: &ActorRef<Tell>, i: u64, is_last: bool) {
        let mark = if is_last { LAST } else { i };
        actor.cast(Tell([mark, 0, 0, 0])).expect("the sink is alive");
    }
}

/// A call: `call`, without a time-out.
pub fn calls() -> Arena {
    let start = async { Counter::spawn(None, Counter, ()).await.expect("it starts").0 };
    arena::<Call>(Runtime::one_thread(), start, None)
}

/// Casts: `cast`, whatever the capacity.
pub fn sink() -> Arena {
    let (done, acknowledged) = unbounded();
    let start = async { Sink::spawn(None, Sink(done), ()).await.expect("it starts").0 };
    arena::<Cast32>(Runtime::one_thread(), start, Some(acknowledged))
}

/// A crash, and the first call that the replacement serves.
pub fn restarts() -> Arena {
    let start = async {
        let current = Current::default();
        Parent::spawn(None, Parent(current.clone()), ()).await.expect("it starts");
        current
    };
    arena::<CrashAndCall>(Runtime::one_thread(), start, None)
}
