//! Who computes, who waits, and what they get.

use super::*;
use crate::error::ErrorKind;
use crate::sync::Clock;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

const SECOND: Duration = Duration::from_secs(1);
const FAR: Deadline = Deadline::unbounded();

type Number = Cached<u32, ErrorKind>;

fn number() -> Number {
    Cached::builder("a", 10 * SECOND).build()
}

/// A value, or the text of an error and its kind.
type Said = Result<u32, String>;

fn said(result: Result<Arc<u32>, CachedError<ErrorKind>>) -> Said {
    result.map(|value| *value).map_err(|error| format!("{error:?} {:?}", error.kind()))
}

/// One computes, and ends in this way once three others wait for it. What it says, if it did not panic, and what
/// they say.
fn flight(cached: &Number, end: impl FnOnce() -> Result<u32, ErrorKind> + Send) -> (Option<Said>, Vec<Said>) {
    thread::scope(|scope| {
        let (tell, told) = channel();
        let compute = move || {
            tell.send(()).expect("somebody listens");
            while cached.snapshot().waited < 3 {
                thread::yield_now();
            }
            end()
        };
        let fly = || catch_unwind(AssertUnwindSafe(|| said(cached.get(FAR, compute)))).ok();
        let pilot = scope.spawn(fly);
        told.recv().expect("it computes");
        let wait = || said(cached.get(FAR, || panic!("another computes it")));
        let others: Vec<_> = (0..3).map(|_| scope.spawn(wait)).collect();
        let others = others.into_iter().map(|other| other.join().expect("no panic")).collect();
        (pilot.join().expect("no panic"), others)
    })
}

#[test]
fn a_value_lives_for_its_time() {
    let (clock, hand) = Clock::manual();
    let cached: Number = Cached::builder("a", 10 * SECOND).clock(clock).build();
    let count = std::cell::Cell::new(0);
    let get = || {
        let next = || Ok(count.replace(count.get() + 1));
        cached.get(FAR, next).map(|value| *value).expect("it is computed")
    };
    assert_eq!((get(), get()), (0, 0));
    hand.advance(10 * SECOND - Duration::from_nanos(1));
    assert_eq!(get(), 0);
    hand.advance(Duration::from_nanos(1));
    assert_eq!((cached.present(), cached.last().map(|(_, age)| age)), (None, Some(10 * SECOND)));
    assert_eq!(get(), 1);
    let seen = cached.snapshot();
    assert_eq!((seen.hits, seen.computed, seen.failed, seen.waited), (2, 2, 0, 0));
    assert_eq!((seen.age, seen.is_computing), (Some(Duration::ZERO), false));
}

#[test]
fn one_computes_and_the_others_share_it() {
    let cached = number();
    let (pilot, others) = flight(&cached, || Ok(7));
    assert_eq!((pilot, others), (Some(Ok(7)), vec![Ok(7); 3]));
    assert_eq!((cached.snapshot().computed, cached.snapshot().waited), (1, 3));
}

#[test]
fn an_error_is_shared_and_not_kept() {
    let cached = number();
    let (pilot, others) = flight(&cached, || Err(ErrorKind::System));
    let failed: Said = Err("CachedError::Failed(a) System".to_owned());
    assert_eq!((pilot, others), (Some(failed.clone()), vec![failed; 3]));
    assert_eq!(said(cached.get(FAR, || Ok(2))), Ok(2));
    assert_eq!((cached.snapshot().computed, cached.snapshot().failed), (2, 1));
}

#[test]
fn an_error_says_what_could_not_be_computed_and_why() {
    let cached: Cached<(), std::fmt::Error> = Cached::builder("a", SECOND).build();
    let error = cached.get(FAR, || Err(std::fmt::Error)).expect_err("it fails");
    assert!(error.to_string().starts_with("`a` could not be computed: an error occurred"), "{error}");
}

#[test]
fn a_panic_is_told_to_those_who_wait_and_the_next_computes() {
    let cached = number();
    let (pilot, others) = flight(&cached, || resume_unwind(Box::new("boom")));
    let panicked = Err("CachedError::Panicked(a) Permanent".to_owned());
    assert_eq!((pilot, others), (None, vec![panicked; 3]));
    assert!(!cached.snapshot().is_computing);
    assert_eq!(said(cached.get(FAR, || Ok(2))), Ok(2));
}

/// A computation that goes on until it is let go.
fn hanging<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    cached: &'scope Number,
    go: Receiver<u32>,
) -> thread::ScopedJoinHandle<'scope, u32> {
    let (tell, told) = channel();
    let pilot = scope.spawn(move || {
        let compute = || {
            tell.send(()).expect("somebody listens");
            Ok(go.recv().expect("it is let go"))
        };
        *cached.get(FAR, compute).expect("it is computed")
    });
    told.recv().expect("it computes");
    pilot
}

#[test]
fn who_waits_goes_on_at_the_deadline_and_the_computation_too() {
    let (clock, _hand) = Clock::manual();
    let cached: Number = Cached::builder("a", SECOND).clock(clock.clone()).build();
    let (go, gone) = channel();
    thread::scope(|scope| {
        let pilot = hanging(scope, &cached, gone);
        let late = cached.get(Deadline::at(clock.now()), || panic!("another computes it"));
        assert!(matches!(late, Err(CachedError::TimedOut { .. })));
        assert!(cached.snapshot().is_computing);
        go.send(5).expect("it waits");
        assert_eq!(pilot.join().expect("no panic"), 5);
    });
    assert_eq!(cached.present().as_deref(), Some(&5));
}

#[test]
fn what_was_under_way_when_all_became_void_is_for_those_who_waited_only() {
    let cached = number();
    let (go, gone) = channel();
    thread::scope(|scope| {
        let pilot = hanging(scope, &cached, gone);
        cached.invalidate();
        assert_eq!(said(cached.get(FAR, || Ok(6))), Ok(6));
        go.send(5).expect("it waits");
        assert_eq!(pilot.join().expect("no panic"), 5);
    });
    assert_eq!(cached.present().as_deref(), Some(&6));
    cached.invalidate();
    assert_eq!((cached.present(), cached.last()), (None, None));
}

#[test]
fn a_value_that_needs_itself_is_told_so() {
    let cached = number();
    let inner = |error: CachedError<ErrorKind>| {
        assert!(matches!(error, CachedError::Circular { .. }));
        error.kind()
    };
    let outer = cached.get(FAR, || cached.get(FAR, || Ok(1)).map(|value| *value).map_err(inner));
    assert_eq!(outer.err().map(|error| error.kind()), Some(ErrorKind::Permanent));
}

#[test]
fn a_value_that_asks_for_another_while_it_is_dropped_gets_it() {
    struct Asks(Cached<Self, ErrorKind>, u32);
    impl Drop for Asks {
        fn drop(&mut self) {
            if self.1 < 3 {
                let _ = self.0.get(FAR, || Err(ErrorKind::User));
                assert!(self.0.snapshot().computed > 0);
            }
        }
    }
    let cached: Cached<Asks, ErrorKind> = Cached::builder("a", Duration::ZERO).build();
    for n in 0..4 {
        assert!(cached.get(FAR, || Ok(Asks(cached.clone(), n))).is_ok());
    }
    assert_eq!((cached.snapshot().computed, cached.snapshot().failed), (7, 3));
}

#[test]
fn of_two_hundred_threads_one_computes() {
    let cached = number();
    let values: Vec<u32> = thread::scope(|scope| {
        let get = || *cached.get(FAR, || Ok(9)).expect("it is computed");
        let threads: Vec<_> = (0..200).map(|_| scope.spawn(get)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert_eq!(values, [9; 200]);
    assert_eq!(cached.snapshot().computed, 1);
}

/// A clock that shows one moment after the other.
#[derive(Debug)]
struct Moments(Mutex<Vec<std::time::Instant>>);

impl crate::sync::Pace for Moments {
    fn now(&self) -> std::time::Instant {
        let mut left = self.0.lock();
        if left.len() > 1 { left.remove(0) } else { left[0] }
    }

    fn park(&self, _: Option<std::time::Instant>) {}
}

#[test]
fn a_value_that_is_there_at_the_second_look_counts_as_there() {
    let begin = Clock::system().now();
    // Kept at the first of them, too old at the second, and not at the third: as if another had landed meanwhile.
    let moments = vec![begin, begin + 10 * SECOND, begin];
    let clock = Clock::paced(Arc::new(Moments(Mutex::new(moments))));
    let cached: Number = Cached::builder("a", 10 * SECOND).clock(clock).build();
    assert_eq!(said(cached.get(FAR, || Ok(1))), Ok(1));
    assert_eq!(said(cached.get(FAR, || panic!("it is there"))), Ok(1));
    assert_eq!((cached.snapshot().hits, cached.snapshot().computed), (1, 1));
}

#[derive(Default)]
struct Heard(Mutex<Vec<(&'static str, String)>>);

impl crate::resilience::Sink for Heard {
    fn event(&self, event: &crate::resilience::Event) {
        self.0.lock().push((event.kind, event.detail.clone()));
    }
}

#[test]
fn computations_that_fail_are_told_and_others_are_not() {
    let heard = Arc::new(Heard::default());
    let sink = Arc::clone(&heard) as Arc<dyn crate::resilience::Sink>;
    let cached: Number = Cached::builder("a", Duration::ZERO).sink(sink).build();
    assert!(cached.get(FAR, || Ok(1)).is_ok() && cached.get(FAR, || Err(ErrorKind::User)).is_err());
    let panics = || cached.get(FAR, || resume_unwind(Box::new("boom"))).is_err();
    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
    let expected = [("computing_failed", "an error".to_owned()), ("computing_failed", "panicked".to_owned())];
    assert_eq!(*heard.0.lock(), expected);
}

#[test]
fn a_value_that_needs_itself_is_told_so_also_when_it_has_become_void_meanwhile() {
    let cached = number();
    let outer = cached.get(FAR, || {
        cached.invalidate();
        let inner = cached.get(FAR, || Ok(1));
        assert!(matches!(inner, Err(CachedError::Circular { .. })), "{inner:?}");
        Ok(2)
    });
    assert_eq!(said(outer), Ok(2));
}
