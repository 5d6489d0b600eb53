//! A child is replaced while the rest runs: what goes over, what does not, and what comes between.

mod between;
#[path = "../common/mod.rs"]
mod common;
mod failed_start;
mod goes_over;
mod later_starts;
mod no_state;
mod nothing_left;
mod other_type;
mod refusals;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use common::*;
use underpin::{
    AutoShutdown, Backoff, CallError, CastError, Clock, Context, DynamicSupervisor, ErrorKind, Exit, Handle,
    Init, Lifecycle, Mailbox, Next, Overflow, ReplaceChildError, Reply, Restart, RestartChildError, Service,
    Strategy, Supervisor, SupervisorHandle, SupervisorRef, child,
};

/// Goes on where the old one was: the same state, never dropped on the way.
fn heir(name: &str, journal: &Journal) -> impl Fn(Option<Bot>) -> Bot + Send + Sync + 'static {
    let (name, journal) = (name.to_owned(), journal.clone());
    move |old| {
        let total = old.as_ref().map(|old| old.total);
        journal.note(format!("{name} made from {total:?}"));
        old.unwrap_or_else(|| Bot::new(&name, &journal))
    }
}

/// One bot that `app` supervises, and its handle.
fn one(app: Supervisor, journal: &Journal) -> (SupervisorHandle, Handle<Msg>) {
    let spec = bot("a", journal);
    let handle = spec.handle();
    (app.child(spec).start().expect("starts"), handle)
}

/// Asks for a replacement on a thread of its own, and returns when the supervisor has heard.
fn replace_aside(
    sup: &SupervisorHandle,
    name: &'static str,
    factory: impl Fn(Option<Bot>) -> Bot + Send + Sync + 'static,
) -> Aside<Result<(), ReplaceChildError>> {
    let reference = sup.reference();
    let replacing = aside({
        let reference = reference.clone();
        move || reference.replace_child(name, factory)
    });
    is_being_replaced(&reference, name);
    replacing
}

fn is_being_replaced(sup: &SupervisorRef, name: &str) {
    eventually("it is being replaced", || {
        matches!(sup.restart_child(name), Err(RestartChildError::Restarting { .. }))
    });
}

/// Adds, and returns when that is done: what is queued may be its successor's to do.
fn add(handle: &Handle<Msg>, n: u64) {
    handle.cast(Msg::Add(n)).expect("accepted");
    handle.call(Msg::Total).expect("answered");
}

fn park() -> impl FnOnce(Reply<u64>) -> Msg {
    ask(|bot, _, reply| {
        bot.kept.push(reply);
        Ok(Next::Continue)
    })
}

fn unpark(answer: u64) -> Msg {
    act(move |bot, _| {
        bot.kept.drain(..).for_each(|reply| reply.send(answer));
        Ok(Next::Continue)
    })
}

fn count(journal: &Journal, line: &str) -> usize {
    journal.count(|noted| noted == line)
}

/// Counts.
struct Counter(u64);
/// Counts on, doubly.
struct Doubling(u64);

enum Count {
    Add(u64),
    Total(Reply<u64>),
}

impl Service for Counter {
    type Msg = Count;
    type Error = Oops;

    fn handle(&mut self, msg: Count, _: &mut Context<Self>) -> Done {
        match msg {
            Count::Add(n) => self.0 += n,
            Count::Total(reply) => reply.send(self.0),
        }
        Ok(Next::Continue)
    }
}

impl Service for Doubling {
    type Msg = Count;
    type Error = Oops;

    fn handle(&mut self, msg: Count, _: &mut Context<Self>) -> Done {
        match msg {
            Count::Add(n) => self.0 += 2 * n,
            Count::Total(reply) => reply.send(self.0),
        }
        Ok(Next::Continue)
    }
}

fn counter() -> (SupervisorHandle, Handle<Count>) {
    let spec = child("counter", || Counter(0));
    let handle = spec.handle();
    (patient("app").child(spec).start().expect("starts"), handle)
}

/// Counts what exists of something.
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

/// Notes on which thread it is dropped.
struct Dropped(Arc<Mutex<Vec<String>>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let name = std::thread::current().name().unwrap_or("?").to_owned();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(name);
    }
}
