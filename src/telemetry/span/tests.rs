//! Tests by question: what is told of a span, how it ends, what a limit does to it, what it costs.

use std::panic::panic_any;
use std::sync::Arc;
use std::time::Duration;

use super::super::limits::DispatchLimits;
use super::super::measurement::Execution;
use super::*;
use crate::sync::{Clock, ManualClock, Mutex};

type Told = Arc<Mutex<Vec<String>>>;

/// A dispatch with one handler that hears this prefix: name, duration in seconds, and words.
fn telling(prefix: &str) -> (Arc<Dispatch>, ManualClock, Told) {
    let ((clock, hand), told) = (Clock::manual(), Told::default());
    let dispatch = Arc::new(Dispatch::new(clock));
    let tell = Arc::clone(&told);
    let handler = move |execution: &Execution<'_>| {
        let duration = execution.measurement("duration").map(Measure::as_f64);
        let words: Vec<_> = execution.metadata.iter().map(|(name, word)| format!("{name}={word}")).collect();
        tell.lock().push(format!("{} {duration:?} {}", execution.name, words.join(" ")));
    };
    dispatch.attach("h", prefix, handler).expect("attached");
    (dispatch, hand, told)
}

fn take(told: &Told) -> Vec<String> {
    std::mem::take(&mut *told.lock())
}

#[test]
fn a_span_is_told_when_it_begins_and_when_it_ends() {
    let (dispatch, hand, told) = telling("db");
    let mut span = dispatch.span_with("db.query", &[("host", "x")]);
    assert_eq!(take(&told), ["db.query.start None host=x span=1"]);
    hand.advance(Duration::from_millis(1500));
    span.with("rows", "3").with("host", "y");
    span.finish();
    assert_eq!(take(&told), ["db.query.stop Some(1.5) host=y rows=3 span=1"]);
    drop(dispatch.span("db.query"));
    assert_eq!(take(&told), ["db.query.start None span=2", "db.query.stop Some(0.0) span=2"]);
}

#[test]
fn its_times_are_those_of_both_clocks() {
    let (dispatch, hand, _) = telling("x");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let see = Arc::clone(&seen);
    dispatch
        .attach("times", "a", move |execution| {
            see.lock().push(
                execution
                    .measurements
                    .iter()
                    .map(|(name, measure)| ((*name).to_owned(), *measure))
                    .collect::<Vec<_>>(),
            )
        })
        .expect("attached");
    hand.advance(Duration::from_secs(7));
    let span = dispatch.span("a");
    hand.advance(Duration::from_secs(2));
    span.finish();
    let seen = seen.lock();
    assert_eq!(seen[0][1], ("monotonic_time".to_owned(), Measure::Duration(Duration::from_secs(7))));
    let (name, system) = &seen[0][0];
    assert!(name == "system_time" && system.as_f64() > 1.7e9, "{system}");
    let seconds = |n| Measure::Duration(Duration::from_secs(n));
    assert_eq!(seen[1], [("duration".to_owned(), seconds(2)), ("monotonic_time".to_owned(), seconds(9))]);
}

#[test]
fn a_span_that_fails_is_an_exception_with_its_reason() {
    let (dispatch, _hand, told) = telling("a.exception");
    dispatch.span("a").fail("no disk");
    assert_eq!(take(&told), ["a.exception Some(0.0) span=1 kind=error reason=no disk"]);
}

#[test]
fn an_error_that_panics_where_it_is_shown_is_told_as_such() {
    struct Bad;
    impl fmt::Display for Bad {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("twice")
        }
    }
    let (dispatch, _hand, told) = telling("a.exception");
    dispatch.span("a").fail(&Bad);
    assert_eq!(take(&told), ["a.exception Some(0.0) span=1 kind=error reason=an error that panicked: twice"]);
}

#[test]
fn what_is_measured_is_returned_and_a_panic_goes_on_when_it_was_told() {
    let (dispatch, hand, told) = telling("");
    assert_eq!(dispatch.measure("a", || 7), 7);
    assert_eq!(take(&told), ["a.start None span=1", "a.stop Some(0.0) span=1"]);
    let measured = catch_unwind(AssertUnwindSafe(|| {
        dispatch.measure("a", || {
            hand.advance(Duration::from_secs(1));
            panic_any(vec![1, 2, 3]);
        })
    }));
    assert_eq!(measured.expect_err("it panicked").downcast_ref(), Some(&vec![1, 2, 3]));
    let reason = "reason=a panic whose payload is not text";
    assert_eq!(
        take(&told),
        ["a.start None span=2".to_owned(), format!("a.exception Some(1.0) span=2 kind=panic {reason}")]
    );
    let measured =
        catch_unwind(AssertUnwindSafe(|| dispatch.measure("a", || panic!("said {}", take(&told).len()))));
    assert_eq!(measured.expect_err("it panicked").downcast_ref(), Some(&"said 1".to_owned()));
    assert_eq!(take(&told), ["a.exception Some(0.0) span=3 kind=panic reason=said 1"]);
}

#[test]
fn a_result_is_an_end_with_its_outcome() {
    let (dispatch, _hand, told) = telling("a.stop");
    assert_eq!(dispatch.measure_result("a", || Ok::<_, ()>(1)), Ok(1));
    assert_eq!(dispatch.measure_result("a", || Err::<(), _>(2)), Err(2));
    assert_eq!(take(&told), ["a.stop Some(0.0) span=1 outcome=ok", "a.stop Some(0.0) span=2 outcome=error"]);
}

#[test]
fn a_guard_that_a_panic_drops_is_an_exception() {
    let (dispatch, _hand, told) = telling("");
    dispatch.attach("panics", "b.exception", |_| panic!("in a panic")).expect("attached");
    for name in ["a", "b"] {
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _span = dispatch.span(name);
            panic!("away");
        }));
        assert!(panicked.is_err());
    }
    let told = take(&told);
    assert_eq!(
        (&*told[1], &*told[3]),
        ("a.exception Some(0.0) span=1 kind=panic", "b.exception Some(0.0) span=2 kind=panic")
    );
    assert_eq!(dispatch.counts().detached, 1);
}

#[test]
fn a_guard_that_begins_and_ends_in_a_panic_is_none() {
    struct Cleans<'a>(&'a Dispatch);
    impl Drop for Cleans<'_> {
        fn drop(&mut self) {
            self.0.span("clean").finish();
        }
    }
    let (dispatch, _hand, told) = telling("");
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _cleans = Cleans(&dispatch);
        panic!("away");
    }));
    assert!(panicked.is_err());
    assert_eq!(take(&told), ["clean.start None span=1", "clean.stop Some(0.0) span=1"]);
}

#[test]
fn the_limit_of_the_start_is_that_of_the_span() {
    let (dispatch, _hand, told) = telling("a");
    dispatch.limit("a.start", 1, 2).expect("a name");
    dispatch.limit("a.stop", 0, 0).expect("a name");
    (0..3).for_each(|_| dispatch.span("a").finish());
    let names: Vec<_> =
        take(&told).iter().map(|told| told.split(' ').next().unwrap_or_default().to_owned()).collect();
    assert_eq!(names, ["a.start", "a.stop", "a.start", "a.stop"]);
    assert_eq!((dispatch.counts().executed, dispatch.counts().limited), (4, 1));
}

#[test]
fn where_the_start_is_not_heard_the_end_has_its_own_limit() {
    let (dispatch, _hand, told) = telling("a.stop");
    dispatch.limit("a.start", 0, 0).expect("a name");
    dispatch.limit("a.stop", 1, 1).expect("a name");
    (0..3).for_each(|_| dispatch.span("a").finish());
    assert_eq!((take(&told).len(), dispatch.counts().limited), (1, 2));
}

#[test]
fn what_nobody_heard_begin_does_not_end() {
    let (dispatch, _hand, told) = telling("b");
    let mut span = dispatch.span("a");
    assert!(span.0.is_none());
    let tell = Arc::clone(&told);
    dispatch
        .attach("late", "a", move |execution| tell.lock().push(execution.name.to_owned()))
        .expect("attached");
    span.with("a", "b");
    span.finish();
    assert_eq!((take(&told), dispatch.span("a").run(|| 3)), (Vec::<String>::new(), 3));
    assert_eq!(take(&told).len(), 2);
    assert_eq!(dispatch.measure("c", || 4), 4);
}

#[test]
fn words_are_so_many() {
    let (dispatch, _hand, told) = telling("a.stop");
    let mut span = dispatch.span("a");
    (0..MAX_LABELS + 2).for_each(|n| {
        span.with(&format!("w{n}"), "x");
    });
    span.with("w0", "y");
    span.finish();
    let told = take(&told);
    assert!(
        told[0].contains(" w0=y ") && told[0].contains(" w15=x span=1") && !told[0].contains("w16"),
        "{told:?}"
    );
    assert_eq!(dispatch.counts().words_left_out, 2);
}

#[test]
fn a_span_under_no_name_is_counted_once_and_the_work_is_done() {
    let (dispatch, _hand, told) = telling("");
    assert_eq!(dispatch.measure("No name", || 7), 7);
    assert_eq!((dispatch.counts().misnamed, take(&told).len()), (1, 0));
}

#[test]
fn a_span_may_outlast_the_telemetry() {
    let (dispatch, _hand, told) = telling("a");
    let span = dispatch.span("a");
    dispatch.close();
    span.finish();
    assert_eq!((take(&told).len(), dispatch.measure("a", || 1)), (1, 1));
    let limits = DispatchLimits { per_second: 0, ..DispatchLimits::default() };
    let silent = Dispatch::with_limits(Clock::SYSTEM, limits);
    silent.attach("h", "", |_| panic!("told")).expect("attached");
    assert_eq!((silent.measure("a", || 1), silent.counts().limited), (1, 1));
}
