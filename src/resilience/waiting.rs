//! By when somebody who waits has to go on.

use std::time::Instant;

use crate::service::deadline::Deadline;
use crate::service::scope;

/// Who waits in a handler waits no longer than that handler's caller.
pub(crate) fn within_the_callers(deadline: Deadline, now: Instant) -> Deadline {
    let inherited = scope::me().and_then(|me| me.inherited_deadline(now));
    inherited.map_or(deadline, |inherited| inherited.min(deadline))
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use std::convert::Infallible;
    use std::sync::mpsc::{Sender, channel};
    use std::time::Duration;

    use super::*;
    use crate::error::ErrorKind;
    use crate::resilience::{Cached, Pool, PoolError, Retry, RetryError, Schedule};
    use crate::service::context::Context;
    use crate::service::reply::Reply;
    use crate::service::service::{Next, Service};
    use crate::supervisor::spec::child;
    use crate::supervisor::supervisor::Supervisor;
    use crate::sync::Clock;

    const FAR: Deadline = Deadline::unbounded();

    #[test]
    fn outside_a_handler_the_deadline_is_what_it_is() {
        let now = Clock::system().now();
        assert_eq!(within_the_callers(FAR, now), FAR);
        assert_eq!(within_the_callers(Deadline::at(now), now), Deadline::at(now));
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
}
