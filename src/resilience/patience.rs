//! How long somebody is willing to wait.

use std::time::{Duration, Instant};

use super::waiting::within_the_callers;
use crate::service::deadline::Deadline;

/// How long somebody is willing to wait: for so long, or until a deadline.
///
/// What can wait takes either, as `impl Into<Patience>`. Who waits for ever says so, by
/// [`Deadline::unbounded`]. A service that waits while it handles a call waits no longer than its caller does.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::Deadline;
/// use underpin::resilience::{Bulkhead, Patience};
///
/// let bulkhead = Bulkhead::new("store", 1);
/// let permit = bulkhead.acquire(Duration::from_millis(10)).unwrap();
/// assert!(bulkhead.acquire(Deadline::after(Duration::from_millis(1))).is_err());
/// assert_eq!(Patience::from(Duration::ZERO), Patience::NONE);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// For so long from now, by the clock of the thing that is waited for.
    In(Duration),
    /// Until this moment.
    By(Deadline),
}

impl Patience {
    /// Not at all.
    pub const NONE: Self = Self::In(Duration::ZERO);

    /// When it ends, for one who begins to wait `now`. Who waits in a handler waits no longer than its caller.
    pub(crate) fn deadline(self, now: Instant) -> Deadline {
        let own = match self {
            Self::In(time) => Deadline::from(now, time),
            Self::By(deadline) => deadline,
        };
        within_the_callers(own, now)
    }
}

impl From<Duration> for Patience {
    fn from(time: Duration) -> Self {
        Self::In(time)
    }
}

impl From<Deadline> for Patience {
    fn from(deadline: Deadline) -> Self {
        Self::By(deadline)
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use std::convert::{Infallible, identity};

    use super::*;
    use crate::resilience::{Bulkhead, RateLimiter};
    use crate::service::context::Context;
    use crate::service::reply::Reply;
    use crate::service::service::{Next, Service};
    use crate::supervisor::spec::child;
    use crate::supervisor::supervisor::Supervisor;

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
        let _permits =
            (limiter.try_acquire().expect("the first"), bulkhead.try_acquire().expect("the first"));
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
}
