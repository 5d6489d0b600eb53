//! Who executes and who hears, on the public surface; and telemetry while everything stops.
#![cfg(feature = "telemetry")]

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use common::{LONG, Log, SECOND, panic_quietly};
use underpin::telemetry::{AttachError, Descriptor, Execution, Kind, Telemetry, Unit};

fn noting(log: &Log<String>) -> impl Fn(&Execution<'_>) + Send + Sync + 'static {
    let log = log.clone();
    move |told| log.push(told.name.to_owned())
}

#[test]
fn a_handler_hears_its_name_and_those_below_it_until_it_is_detached() {
    let (telemetry, log) = (Telemetry::new(), Log::new());
    telemetry.attach("mine", "db.query", noting(&log)).expect("it is attached");
    let names = ["db.query", "db.query.slow", "db", "db.queryx"];
    names.iter().for_each(|name| telemetry.execute(name, &[], &[]));
    assert_eq!(log.all(), ["db.query", "db.query.slow"]);
    let listed: Vec<_> =
        telemetry.list("db").into_iter().map(|info| (info.id.to_string(), info.calls)).collect();
    assert_eq!(listed, [("mine".to_owned(), 2)]);
    assert!(matches!(telemetry.attach("mine", "", |_| ()), Err(AttachError::Taken { .. })));
    assert!(telemetry.detach("mine") && !telemetry.detach("mine"));
    telemetry.execute("db.query", &[], &[]);
    assert_eq!(log.all().len(), 2);
}

#[test]
fn figures_and_words_arrive_as_they_were_said() {
    let telemetry = Telemetry::new();
    let (tell, told) = channel();
    let tell = std::sync::Mutex::new(tell);
    telemetry
        .attach("mine", "db", move |told| {
            let took = told.measurement("took").map(|took| took.as_f64());
            let table = told.word("table").map(str::to_owned);
            let _ = tell.lock().expect("it is free").send((took, table, told.word("none").is_none()));
        })
        .expect("it is attached");
    telemetry.execute("db.query", &[("took", Duration::from_millis(1_500).into())], &[("table", "users")]);
    assert_eq!(told.recv_timeout(LONG), Ok((Some(1.5), Some("users".to_owned()), true)));
}

#[test]
fn a_handler_that_panics_is_detached_and_counted_and_the_others_go_on() {
    let (telemetry, log) = (Telemetry::new(), Log::new());
    telemetry.attach("bad", "db", |_| panic_quietly("on purpose")).expect("it is attached");
    telemetry.attach("good", "db", noting(&log)).expect("it is attached");
    (0..3).for_each(|_| telemetry.execute("db.query", &[], &[]));
    assert_eq!(log.all().len(), 3);
    let metrics = telemetry.metrics("underpin.telemetry.handler", &[]);
    assert_eq!(metrics.counter("underpin.telemetry.handler.panics", &[]), Some(1));
    assert_eq!(metrics.counter("underpin.telemetry.handler.detached", &[]), Some(1));
    assert_eq!(telemetry.list("").len(), 1);
}

#[test]
fn a_handler_may_execute_attach_and_detach() {
    let (telemetry, log) = (Telemetry::new(), Log::new());
    let (inner, heard) = (telemetry.clone(), log.clone());
    let once = AtomicBool::new(false);
    telemetry
        .attach("outer", "a", move |told| {
            heard.push(told.name.to_owned());
            if !once.swap(true, Ordering::SeqCst) {
                inner.execute("a.b", &[], &[]);
                inner.attach("other", "a", |_| ()).expect("it is attached");
                inner.detach("outer");
            }
        })
        .expect("it is attached");
    (0..2).for_each(|_| telemetry.execute("a", &[], &[]));
    assert_eq!(log.all(), ["a", "a.b"]);
    assert_eq!(telemetry.list("").iter().map(|info| &*info.id).collect::<Vec<_>>(), ["other"]);
}

#[test]
fn one_that_executes_itself_comes_to_an_end() {
    let telemetry = Telemetry::new();
    let (inner, calls) = (telemetry.clone(), Arc::new(AtomicU64::new(0)));
    let counts = Arc::clone(&calls);
    telemetry
        .attach("round", "a", move |_| {
            counts.fetch_add(1, Ordering::SeqCst);
            inner.execute("a", &[], &[]);
        })
        .expect("it is attached");
    telemetry.execute("a", &[], &[]);
    assert_eq!(calls.load(Ordering::SeqCst), 8);
    let untold = telemetry.metrics("underpin.telemetry.untold", &[("reason", "too_deep")]);
    assert_eq!(untold.counter("underpin.telemetry.untold", &[("reason", "too_deep")]), Some(1));
    telemetry.detach("round"); // it has the telemetry, which has it
}

#[test]
fn what_is_beyond_the_limit_of_a_name_is_counted_and_told_to_nobody() {
    let (telemetry, log) = (Telemetry::new(), Log::new());
    telemetry.attach("mine", "", noting(&log)).expect("it is attached");
    telemetry.limit("a", 1, 5).expect("it is a name");
    (0..100).for_each(|_| telemetry.execute("a", &[], &[]));
    telemetry.execute("b", &[], &[]);
    let told = log.count(|name| name == "a") as u64;
    assert!((5..=7).contains(&told), "{told} of 5 at once and 1 a second");
    assert_eq!(log.count(|name| name == "b"), 1, "another name has its own limit");
    let metrics = telemetry.metrics("underpin.telemetry", &[("name", "a")]);
    assert_eq!(metrics.counter("underpin.telemetry.executed", &[("name", "a")]), Some(told));
    assert_eq!(metrics.counter("underpin.telemetry.limited", &[("name", "a")]), Some(100 - told));
}

#[test]
fn a_span_tells_of_its_start_and_its_end_and_a_panic_goes_on() {
    let (telemetry, log) = (Telemetry::new(), Log::new());
    telemetry.attach("mine", "db", noting(&log)).expect("it is attached");
    assert_eq!(telemetry.measure("db.query", || 7), 7);
    drop(telemetry.span("db.query"));
    let measured = || telemetry.measure("db.query", || panic_quietly("on purpose"));
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(measured)).expect_err("it goes on");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"on purpose"));
    let (start, stop) = ("db.query.start", "db.query.stop");
    assert_eq!(log.all(), [start, stop, start, stop, start, "db.query.exception"]);
}

// ---- deferred ----------------------------------------------------------------------------

#[test]
fn a_deferred_handler_is_called_on_another_thread_and_nobody_waits_for_it() {
    let (telemetry, log) = (Telemetry::new(), Log::new());
    let (gate, told) = (Arc::new(Barrier::new(2)), log.clone());
    let closed = Arc::clone(&gate);
    telemetry
        .attach_deferred("slow", "a", move |execution| {
            if execution.name == "a.first" {
                closed.wait();
            }
            told.push(std::thread::current().id());
        })
        .expect("it is attached");
    telemetry.limit("a", 1_000_000, 10_000).expect("it is a name");
    let tree = telemetry.supervisor().start().expect("it starts");
    telemetry.execute("a.first", &[], &[]);
    // It hangs now. So much finds no room in its queue.
    (0..5_000).for_each(|_| telemetry.execute("a", &[], &[]));
    gate.wait();
    let here = std::thread::current().id();
    log.wait_count(2, |thread| *thread != here);
    tree.shutdown(LONG);
    let counts = telemetry.dispatch_counts();
    assert_eq!(counts.queued, counts.delivered + counts.discarded + counts.waiting as u64);
    assert_eq!(counts.executed, counts.queued + counts.sampled + counts.dropped, "{counts:?}");
    assert!(counts.sampled > 0 && counts.dropped > 0 && counts.delivered > 1, "{counts:?}");
    assert_eq!(log.all().len() as u64, counts.delivered);
    let untold = telemetry.metrics("underpin.telemetry.untold", &[]);
    assert_eq!(untold.counter("underpin.telemetry.untold", &[("reason", "sampled")]), Some(counts.sampled));
}

/// However much is said, one call to the thread is under way.
#[test]
fn calls_to_the_thread_of_deferred_handlers_do_not_pile_up() {
    let telemetry = Telemetry::new();
    telemetry.limit("a", 1_000_000_000, 1_000_000_000).expect("it is a name");
    telemetry.attach_deferred("mine", "a", |_| ()).expect("it is attached");
    let tree = telemetry.supervisor().start().expect("it starts");
    std::thread::scope(|scope| {
        (0..3)
            .for_each(|_| drop(scope.spawn(|| (0..100_000).for_each(|_| telemetry.execute("a", &[], &[])))));
    });
    let runs = || tree.inspect().expect("it is up").find("telemetry/handlers").expect("it is there").handled;
    // What is said now is told last.
    let told = Log::new();
    let noted = told.clone();
    telemetry.attach_deferred("last", "last", move |_| noted.push(())).expect("it is attached");
    while told.all().is_empty() {
        telemetry.execute("last", &[], &[]);
        told.comes_within(Duration::from_millis(20), |()| true);
    }
    let before = runs();
    told.comes_within(Duration::from_millis(300), |()| false);
    assert!(runs() - before < 10, "{} calls with nothing to do", runs() - before);
}

// ---- while everything stops --------------------------------------------------------------

/// Sixteen threads do all that there is to do, before, while and after the services stop.
#[test]
fn while_everything_stops_nothing_blocks_fails_or_panics_and_then_nothing_happens() {
    let telemetry = Telemetry::new();
    let heard = Arc::new(AtomicU64::new(0));
    let counts = Arc::clone(&heard);
    telemetry.attach("here", "", move |_| _ = counts.fetch_add(1, Ordering::SeqCst)).expect("it is attached");
    telemetry.attach_deferred("later", "", |_| ()).expect("it is attached");
    let tree = telemetry.supervisor().start().expect("it starts");
    let (begun, is_over) = (Barrier::new(17), AtomicBool::new(false));
    let descriptor = Descriptor::named("a.lines", Kind::Counter).unit(Unit::Count);
    let rounds: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|n| {
                let (telemetry, descriptor, begun, is_over) =
                    (telemetry.clone(), &descriptor, &begun, &is_over);
                scope.spawn(move || {
                    begun.wait();
                    let mut rounds = 0;
                    while !is_over.load(Ordering::SeqCst) || rounds < 10 {
                        telemetry.counter(descriptor, &[]).increment();
                        telemetry.execute("a.b", &[("n", rounds.into())], &[]);
                        telemetry.measure("a.span", || ());
                        let _ = telemetry.attach(&format!("own{n}"), "x", |_| ());
                        telemetry.detach(&format!("own{n}"));
                        let _ = telemetry.list("");
                        rounds += 1;
                    }
                    rounds
                })
            })
            .collect();
        begun.wait();
        let began = Instant::now();
        assert!(tree.shutdown(LONG).is_clean());
        assert!(began.elapsed() < 5 * SECOND, "nobody holds it up");
        is_over.store(true, Ordering::SeqCst);
        threads.into_iter().map(|thread| thread.join().expect("it does not fail")).sum()
    });
    assert_eq!(telemetry.metrics("a", &[]).counter("a.lines", &[]), Some(rounds), "handles go on counting");
    let before = heard.load(Ordering::SeqCst);
    std::thread::scope(|scope| {
        (0..16).for_each(|_| {
            scope.spawn(|| {
                telemetry.execute("a.b", &[], &[]);
                telemetry.measure("a.span", || ());
                assert!(matches!(telemetry.attach("late", "", |_| ()), Err(AttachError::Closed { .. })));
                assert!(!telemetry.detach("here") && telemetry.list("").is_empty());
            });
        });
    });
    assert_eq!(heard.load(Ordering::SeqCst), before, "nothing is told any more");
}
