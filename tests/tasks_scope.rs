//! Tasks that borrow.
#![cfg(feature = "tasks")]

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, Mutex};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use underpin::Deadline;
use underpin::tasks::{self, TaskError};

const FAR: Duration = Duration::from_secs(60);

fn me() -> ThreadId {
    std::thread::current().id()
}

/// Keeps what is logged. There is one logger in a process.
struct Logged(Mutex<Vec<String>>);

static LOGGED: Logged = Logged(Mutex::new(Vec::new()));

impl log::Log for Logged {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().expect("nobody panics").push(record.args().to_string());
    }

    fn flush(&self) {}
}

fn logged(of: &str) -> Vec<String> {
    let all = LOGGED.0.lock().expect("nobody panics");
    all.iter().filter(|text| text.contains(of)).cloned().collect()
}

// ---- spawning and joining ----------------------------------------------------------------

#[test]
fn tasks_borrow_what_is_around_them_and_may_change_it() {
    let words = ["one".to_owned(), "two".to_owned()];
    let mut lengths = [0; 2];
    tasks::scope(2, |s| {
        for (word, length) in words.iter().zip(&mut lengths) {
            s.spawn("measure", move || *length = word.len()).detach();
        }
    });
    assert_eq!(lengths, [3, 3]);
}

#[test]
fn leaving_the_scope_waits_for_all_that_was_spawned() {
    let ran = AtomicUsize::new(0);
    tasks::scope(3, |s| {
        for _ in 0..10_000 {
            s.spawn("count", || ran.fetch_add(1, Ordering::SeqCst)).detach();
        }
    });
    assert_eq!(ran.load(Ordering::SeqCst), 10_000);
}

#[test]
fn threads_are_started_when_they_are_needed_and_no_more_than_may_be() {
    let one_after_the_other = || {
        let seen = Mutex::new(HashSet::new());
        tasks::scope(3, |s| {
            for n in 0..50 {
                let task = s.spawn("one", || seen.lock().expect("nobody panics").insert(me()));
                assert!(task.wait(FAR), "{n}");
            }
        });
        seen.lock().expect("nobody panics").len()
    };
    // A thread that is interrupted before it has said that it is free is not: then another is started.
    assert!((0..20).any(|_| one_after_the_other() <= 2), "three threads, where one is enough");
    let (together, seen) = (Barrier::new(3), Mutex::new(HashSet::new()));
    tasks::scope(3, |s| {
        let meet = |_: u8| {
            together.wait();
            seen.lock().expect("nobody panics").insert(me());
        };
        assert_eq!(s.map(0..30, meet).timeout(FAR).summary().completed, 30);
    });
    assert_eq!(seen.lock().expect("nobody panics").len(), 3);
}

#[test]
fn a_joiner_runs_what_has_not_begun() {
    let here = me();
    tasks::scope(1, |s| {
        let (go, gone) = channel::<()>();
        let (begin, begun) = channel();
        let held = s.spawn("hold", move || {
            begin.send(()).expect("somebody listens");
            gone.recv().is_err()
        });
        begun.recv_timeout(FAR).expect("it begins");
        assert_eq!(s.spawn("who", me).join(), Ok(here));
        let waiting = s.spawn("wait", me);
        let waiting = waiting.try_join().expect_err("the thread is busy");
        let late = waiting.join_timeout(Duration::from_millis(5));
        assert!(
            matches!(late, Err(TaskError::TimedOut { waited, .. }) if waited >= Duration::from_millis(5))
        );
        drop(go);
        assert_eq!(held.join_by(Deadline::after(FAR)), Ok(true));
    });
}

#[test]
fn without_threads_whoever_joins_runs_all_and_whoever_leaves() {
    let (here, ran) = (me(), Mutex::new(Vec::new()));
    let note = |n: u32| {
        assert_eq!(me(), here);
        ran.lock().expect("nobody panics").push(n);
    };
    tasks::scope(0, |s| {
        let (first, second) = (s.spawn("first", || note(1)), s.spawn("second", || note(2)));
        assert_eq!(second.join(), Ok(()));
        assert!(!first.is_done());
        assert_eq!(first.name(), "first");
        first.detach();
        assert_eq!(s.map([3, 4], note).as_completed().summary().completed, 2);
    });
    assert_eq!(*ran.lock().expect("nobody panics"), [2, 3, 4, 1]);
}

#[test]
fn tasks_that_are_joined_where_they_were_spawned_leave_nothing_in_the_queue() {
    let alive = Arc::new(());
    tasks::scope(0, |s| {
        for n in 0..20_000 {
            let inside = Arc::clone(&alive);
            let task = s.spawn("one", move || drop(inside));
            assert_eq!(task.join(), Ok(()), "{n}");
            assert_eq!(Arc::strong_count(&alive), 1);
        }
    });
}

#[test]
fn a_task_can_spawn_others_in_its_scope() {
    let ran = AtomicUsize::new(0);
    tasks::scope(2, |s| {
        let inner = s.clone();
        let ran = &ran;
        s.spawn("outer", move || {
            for _ in 0..100 {
                inner.spawn("inner", || ran.fetch_add(1, Ordering::SeqCst)).detach();
            }
        })
        .detach();
    });
    assert_eq!(ran.load(Ordering::SeqCst), 100);
}

#[test]
fn scopes_nest() {
    let numbers: Vec<u64> = (0..100).collect();
    let sum = tasks::scope(2, |outer| {
        let halves = outer.map(numbers.chunks(50), |half| {
            tasks::scope(2, |inner| {
                inner.map(half.chunks(10), |some| some.iter().sum::<u64>()).flatten().sum::<u64>()
            })
        });
        halves.flatten().sum::<u64>()
    });
    assert_eq!(sum, 4950);
}

// ---- panics ------------------------------------------------------------------------------

#[test]
fn a_panic_is_for_its_joiner_and_the_others_go_on() {
    let ran = AtomicUsize::new(0);
    tasks::scope(2, |s| {
        let fail = s.spawn("fail", || -> u8 { panic!("no {}", 7) });
        let next = s.spawn("next", || ran.fetch_add(1, Ordering::SeqCst));
        let error = TaskError::Panicked { name: "fail".into(), message: "no 7".into() };
        assert_eq!(fail.join(), Err(error));
        assert_eq!(next.join(), Ok(0));
        s.spawn("alone", || panic!("nobody hears this")).detach();
    });
    assert_eq!(ran.load(Ordering::SeqCst), 1);
}

#[test]
fn a_panic_is_logged_if_nobody_joins() {
    log::set_logger(&LOGGED).expect("there is no other logger");
    log::set_max_level(log::LevelFilter::Error);
    tasks::scope(1, |s| {
        s.spawn("left-alone", || panic!("first")).detach();
        let done = s.spawn("left-done", || panic!("second"));
        assert!(done.wait(FAR));
        drop(done);
        assert!(s.spawn("joined", || panic!("third")).join().is_err());
        let mut map = s.map([0, 1], |n| assert!(n == 0, "fourth")).name("mapped").concurrency(2);
        assert_eq!(map.next(), Some(Ok(())));
    });
    let text = |name: &str, text: &str| {
        vec![format!("the task `{name}` panicked: {text}, and nobody asked for its result")]
    };
    assert_eq!(logged("left-alone"), text("left-alone", "first"));
    assert_eq!(logged("left-done"), text("left-done", "second"));
    assert!(logged("joined").is_empty());
    let mapped = logged("mapped"); // unless it was cancelled before it began
    assert!(mapped.is_empty() || mapped == text("mapped", "fourth"), "{mapped:?}");
}

#[test]
fn a_panic_of_the_body_ends_the_scope_and_goes_on() {
    let (ran, told) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (begin, begun) = channel();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        tasks::scope(1, |s| {
            let told = &told;
            s.spawn_with("sleep", move |cx| {
                begin.send(()).expect("somebody listens");
                told.fetch_add(usize::from(cx.sleep(10 * FAR).is_err()), Ordering::SeqCst);
            })
            .detach();
            s.spawn("never", || ran.fetch_add(1, Ordering::SeqCst)).detach();
            begun.recv_timeout(FAR).expect("it begins");
            panic!("the body is broken");
        })
    }))
    .expect_err("it goes on");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"the body is broken"));
    assert_eq!((ran.load(Ordering::SeqCst), told.load(Ordering::SeqCst)), (0, 1));
}

// ---- cancelling --------------------------------------------------------------------------

#[test]
fn cancelled_before_it_begins_a_task_never_does_and_one_that_runs_is_told() {
    let ran = AtomicUsize::new(0);
    tasks::scope(1, |s| {
        let (begin, begun) = channel();
        let sleeper = s.spawn_with("sleep", move |cx| {
            begin.send(()).expect("somebody listens");
            cx.sleep(10 * FAR).is_err()
        });
        begun.recv_timeout(FAR).expect("it begins");
        let never = s.spawn("never", || ran.fetch_add(1, Ordering::SeqCst));
        never.cancel();
        assert_eq!(never.join(), Err(TaskError::Cancelled { name: "never".into() }));
        sleeper.cancel();
        assert_eq!(sleeper.join_timeout(FAR), Ok(true));
    });
    assert_eq!(ran.load(Ordering::SeqCst), 0);
}

#[test]
fn a_scope_that_is_cancelled_is_left_soon() {
    let leaving = Instant::now();
    let (ran, work) = (AtomicUsize::new(0), Arc::new(()));
    let late = tasks::scope(1, |s| {
        let (begin, begun) = channel();
        let sleeper = s.spawn_with("sleep", move |cx| {
            begin.send(()).expect("somebody listens");
            cx.sleep(10 * FAR).is_err()
        });
        begun.recv_timeout(FAR).expect("it begins");
        for _ in 0..100 {
            let (inside, ran) = (Arc::clone(&work), &ran);
            s.spawn("never", move || ran.fetch_add(Arc::strong_count(&inside), Ordering::SeqCst)).detach();
        }
        s.cancel();
        assert_eq!(Arc::strong_count(&work), 1, "what they would have used is gone at once");
        assert_eq!(sleeper.join(), Ok(true));
        s.spawn("late", || 1).join()
    });
    assert_eq!(late, Err(TaskError::Cancelled { name: "late".into() }));
    assert_eq!(ran.load(Ordering::SeqCst), 0);
    assert!(leaving.elapsed() < FAR);
}

// ---- maps --------------------------------------------------------------------------------

#[test]
fn maps_borrow_and_keep_their_order_and_bounds() {
    let (numbers, factor): (Vec<u64>, u64) = ((0..10_000).collect(), 3);
    let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let triple = |n: &u64| {
        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        inside.fetch_sub(1, Ordering::SeqCst);
        n * factor
    };
    tasks::scope(4, |s| {
        let all: Result<Vec<_>, _> = s.map(&numbers, &triple).concurrency(3).collect();
        assert_eq!(all, Ok(numbers.iter().map(|n| n * 3).collect()));
        let all: HashSet<_> = s.map(&numbers, &triple).concurrency(3).as_completed().flatten().collect();
        assert_eq!(all.len(), 10_000);
        assert_eq!(s.map(&numbers[..0], &triple).next(), None);
    });
    assert!(most.load(Ordering::SeqCst) <= 3);
}

#[test]
fn a_map_that_is_dropped_early_or_fails_cancels_the_rest() {
    let ran = AtomicUsize::new(0);
    let count = |n: u32| {
        ran.fetch_add(1, Ordering::SeqCst);
        if n == 2 { Err(n) } else { Ok(n) }
    };
    tasks::scope(1, |s| {
        let all: Result<Vec<_>, _> = s.map(0.., count).stop_on_error().collect();
        assert!(all.is_err());
        assert_eq!(ran.swap(0, Ordering::SeqCst), 3);
        let mut map = s.map(0.., count).concurrency(1);
        assert_eq!(map.next(), Some(Ok(Ok(0))));
        drop(map);
    });
    assert_eq!(ran.load(Ordering::SeqCst), 1);
}

#[test]
fn many_scopes_come_and_go_and_none_hangs() {
    for round in 0..300 {
        let ran = AtomicUsize::new(0);
        tasks::scope(3, |s| {
            let first = s.spawn("first", || ran.fetch_add(1, Ordering::SeqCst));
            let second = s.spawn("second", || ran.fetch_add(1, Ordering::SeqCst));
            s.spawn("third", || ran.fetch_add(1, Ordering::SeqCst)).detach();
            if round % 2 == 0 {
                assert!(first.join_timeout(FAR).is_ok() && second.join().is_ok());
            }
        });
        assert_eq!(ran.load(Ordering::SeqCst), 3);
    }
}
