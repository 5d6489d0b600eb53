//! tonari-actor: actors on OS threads. It has neither requests with an answer nor senders that
//! wait: the answer comes over a channel in the message, a sender that finds no space yields and
//! tries again.

use std::convert::Infallible;

use crossbeam_channel::{Sender, bounded, unbounded};
use tonari_actor::{Actor, Addr, Context, SendErrorReason, System};

use super::{Arena, Bout, Cast, LAST, casts};

const REQUESTS: usize = 1024;

struct Counter;

impl Actor for Counter {
    type Message = (u64, Sender<u64>);
    type Error = Infallible;
    type Context = Context<Self::Message>;

    fn handle(&mut self, _: &mut Self::Context, (n, reply): Self::Message) -> Result<(), Infallible> {
        reply.send(n + 1).expect("the caller waits");
        Ok(())
    }
}

struct Sink {
    done: Sender<()>,
    sum: u64,
}

impl Actor for Sink {
    type Message = Cast;
    type Error = Infallible;
    type Context = Context<Cast>;

    fn handle(&mut self, _: &mut Self::Context, cast: Cast) -> Result<(), Infallible> {
        self.sum = self.sum.wrapping_add(cast[0]);
        if cast[0] == LAST {
            let _ = self.done.send(());
        }
        Ok(())
    }
}

fn start<A>(actor: A, capacity: usize) -> (Addr<A::Message>, System)
where
    A: Actor<Context = Context<<A as Actor>::Message>> + Send + 'static,
{
    let mut system = System::new("bench");
    let addr = system.prepare(actor).with_capacity(capacity).spawn().expect("it starts");
    (addr, system)
}

fn call(addr: &Addr<(u64, Sender<u64>)>, i: u64) {
    let (reply, answer) = bounded(1);
    addr.send((i, reply)).expect("there is space");
    assert_eq!(answer.recv().expect("an answer"), i + 1);
}

fn cast(addr: &Addr<Cast>, cast: Cast) {
    while let Err(error) = addr.send(cast) {
        assert!(matches!(error.reason, SendErrorReason::Full), "the sink is alive");
        std::thread::yield_now();
    }
}

/// A call: a message with a fresh channel of one for its answer.
pub fn calls() -> Arena {
    let (addr, system) = start(Counter, REQUESTS);
    Box::new(move || {
        let _alive = &system;
        let addr = addr.clone();
        Box::new(move |n| (0..n).for_each(|i| call(&addr, i))) as Box<dyn Bout>
    })
}

/// Casts: `send`, again and again while the inbox is full.
pub fn sink<const CAPACITY: usize>() -> Arena {
    let (done, acknowledged) = unbounded();
    let (addr, system) = start(Sink { done, sum: 0 }, CAPACITY);
    Box::new(move || {
        let _alive = &system;
        let (addr, acknowledged) = (addr.clone(), acknowledged.clone());
        Box::new(move |n| {
            casts(n, |message| cast(&addr, message));
            acknowledged.recv().expect("the sink is alive");
        }) as Box<dyn Bout>
    })
}
