//! actix: actors on the one thread of an arbiter, where its clients are too. Its supervisor restarts
//! an actor that stops, not one that panics.

use actix::{Actor, Addr, Context, Handler, Message, System};
use crossbeam_channel::{Sender, bounded, unbounded};

use super::tasks::{Operation, Runtime, arena};
use super::{Arena, Cast, LAST};

const REQUESTS: usize = 1024;

struct Counter;

impl Actor for Counter {
    type Context = Context<Self>;

    fn started(&mut self, cx: &mut Context<Self>) {
        cx.set_mailbox_capacity(REQUESTS);
    }
}

struct Next(u64);

impl Message for Next {
    type Result = u64;
}

impl Handler<Next> for Counter {
    type Result = u64;

    fn handle(&mut self, Next(n): Next, _: &mut Context<Self>) -> u64 {
        n + 1
    }
}

struct Sink {
    done: Sender<()>,
    capacity: usize,
    sum: u64,
}

impl Actor for Sink {
    type Context = Context<Self>;

    fn started(&mut self, cx: &mut Context<Self>) {
        cx.set_mailbox_capacity(self.capacity);
    }
}

struct Tell(Cast);

impl Message for Tell {
    type Result = ();
}

impl Handler<Tell> for Sink {
    type Result = ();

    fn handle(&mut self, Tell(cast): Tell, _: &mut Context<Self>) {
        self.sum = self.sum.wrapping_add(cast[0]);
        if cast[0] == LAST {
            let _ = self.done.send(());
        }
    }
}

struct Call;

impl Operation for Call {
    type Actor = Addr<Counter>;

    async fn once(actor: &Addr<Counter>, i: u64, _: bool) {
        assert_eq!(actor.send(Next(i)).await.expect("an answer"), i + 1);
    }
}

struct TrySend;

impl Operation for TrySend {
    type Actor = Addr<Sink>;

    async fn once(actor: &Addr<Sink>, i: u64, is_last: bool) {
        let mark = if is_last { LAST } else { i };
        // No sender waits for space without waiting for the handler too.
        while actor.try_send(Tell([mark, 0, 0, 0])).is_err() {
            tokio::task::yield_now().await;
        }
    }
}

/// Ends the thread of a system.
struct Stop(System);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

fn system() -> Runtime {
    let (sender, receiver) = bounded(1);
    std::thread::spawn(move || {
        let runner = System::new();
        sender.send(Stop(System::current())).expect("somebody waits for it");
        runner.run().expect("it runs");
    });
    let running = receiver.recv().expect("it starts");
    Runtime::new(move |task| assert!(running.0.arbiter().spawn(task), "it runs"))
}

/// A call: `send`, and its answer.
pub fn calls() -> Arena {
    arena::<Call>(system(), async { Counter.start() }, None)
}

/// Casts: `try_send`, again and again while the mailbox is full.
pub fn sink<const CAPACITY: usize>() -> Arena {
    let (done, acknowledged) = unbounded();
    let start = async move { Sink { done, capacity: CAPACITY, sum: 0 }.start() };
    arena::<TrySend>(system(), start, Some(acknowledged))
}
