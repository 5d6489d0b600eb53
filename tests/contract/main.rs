//! The contract: each row of the table "what happens when" is a test, or several, named after it.

#[path = "../common/mod.rs"]
mod common;
mod crash;
mod cycle;
mod deadline;
mod dropped_handles;
mod dropped_reply;
mod full_mailbox;
mod hung_thread;
mod identity;
mod late_reply;
mod next_init;
mod start_order;
mod terminal_stop;
mod timers;

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::*;
use underpin::{
    CallError, CastError, Clock, DeadReason, Deadline, ErrorKind, Exit, Lifecycle, Mailbox, Next, Overflow,
    Restart, StartError, StopError, Strategy, SupervisionEvent, Supervisor,
};

struct AtThreadEnd(Journal);

impl Drop for AtThreadEnd {
    fn drop(&mut self) {
        // A successor that did not wait for this thread would be there by then.
        self.0.comes_within(MS * 20, |line| line == "factory");
        self.0.note("thread gone");
    }
}

thread_local! {
    static AT_THREAD_END: RefCell<Option<AtThreadEnd>> = const { RefCell::new(None) };
}

/// A service that is held in its handler, with a mailbox of two that is full of `Add(1)`, `Add(2)`.
fn full(
    overflow: Overflow,
) -> (underpin::SupervisorHandle, underpin::Handle<Msg>, Latch, Journal, Log<(DeadReason, u64)>) {
    let (journal, dead) = (Journal::new(), Log::new());
    let told = dead.clone();
    let spec = bot("a", &journal).capacity(2).overflow(overflow).on_dead_letter(move |letter| {
        let n = if let Msg::Add(n) = letter.message { n } else { 0 };
        told.push((letter.reason, n));
    });
    let handle = spec.handle();
    let sup = patient("app").child(spec).start().expect("starts");
    let release = occupy(&handle);
    handle.cast(Msg::Add(1)).expect("accepted");
    handle.cast(Msg::Add(2)).expect("accepted");
    assert_eq!((handle.status().queued, handle.status().capacity), (2, 2));
    (sup, handle, release, journal, dead)
}

fn adds(journal: &Journal) -> Vec<String> {
    journal.all().into_iter().filter(|line| line.contains(" add ")).collect()
}
