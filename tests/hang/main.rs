//! Threads that do not come back: what is done about them, how they are counted, what they may
//! still do.

#[cfg(unix)]
mod abort;
mod cap;
#[path = "../common/mod.rs"]
mod common;
mod fence;
mod unstopped;
mod wait;

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use common::*;
use underpin::{
    Backoff, CallError, CastError, ChildSettings, Clock, Context, DEFAULT_MAX_ABANDONED, Deadline,
    DeleteChildError, DynamicSupervisor, Exit, Fence, Handle, Hung, Init, InspectError, Lifecycle,
    ManualClock, Next, OnHang, ReconfigureChildError, ReconfigureError, RecycleChildError, ReplaceChildError,
    ReplayHalt, RestartChildError, StartChildError, StopError, Strategy, SupervisionEvent, Supervisor,
    SupervisorHandle, SupervisorRef, SupervisorSettings, SystemError, TerminateChildError, Unstopped,
    fan_out,
};

fn overdue(events: &Events) -> Vec<(String, u64, Hung, Duration)> {
    let told = |event| match event {
        SupervisionEvent::Overdue { child, epoch, why, after, .. } => {
            Some((child.to_string(), epoch, why, after))
        }
        _ => None,
    };
    events.all().into_iter().filter_map(told).collect()
}

fn is_overdue(event: &SupervisionEvent) -> bool {
    matches!(event, SupervisionEvent::Overdue { .. })
}

fn is_abandoned(event: &SupervisionEvent) -> bool {
    matches!(event, SupervisionEvent::Abandoned { .. })
}

/// Abandons the child in its handler, which does `finally` once the latch is open.
fn abandon_then(
    sup: &SupervisorRef,
    hand: &ManualClock,
    handle: &Handle<Msg>,
    finally: impl FnOnce(&mut Bot, &mut Context<Bot>) + Send + 'static,
) -> Latch {
    let (asked, release) = hang_then(handle, move |bot, cx| {
        finally(bot, cx);
        Ok(Next::Continue)
    });
    let (sup, name) = (sup.clone(), handle.name().to_owned());
    let terminating = aside(move || sup.terminate_child(&name));
    asked.wait();
    hand.advance(SECOND);
    terminating.done().expect("terminated");
    release
}

fn abandon(sup: &SupervisorHandle, hand: &ManualClock, handle: &Handle<Msg>) -> Latch {
    abandon_then(&sup.reference(), hand, handle, |_, _| ())
}

fn hangs(line: &String) -> bool {
    line == "a hangs"
}

/// Where a thread hangs: it says that it does, and goes on when it is let go.
#[derive(Clone)]
struct Pause {
    reached: Latch,
    release: Latch,
}

impl Pause {
    fn new() -> Self {
        Self { reached: Latch::new(), release: Latch::new() }
    }

    fn here(&self) {
        self.reached.open();
        self.release.wait();
    }
}

/// Whom the report names when `a` pauses at its stop for 3 s, of which it has 2. It is started and
/// then provoked, and stopped when the first latch is open.
fn unstopped(
    pause: &Pause,
    provoke: impl FnOnce(&Handle<Msg>),
    dress: impl Fn(Bot, Pause) -> Bot + Send + Sync + 'static,
) -> Unstopped {
    let (clock, hand) = Clock::manual();
    let (journal, own) = (Journal::new(), pause.clone());
    let spec = bot_with("a", &journal, move |bot| dress(bot, own.clone())).shutdown(SECOND * 2);
    let handle = spec.handle();
    let sup = Supervisor::new("app").clock(clock).start().expect("starts");
    let reference = sup.reference();
    let starting = aside(move || reference.start_child(spec).map(drop));
    journal.wait_line("a init 1");
    provoke(&handle);
    let stopping = aside(move || sup.shutdown(SECOND * 60));
    pause.reached.wait();
    hand.advance(SECOND * 3);
    let mut report = stopping.done();
    let _ = starting.done();
    pause.release.open();
    journal.wait_line("a drop");
    assert_eq!(report.unstopped.len(), 1, "{report}");
    report.unstopped.remove(0)
}
