//! When there is another attempt, and when there is none.

use super::*;
use crate::error::ErrorKind;
use crate::resilience::backoff::Schedule;
use crate::resilience::sink::{Event, Sink};
use crate::sync::{Clock, ManualClock, Mutex};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

const MS: Duration = Duration::from_millis(1);
const FAR: Deadline = Deadline::unbounded();

/// An error that knows both.
#[derive(Debug, PartialEq)]
struct Refused(ErrorKind, Option<Duration>);

impl Classify for Refused {
    fn kind(&self) -> ErrorKind {
        self.0
    }
    fn retry_after(&self) -> Option<Duration> {
        self.1
    }
}

const BUSY: Refused = Refused(ErrorKind::Transient, None);

#[derive(Default)]
struct Heard(Mutex<Vec<(&'static str, String)>>);

impl Sink for Heard {
    fn event(&self, event: &Event) {
        self.0.lock().push((event.kind, event.detail.clone()));
    }
}

fn at_once() -> RetryBuilder {
    Retry::builder("a").schedule(Schedule::constant(Duration::ZERO))
}

/// Runs `work` on a thread of its own, and moves the clock by `step` whenever that waits; how far it was moved.
fn in_simulated_time<R: Send>(
    hand: &ManualClock,
    step: Duration,
    work: impl FnOnce() -> R + Send,
) -> (R, Duration) {
    let begin = hand.now();
    thread::scope(|scope| {
        let worker = scope.spawn(work);
        while !worker.is_finished() {
            hand.advance(step);
            thread::yield_now();
        }
        (worker.join().expect("no panic"), hand.now() - begin)
    })
}

#[test]
fn what_fails_now_and_then_succeeds_in_the_end() {
    let heard = Arc::new(Heard::default());
    let retry = at_once().sink(Arc::clone(&heard) as Arc<dyn Sink>).build();
    let numbers = RefCell::new(Vec::new());
    let done = retry.call(FAR, |attempt| {
        numbers.borrow_mut().push(attempt.number);
        if attempt.number < 3 { Err(BUSY) } else { Ok(attempt.deadline) }
    });
    assert_eq!((done.expect("the third succeeds"), numbers.into_inner()), (FAR, vec![1, 2, 3]));
    let seen = retry.snapshot();
    assert_eq!((seen.succeeded_with_retry, seen.succeeded_without_retry, seen.retries), (1, 0, 2));
    let kinds: Vec<_> = heard.0.lock().iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, ["retried", "retried", "succeeded"]);
    assert_eq!(heard.0.lock()[1].1, "attempt 3 of 3 in 0ns");
}

#[test]
fn nobody_hears_of_what_succeeds_at_once() {
    let heard = Arc::new(Heard::default());
    let retry = at_once().sink(Arc::clone(&heard) as Arc<dyn Sink>).build();
    assert!(retry.call(FAR, |_| Ok::<_, Refused>(())).is_ok());
    assert!(heard.0.lock().is_empty());
    assert_eq!(retry.snapshot().succeeded_without_retry, 1);
}

#[test]
fn there_are_as_many_attempts_as_may_be_and_at_least_one() {
    for (most, attempts) in [(0, 1), (1, 1), (4, 4)] {
        let error = at_once().max_attempts(most).build().call(FAR, |_| Err::<(), _>(BUSY)).unwrap_err();
        assert!(matches!(error, RetryError::AttemptsExceeded { .. }));
        assert_eq!((error.attempts(), error.into_last()), (attempts, BUSY));
    }
}

#[test]
fn what_is_not_transient_is_not_tried_again() {
    for kind in [ErrorKind::Permanent, ErrorKind::System, ErrorKind::User] {
        let retry = at_once().build();
        let error = retry.call(FAR, |_| Err::<(), _>(kind)).unwrap_err();
        assert!(matches!(error, RetryError::NotRetryable { attempts: 1, .. }) && error.kind() == kind);
        assert_eq!(retry.snapshot().failed_without_retry, 1);
    }
}

#[test]
fn the_closure_decides_of_each_attempt_that_failed() {
    let decide = |error: &u32, attempt: Attempt| {
        assert_eq!(*error, attempt.number * 10);
        if *error < 30 { Decision::Retry } else { Decision::GiveUp }
    };
    let retry = at_once().max_attempts(9).build();
    let error = retry.call_with(FAR, decide, |attempt| Err::<(), _>(attempt.number * 10)).unwrap_err();
    assert!(matches!(error, RetryError::NotRetryable { attempts: 3, source: 30, .. }));
    assert_eq!((retry.snapshot().failed_with_retry, retry.snapshot().retries), (1, 2));
}

#[test]
fn delays_are_those_of_the_schedule_by_the_clock() {
    let (clock, hand) = Clock::manual();
    let schedule = Schedule::linear(100 * MS, 100 * MS);
    let retry = Retry::builder("a").max_attempts(4).schedule(schedule).clock(clock.clone()).build();
    let at = Mutex::new(Vec::new());
    let call = || {
        retry.call(FAR, |_| {
            at.lock().push(clock.now());
            Err::<(), _>(BUSY)
        })
    };
    let (result, _) = in_simulated_time(&hand, 10 * MS, call);
    assert!(matches!(result, Err(RetryError::AttemptsExceeded { attempts: 4, .. })));
    let at = at.into_inner();
    for (pair, wait) in at.windows(2).zip([100, 200, 300]) {
        assert!(pair[1] - pair[0] >= wait * MS, "{pair:?}");
    }
}

#[test]
fn no_time_passes_for_an_attempt_that_would_begin_after_the_deadline() {
    let (clock, _hand) = Clock::manual(); // nobody moves it: a wait would not end
    let retry = Retry::builder("a").schedule(Schedule::constant(100 * MS)).clock(clock.clone()).build();
    for by in [Deadline::at(clock.now()), Deadline::at(clock.now() + 100 * MS)] {
        let error = retry.call(by, |_| Err::<(), _>(BUSY)).unwrap_err();
        assert!(matches!(error, RetryError::DeadlineExceeded { attempts: 1, wait, .. } if wait == 100 * MS));
    }
    let endless = Schedule::constant(Duration::MAX).max_wait(Duration::MAX);
    let retry = Retry::builder("a").schedule(endless).build();
    let error = retry.call(FAR, |_| Err::<(), _>(BUSY)).unwrap_err();
    assert!(matches!(error, RetryError::DeadlineExceeded { .. }));
}

#[test]
fn a_hint_is_heeded_unless_the_schedule_waits_longer_or_it_is_too_long() {
    let (clock, hand) = Clock::manual();
    let builder = || {
        let schedule = Schedule::constant(50 * MS).max_wait(50 * MS);
        Retry::builder("a").max_attempts(2).schedule(schedule).clock(clock.clone())
    };
    for (hint, least) in [(200 * MS, 200 * MS), (10 * MS, 50 * MS)] {
        let at = Mutex::new(Vec::new());
        let call = || {
            builder().build().call(FAR, |_| {
                at.lock().push(clock.now());
                Err::<(), _>(Refused(ErrorKind::Transient, Some(hint)))
            })
        };
        let (result, _) = in_simulated_time(&hand, MS, call);
        assert!(matches!(result, Err(RetryError::AttemptsExceeded { attempts: 2, .. })));
        let at = at.into_inner();
        assert!(at[1] - at[0] >= least, "{hint:?}");
    }
    let long = Refused(ErrorKind::Transient, Some(201 * MS));
    let error = builder().max_retry_after(200 * MS).build().call(FAR, |_| Err::<(), _>(&long)).unwrap_err();
    assert!(matches!(error, RetryError::HintExceeded { attempts: 1, max, .. } if max == 200 * MS));
}

impl Classify for &Refused {
    fn kind(&self) -> ErrorKind {
        self.0
    }
    fn retry_after(&self) -> Option<Duration> {
        self.1
    }
}

#[test]
fn a_hint_with_an_error_that_is_not_to_be_retried_is_none() {
    let refused = Refused(ErrorKind::User, Some(MS));
    assert_eq!(Decision::of(&refused), Decision::GiveUp);
}

#[test]
fn a_stop_ends_a_delay_and_lets_no_other_begin() {
    let (clock, _hand) = Clock::manual(); // nobody moves it
    let signal = StopSignal::new();
    let retry = Retry::builder("a").stop_on(&signal).clock(clock).build();
    let (tell, told) = std::sync::mpsc::channel();
    let error = thread::scope(|scope| {
        let worker = scope.spawn(|| {
            retry.call(FAR, move |_| {
                tell.send(()).expect("somebody listens");
                Err::<(), _>(BUSY)
            })
        });
        told.recv().expect("the first attempt is made");
        signal.stop();
        worker.join().expect("no panic").unwrap_err()
    });
    assert!(matches!(error, RetryError::Stopped { attempts: 1, .. }));
    let error = retry.call(FAR, |_| Err::<(), _>(BUSY)).unwrap_err();
    assert!(matches!(error, RetryError::Stopped { attempts: 1, .. }));
    assert_eq!(retry.call(FAR, |_| Ok::<_, Refused>(1)).expect("the first attempt is always made"), 1);
}

#[test]
fn a_stop_holds_also_where_there_are_no_delays_and_takes_no_token() {
    let (signal, budget) = (StopSignal::new(), RetryBudget::new(5, 0.0));
    signal.stop();
    let retry = at_once().budget(budget.clone()).stop_on(&signal).build();
    let error = retry.call(FAR, |_| Err::<(), _>(BUSY)).unwrap_err();
    assert!(matches!(error, RetryError::Stopped { attempts: 1, .. }));
    assert_eq!(budget.tokens(), 5);
}

#[test]
fn calls_share_a_budget_and_successes_refill_it() {
    let budget = RetryBudget::new(3, 0.5);
    let retries = [at_once(), at_once()].map(|builder| builder.budget(budget.clone()).build());
    let failing = |retry: &Retry| retry.call(FAR, |_| Err::<(), _>(BUSY)).unwrap_err();
    assert!(matches!(failing(&retries[0]), RetryError::AttemptsExceeded { .. }));
    assert!(matches!(failing(&retries[1]), RetryError::BudgetExceeded { attempts: 2, .. }));
    assert!(matches!(failing(&retries[0]), RetryError::BudgetExceeded { attempts: 1, .. }));
    for retry in &retries {
        assert!(retry.call(FAR, |_| Ok::<_, Refused>(())).is_ok());
    }
    assert_eq!(retries[0].snapshot().tokens, Some(1));
}

#[test]
fn equal_seeds_have_equal_delays_and_others_do_not() {
    let drawn = |seed: Option<u64>| {
        let builder = Retry::builder("a");
        let retry = seed.map_or(builder.clone(), |seed| builder.seed(seed)).build();
        [retry.random(), retry.random()]
    };
    assert_eq!(drawn(Some(1)), drawn(Some(1)));
    assert_ne!(drawn(Some(1)), drawn(Some(2)));
    assert_ne!(drawn(None), drawn(None));
    assert_ne!(drawn(Some(1))[0], drawn(Some(1))[1]);
}

#[test]
fn a_panic_goes_on_and_breaks_nothing() {
    let retry = at_once().build();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        retry.call(FAR, |attempt| match attempt.number {
            1 => Err::<(), _>(BUSY),
            _ => std::panic::resume_unwind(Box::new("boom")),
        })
    }));
    assert!(panicked.is_err());
    assert!(retry.call(FAR, |_| Ok::<_, Refused>(())).is_ok());
}

#[test]
fn the_error_says_who_what_and_how_often() {
    let error = at_once().build().call_with(FAR, |_, _| Decision::Retry, |_| Err::<(), _>(std::fmt::Error));
    let text = error.unwrap_err().to_string();
    assert!(text.starts_with("`a` failed in all of 3 attempts: an error occurred"), "{text}");
}

/// Does something when it hears of a retry, that is before the delay.
struct Between<F>(F);

impl<F: Fn() + Send + Sync + 'static> Sink for Between<F> {
    fn event(&self, event: &Event) {
        if event.kind == "retried" {
            (self.0)();
        }
    }
}

#[test]
fn a_delay_that_ends_with_a_stop_gives_its_token_back() {
    let (signal, budget) = (StopSignal::new(), RetryBudget::new(5, 0.0));
    let sink = Between({
        let signal = signal.clone();
        move || signal.stop()
    });
    let builder = Retry::builder("a").clock(Clock::manual().0).stop_on(&signal);
    let retry = builder.budget(budget.clone()).sink(Arc::new(sink)).build();
    let error = retry.call(FAR, |_| Err::<(), _>(BUSY)).unwrap_err();
    assert!(matches!(error, RetryError::Stopped { attempts: 1, .. }));
    assert_eq!((budget.tokens(), retry.snapshot().retries), (5, 0));
}

#[test]
fn no_attempt_begins_after_the_deadline_though_the_clock_jumps_over_it() {
    let (clock, hand) = Clock::manual();
    let budget = RetryBudget::new(5, 0.0);
    let by = Deadline::at(clock.now() + 1000 * MS);
    let builder = Retry::builder("a").clock(clock).budget(budget.clone());
    let retry = builder.sink(Arc::new(Between(move || hand.advance(2000 * MS)))).build();
    let error = retry.call(by, |_| Err::<(), _>(BUSY)).unwrap_err();
    assert!(matches!(error, RetryError::DeadlineExceeded { attempts: 1, .. }), "{error:?}");
    assert_eq!((budget.tokens(), retry.snapshot().retries), (5, 0));
}

#[test]
fn what_a_limiter_asks_for_is_waited_for() {
    use crate::resilience::RateLimiter;
    let (clock, hand) = Clock::manual();
    let limiter = RateLimiter::builder("x").limit_for_period(1).limit_refresh_period(2000 * MS);
    let limiter = limiter.clock(clock.clone()).build();
    limiter.try_acquire().expect("the first");
    let begin = hand.now();
    let retry = at_once().max_attempts(2).clock(clock).sink(Arc::new(Between({
        let hand = hand.clone();
        move || hand.advance(2000 * MS)
    })));
    assert!(retry.build().call(FAR, |_| limiter.try_acquire()).is_ok());
    assert_eq!(hand.now() - begin, 2000 * MS);
}

/// Tries something while it handles a call, and says by when that must have ended.
struct Tries(std::sync::mpsc::Sender<Deadline>);

impl crate::service::service::Service for Tries {
    type Msg = crate::service::reply::Reply<()>;
    type Error = std::convert::Infallible;

    fn handle(
        &mut self,
        reply: Self::Msg,
        _: &mut crate::service::context::Context<Self>,
    ) -> Result<crate::service::service::Next, Self::Error> {
        let told = at_once().build().call(FAR, |attempt| Ok::<_, Refused>(attempt.deadline));
        self.0.send(told.expect("it succeeds")).expect("somebody listens");
        reply.send(());
        Ok(crate::service::service::Next::Continue)
    }
}

#[test]
fn an_attempt_in_a_handler_is_told_the_deadline_of_its_caller() {
    let (tell, told) = std::sync::mpsc::channel();
    let service = crate::supervisor::spec::child("tries", move || Tries(tell.clone()));
    let handle = service.handle();
    let tree = crate::supervisor::supervisor::Supervisor::new("tree").child(service).start();
    let before = Clock::system().now();
    handle.call_timeout(3_600_000 * MS, |reply| reply).expect("it answers");
    let deadline = told.recv().expect("it was told").instant().expect("there is one");
    assert!((before..before + 4_000_000 * MS).contains(&deadline));
    drop(tree);
}

#[test]
fn who_gives_up_says_after_which_attempt_and_why() {
    let heard = Arc::new(Heard::default());
    let retry = at_once().max_attempts(2).sink(Arc::clone(&heard) as Arc<dyn Sink>).build();
    assert!(retry.call(FAR, |_| Err::<(), _>(BUSY)).is_err());
    assert!(retry.call(FAR, |_| Err::<(), _>(ErrorKind::User)).is_err());
    let told: Vec<_> = heard.0.lock().iter().filter(|(kind, _)| *kind == "gave_up").cloned().collect();
    let why = ["after attempt 2: no attempts left", "after attempt 1: not to be retried"];
    assert_eq!(told, why.map(|why| ("gave_up", why.to_owned())));
}
