//! spawned-concurrency, its actors on OS threads. A mailbox has no bound; there are no restarts.

use crossbeam_channel::{Sender, unbounded};
use spawned_concurrency::message::Message;
use spawned_concurrency::threads::{Actor, ActorRef, ActorStart, Context, Handler};

use super::{Arena, Bout, Cast, LAST, casts};

struct Counter;

impl Actor for Counter {}

struct Next(u64);

impl Message for Next {
    type Result = u64;
}

impl Handler<Next> for Counter {
    fn handle(&mut self, Next(n): Next, _: &Context<Self>) -> u64 {
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
    fn handle(&mut self, Tell(cast): Tell, _: &Context<Self>) {
        self.sum = self.sum.wrapping_add(cast[0]);
        if cast[0] == LAST {
            let _ = self.done.send(());
        }
    }
}

/// Stops the actor: it does not end with the last reference to it.
struct Stop<A: Actor>(ActorRef<A>);

impl<A: Actor> Drop for Stop<A> {
    fn drop(&mut self) {
        self.0.context().stop();
    }
}

/// A call: `request`, which always has a time-out.
pub fn calls() -> Arena {
    let running = Stop(Counter.start());
    Box::new(move || {
        let actor = running.0.clone();
        Box::new(move |n| {
            (0..n).for_each(|i| assert_eq!(actor.request(Next(i)).expect("an answer"), i + 1));
        }) as Box<dyn Bout>
    })
}

/// Casts: `send`, whatever the capacity.
pub fn sink() -> Arena {
    let (done, acknowledged) = unbounded();
    let running = Stop(Sink { done, sum: 0 }.start());
    Box::new(move || {
        let (actor, acknowledged) = (running.0.clone(), acknowledged.clone());
        Box::new(move |n| {
            casts(n, |cast| actor.send(Tell(cast)).expect("the sink is alive"));
            acknowledged.recv().expect("the sink is alive");
        }) as Box<dyn Bout>
    })
}
