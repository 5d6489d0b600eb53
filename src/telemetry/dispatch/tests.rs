//! Tests by question: who hears what, how often, where; what panics; who changes it meanwhile; the end.

use std::panic::panic_any;
use std::sync::{Barrier, OnceLock};
use std::time::Duration;

use proptest::prelude::*;

use super::super::depth::MAX_DEPTH;
use super::super::descriptor::DescriptorError;
use super::*;
use crate::sync::{ManualClock, Mutex};

const WIDE: DispatchLimits =
    DispatchLimits { names: 1_000, handlers: 1_000, deferred: 1_024, per_second: u32::MAX, burst: u32::MAX };

fn dispatch() -> Arc<Dispatch> {
    Arc::new(Dispatch::with_limits(Clock::SYSTEM, WIDE))
}

fn at_rest() -> (Arc<Dispatch>, ManualClock) {
    let (clock, hand) = Clock::manual();
    (Arc::new(Dispatch::new(clock)), hand)
}

/// What handlers heard, in order.
#[derive(Clone, Debug, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn hearing(&self, id: &str) -> impl Fn(&Execution<'_>) + Send + Sync + 'static {
        let (heard, id) = (Arc::clone(&self.0), id.to_owned());
        move |execution| heard.lock().push(format!("{id}: {}", execution.name))
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }
}

fn calls(dispatch: &Dispatch, id: &str) -> Option<u64> {
    dispatch.list("").into_iter().find(|info| *info.id == *id).map(|info| info.calls)
}

fn counted(dispatch: &Dispatch, name: &str) -> (u64, u64) {
    let names = dispatch.names();
    let counts = names.iter().find(|counts| *counts.name == *name).expect("the name is known");
    (counts.executed, counts.limited)
}

// ---- who hears what ----------------------------------------------------------------------

#[test]
fn whoever_hears_a_name_is_told_all_that_was_said_of_it() {
    let (dispatch, hand) = at_rest();
    hand.advance(Duration::from_secs(5));
    let (told, now) = (Arc::new(OnceLock::new()), hand.now());
    let tell = Arc::clone(&told);
    let handler = move |execution: &Execution<'_>| {
        let (figures, words) = (execution.measurements.to_vec().len(), execution.metadata.to_vec().len());
        let of = (execution.measurement("duration"), execution.word("host").map(str::to_owned));
        tell.set((execution.name.to_owned(), of, execution.at, figures, words)).expect("it is told once");
    };
    dispatch.attach("h", "http", handler).expect("attached");
    dispatch.execute(
        "http.request",
        &[("duration", Duration::from_secs(1).into()), ("n", 1.into())],
        &[("host", "x")],
    );
    let of = (Some(Measure::Duration(Duration::from_secs(1))), Some("x".to_owned()));
    assert_eq!(told.get(), Some(&("http.request".to_owned(), of, now, 2, 1)));
}

#[test]
fn handlers_come_and_go_and_hear_what_is_below_their_prefix() {
    let (dispatch, heard) = (dispatch(), Heard::default());
    for (id, prefix) in [("bc", "b.c"), ("all", ""), ("b", "b"), ("a", "a"), ("b2", "b")] {
        dispatch.attach(id, prefix, heard.hearing(id)).expect("attached");
    }
    dispatch.execute("b.c.d", &[], &[]);
    assert_eq!(heard.take(), ["all: b.c.d", "b: b.c.d", "b2: b.c.d", "bc: b.c.d"]);
    assert!(dispatch.detach("b") && !dispatch.detach("b") && dispatch.detach("all"));
    ["b.c", "b", "bc", "c"].iter().for_each(|name| dispatch.execute(name, &[], &[]));
    assert_eq!(heard.take(), ["b2: b.c", "bc: b.c", "b2: b"]);
    let ids: Vec<_> = dispatch.list("b").into_iter().map(|info| (info.id, info.calls)).collect();
    assert_eq!(ids, [("b2".into(), 3), ("bc".into(), 2)]);
}

#[test]
fn an_id_is_there_once_and_there_are_so_many() {
    let dispatch = Dispatch::with_limits(Clock::SYSTEM, DispatchLimits { handlers: 2, ..WIDE });
    assert_eq!(dispatch.attach("a", "x", |_| ()), Ok(()));
    assert_eq!(dispatch.attach_deferred("a", "y", |_| ()), Err(AttachError::Taken { id: "a".into() }));
    assert_eq!(dispatch.attach_deferred("b", "y", |_| ()), Ok(()));
    assert_eq!(dispatch.attach("c", "", |_| ()), Err(AttachError::TooMany { id: "c".into(), most: 2 }));
    assert!(matches!(
        dispatch.attach("c", "A", |_| ()),
        Err(AttachError::Prefix(DescriptorError::Name { .. }))
    ));
    assert_eq!(dispatch.attach("", "", |_| ()), Err(AttachError::Id { found: 0 }));
    let listed: Vec<_> =
        dispatch.list("").into_iter().map(|info| (info.id, info.prefix, info.deferred)).collect();
    assert_eq!(listed, [("a".into(), "x".into(), false), ("b".into(), "y".into(), true)]);
    assert!(dispatch.detach("a"));
    assert_eq!(dispatch.attach("a", "", |_| ()), Ok(()));
}

#[test]
fn a_wrong_name_is_counted_while_anybody_is_attached() {
    let (dispatch, heard) = (dispatch(), Heard::default());
    let wrong = ["", "A", "a..b", "a.", "é", "a b", &"a".repeat(1_000)];
    wrong.iter().for_each(|name| dispatch.execute(name, &[], &[]));
    assert_eq!(dispatch.counts().misnamed, 0);
    dispatch.attach("all", "", heard.hearing("all")).expect("attached");
    wrong.iter().for_each(|name| dispatch.execute(name, &[], &[]));
    assert_eq!((dispatch.counts().misnamed, dispatch.counts().executed), (7, 0));
    assert_eq!((heard.take(), dispatch.names().len()), (Vec::new(), 1));
}

// ---- how often ---------------------------------------------------------------------------

#[test]
fn so_many_of_a_name_are_told_and_the_others_counted() {
    let (dispatch, hand) = at_rest();
    dispatch.attach("h", "", |_| ()).expect("attached");
    dispatch.limit("a.b", 10, 3).expect("a name");
    (0..5).for_each(|_| dispatch.execute("a.b", &[], &[]));
    assert_eq!((counted(&dispatch, "a.b"), calls(&dispatch, "h")), ((3, 2), Some(3)));
    hand.advance(Duration::from_millis(200));
    (0..5).for_each(|_| dispatch.execute("a.b", &[], &[]));
    assert_eq!(counted(&dispatch, "a.b"), (5, 5));
    (0..1_500).for_each(|_| dispatch.execute("a.c", &[], &[]));
    assert_eq!(counted(&dispatch, "a.c"), (1_000, 500));
    let counts = dispatch.counts();
    assert_eq!((counts.executed, counts.limited), (1_005, 505));
}

#[test]
fn a_new_limit_counts_what_was_executed_before() {
    let (dispatch, hand) = at_rest();
    dispatch.attach("h", "", |_| ()).expect("attached");
    dispatch.limit("a", 1, 2).expect("a name");
    (0..3).for_each(|_| dispatch.execute("a", &[], &[]));
    dispatch.limit("a", 1, 2).expect("a name");
    dispatch.execute("a", &[], &[]);
    assert_eq!(counted(&dispatch, "a"), (2, 2));
    dispatch.limit("a", 0, 5).expect("a name");
    hand.advance(Duration::from_secs(1_000));
    dispatch.execute("a", &[], &[]);
    assert_eq!(counted(&dispatch, "a"), (2, 3));
}

#[test]
fn what_nobody_hears_is_neither_counted_nor_limited() {
    let (dispatch, _hand) = at_rest();
    dispatch.attach("h", "b", |_| ()).expect("attached");
    dispatch.limit("a", 1, 1).expect("a name");
    (0..5).for_each(|_| dispatch.execute("a", &[], &[]));
    (0..5).for_each(|_| dispatch.execute("c", &[], &[]));
    assert_eq!(counted(&dispatch, "a"), (0, 0));
    assert_eq!(dispatch.names().len(), 2, "c was learned");
}

#[test]
fn names_beyond_the_cap_share_one_limit_and_are_told_all_the_same() {
    let limits = DispatchLimits { names: 2, per_second: 1, burst: 3, ..WIDE };
    let (dispatch, heard) = (Dispatch::with_limits(Clock::manual().0, limits), Heard::default());
    dispatch.attach("h", "", heard.hearing("h")).expect("attached");
    ["a", "b", "c", "d", "c", "d"].iter().for_each(|name| dispatch.execute(name, &[], &[]));
    assert_eq!(heard.take(), ["h: a", "h: b", "h: c", "h: d", "h: c"]);
    assert_eq!((counted(&dispatch, ""), counted(&dispatch, "a")), ((3, 1), (1, 0)));
    assert_eq!(dispatch.limit("e", 1, 1), Err(LimitError::TooMany { name: "e".into(), most: 2 }));
    assert_eq!(dispatch.limit("a", 1, 5), Ok(()));
    assert!(matches!(dispatch.limit("A", 1, 1), Err(LimitError::Name(_))));
    assert_eq!((dispatch.counts().executed, dispatch.names().len()), (5, 3));
}

#[test]
fn however_many_threads_bring_new_names_there_are_so_many() {
    for _ in 0..50 {
        let dispatch = Arc::new(Dispatch::with_limits(Clock::SYSTEM, DispatchLimits { names: 3, ..WIDE }));
        dispatch.attach("h", "", |_| ()).expect("attached");
        let start = Arc::new(Barrier::new(8));
        let threads: Vec<_> = (0..8)
            .map(|n| {
                let (dispatch, start) = (Arc::clone(&dispatch), Arc::clone(&start));
                std::thread::spawn(move || {
                    start.wait();
                    dispatch.execute(&format!("a{n}"), &[], &[]);
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
        let names = dispatch.names();
        let executed: Vec<_> = names.iter().map(|counts| counts.executed).collect();
        assert_eq!(executed, [5, 1, 1, 1]);
    }
}

#[test]
fn of_two_hundred_threads_a_hundred_are_told_of_a_new_name() {
    let (dispatch, _hand) = at_rest();
    let limits = DispatchLimits { per_second: 1, burst: 100, ..WIDE };
    let dispatch = Arc::new(Dispatch::with_limits(dispatch.clock.clone(), limits));
    dispatch.attach("h", "a", |_| ()).expect("attached");
    let start = Arc::new(Barrier::new(200));
    let threads: Vec<_> = (0..200)
        .map(|_| {
            let (dispatch, start) = (Arc::clone(&dispatch), Arc::clone(&start));
            std::thread::spawn(move || {
                start.wait();
                dispatch.execute("a.b", &[], &[]);
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
    assert_eq!((counted(&dispatch, "a.b"), calls(&dispatch, "h")), ((100, 100), Some(100)));
}

// ---- what panics -------------------------------------------------------------------------

/// Panics where it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

/// Tells what it is dropped under: whether the lock of a dispatch is free.
struct Looks(Arc<Dispatch>, Arc<Tally>);

impl Drop for Looks {
    fn drop(&mut self) {
        let is_free = self.0.roster.is_free();
        self.1.fetch_add(if is_free { 1 } else { 1_000 }, Ordering::Relaxed);
    }
}

#[test]
fn a_handler_that_panics_is_detached_and_the_others_are_told() {
    let (dispatch, heard) = (dispatch(), Heard::default());
    dispatch.attach("1", "a", heard.hearing("1")).expect("attached");
    dispatch.attach("2", "a", |_| panic!("no")).expect("attached");
    dispatch.attach("3", "a", heard.hearing("3")).expect("attached");
    (0..2).for_each(|_| dispatch.execute("a", &[], &[]));
    assert_eq!(heard.take(), ["1: a", "3: a", "1: a", "3: a"]);
    assert_eq!((dispatch.counts().panicked, dispatch.counts().detached, calls(&dispatch, "2")), (1, 1, None));
    assert!(!dispatch.detach("2"));
    assert_eq!(dispatch.attach("2", "a", |_| ()), Ok(()));
}

#[test]
fn a_payload_and_a_handler_that_panic_when_dropped_do_no_harm() {
    let (dispatch, heard) = (dispatch(), Heard::default());
    let bomb = Bomb;
    let handler = move |_: &Execution<'_>| {
        let _held = &bomb;
        panic_any(Bomb);
    };
    dispatch.attach("bomb", "", handler).expect("attached");
    dispatch.attach("after", "", heard.hearing("after")).expect("attached");
    dispatch.execute("a", &[], &[]);
    assert_eq!((heard.take(), dispatch.counts().detached), (vec!["after: a".to_owned()], 1));
    let bomb = Bomb;
    let refused = dispatch.attach("after", "", move |_| {
        let _held = &bomb;
    });
    assert_eq!(refused, Err(AttachError::Taken { id: "after".into() }));
}

#[test]
fn a_handler_is_dropped_when_no_lock_is_held() {
    let (dispatch, dropped) = (dispatch(), Arc::new(Tally::new(0)));
    let hold = || {
        let looks = Looks(Arc::clone(&dispatch), Arc::clone(&dropped));
        move |execution: &Execution<'_>| {
            let _held = &looks;
            assert!(execution.name != "panic");
        }
    };
    dispatch.attach("a", "", hold()).expect("attached");
    dispatch.attach("a", "", hold()).expect_err("it is taken");
    dispatch.attach("x", "A", hold()).expect_err("no prefix");
    assert_eq!(dropped.load(Ordering::Relaxed), 2);
    dispatch.execute("a", &[], &[]);
    dispatch.detach("a");
    assert_eq!(dropped.load(Ordering::Relaxed), 3);
    dispatch.attach("a", "", hold()).expect("attached");
    dispatch.execute("panic", &[], &[]);
    assert_eq!(dropped.load(Ordering::Relaxed), 4);
    dispatch.attach("b", "", hold()).expect("attached");
    dispatch.attach_deferred("c", "", hold()).expect("attached");
    dispatch.execute("a", &[], &[]);
    dispatch.close();
    assert_eq!(dropped.load(Ordering::Relaxed), 4, "who ends it may be anybody");
    dispatch.bury();
    assert_eq!(dropped.load(Ordering::Relaxed), 6);
    dispatch.attach("d", "", hold()).expect_err("it has ended");
    assert_eq!(dropped.load(Ordering::Relaxed), 7);
}

#[test]
fn a_handler_that_panics_on_many_threads_is_detached_once() {
    for _ in 0..50 {
        let (dispatch, start) = (dispatch(), Arc::new(Barrier::new(8)));
        let meet = Arc::clone(&start);
        dispatch
            .attach("h", "", move |_| {
                meet.wait();
                panic_any(1);
            })
            .expect("attached");
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let dispatch = Arc::clone(&dispatch);
                std::thread::spawn(move || dispatch.execute("a", &[], &[]))
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
        assert_eq!((dispatch.counts().panicked, dispatch.counts().detached), (8, 1));
    }
}

// ---- handlers that use it ----------------------------------------------------------------

#[test]
fn handlers_that_execute_end_at_a_depth() {
    let dispatch = dispatch();
    let again = Arc::downgrade(&dispatch);
    let handler = move |execution: &Execution<'_>| {
        again.upgrade().expect("it is there").execute(execution.name, &[], &[]);
    };
    dispatch.attach("h", "", handler).expect("attached");
    (0..2).for_each(|_| dispatch.execute("a", &[], &[]));
    let (counts, deep) = (dispatch.counts(), u64::from(MAX_DEPTH));
    assert_eq!((counts.executed, counts.too_deep, counts.panicked), (2 * deep, 2, 0));
}

#[test]
fn a_deferred_handler_that_causes_what_it_hears_comes_to_an_end() {
    let dispatch = dispatch();
    let again = Arc::downgrade(&dispatch);
    let handler = move |execution: &Execution<'_>| {
        again.upgrade().expect("it is there").execute(execution.name, &[], &[]);
    };
    dispatch.attach_deferred("h", "", handler).expect("attached");
    dispatch.execute("a", &[], &[]);
    let given: Vec<_> = (0..20).map(|_| dispatch.run_deferred(10)).take_while(|given| *given > 0).collect();
    assert_eq!((given.into_iter().sum::<usize>(), dispatch.counts().too_deep), (usize::from(MAX_DEPTH), 1));
    assert_eq!(Depth::level(), 0);
}

#[test]
fn a_handler_may_attach_and_detach_others_and_itself() {
    let (dispatch, heard) = (dispatch(), Heard::default());
    let (inner, hearing) = (Arc::downgrade(&dispatch), heard.clone());
    let handler = move |_: &Execution<'_>| {
        let dispatch = inner.upgrade().expect("it is there");
        assert!(dispatch.detach("self") && !dispatch.detach("self"));
        assert!(dispatch.detach("other"));
        dispatch.attach("new", "a", hearing.hearing("new")).expect("attached");
        dispatch.limit("a", u32::MAX, 7).expect("a name");
        assert_eq!(dispatch.list("").len(), 1);
        dispatch.execute("a.b", &[], &[]);
    };
    dispatch.attach("self", "a", handler).expect("attached");
    dispatch.attach("other", "a", heard.hearing("other")).expect("attached");
    dispatch.execute("a", &[], &[]);
    assert_eq!(heard.take(), ["new: a.b"], "not to one that a handler before it detached");
    dispatch.execute("a", &[], &[]);
    assert_eq!((heard.take(), dispatch.counts().panicked), (vec!["new: a".to_owned()], 0));
}

#[test]
fn a_handler_may_end_it_all() {
    let (dispatch, heard) = (dispatch(), Heard::default());
    let inner = Arc::downgrade(&dispatch);
    dispatch.attach("1", "", move |_| inner.upgrade().expect("it is there").close()).expect("attached");
    dispatch.attach("2", "", heard.hearing("2")).expect("attached");
    (0..2).for_each(|_| dispatch.execute("a", &[], &[]));
    assert_eq!((heard.take(), dispatch.counts().executed), (Vec::new(), 1));
}

// ---- the telemetry's thread --------------------------------------------------------------

#[test]
fn deferred_handlers_are_told_later_and_of_copies() {
    let (dispatch, heard) = (dispatch(), Heard::default());
    let words = Heard::default();
    let keep = words.clone();
    let handler = move |execution: &Execution<'_>| {
        let (n, host) = (execution.measurement("n"), execution.word("host"));
        keep.0.lock().push(format!("{} {n:?} {host:?}", execution.name));
    };
    dispatch.attach_deferred("later", "a", handler).expect("attached");
    dispatch.attach("now", "a", heard.hearing("now")).expect("attached");
    dispatch.execute("a.b", &[("n", 7.into())], &[("host", &String::from("x"))]);
    assert_eq!((heard.take().len(), words.take().len(), dispatch.counts().waiting), (1, 0, 1));
    assert_eq!((dispatch.run_deferred(0), dispatch.run_deferred(10), dispatch.run_deferred(10)), (0, 1, 0));
    assert_eq!(words.take(), [r#"a.b Some(Int(7)) Some("x")"#]);
    let counts = dispatch.counts();
    assert_eq!((counts.queued, counts.delivered, counts.waiting, counts.cut), (1, 1, 0, 0));
}

#[test]
fn who_was_detached_is_not_told_of_what_waited() {
    let (dispatch, heard) = (dispatch(), Heard::default());
    dispatch.attach_deferred("1", "", heard.hearing("1")).expect("attached");
    dispatch.attach_deferred("2", "", heard.hearing("2")).expect("attached");
    dispatch.attach_deferred("3", "", |_| panic!("no")).expect("attached");
    (0..2).for_each(|_| dispatch.execute("a", &[], &[]));
    assert!(dispatch.detach("1"));
    assert_eq!(dispatch.run_deferred(10), 2);
    assert_eq!((heard.take(), dispatch.counts().panicked), (vec!["2: a".to_owned(), "2: a".to_owned()], 1));
}

#[test]
fn the_thread_is_woken_for_what_is_deferred_only() {
    let (dispatch, woken) = (dispatch(), Arc::new(Tally::new(0)));
    let wake = Arc::clone(&woken);
    let wake = move || {
        wake.fetch_add(1, Ordering::Relaxed);
    };
    assert!(dispatch.on_deferred(wake));
    dispatch.attach("now", "", |_| ()).expect("attached");
    dispatch.execute("a", &[], &[]);
    assert_eq!(woken.load(Ordering::Relaxed), 0);
    dispatch.attach_deferred("later", "", |_| ()).expect("attached");
    (0..3).for_each(|_| dispatch.execute("a", &[], &[]));
    assert_eq!((woken.load(Ordering::Relaxed), dispatch.run_deferred(2)), (1, 2));
    dispatch.execute("a", &[], &[]);
    assert_eq!((woken.load(Ordering::Relaxed), dispatch.run_deferred(9)), (2, 2));
}

// ---- the end -----------------------------------------------------------------------------

#[test]
fn at_the_end_nothing_does_anything_and_counts_stay() {
    let (dispatch, heard) = (dispatch(), Heard::default());
    dispatch.attach("now", "", heard.hearing("now")).expect("attached");
    dispatch.attach_deferred("later", "", heard.hearing("later")).expect("attached");
    (0..2).for_each(|_| dispatch.execute("a", &[], &[]));
    assert_eq!(heard.take().len(), 2);
    (0..2).for_each(|_| dispatch.close());
    let before = dispatch.counts();
    assert_eq!((before.executed, before.queued, before.discarded, before.waiting), (2, 2, 2, 0));
    dispatch.execute("a", &[], &[]);
    dispatch.execute("A", &[], &[]);
    assert_eq!(dispatch.attach("x", "", |_| ()), Err(AttachError::Closed { id: "x".into() }));
    assert_eq!(
        (dispatch.detach("now"), dispatch.limit("b", 1, 1), dispatch.run_deferred(10)),
        (false, Ok(()), 0)
    );
    assert_eq!((dispatch.list(""), heard.take(), dispatch.counts()), (Vec::new(), Vec::new(), before));
    assert_eq!(counted(&dispatch, "a"), (2, 0));
}

#[test]
fn sixteen_threads_may_use_it_while_it_ends() {
    for _ in 0..20 {
        let (dispatch, start) = (dispatch(), Arc::new(Barrier::new(17)));
        dispatch.attach("now", "", |_| ()).expect("attached");
        dispatch.attach_deferred("later", "", |_| ()).expect("attached");
        let threads: Vec<_> = (0..16)
            .map(|n| {
                let (dispatch, start) = (Arc::clone(&dispatch), Arc::clone(&start));
                std::thread::spawn(move || {
                    start.wait();
                    for i in 0..50 {
                        dispatch.execute(if n % 2 == 0 { "a" } else { "a.b" }, &[("n", i.into())], &[]);
                        dispatch.run_deferred(usize::from(n == 0));
                        let _ = dispatch.attach(&format!("{n}"), "a", |_| ());
                        dispatch.span("a").finish();
                    }
                    dispatch.close();
                    dispatch.execute("a", &[], &[]);
                })
            })
            .collect();
        start.wait();
        dispatch.close();
        threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
        let counts = dispatch.counts();
        assert_eq!((counts.queued, counts.waiting), (counts.delivered + counts.discarded, 0));
        assert_eq!((dispatch.list(""), counts.panicked), (Vec::new(), 0));
    }
}

// ---- all of it, beside a naive one -------------------------------------------------------

#[derive(Clone, Debug)]
enum Op {
    Attach(u8, &'static str, bool),
    Detach(u8),
    Execute(&'static str),
    Run(usize),
    Close,
}

fn op() -> impl Strategy<Value = Op> {
    let prefix = prop_oneof![Just(""), Just("a"), Just("a.b"), Just("b"), Just("A")];
    let name = prop_oneof![
        Just("a"),
        Just("a.b"),
        Just("a.b.c"),
        Just("ab"),
        Just("b"),
        Just("c"),
        Just("B"),
        Just("")
    ];
    prop_oneof![
        6 => (0..4_u8, prefix, any::<bool>()).prop_map(|(id, prefix, deferred)| Op::Attach(id, prefix, deferred)),
        3 => (0..4_u8).prop_map(Op::Detach),
        12 => name.prop_map(Op::Execute),
        3 => (0..4_usize).prop_map(Op::Run),
        1 => Just(Op::Close),
    ]
}

/// The same in one list, with no limits.
#[derive(Default)]
struct Naive {
    attached: Vec<(u8, usize, &'static str, bool)>,
    lives: usize,
    waiting: Vec<(&'static str, Vec<usize>)>,
    heard: Vec<String>,
    is_closed: bool,
}

impl Naive {
    fn attach(&mut self, id: u8, prefix: &'static str, is_deferred: bool) -> bool {
        let is_free = self.attached.iter().all(|(other, ..)| *other != id);
        let is_added = is_free && prefix != "A" && !self.is_closed;
        if is_added {
            self.attached.push((id, self.lives, prefix, is_deferred));
        }
        self.lives += 1;
        is_added
    }

    fn execute(&mut self, name: &'static str) {
        if check_name(name).is_err() {
            return;
        }
        let is_below =
            |prefix: &str| prefix.is_empty() || name == prefix || name.starts_with(&format!("{prefix}."));
        let mut hearing = self.attached.clone();
        hearing.retain(|(_, _, prefix, _)| is_below(prefix));
        hearing.sort_by_key(|(_, _, prefix, _)| prefix.len());
        let lives = |later: bool| {
            let of = hearing.iter().filter(move |(.., is_deferred)| *is_deferred == later);
            of.map(|(_, life, ..)| *life).collect::<Vec<usize>>()
        };
        self.heard.extend(lives(false).iter().map(|life| format!("{life}: {name}")));
        let later = lives(true);
        if !later.is_empty() {
            self.waiting.push((name, later));
        }
    }

    fn run(&mut self, most: usize) -> usize {
        let given = most.min(self.waiting.len());
        for (name, lives) in self.waiting.drain(..given) {
            let is_there = |life: &usize| self.attached.iter().any(|(_, other, ..)| other == life);
            self.heard
                .extend(lives.iter().filter(|life| is_there(life)).map(|life| format!("{life}: {name}")));
        }
        given
    }
}

proptest! {
    #[test]
    fn it_does_what_one_list_does(ops in prop::collection::vec(op(), 0..80)) {
        let (dispatch, heard, mut naive) = (dispatch(), Heard::default(), Naive::default());
        for op in ops {
            match op {
                Op::Attach(id, prefix, is_deferred) => {
                    let (id_text, hearing) = (id.to_string(), heard.hearing(&naive.lives.to_string()));
                    let attached = if is_deferred {
                        dispatch.attach_deferred(&id_text, prefix, hearing)
                    } else {
                        dispatch.attach(&id_text, prefix, hearing)
                    };
                    prop_assert_eq!(attached.is_ok(), naive.attach(id, prefix, is_deferred));
                }
                Op::Detach(id) => {
                    let before = naive.attached.len();
                    naive.attached.retain(|(other, ..)| *other != id);
                    prop_assert_eq!(dispatch.detach(&id.to_string()), naive.attached.len() < before);
                }
                Op::Execute(name) => {
                    dispatch.execute(name, &[], &[]);
                    naive.execute(name);
                }
                Op::Run(most) => prop_assert_eq!(dispatch.run_deferred(most), naive.run(most)),
                Op::Close => {
                    dispatch.close();
                    (naive.attached, naive.waiting, naive.is_closed) = (Vec::new(), Vec::new(), true);
                }
            }
            prop_assert_eq!(heard.take(), std::mem::take(&mut naive.heard));
            prop_assert_eq!(dispatch.list("").len(), naive.attached.len());
        }
    }

    #[test]
    fn any_text_may_be_executed(name: String, figure: f64, word: String, id: String, prefix: String) {
        let dispatch = dispatch();
        dispatch.attach("now", "", |_| ()).expect("attached");
        dispatch.attach_deferred("later", "", |_| ()).expect("attached");
        let _ = dispatch.attach(&id, &prefix, |_| ());
        dispatch.execute(&name, &[(&word, figure.into())], &[(&word, &name)]);
        let _ = dispatch.limit(&name, 1, 1);
        dispatch.span_with(&name, &[(&word, &id)]).with(&id, &word);
        let counts = dispatch.counts();
        prop_assert_eq!(counts.misnamed > 0, check_name(&name).is_err());
        prop_assert_eq!(counts.queued as usize, dispatch.run_deferred(100));
    }
}
