//! Nothing is left behind: no thread, no file, no memory, no closure; and large trees cost what
//! they should. One test at a time: they count what belongs to the whole process.
#![cfg(target_os = "linux")] // it reads /proc

mod common;

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::*;
use underpin::{
    Clock, DynamicSupervisor, ErrorKind, Exit, Handle, Init, Mailbox, Next, Restart, Strategy, Supervisor,
    SupervisorHandle,
};

static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The threads whose name begins with `zz`, as those of all trees in here do. The harness has
/// threads of its own.
fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").expect("there is /proc");
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("zz")).map(|name| name.trim().to_owned()).collect()
}

#[track_caller]
fn no_threads() {
    eventually("no thread is left", || threads().is_empty()); // a joined one leaves the list a moment later
}

fn files() -> usize {
    fs::read_dir("/proc/self/fd").expect("there is /proc").count()
}

/// Resident memory in bytes.
fn memory() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").expect("there is /proc");
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).expect("a number") * 4096
}

/// Counts what exists of something.
#[derive(Clone)]
struct Tokens(Arc<()>);

impl Tokens {
    fn new() -> Self {
        Self(Arc::new(()))
    }

    fn one(&self) -> Arc<()> {
        Arc::clone(&self.0)
    }

    fn out(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

/// A bot that holds a token in its factory, its state, its hooks and its dead letters.
fn holding(name: &str, journal: &Journal, tokens: &Tokens) -> underpin::ChildSpec<Bot> {
    let (in_factory, in_hook) = (tokens.one(), tokens.one());
    let spec = bot_with(name, journal, move |bot| {
        let in_state = Arc::clone(&in_factory);
        bot.on_init(move |_, _| {
            let _held = &in_state;
            Ok(Init::Ready)
        })
    });
    spec.on_dead_letter(move |_| {
        let _held = &in_hook;
    })
}

fn note(tokens: &Tokens) -> Msg {
    let token = tokens.one();
    act(move |_, _| {
        drop(token);
        Ok(Next::Continue)
    })
}

#[test]
fn after_a_shutdown_nothing_is_left() {
    let _alone = alone();
    let (journal, tokens) = (Journal::new(), Tokens::new());
    let before = files();
    {
        let (a, b, c) = (
            holding("zz-a", &journal, &tokens),
            holding("zz-b", &journal, &tokens),
            holding("zz-c", &journal, &tokens),
        );
        let handles = [a.handle(), b.handle(), c.handle()];
        let nested = Supervisor::new("zz-nested").child(b).child(c);
        let in_hook = tokens.one();
        let app = patient("zz-app").on_event(move |_| {
            let _held = &in_hook;
        });
        let sup = app.child(a).supervisor(nested).start().expect("starts");
        assert!(threads().len() >= 5, "{:?}", threads());
        for handle in &handles {
            handle.cast(note(&tokens)).expect("accepted");
            handle.cast(boom()).expect("accepted");
            let (asked, release) = (Latch::new(), handle.clone());
            drop((asked, release));
        }
        let (asked, release) = hang(&handles[2]);
        handles[2].cast(note(&tokens)).expect("accepted");
        let call = handles[2].request(Msg::Total).expect("accepted");
        let stopping = aside(move || sup.shutdown(LONG));
        asked.wait();
        release.open();
        assert!(stopping.done().is_clean());
        assert!(call.wait().is_err());
        no_threads();
        // Handles that live on keep the identity of the child, and nothing of its work.
        handles[2].cast(note(&tokens)).expect_err("stopped");
    }
    eventually("every closure is gone", || tokens.out() == 0);
    assert_eq!(files(), before);
}

#[test]
fn after_a_failed_start_nothing_is_left() {
    let _alone = alone();
    let (journal, tokens) = (Journal::new(), Tokens::new());
    let before = files();
    for n in 0..20 {
        let bad =
            bot_with("zz-bad", &journal, move |bot| {
                bot.on_init(move |_, _| {
                    if n % 2 == 0 { panic_quietly("in init") } else { Err(Oops(ErrorKind::User, "no")) }
                })
            });
        let nested = Supervisor::new("zz-nested").child(holding("zz-b", &journal, &tokens)).child(bad);
        let first = holding("zz-a", &journal, &tokens);
        let handle = first.handle();
        handle.cast(note(&tokens)).expect("accepted");
        let never = holding("zz-never", &journal, &tokens);
        let app = Supervisor::new("zz-app").child(first).supervisor(nested).child(never);
        app.start().expect_err("fails");
        no_threads();
    }
    eventually("every closure is gone", || tokens.out() == 0);
    assert_eq!(files(), before);
}

#[test]
fn after_an_escalation_nothing_is_left() {
    let _alone = alone();
    let (journal, tokens) = (Journal::new(), Tokens::new());
    let spec = holding("zz-a", &journal, &tokens);
    let handle = spec.handle();
    let sup = Supervisor::new("zz-app").intensity(0, SECOND).child(spec);
    let sup = sup.child(holding("zz-b", &journal, &tokens)).start().expect("starts");
    handle.cast(boom()).expect("accepted");
    assert!(matches!(sup.wait(LONG), Some(Exit::Escalated { .. })));
    drop((sup, handle));
    no_threads();
    eventually("every closure is gone", || tokens.out() == 0);
}

#[test]
fn after_a_thousand_crashes_everything_is_as_before() {
    let _alone = alone();
    let (journal, tokens) = (Journal::new(), Tokens::new());
    let watched = bot("zz-watched", &journal);
    let target = watched.handle();
    let in_monitor = tokens.clone();
    let spec = bot_with("zz-a", &journal, move |bot| {
        let (target, tokens) = (target.clone(), in_monitor.clone());
        bot.on_init(move |bot, cx| {
            let (held, armed) = (tokens.one(), tokens.one());
            cx.monitor(&target, move |down| {
                drop(held);
                Msg::Gone(down)
            });
            cx.send_after(
                SECOND * 3600,
                act(move |_, _| {
                    drop(armed);
                    Ok(Next::Continue)
                }),
            );
            let in_state = tokens.one();
            bot.journal.clear();
            *bot = std::mem::replace(bot, Bot::new("zz-a", &Journal::new())).on_drop(move |_| {
                let _held = &in_state;
            });
            Ok(Init::Ready)
        })
    });
    let handle = spec.handle();
    let sup = patient("zz-app").child(watched).child(spec).start().expect("starts");
    let cycles = |count: u64| {
        for n in 0..count {
            match n % 3 {
                0 => handle.cast(boom()).expect("accepted"),
                1 => handle.cast(fail(ErrorKind::Permanent)).expect("accepted"),
                _ => assert!(handle.call(ask(|_, _, _| panic_quietly("in a call"))).is_err()),
            }
            assert!(handle.wait_down(Duration::ZERO).is_none());
        }
        handle.call(Msg::Epoch).expect("answered")
    };
    cycles(300);
    let live = tokens.out();
    let (threads_before, files_before, memory_before) = (threads().len(), files(), memory());
    let epoch = handle.status().epoch;
    assert_eq!(cycles(1000), epoch + 1000);
    eventually("as many closures as before", || tokens.out() == live);
    assert!(live <= 8, "a few of each: {live}");
    eventually("as many threads as before", || threads().len() == threads_before);
    assert_eq!(files(), files_before);
    let grown = memory().saturating_sub(memory_before);
    assert!(grown < 4 << 20, "grown by {grown} bytes");
    drop(sup);
    no_threads();
}

#[test]
fn after_a_thousand_temporary_children_everything_is_as_before() {
    let _alone = alone();
    let (journal, tokens) = (Journal::new(), Tokens::new());
    for dynamic in [false, true] {
        let sup: SupervisorHandle = if dynamic {
            DynamicSupervisor::new("zz-app").start().expect("starts")
        } else {
            Supervisor::new("zz-app").start().expect("starts")
        };
        let come_and_go = |count: usize| {
            for n in 0..count {
                let spec = holding("zz-job", &journal, &tokens).capacity(8).restart(Restart::Temporary);
                let handle = sup.start_child(spec.registered()).expect("starts");
                handle.cast(note(&tokens)).expect("accepted");
                if n % 2 == 0 { handle.cast(boom()) } else { handle.cast(quit()) }.expect("accepted");
                handle.stop().expect("its thread has told its end");
                eventually("forgotten", || sup.count_children().specs == 0);
            }
            journal.clear();
        };
        come_and_go(200);
        let (files_before, memory_before) = (files(), memory());
        come_and_go(1000);
        eventually("every closure is gone", || tokens.out() == 0);
        eventually("only the tree's own threads", || threads().len() <= 3);
        assert_eq!(files(), files_before);
        let grown = memory().saturating_sub(memory_before);
        assert!(grown < 4 << 20, "grown by {grown} bytes");
        assert!(sup.registry().names().is_empty());
        drop(sup);
        no_threads();
    }
}

#[test]
fn waiting_in_vain_again_and_again_costs_no_memory() {
    let _alone = alone();
    let journal = Journal::new();
    let spec = bot("zz-a", &journal);
    let handle = spec.handle();
    let sup = patient("zz-app").child(spec).start().expect("starts");
    let registry = sup.registry();
    let release = occupy(&handle);
    let in_vain = |count: usize| {
        for _ in 0..count {
            assert!(sup.wait(Duration::ZERO).is_none());
            assert!(handle.wait_down(Duration::ZERO).is_none());
            assert!(handle.stop_timeout(Duration::ZERO).is_err());
            let now = underpin::Deadline::at(Clock::system().now());
            assert!(registry.wait_for::<Msg>("nobody", now).is_err());
            assert!(registry.find::<Msg>("nobody").is_none());
        }
    };
    in_vain(1000);
    let before = memory();
    in_vain(200_000);
    let grown = memory().saturating_sub(before);
    assert!(grown < 1 << 20, "grown by {grown} bytes");
    release.open();
    drop(sup);
    no_threads();
}

#[test]
fn an_abandoned_thread_is_gone_when_its_callback_returns() {
    let _alone = alone();
    let (clock, hand) = Clock::manual();
    let (journal, tokens) = (Journal::new(), Tokens::new());
    let spec = holding("zz-a", &journal, &tokens).shutdown(SECOND).mailbox(Mailbox::Clear);
    let handle = spec.handle();
    let sup = patient("zz-app").clock(clock).child(spec).start().expect("starts");
    let (asked, release) = hang(&handle);
    let stopping = aside(move || sup.shutdown(LONG));
    asked.wait();
    hand.advance(SECOND);
    assert_eq!(stopping.done().unstopped.len(), 1);
    eventually("it alone is left", || threads() == ["zz-a"]);
    release.open();
    no_threads();
    drop(handle);
    eventually("every closure is gone", || tokens.out() == 0);
}

#[test]
fn no_predecessor_lives_when_the_successor_starts() {
    let _alone = alone();
    let journal = Journal::new();
    let most = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&most);
    let spec = bot_with("zz-a", &journal, move |bot| {
        let alive = threads().iter().filter(|name| *name == "zz-a").count() as u64;
        seen.fetch_max(alive, Ordering::SeqCst);
        bot
    });
    let front = bot("zz-front", &journal);
    let (handle, crasher) = (spec.handle(), front.handle());
    let app = patient("zz-app").strategy(Strategy::OneForAll);
    let sup = app.child(front).child(spec).start().expect("starts");
    for life in 2..30 {
        if life % 2 == 0 { handle.cast(boom()) } else { crasher.cast(boom()) }.expect("accepted");
        journal.wait_line(&format!("zz-a init {life}"));
    }
    drop(sup);
    // The one before was joined, so at most its entry in /proc is still there for a moment.
    assert!(most.load(Ordering::SeqCst) <= 2);
    no_threads();
}

#[test]
fn a_hundred_deep_leaves_nothing() {
    let _alone = alone();
    let journal = Journal::new();
    let mut tree = Supervisor::new("zz-0").child(bot("zz-leaf", &journal));
    for depth in 1..100 {
        tree = Supervisor::new(format!("zz-{depth}")).supervisor(tree);
    }
    let sup = tree.start().expect("starts");
    assert!(threads().len() >= 101);
    assert!(sup.shutdown(LONG).is_clean());
    no_threads();
}

// ---- size --------------------------------------------------------------------------------

fn static_tree(count: usize) -> Duration {
    let journal = Journal::new();
    let begun = Instant::now();
    let mut app = Supervisor::new("zz-app");
    for n in 0..count {
        app = app.child(bot(&format!("zz-{n}"), &journal).capacity(4));
    }
    let sup = app.start().expect("starts");
    assert_eq!(sup.count_children().active, count);
    assert!(sup.shutdown(LONG).is_clean());
    begun.elapsed()
}

fn dynamic_tree(count: usize) -> Duration {
    let journal = Journal::new();
    let begun = Instant::now();
    let sup = DynamicSupervisor::new("zz-app").start().expect("starts");
    let handles: Vec<Handle<Msg>> = (0..count)
        .map(|n| {
            let spec = bot(&format!("zz-{n}"), &journal).capacity(4);
            sup.start_child(spec.restart(Restart::Temporary)).expect("starts")
        })
        .collect();
    assert_eq!(sup.count_children().active, count);
    drop(handles);
    assert!(sup.shutdown(LONG).is_clean());
    begun.elapsed()
}

/// Ten times as many children take about ten times as long. On a busy machine a try may be unlucky;
/// if the cost were quadratic none would be lucky.
fn grows_with_its_size(tree: fn(usize) -> Duration) {
    tree(100);
    let mut tries = Vec::new();
    for _ in 0..10 {
        let small = (0..5).map(|_| tree(100)).sum::<Duration>() / 5;
        let large = tree(1000);
        tries.push((small, large, large.as_secs_f64() / small.as_secs_f64()));
        if tries.last().is_some_and(|(_, _, growth)| *growth <= 12.0) {
            return;
        }
    }
    panic!("{tries:?}");
}

#[test]
fn a_thousand_static_children_start_and_stop_in_ten_times_the_time_of_a_hundred() {
    let _alone = alone();
    grows_with_its_size(static_tree);
    no_threads();
}

#[test]
fn a_thousand_dynamic_children_start_and_stop_in_ten_times_the_time_of_a_hundred() {
    let _alone = alone();
    grows_with_its_size(dynamic_tree);
    no_threads();
}
