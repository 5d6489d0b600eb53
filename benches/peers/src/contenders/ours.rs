//! underpin: a supervised service and its handle.

use std::convert::Infallible;
use std::panic::resume_unwind;
use std::time::Duration;

use crossbeam_channel::Sender;
use underpin::{
    ChildSpec, Context, Deadline, Handle, Next, Overflow, Reply, Service, Supervisor, SupervisorHandle, child,
};

use super::{Arena, Bout, Cast, LAST, casts};

const PATIENCE: Duration = Duration::from_secs(60);

enum Msg {
    Next(u64, Reply<u64>),
    Crash,
}

struct Counter;

impl Service for Counter {
    type Msg = Msg;
    type Error = Infallible;

    fn handle(&mut self, msg: Msg, _: &mut Context<Self>) -> Result<Next, Infallible> {
        match msg {
            Msg::Next(n, reply) => reply.send(n + 1),
            Msg::Crash => resume_unwind(Box::new("crash")),
        }
        Ok(Next::Continue)
    }
}

struct Sink {
    done: Sender<()>,
    sum: u64,
}

impl Service for Sink {
    type Msg = Cast;
    type Error = Infallible;

    fn handle(&mut self, cast: Cast, _: &mut Context<Self>) -> Result<Next, Infallible> {
        self.sum = self.sum.wrapping_add(cast[0]);
        if cast[0] == LAST {
            let _ = self.done.send(());
        }
        Ok(Next::Continue)
    }
}

fn start<S: Service>(spec: ChildSpec<S>) -> (Handle<S::Msg>, SupervisorHandle) {
    let handle = spec.handle();
    let supervisor = Supervisor::new("bench").intensity(u32::MAX, Duration::from_secs(1)).child(spec);
    (handle, supervisor.start().expect("it starts"))
}

/// A server of calls; `call` makes one.
fn server(call: impl Fn(&Handle<Msg>, u64) -> u64 + Copy + Send + 'static) -> Arena {
    let (handle, supervisor) = start(child("counter", || Counter));
    Box::new(move || {
        let _alive = &supervisor;
        let handle = handle.clone();
        Box::new(move |n| (0..n).for_each(|i| assert_eq!(call(&handle, i), i + 1))) as Box<dyn Bout>
    })
}

/// A call with the time-out that every call has.
pub fn calls() -> Arena {
    server(|handle, i| handle.call(|reply| Msg::Next(i, reply)).expect("an answer"))
}

/// A call with a time-out of its own.
pub fn calls_with_timeout() -> Arena {
    server(|handle, i| handle.call_timeout(PATIENCE, |reply| Msg::Next(i, reply)).expect("an answer"))
}

/// A call by a moment that the caller computes for each.
pub fn calls_with_deadline() -> Arena {
    server(|handle, i| {
        handle.call_by(Deadline::after(PATIENCE), |reply| Msg::Next(i, reply)).expect("an answer")
    })
}

/// Casts through a mailbox of this capacity, whose senders wait when it is full.
pub fn sink<const CAPACITY: usize>() -> Arena {
    let (done, acknowledged) = crossbeam_channel::unbounded();
    let spec = child("sink", move || Sink { done: done.clone(), sum: 0 });
    let (handle, supervisor) = start(spec.capacity(CAPACITY).overflow(Overflow::Block(PATIENCE)));
    Box::new(move || {
        let _alive = &supervisor;
        let (handle, acknowledged) = (handle.clone(), acknowledged.clone());
        Box::new(move |n| {
            casts(n, |cast| handle.cast(cast).expect("there is space in time"));
            acknowledged.recv().expect("the sink is alive");
        }) as Box<dyn Bout>
    })
}

/// A crash, and the first call that the replacement serves.
pub fn restarts() -> Arena {
    let (handle, supervisor) = start(child("counter", || Counter));
    Box::new(move || {
        let _alive = &supervisor;
        let handle = handle.clone();
        Box::new(move |n| {
            for i in 0..n {
                handle.cast(Msg::Crash).expect("there is space");
                assert_eq!(handle.call(|reply| Msg::Next(i, reply)).expect("an answer"), i + 1);
            }
        }) as Box<dyn Bout>
    })
}
