//! Who waits in a handler, and who waits elsewhere.

use std::convert::{Infallible, identity};
use std::sync::mpsc::{Sender, channel};

use super::*;
use crate::error::ErrorKind;
use crate::resilience::{Bulkhead, Cached, Pool, PoolError, RateLimiter, Retry, RetryError, Schedule};
use crate::service::context::Context;
use crate::service::reply::Reply;
use crate::service::service::{Next, Service};
use crate::supervisor::spec::child;
use crate::supervisor::supervisor::Supervisor;
use crate::sync::Clock;

const FAR: Deadline = Deadline::unbounded();
const HOUR: Duration = Duration::from_secs(3600);

/// Waits for what will be there in half an hour, and for what will never be, while it handles a call.
struct Waiter(RateLimiter, Bulkhead);

impl Service for Waiter {
    type Msg = Reply<[bool; 2]>;
    type Error = Infallible;

    fn handle(&mut self, reply: Reply<[bool; 2]>, _: &mut Context<Self>) -> Result<Next, Infallible> {
        reply.send([self.0.acquire(HOUR).is_ok(), self.1.acquire_many(1, HOUR).is_ok()]);
        Ok(Next::Continue)
    }
}

#[test]
fn who_waits_in_a_handler_waits_no_longer_than_its_caller() {
    let (limiter, bulkhead) = (RateLimiter::new("x", 1, HOUR / 2), Bulkhead::new("x", 1));
    let _permits = (limiter.try_acquire().expect("the first"), bulkhead.try_acquire().expect("the first"));
    let ended = bulkhead.clone();
    let service = child("waiter", move || Waiter(limiter.clone(), bulkhead.clone()));
    let handle = service.handle();
    let _app = Supervisor::new("app").child(service).start().expect("it starts");
    drop(handle.call_timeout(Duration::from_millis(20), identity));
    while ended.snapshot().rejected == 0 {
        std::thread::yield_now(); // an hour, if it waited for its own patience
    }
    assert_eq!(ended.snapshot().in_use, 1);
}

#[test]
fn without_a_handler_there_is_one_end() {
    let now = crate::sync::Clock::system().now();
    assert_eq!(Patience::In(HOUR).deadline(now), Deadline::at(now + HOUR));
    assert_eq!(Patience::By(Deadline::unbounded()).deadline(now), Deadline::unbounded());
}

#[test]
fn outside_a_handler_the_deadline_is_what_it_is() {
    let now = Clock::system().now();
    assert_eq!(within_the_callers(FAR, || now), FAR);
    assert_eq!(within_the_callers(Deadline::at(now), || panic!("nobody asks")), Deadline::at(now));
}

/// Waits for ever, in each of the ways there are, as far as that is left to it.
struct Patient(Sender<[bool; 3]>);

impl Service for Patient {
    type Msg = Reply<()>;
    type Error = Infallible;

    fn handle(&mut self, _: Reply<()>, _: &mut Context<Self>) -> Result<Next, Infallible> {
        let pool: Pool<u8, ErrorKind> = Pool::builder("pool", || Ok(1)).size(1).build();
        let _held = pool.try_checkout();
        let pooled = pool.checkout_by(FAR);
        let hour = Schedule::constant(Duration::from_secs(3600)).max_wait(Duration::MAX);
        let retried = Retry::builder("retry").schedule(hour).build();
        let retried = retried.call(FAR, |_| Err::<(), _>(ErrorKind::Transient));
        let ends = [
            matches!(pooled, Err(PoolError::TimedOut { .. })),
            matches!(retried, Err(RetryError::DeadlineExceeded { .. })),
            is_cached_late(),
        ];
        self.0.send(ends).expect("somebody listens");
        Ok(Next::Continue)
    }
}

/// Waits for a computation that does not end before it.
fn is_cached_late() -> bool {
    let cached: Cached<u8, ErrorKind> = Cached::builder("cached", Duration::ZERO).build();
    let ((begun, begins), (go, gone)) = (channel(), channel::<()>());
    std::thread::scope(|scope| {
        let cached = &cached;
        scope.spawn(move || {
            cached.get(FAR, || {
                begun.send(()).expect("somebody listens");
                gone.recv().map(|()| 1).map_err(|_| ErrorKind::System)
            })
        });
        begins.recv().expect("it computes");
        let late = cached.get(FAR, || Ok(2));
        go.send(()).expect("it waits");
        late.is_err_and(|error| error.kind() == ErrorKind::Transient)
    })
}

#[test]
fn in_a_handler_nobody_waits_longer_than_its_caller() {
    let (tell, told) = channel();
    let patient = child("patient", move || Patient(tell.clone()));
    let handle = patient.handle();
    let tree = Supervisor::new("tree").child(patient).start().expect("it starts");
    assert!(handle.call_timeout(Duration::from_millis(1), |reply| reply).is_err());
    assert_eq!(told.recv_timeout(Duration::from_secs(60)), Ok([true; 3]));
    drop(tree);
}
