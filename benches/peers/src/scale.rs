//! What many children cost: not a race by turns, but memory and growth.

use std::sync::Arc;
use std::time::{Duration, Instant};

use underpin::{ChildSpec, Context, Next, Service, Supervisor, SupervisorHandle, child};

use crate::options::Options;
use crate::report::{Entry, Figure, Format};
use crate::rounds::{Outcome, median};

/// What is compared here.
pub const ROWS: [&str; 2] = ["S1", "S2"];
/// The most resident bytes of one idle service.
const MOST_BYTES: f64 = 16.0 * 1024.0;
/// The most that ten times as many children may cost.
const MOST_GROWTH: f64 = 12.0;
const ROUNDS: usize = 7;

struct Idle;

impl Service for Idle {
    type Msg = [u64; 4];
    type Error = std::convert::Infallible;

    fn handle(&mut self, _: [u64; 4], _: &mut Context<Self>) -> Result<Next, Self::Error> {
        Ok(Next::Continue)
    }
}

fn name(number: usize) -> Arc<str> {
    format!("idle-{number}").into()
}

fn tree(children: usize) -> SupervisorHandle {
    tree_of(children, |child| child)
}

fn tree_of(children: usize, terms: fn(ChildSpec<Idle>) -> ChildSpec<Idle>) -> SupervisorHandle {
    let specs = (0..children).map(|number| terms(child(name(number), || Idle).capacity(64)));
    let supervisor = specs.fold(Supervisor::new("many"), Supervisor::child);
    supervisor.start().expect("it starts")
}

/// Prints the rows that are wanted. They have no peers: who asks for some does not want them.
pub fn compare(options: &Options) {
    let is_wanted = |id| options.wants_row(id) && options.wants_every_peer();
    if is_wanted("S1") {
        let measure = "resident bytes of an idle service, of 1,000";
        line(options.format, "S1", measure, resident_each(1000), ("16 KiB", MOST_BYTES), 1.0);
    }
    if is_wanted("S2") {
        growth(options.format, "start of 1,000 children, ns", |children| {
            let (started, time) = timed(|| tree(children));
            drop(started);
            time
        });
        growth(options.format, "stop of 1,000 children, ns", |children| {
            let started = tree(children);
            timed(|| started.shutdown(Duration::from_secs(60))).1
        });
        growth(options.format, "list of 1,000 children, ns", |children| {
            let started = tree(children);
            timed(|| started.which_children()).1
        });
        growth(options.format, "look-up of each of 1,000 children, ns", |children| {
            let started = tree_of(children, ChildSpec::registered);
            let names: Vec<_> = (0..children).map(name).collect();
            let registry = started.registry();
            timed(|| names.iter().filter_map(|name| registry.find::<[u64; 4]>(name)).count()).1
        });
        growth(options.format, "inspection of 1,000 children, ns", |children| {
            let started = tree(children);
            timed(|| started.inspect().map(|tree| tree.children.len())).1
        });
    }
}

fn growth(format: Format, measure: &str, cost: impl Fn(usize) -> f64) {
    let [many, few] = [1000, 100].map(|children| median((0..ROUNDS).map(|_| cost(children)).collect()));
    line(format, "S2", measure, many, ("100 children", few), MOST_GROWTH);
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed().as_nanos() as f64)
}

fn resident_each(children: usize) -> f64 {
    let before = resident();
    let started = tree(children);
    let each = (resident() - before) / children as f64;
    drop(started);
    each
}

/// Resident memory of the process, in bytes, without the pages of its program and libraries: those are
/// read in as they are first run, and are nobody's.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes = anonymous.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kilobytes.unwrap_or(f64::NAN) * 1024.0
}

fn line(format: Format, row: &str, measure: &str, ours: f64, (peer, value): (&str, f64), must: f64) {
    let outcome = Outcome { ours, peer: value, ratio: ours / value };
    let time = Figure { unit: "", outcome, must: Some(must) };
    print!("{}", format.entry(&Entry { row, measure, peer, time, p99: None, cpu: None }));
}
