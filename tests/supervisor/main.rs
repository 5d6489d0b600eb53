//! Supervision: who is started, watched, restarted and stopped, in which order and how often.

mod backoff;
#[path = "../common/mod.rs"]
mod common;
mod escalation;
mod first_start;
mod intensity;
mod own_thread;
mod reports;
mod restart_types;
mod start_and_stop;
mod stopping;
mod strategies;
mod verbs;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::*;
use underpin::{
    Backoff, CallError, CastError, ChildKind, ChildSpec, Clock, CrashContext, DeleteChildError, ErrorKind,
    Exit, Handle, Init, Lifecycle, Next, Overflow, Registry, Restart, RestartChildError, StartChildError,
    StartError, Strategy, SupervisionEvent, Supervisor, SupervisorHandle, TerminateChildError, child,
};

const STRATEGIES: [Strategy; 3] = [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne];

/// A handle for each bot of these names, and the supervisor with the bots.
fn with_bots(
    mut app: Supervisor,
    names: &[&str],
    journal: &Journal,
) -> (Supervisor, HashMap<String, Handle<Msg>>) {
    let mut handles = HashMap::new();
    for name in names {
        let spec = bot(name, journal);
        handles.insert((*name).to_owned(), spec.handle());
        app = app.child(spec);
    }
    (app, handles)
}

fn epochs(handles: &HashMap<String, Handle<Msg>>, names: &[&str]) -> Vec<u64> {
    names.iter().map(|name| handles[*name].call(Msg::Epoch).expect("answered")).collect()
}

/// A bot whose `init` fails in the lives that `fails` says, by an `Err`.
fn flaky(
    name: &str,
    journal: &Journal,
    fails: impl Fn(u64) -> bool + Send + Sync + 'static,
) -> ChildSpec<Bot> {
    let fails = Arc::new(fails);
    bot_with(name, journal, move |bot| {
        let fails = Arc::clone(&fails);
        bot.on_init(move |_, cx| {
            if fails(cx.epoch()) { Err(Oops(ErrorKind::Transient, "no luck")) } else { Ok(Init::Ready) }
        })
    })
}

fn lines(journal: &Journal, part: &str) -> Vec<String> {
    journal.all().into_iter().filter(|line| line.contains(part)).collect()
}
