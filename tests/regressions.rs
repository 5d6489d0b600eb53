//! What went wrong once, or would go unseen if it did.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // tests stand outside of the door

mod common;

use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use common::*;
use underpin::{
    CallError, Clock, Context, Deadline, ErrorKind, Exit, Init, Lifecycle, Mailbox, Next, Overflow, Reply,
    Restart, Service, StartChildError, Strategy, SupervisionEvent, Supervisor, SupervisorHandle, child,
};

/// Notes the end of the thread it is left on, or holds it up.
struct AtThreadEnd(Box<dyn Fn() + Send>);

impl Drop for AtThreadEnd {
    fn drop(&mut self) {
        // A panic in here would end the process, and hide which test failed.
        let _ = catch_unwind(AssertUnwindSafe(|| (self.0)()));
    }
}

thread_local! {
    static AT_THREAD_END: RefCell<Option<AtThreadEnd>> = const { RefCell::new(None) };
}

fn at_thread_end(work: impl Fn() + Send + 'static) {
    AT_THREAD_END.with(|slot| *slot.borrow_mut() = Some(AtThreadEnd(Box::new(work))));
}

// ---- nested supervisors ------------------------------------------------------------------

#[test]
fn a_nested_supervisor_whose_name_is_no_name_is_refused_and_its_parent_lives() {
    let journal = Journal::new();
    let sup = Supervisor::new("reg-names").child(bot("a", &journal)).start().expect("starts");
    for name in ["n\0n", "", "a/b"] {
        let refused = sup.start_supervisor(Supervisor::new(name)).map(drop);
        assert!(matches!(refused, Err(StartChildError::BadSpec { .. })), "{name:?}: {refused:?}");
        assert_eq!(sup.count_children().specs, 1);
    }
    assert!(sup.shutdown(LONG).is_clean());
}

#[test]
fn a_nested_supervisor_with_a_temporary_child_can_be_restarted() {
    let journal = Journal::new();
    let spec = bot("b", &journal);
    let handle = spec.handle();
    let nested = Supervisor::new("net").intensity(0, SECOND);
    let nested = nested.child(bot("tmp", &journal).restart(Restart::Temporary)).child(spec);
    let sup = patient("reg-tmp").supervisor(nested).start().expect("starts");
    handle.cast(boom()).expect("accepted");
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 2);
    assert!(sup.wait(NS).is_none());
    assert_eq!(sup.status().epoch, 1);
    drop(sup);
}

#[test]
fn a_nested_start_that_fails_slowly_is_waited_for_and_no_child_lives_twice() {
    let (clock, hand) = Clock::manual();
    let (journal, events, release) = (Journal::new(), Events::new(), Latch::new());
    let (alive, most, lives) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default(), AtomicU64::new(0));
    let (living, highest, held) = (Arc::clone(&alive), Arc::clone(&most), release.clone());
    let slow = bot_with("a", &journal, move |bot| {
        highest.fetch_max(living.fetch_add(1, SeqCst) + 1, SeqCst);
        let (held, gone, life) = (held.clone(), Arc::clone(&living), lives.fetch_add(1, SeqCst) + 1);
        let slow = bot.on_terminate(move |_, _| {
            if life == 2 {
                held.wait();
            }
        });
        slow.on_drop(move |_| {
            gone.fetch_sub(1, SeqCst);
        })
    });
    let failing = bot_with("b", &journal, |bot| {
        bot.on_init(|_, cx| match cx.epoch() {
            2 => Err(Oops(ErrorKind::Permanent, "not this time")),
            _ => Ok(Init::Ready),
        })
    });
    let handle = failing.handle();
    let net = Supervisor::new("net").intensity(0, SECOND);
    let net = net.child(slow.shutdown(SECOND * 3600)).child(failing);
    let sup = patient("reg-slow").clock(clock).on_event(events.hook()).supervisor(net);
    let sup = sup.start().expect("starts");
    handle.cast(boom()).expect("accepted");
    // The first life was told to stop, and now the second is.
    journal.wait_count(2, |line| line == "a terminate: was shut down");
    for _ in 0..10 {
        hand.advance(SECOND * 10);
        assert_eq!(sup.which_children().len(), 1);
    }
    assert_eq!(events.count(|event| matches!(event, SupervisionEvent::Abandoned { .. })), 0);
    assert!(!journal.has("a init 3"));
    release.open();
    journal.wait_line("b init 3");
    assert_eq!(most.load(SeqCst), 1);
    drop(sup);
    assert_eq!(alive.load(SeqCst), 0);
}

#[test]
fn a_supervisor_that_has_not_started_yet_answers_too() {
    let sup = Supervisor::new("reg-early");
    let reference = sup.reference();
    let asking = aside(move || reference.count_children().specs);
    assert_eq!(asking.done(), 0);
    drop(sup);
}

// ---- dead letters ------------------------------------------------------------------------

#[test]
fn a_hook_that_panics_leaves_no_reason_behind_for_later_replies() {
    let journal = Journal::new();
    let full = bot("full", &journal).capacity(1).overflow(Overflow::DropOldest);
    let full = full.on_dead_letter(|_| panic_quietly("hook"));
    let to_full = full.handle();
    to_full.cast(Msg::Add(1)).expect("accepted");
    to_full.cast(Msg::Add(2)).expect("accepted, the other one goes");
    assert_eq!(to_full.status().shed, 1);
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = Supervisor::new("reg-reason").child(spec).start().expect("starts");
    let kept: Log<Arc<Mutex<Option<Reply<u64>>>>> = Log::new();
    let keep = kept.clone();
    let pending = handle.request(ask(move |_, _, reply| {
        keep.push(Arc::new(Mutex::new(Some(reply))));
        Ok(Next::Continue)
    }));
    let pending = pending.expect("accepted");
    let slot = kept.wait(|_| true);
    drop(slot.lock().expect("nobody panicked").take());
    let answer = pending.wait();
    assert!(matches!(answer, Err(CallError::NoReply { .. })), "{answer:?}");
    drop(sup);
}

#[test]
fn a_call_behind_a_dead_letter_whose_hook_hangs_is_told_all_the_same() {
    let (journal, release) = (Journal::new(), Latch::new());
    let held = release.clone();
    let spec = bot("a", &journal).shutdown(MS * 20).on_dead_letter(move |_| held.wait());
    let handle = spec.handle();
    let sup = Supervisor::new("reg-hook").child(spec).start().expect("starts");
    let (asked, go) = hang(&handle);
    handle.cast(Msg::Add(1)).expect("accepted");
    let pending = handle.request(Msg::Total).expect("accepted");
    let reference = sup.reference();
    let stopping = aside(move || reference.terminate_child("a"));
    asked.wait();
    go.open();
    let answer = pending.wait();
    assert!(matches!(answer, Err(CallError::Stopped { .. })), "{answer:?}");
    release.open();
    stopping.done().expect("terminated");
    drop(sup);
}

#[test]
fn a_hook_may_cast_to_the_mailbox_that_gave_the_message_up() {
    let journal = Journal::new();
    let slot: Arc<Mutex<Option<underpin::Handle<Msg>>>> = Arc::default();
    let (own, times) = (Arc::clone(&slot), Arc::<AtomicU64>::default());
    let count = Arc::clone(&times);
    let spec = bot("a", &journal).capacity(1).overflow(Overflow::DropOldest).on_dead_letter(move |_| {
        let handle = own.lock().expect("nobody panicked").clone();
        if count.fetch_add(1, SeqCst) == 0 {
            handle.expect("there is one").cast(Msg::Add(0)).expect("accepted");
        }
    });
    let handle = spec.handle();
    *slot.lock().expect("nobody panicked") = Some(handle.clone());
    let caster = handle.clone();
    let casting = aside(move || {
        caster.cast(Msg::Add(1)).expect("accepted");
        caster.cast(Msg::Add(2)).expect("accepted");
    });
    casting.done();
    assert_eq!((handle.status().queued, handle.status().shed), (1, 2));
    *slot.lock().expect("nobody panicked") = None;
}

// ---- the abandoned -----------------------------------------------------------------------

#[test]
fn one_that_was_abandoned_in_its_drop_does_not_free_the_name_of_its_successor() {
    let (journal, release) = (Journal::new(), Latch::new());
    let (held, first) = (release.clone(), AtomicU64::new(0));
    let noted = journal.clone();
    let spec = bot_with("a", &journal, move |bot| {
        let (held, noted) = (held.clone(), noted.clone());
        let is_first = first.fetch_add(1, SeqCst) == 0;
        let bot = bot.on_init(move |_, cx| {
            let (noted, epoch) = (noted.clone(), cx.epoch());
            at_thread_end(move || noted.note(format!("thread {epoch} ends")));
            Ok(Init::Ready)
        });
        bot.on_drop(move |_| {
            if is_first {
                held.wait();
            }
        })
    });
    let spec = spec.registered().shutdown(MS * 20);
    let handle = spec.handle();
    let sup = Supervisor::new("reg-name").child(spec).start().expect("starts");
    sup.terminate_child("a").expect("terminated");
    sup.restart_child("a").expect("restarted");
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 2);
    let last_exit = format!("{:?}", handle.status().last_exit);
    release.open();
    journal.wait_line("thread 1 ends");
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 2);
    assert!(sup.registry().find::<Msg>("a").is_some(), "the name is its successor's");
    assert_eq!(format!("{:?}", handle.status().last_exit), last_exit);
    drop(sup);
}

#[test]
fn one_that_was_abandoned_before_it_began_never_begins() {
    let (clock, hand) = Clock::manual();
    let (journal, release) = (Journal::new(), Latch::new());
    let held = release.clone();
    let spec = bot_with("a", &journal, move |bot| {
        let held = held.clone();
        bot.on_init(move |_, cx| {
            if cx.epoch() == 1 {
                let held = held.clone();
                at_thread_end(move || held.wait());
            }
            Ok(Init::Ready)
        })
    });
    let spec = spec.mailbox(Mailbox::Clear);
    let handle = spec.handle();
    let sup = patient("reg-late").clock(clock).child(spec).start().expect("starts");
    handle.cast(boom()).expect("accepted");
    // The second waits for the thread of the first, and that does not end.
    eventually("there is a second", || handle.status().epoch == 2);
    assert_eq!(sup.which_children()[0].epoch, 2); // and it is told by when it is to be ready
    hand.advance(SECOND * 5);
    journal.wait_line("a init 3");
    let go = occupy(&handle);
    handle.cast(Msg::Add(7)).expect("accepted");
    release.open();
    assert!(!journal.comes_within(MS * 50, |line| line == "a init 2"), "beside its successor");
    go.open();
    assert_eq!(handle.call(Msg::Total).expect("answered"), 7, "nothing was cleared");
    drop(sup);
}

#[test]
fn the_wait_of_one_that_was_abandoned_is_not_its_successors() {
    let journal = Journal::new();
    let (spec_a, spec_b) = (bot("a", &journal).shutdown(MS * 20), bot("b", &journal));
    let (a, b) = (spec_a.handle(), spec_b.handle());
    let sup = patient("reg-edge").child(spec_b).child(spec_a).start().expect("starts");
    let (inside, go, answers) = (Latch::new(), Latch::new(), Log::new());
    let (tell, held, back, to_b, noted) = (inside.clone(), go.clone(), a.clone(), b, answers.clone());
    let sent = a.cast(act(move |_, _| {
        let answer = to_b.call_by(
            Deadline::unbounded(),
            ask(move |_, _, reply| {
                tell.open();
                held.wait();
                noted.push(format!("{:?}", back.call(Msg::Epoch)));
                reply.send(1);
                Ok(Next::Continue)
            }),
        );
        drop(answer);
        Ok(Next::Continue)
    }));
    sent.expect("accepted");
    inside.wait();
    sup.terminate_child("a").expect("abandoned");
    sup.restart_child("a").expect("restarted");
    assert_eq!(a.call(Msg::Epoch).expect("answered"), 2);
    go.open();
    assert_eq!(answers.wait(|_| true), "Ok(2)");
    drop(sup);
}

// ---- code of the user's ------------------------------------------------------------------

/// An error that tells on which threads it is dropped.
struct Bomb(Journal);

impl fmt::Display for Bomb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bomb")
    }
}

impl fmt::Debug for Bomb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bomb")
    }
}

impl std::error::Error for Bomb {}

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.note(std::thread::current().name().unwrap_or("?"));
    }
}

struct Fails(Journal);

impl Service for Fails {
    type Msg = ();
    type Error = Bomb;

    fn handle(&mut self, (): (), _: &mut Context<Self>) -> Result<Next, Bomb> {
        Err(Bomb(self.0.clone()))
    }
}

#[test]
fn an_error_of_the_users_is_not_dropped_on_the_supervisors_thread() {
    let journal = Journal::new();
    let drops = journal.clone();
    let spec = child("fails", move || Fails(drops.clone()));
    let handle = spec.handle();
    let sup = patient("reg-drop").child(spec).start().expect("starts");
    for epoch in 2..22 {
        handle.cast(()).expect("accepted");
        eventually("it is restarted", || handle.status().epoch == epoch);
    }
    drop(sup);
    drop(handle);
    journal.wait_count(20, |_| true);
    assert!(!journal.has("reg-drop"), "{:?}", journal.all());
}

#[test]
fn a_monitor_that_panics_when_it_is_dropped_does_not_change_how_its_service_ended() {
    struct PanicsInDrop;
    impl Drop for PanicsInDrop {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic_quietly("drop");
            }
        }
    }
    let journal = Journal::new();
    let (spec_a, spec_b) = (bot("a", &journal), bot("b", &journal).restart(Restart::Transient));
    let (a, b) = (spec_a.handle(), spec_b.handle());
    let sup = patient("reg-mon").child(spec_a).child(spec_b).start().expect("starts");
    let watched = a.clone();
    let sent = b.cast(act(move |_, cx| {
        let bomb = PanicsInDrop;
        cx.monitor(&watched, move |down| {
            std::mem::forget(bomb);
            Msg::Gone(down)
        });
        Ok(Next::Continue)
    }));
    sent.expect("accepted");
    b.cast(quit()).expect("accepted");
    let down = b.wait_down(LONG).expect("it is gone for good");
    assert!(matches!(down.exit, Exit::Normal), "{down:?}");
    drop(sup);
}

#[test]
fn a_hook_that_drops_the_owner_of_its_tree_does_not_wait_for_itself() {
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let slot: Arc<Mutex<Option<SupervisorHandle>>> = Arc::default();
    let (owner, noted) = (Arc::clone(&slot), journal.clone());
    let sup = patient("reg-owner").child(spec).shutdown_timeout(LONG * 10).on_event(move |event| {
        if matches!(event, SupervisionEvent::Crashed(_)) {
            drop(owner.lock().expect("nobody panicked").take());
            noted.note("dropped");
        }
    });
    *slot.lock().expect("nobody panicked") = Some(sup.start().expect("starts"));
    handle.cast(boom()).expect("accepted");
    journal.wait_line("dropped");
}

// ---- ends --------------------------------------------------------------------------------

#[test]
fn a_shutdown_is_not_clean_while_the_root_still_runs() {
    let (clock, hand) = Clock::manual();
    let (journal, release) = (Journal::new(), Latch::new());
    let (held, noted) = (release.clone(), journal.clone());
    let spec = bot("a", &journal).on_dead_letter(move |_| {
        noted.note("stuck");
        held.wait();
    });
    let handle = spec.handle();
    let sup = Supervisor::new("reg-clean").clock(clock).intensity(0, SECOND).child(spec);
    let sup = Arc::new(sup.start().expect("starts"));
    let go = occupy(&handle);
    handle.cast(boom()).expect("accepted");
    handle.cast(Msg::Add(1)).expect("accepted");
    go.open(); // it crashes, its supervisor gives up, and what is left of it is stuck
    journal.wait_line("stuck");
    let stopped = Arc::clone(&sup);
    let stopping = aside(move || stopped.shutdown(MS));
    eventually("the shutdown ends", || {
        hand.advance(MS * 10);
        stopping.is_done()
    });
    let report = stopping.done();
    let has_ended = !matches!(sup.status().state, Lifecycle::Running | Lifecycle::Processing);
    assert!(!report.is_clean() || has_ended, "{report}");
    release.open();
}

#[test]
fn an_idle_time_out_further_than_the_clock_reaches_never_comes() {
    let journal = Journal::new();
    let spec = bot_with("a", &journal, |bot| {
        bot.on_init(|_, cx| {
            cx.set_idle_timeout(Some(std::time::Duration::MAX));
            Ok(Init::Ready)
        })
    });
    let handle = spec.handle();
    let sup = Supervisor::new("reg-idle").child(spec).start().expect("starts");
    handle.call(Msg::Total).expect("answered");
    eventually("it rests", || handle.status().state == Lifecycle::Running);
    drop(sup);
    assert!(!journal.has("a idle"));
}

#[test]
fn a_transient_child_that_is_done_while_its_group_is_stopped_is_not_restarted() {
    let journal = Journal::new();
    let (spec_a, spec_b) = (bot("a", &journal).restart(Restart::Transient), bot("b", &journal));
    let (a, b) = (spec_a.handle(), spec_b.handle());
    let sup = patient("reg-done").strategy(Strategy::OneForAll).child(spec_a).child(spec_b);
    let sup = sup.start().expect("starts");
    let (asked, release) = hang_then(&a, |_, _| Ok(Next::Stop));
    b.cast(boom()).expect("accepted");
    asked.wait();
    release.open();
    let down = a.wait_down(LONG).expect("it is gone for good");
    assert!(matches!(down.exit, Exit::Normal), "{down:?}");
    assert_eq!(b.call(Msg::Epoch).expect("answered"), 2);
    drop(sup);
    assert!(!journal.has("a init 2"), "{:?}", journal.all());
}

#[test]
fn a_transient_child_stopped_for_the_restart_of_its_group_keeps_its_mailbox() {
    let (journal, release_b) = (Journal::new(), Latch::new());
    let held = release_b.clone();
    let spec_b = bot_with("b", &journal, move |bot| {
        let held = held.clone();
        bot.on_init(move |_, cx| {
            if cx.epoch() == 2 {
                held.wait();
            }
            Ok(Init::Ready)
        })
    });
    let spec_a = bot("a", &journal).restart(Restart::Transient);
    let (a, b) = (spec_a.handle(), spec_b.handle());
    let sup = patient("reg-keep").strategy(Strategy::OneForAll).child(spec_b).child(spec_a);
    let sup = sup.start().expect("starts");
    let (asked, release) = hang(&a);
    a.cast(Msg::Add(1)).expect("accepted");
    let total = a.request(Msg::Total).expect("accepted");
    b.cast(boom()).expect("accepted");
    asked.wait();
    a.cast(Msg::Add(2)).expect("accepted while it is stopped");
    release.open();
    journal.wait_line("b init 2");
    assert!(journal.has("a terminate: was shut down") && journal.has("a drop"));
    a.cast(Msg::Add(4)).expect("accepted while it is away");
    release_b.open();
    assert_eq!(total.wait().expect("answered by the next one"), 1);
    assert_eq!(a.call(Msg::Total).expect("answered"), 7);
    assert_eq!(a.call(Msg::Epoch).expect("answered"), 2);
    assert_eq!(a.status().dead_letters, 0);
    drop(sup);
}

// ---- requests ----------------------------------------------------------------------------

#[test]
fn a_request_that_was_waited_for_leaves_no_wait_behind() {
    let journal = Journal::new();
    let (spec_a, spec_b) = (bot("a", &journal), bot("b", &journal));
    let (a, b) = (spec_a.handle(), spec_b.handle());
    let sup = patient("reg-pending").child(spec_a).child(spec_b).start().expect("starts");
    let call_back = || {
        let back = a.clone();
        b.call(ask(move |_, _, reply| {
            reply.send(back.call(Msg::Epoch).expect("it waits for nobody"));
            Ok(Next::Continue)
        }))
    };
    let to_b = b.clone();
    let answer = a.call(ask(move |_, _, reply| {
        let pending = to_b.request(Msg::Epoch).expect("accepted");
        reply.send(pending.wait().expect("answered"));
        Ok(Next::Continue)
    }));
    assert_eq!(answer.expect("answered"), 1);
    assert_eq!(call_back().expect("answered"), 1);
    // And one whose answer did not come in time, and is still owed.
    let to_b = b.clone();
    let answer = a.call(ask(move |_, _, reply| {
        let keep = ask(|bot: &mut Bot, _: &mut Context<Bot>, reply| {
            bot.kept.push(reply);
            Ok(Next::Continue)
        });
        let pending = to_b.request(keep).expect("accepted");
        let late = pending.wait_by(Deadline::at(Instant::now() + MS));
        assert!(matches!(late, Err(CallError::TimedOut { .. })), "{late:?}");
        reply.send(2);
        Ok(Next::Continue)
    }));
    assert_eq!(answer.expect("answered"), 2);
    assert_eq!(call_back().expect("answered"), 1);
    drop(sup);
}
